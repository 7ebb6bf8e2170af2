// A depthwise k x k convolution and the 1x1 convolution of its result, which is never stored:
// d = filter_act(sum_taps x * w + b), y = act(sum_k d * v + c), joined with another tensor; or the mean of y over the
// image.
//
// A workgroup owns `tile_size` consecutive positions of an image (for the mean all of them, one tile after the other)
// and WG_X quads of output channels. It goes through the channels of d, WG_X quads at a time: lane x is one of these,
// then an output quad. Grid: x over output channels, y over tiles, z over images. How d and y are computed:
// common/filter.wgsl, common/project.wgsl.

struct Params {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    pad_top: u32,
    pad_left: u32,
    x4: u32,
    y4: u32,
    tile_size: u32,
    // From a workgroup's tile to its next, in positions.
    step: u32,
    filter_act: u32,
    act: u32,
    join: u32,
    joined: u32,
    pool: u32,
    inverse: f32,
    // K; the loop over it stays rolled, or software adapters take long to compile.
    kernel: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

override K: u32 = 3u;
override STRIDE: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> first: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;
@group(0) @binding(7) var<storage, read> weights: array<Stored>;

// The first tap of a position's window.
fn corner(position: u32) -> vec2i {
    let row = position / params.out_width;
    let at = vec2u(row, position - row * params.out_width) * STRIDE;
    return vec2i(at - vec2u(params.pad_top, params.pad_left));
}

// Stores output quad `n` of a position; gives what the mean is of.
fn store(position: u32, n: u32, sum: vec4f) -> vec4f {
    let y = projected(position, n, sum);
    if (params.pool == 0u) {
        output[position * params.y4 + n] = repack(y);
    }
    return y;
}

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let image = group.z;
    let pixels = params.out_height * params.out_width;
    // A lane past the last output quad computes that one again and stores nothing.
    let n = group.x * WG_X + local.x;
    let quad = min(n, params.y4 - 1u);
    let lane = local.y * WG_X;
    var total = vec4f(0.0);
    for (var begin = group.y * params.tile_size; begin < pixels; begin += params.step) {
        let positions = min(params.tile_size, pixels - begin);
        var s0 = unpack(weights[quad]);
        var s1 = s0;
        var s2 = s0;
        var s3 = s0;
        for (var chunk = 0u; chunk < params.x4; chunk += WG_X) {
            workgroupBarrier();
            let mine = min(chunk + local.x, params.x4 - 1u);
            for (var i = local.y; i < positions; i += WG_Y) {
                tile[i * WG_X + local.x] = filtered(image, corner(begin + i), mine);
            }
            workgroupBarrier();
            for (var k = 0u; k < min(WG_X, params.x4 - chunk); k++) {
                let w = columns(chunk + k, quad);
                s0 = add(s0, tile[lane + k], w);
                if (positions > WG_Y) {
                    s1 = add(s1, tile[lane + WG_Y * WG_X + k], w);
                }
                if (positions > 2u * WG_Y) {
                    s2 = add(s2, tile[lane + 2u * WG_Y * WG_X + k], w);
                }
                if (positions > 3u * WG_Y) {
                    s3 = add(s3, tile[lane + 3u * WG_Y * WG_X + k], w);
                }
            }
        }
        for (var i = local.y; i < positions && n < params.y4; i += WG_Y) {
            total += store(image * pixels + begin + i, n, s0);
            s0 = s1;
            s1 = s2;
            s2 = s3;
        }
    }
    if (params.pool == 1u) {
        workgroupBarrier();
        let sum = sum_lanes(local, total);
        if (local.y == 0u && n < params.y4) {
            output[image * params.y4 + n] = repack(sum * params.inverse);
        }
    }
}
