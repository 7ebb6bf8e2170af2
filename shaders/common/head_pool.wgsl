// What the shaders of the pooled 1x1 convolution share: their parameters and operands.

struct Params {
    pixels: u32,
    cin4: u32,
    cout4: u32,
    inverse: f32,
    act: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
    rolled: vec4u,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;
