// A 1x1 convolution and the depthwise k x k convolution of its result, which is never stored:
// e = expand_act(sum_k x * v + b), y = act(sum_taps e * w + c), joined with another tensor; and the sum of y before that
// over each tile for squeeze-and-excitation. Or the mean of y over the image alone.
//
// A workgroup owns a tile of outputs (for the mean all of them, one after the other) and WG_X quads of channels.
// Grid: x over channels, y over tiles, z over images. How e is computed and kept: common/expand.wgsl.
// Squeeze: (image * tiles + tile) * c4 + c.

struct Params {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    pad_top: u32,
    pad_left: u32,
    x4: u32,
    c4: u32,
    tile_h: u32,
    tile_w: u32,
    tiles_y: u32,
    tiles_x: u32,
    expand_act: u32,
    act: u32,
    join: u32,
    joined: u32,
    squeeze: u32,
    // K; the loop over it stays rolled, or software adapters take long to compile.
    kernel: u32,
    pool: u32,
    inverse: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> expand: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;
@group(0) @binding(6) var<storage, read_write> squeeze: array<vec4f>;
@group(0) @binding(7) var<storage, read> filters: array<Stored>;

// Computes a tile of an image; gives the sum of the lane's outputs.
fn compute(image: u32, number: u32, n: u32, local: vec3u) -> vec4f {
    let area = area_of(image, number);
    // A lane past the last quad computes that one again and stores nothing.
    let quad = min(n, params.c4 - 1u);
    surround(area, local);
    expand_under(area, local, quad, params.x4);
    workgroupBarrier();

    var sum = vec4f(0.0);
    for (var i = local.y; i < area.size.x * area.size.y; i += WG_Y) {
        let place = row_column(i, area.size.y);
        let d = window_sum(area, place, local.x, quad);
        let position = area.first + place;
        let at = ((image * params.out_height + position.x) * params.out_width + position.y) * params.c4 + quad;
        var other = vec4f(0.0);
        if (params.join > 0u) {
            other = first_channels(unpack(residual[at]), quad, params.joined);
        }
        let early = select(vec4f(0.0), other, params.join == 2u);
        let y = activate(params.act, d + early);
        sum += y;
        if (n < params.c4 && params.pool == 0u) {
            output[at] = repack(y + (other - early));
        }
    }
    return sum;
}

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let n = group.x * WG_X + local.x;
    let tiles = params.tiles_y * params.tiles_x;
    var sum = vec4f(0.0);
    for (var t = group.y; t < select(group.y + 1u, tiles, params.pool == 1u); t++) {
        sum += compute(group.z, t, n, local);
        workgroupBarrier();
    }
    if (params.squeeze == 1u || params.pool == 1u) {
        let total = sum_lanes(local, sum);
        if (local.y == 0u && n < params.c4) {
            if (params.pool == 1u) {
                output[group.z * params.c4 + n] = repack(total * params.inverse);
            } else {
                squeeze[(group.z * tiles + group.y) * params.c4 + n] = total;
            }
        }
    }
}
