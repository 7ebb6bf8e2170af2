// How results are stored: f16, two in a word. What f16 cannot hold becomes its largest value.

alias Written = vec2<u32>;

fn repack(v: vec4<f32>) -> Written {
    let held = clamp(v, vec4<f32>(-65504.0), vec4<f32>(65504.0));
    return vec2<u32>(pack2x16float(held.xy), pack2x16float(held.zw));
}

// What was stored.
fn unpack_written(v: Written) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y));
}
