// For shaders whose expanding convolution (common/expand.wgsl) reads the input.

// The first quad of position `i` inside the image, of the last one for those past it.
fn source(area: Area, i: u32) -> u32 {
    let at = row_column(min(i, area.inside.x * area.inside.y - 1u), area.inside.y);
    return (area.corner + at.x * params.width + at.y) * params.x4;
}

fn stored(at: u32) -> vec4f {
    return unpack(input[at]);
}
