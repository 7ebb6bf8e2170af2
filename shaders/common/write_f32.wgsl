// How results are stored: f32.

alias Written = vec4<f32>;

fn repack(v: vec4<f32>) -> Written {
    return v;
}

// What was stored.
fn unpack_written(v: Written) -> vec4<f32> {
    return v;
}
