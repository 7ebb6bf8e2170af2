// What the shaders of the k x k convolution share: their parameters and operands.

struct Params {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    pad_top: u32,
    pad_left: u32,
    cin4: u32,
    cout4: u32,
    tiles_n: u32,
    act: u32,
    join: u32,
    joined: u32,
    x4: u32,
    first4: u32,
    group4: u32,
    group_tiles: u32,
    rolled: vec4<u32>,
}

override K: u32 = 3u;
override STRIDE: u32 = 1u;
override DILATION: u32 = 1u;
override RESIDUAL: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;
