// For shaders whose expanding convolution (common/expand.wgsl) reads the input.

// The first quad of position `i` inside the image.
fn source(area: Area, i: u32) -> u32 {
    let at = row_column(i, area.inside.y);
    return (area.corner + at.x * params.width + at.y) * params.x4;
}

fn stored(at: u32) -> vec4<f32> {
    return unpack(input[at]);
}
