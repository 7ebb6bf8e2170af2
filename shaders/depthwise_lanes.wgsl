// The convolution of depthwise.wgsl where a load is one instruction if the lanes read neighbouring addresses, and one a
// lane otherwise (SwiftShader): neighbouring lanes take neighbouring channels.
//
// An invocation owns a tile of `tile_h` x 4 outputs of one channel. Everything is as in depthwise.wgsl but for the view
// of the tensors, which is of single channels here.

struct Params {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    pad_top: u32,
    pad_left: u32,
    c4: u32,
    tile_h: u32,
    tiles_y: u32,
    tiles_x: u32,
    act: u32,
    squeeze: u32,
    x4: u32,
    y4: u32,
    join: u32,
    joined: u32,
    rolled: vec4<u32>,
}

override WG_X: u32 = 4u;
override K: u32 = 3u;
override STRIDE: u32 = 1u;
override RESIDUAL: u32 = 0u;
// Fixed when the pipeline is made: SwiftShader executes every branch.
override ACT: u32 = 0u;
override KEEP: u32 = 0u;
override SHIFT: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(5) var<storage, read> residual: array<f32>;
@group(0) @binding(6) var<storage, read_write> squeeze: array<f32>;

// What joins output channel `channel` of a position.
fn load_other(position: u32, channel: u32) -> f32 {
    if (RESIDUAL == 0u || channel >= params.joined) {
        return 0.0;
    }
    return residual[position * params.y4 * 4u + channel];
}

// Input column x of a line, zero outside.
fn column(line: u32, x: i32, channel: u32) -> f32 {
    let inside = x >= 0 && x < i32(params.width);
    let v = input[(line + u32(clamp(x, 0, i32(params.width) - 1))) * params.x4 * 4u + channel];
    return select(0.0, v, inside);
}

@compute @workgroup_size(WG_X)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    // The filter's place among the packed ones, the input channel that it reads and the output channel that it writes.
    let filter_at = id.x;
    let channels = params.c4 * 4u;
    let kept = select(0u, params.x4 * 4u - select(0u, 4u - SHIFT, SHIFT > 0u), KEEP == 1u);
    let out_channel = filter_at + kept - SHIFT;
    if (filter_at < SHIFT || out_channel >= params.y4 * 4u) {
        return;
    }
    let channel = min(filter_at - SHIFT, params.x4 * 4u - 1u);
    let image = id.z / params.tiles_y;
    let tile_y = id.z - image * params.tiles_y;
    let first_column = id.y * 4u;
    let first = tile_y * params.tile_h;
    let rows = min(params.tile_h, params.out_height - first);
    let left = i32(first_column * STRIDE) - i32(params.pad_left);
    let used = min(4u, params.out_width - first_column);
    let bias = weights[filter_at];
    var sum = 0.0;
    var kept_sum = 0.0;
    for (var row = first; row < first + rows; row++) {
        var s = vec4<f32>(bias);
        for (var ky = 0u; ky < K; ky++) {
            let y = i32(row * STRIDE + ky) - i32(params.pad_top);
            if (y < 0 || y >= i32(params.height)) {
                continue;
            }
            let line = (image * params.height + u32(y)) * params.width;
            var x = vec4<f32>(
                column(line, left, channel),
                column(line, left + i32(STRIDE), channel),
                column(line, left + 2 * i32(STRIDE), channel),
                column(line, left + 3 * i32(STRIDE), channel),
            );
            if (STRIDE == 1u) {
                for (var kx = 0u; kx < K; kx++) {
                    s += x * weights[(1u + ky * K + kx) * channels + filter_at];
                    x = vec4<f32>(x.yzw, column(line, left + i32(kx) + 4, channel));
                }
            } else {
                var odd = vec4<f32>(
                    column(line, left + 1, channel),
                    column(line, left + 3, channel),
                    column(line, left + 5, channel),
                    column(line, left + 7, channel),
                );
                for (var kx = 0u; kx < K; kx++) {
                    s += x * weights[(1u + ky * K + kx) * channels + filter_at];
                    let next = vec4<f32>(x.yzw, column(line, left + i32(kx) + 8, channel));
                    x = odd;
                    odd = next;
                }
            }
        }
        let position = (image * params.out_height + row) * params.out_width + first_column;
        var other = vec4<f32>(0.0);
        if (RESIDUAL == 1u) {
            for (var i = 0u; i < 4u; i++) {
                other = vec4<f32>(other.yzw, load_other(position + min(i, used - 1u), out_channel));
            }
        }
        let early = select(vec4<f32>(0.0), other, params.join == 2u);
        s = activate(ACT, s + early);
        other -= early;
        for (var i = 0u; i < used; i++) {
            sum += s.x;
            output[(position + i) * params.y4 * 4u + out_channel] = s.x + other.x;
            if (KEEP == 1u && channel < kept) {
                // The input's position is the output's.
                let x = input[(position + i) * params.x4 * 4u + channel];
                kept_sum += x;
                output[(position + i) * params.y4 * 4u + channel] = x + load_other(position + i, channel);
            }
            s = s.yzwx;
            other = other.yzwx;
        }
    }
    if (params.squeeze == 1u) {
        let tile = ((image * params.tiles_y + tile_y) * params.tiles_x + id.y) * params.y4 * 4u;
        squeeze[tile + out_channel] = sum;
        if (KEEP == 1u && channel < kept) {
            squeeze[tile + channel] = kept_sum;
        }
    }
}
