// What the shaders of the 1x1 convolution share: their parameters and where a tile lies.

struct Params {
    // Positions of a slice.
    pixels: u32,
    // Input quads of a product, output quads and tiles of all products.
    cin4: u32,
    cout4: u32,
    tiles_n: u32,
    act: u32,
    gate: u32,
    join: u32,
    joined: u32,
    // Quads of the input tensor, and the first that counts.
    x4: u32,
    first4: u32,
    // Output quads and tiles of a product.
    group4: u32,
    group_tiles: u32,
    // Quads of the other tensor and of the output tensor.
    other4: u32,
    y4: u32,
    // 1 where the other tensor lies in the output, which takes its place.
    in_place: u32,
    pad1: u32,
    rolled: vec4<u32>,
}

override INTERLEAVE: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
