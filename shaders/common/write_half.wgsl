// How results are stored: f16. What f16 cannot hold becomes its largest value.

alias Written = vec4<f16>;

fn repack(v: vec4f) -> Written {
    return vec4<f16>(clamp(v, vec4f(-65504.0), vec4f(65504.0)));
}

// What was stored.
fn recall(v: Written) -> vec4f {
    return vec4f(v);
}
