// How results are stored: f16, two in a word. What f16 cannot hold becomes its largest value.

alias Written = vec2u;

fn repack(v: vec4f) -> Written {
    let held = clamp(v, vec4f(-65504.0), vec4f(65504.0));
    return vec2u(pack2x16float(held.xy), pack2x16float(held.zw));
}

// What was stored.
fn recall(v: Written) -> vec4f {
    return vec4f(unpack2x16float(v.x), unpack2x16float(v.y));
}
