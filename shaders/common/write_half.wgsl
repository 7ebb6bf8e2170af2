// How results are stored: f16. What f16 cannot hold becomes its largest value.

alias Written = vec4<f16>;

fn repack(v: vec4<f32>) -> Written {
    return vec4<f16>(clamp(v, vec4<f32>(-65504.0), vec4<f32>(65504.0)));
}

// What was stored.
fn unpack_written(v: Written) -> vec4<f32> {
    return vec4<f32>(v);
}
