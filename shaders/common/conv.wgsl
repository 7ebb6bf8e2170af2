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
    rolled: vec4u,
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

// The input row and column of a window's first tap.
fn corner(position: u32) -> vec2i {
    let row = position / params.out_width;
    let first = vec2u(row, position - row * params.out_width) * STRIDE;
    return vec2i(first) - vec2i(vec2u(params.pad_top, params.pad_left));
}

// An input quad at a row and column, zero outside the map.
fn load(image: u32, at: vec2i, quad: u32) -> vec4f {
    let inside = clamp(at, vec2i(0), vec2i(vec2u(params.height, params.width)) - 1);
    let position = (image * params.height + u32(inside.x)) * params.width + u32(inside.y);
    return select(vec4f(0.0), unpack(input[position * params.x4 + quad]), all(inside == at));
}

// Where a loop over a window's taps and the input quads of each is: rows and columns from the first tap, and the quad.
struct Tap {
    at: vec2i,
    quad: u32,
}

fn next(tap: Tap) -> Tap {
    let edge = i32(K * DILATION);
    let wrap = tap.quad + 1u == params.cin4;
    let column = select(tap.at.y, tap.at.y + i32(DILATION), wrap);
    let row = select(tap.at.x, tap.at.x + i32(DILATION), column == edge);
    return Tap(vec2i(row, select(column, 0, column == edge)), select(tap.quad + 1u, 0u, wrap));
}

// Activates, joins and stores output quad `quad` of a position.
fn store(position: u32, quad: u32, act: u32, join: u32, sum: vec4f) {
    let at = position * params.cout4 + quad;
    var other = vec4f(0.0);
    if (RESIDUAL == 1u) {
        other = first_channels(unpack(residual[at]), quad, params.joined);
    }
    output[at] = repack(activate_joined(act, join, sum, other));
}
