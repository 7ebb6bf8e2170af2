// How results are stored: f32.

alias Written = vec4f;

fn repack(v: vec4f) -> Written {
    return v;
}

// What was stored.
fn recall(v: Written) -> vec4f {
    return v;
}
