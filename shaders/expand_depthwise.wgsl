// A 1x1 convolution and the depthwise k x k convolution of its result, which is never stored:
// e = expand_act(sum_k x * v + b), y = act(sum_taps e * w + c), joined with another tensor; and the sum of y before that
// over each tile for squeeze-and-excitation. Or the mean of y over the image alone.
//
// A workgroup owns a tile of outputs (for the mean all of them, one after the other) and WG_X quads of channels. It
// computes e under the tile, as far as that lies in the image, and zeros around the image (they pad e, not x).
// Grid: x over channels, y over tiles, z over images. Weights as in pointwise.wgsl and depthwise.wgsl.
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

override K: u32 = 3u;
override STRIDE: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> expand: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;
@group(0) @binding(6) var<storage, read_write> squeeze: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> filters: array<Stored>;

// A position of e: its first quad in the input, and its place in the tile.
struct Place {
    source: u32,
    slot: u32,
}

// Position `p` of `columns` in a row, the first of which is `corner` of the input, `skipped` rows and columns into the
// tile's `line` columns.
fn place(p: u32, corner: u32, columns: u32, skipped: vec2<u32>, line: u32) -> Place {
    let row = p / columns;
    let column = p - row * columns;
    return Place((corner + row * params.width + column) * params.x4, (row + skipped.x) * line + column + skipped.y);
}

// Computes a tile of an image; gives the sum of the lane's outputs.
fn compute(image: u32, tile_y: u32, tile_x: u32, n: u32, local: vec3<u32>) -> vec4<f32> {
    let first = vec2<u32>(tile_y * params.tile_h, tile_x * params.tile_w);
    let size = min(vec2<u32>(params.tile_h, params.tile_w), vec2<u32>(params.out_height, params.out_width) - first);
    // A lane past the last quad computes that one again and stores nothing.
    let quad = min(n, params.c4 - 1u);
    // What the windows of the tile cover, in rows and columns, and the part of it that lies in the image.
    let image_size = vec2<i32>(vec2<u32>(params.height, params.width));
    let origin = vec2<i32>(first * STRIDE) - vec2<i32>(vec2<u32>(params.pad_top, params.pad_left));
    let span = (size - 1u) * STRIDE + K;
    let begin = max(origin, vec2<i32>(0));
    let inside = vec2<u32>(min(origin + vec2<i32>(span), image_size) - begin);
    let skipped = vec2<u32>(begin - origin);

    for (var i = local.y; i < span.x * span.y; i += WG_Y) {
        let row = i / span.y;
        let at = vec2<u32>(row, i - row * span.y) - skipped;
        if (any(at >= inside)) {
            tile[i * WG_X + local.x] = vec4<f32>(0.0);
        }
    }

    let positions = inside.x * inside.y;
    let corner = (image * params.height + u32(begin.x)) * params.width + u32(begin.y);
    let source0 = place(min(local.y, positions - 1u), corner, inside.y, skipped, span.y).source;
    let source1 = place(min(local.y + WG_Y, positions - 1u), corner, inside.y, skipped, span.y).source;
    let source2 = place(min(local.y + 2u * WG_Y, positions - 1u), corner, inside.y, skipped, span.y).source;
    let source3 = place(min(local.y + 3u * WG_Y, positions - 1u), corner, inside.y, skipped, span.y).source;
    var e0 = unpack(expand[quad]);
    var e1 = e0;
    var e2 = e0;
    var e3 = e0;
    for (var k = 0u; k < params.x4; k++) {
        let at = (k * 4u + 1u) * params.c4 + quad;
        let w = mat4x4<f32>(
            unpack(expand[at]),
            unpack(expand[at + params.c4]),
            unpack(expand[at + 2u * params.c4]),
            unpack(expand[at + 3u * params.c4]),
        );
        e0 = add(e0, unpack(input[source0 + k]), w);
        if (positions > WG_Y) {
            e1 = add(e1, unpack(input[source1 + k]), w);
        }
        if (positions > 2u * WG_Y) {
            e2 = add(e2, unpack(input[source2 + k]), w);
        }
        if (positions > 3u * WG_Y) {
            e3 = add(e3, unpack(input[source3 + k]), w);
        }
    }
    for (var p = local.y; p < positions; p += WG_Y) {
        tile[place(p, corner, inside.y, skipped, span.y).slot * WG_X + local.x] = activate(params.expand_act, e0);
        e0 = e1;
        e1 = e2;
        e2 = e3;
    }
    workgroupBarrier();

    var sum = vec4<f32>(0.0);
    for (var i = local.y; i < size.x * size.y; i += WG_Y) {
        let row = i / size.y;
        let column = i - row * size.y;
        var d = unpack(filters[quad]);
        for (var ky = 0u; ky < params.kernel; ky++) {
            for (var kx = 0u; kx < K; kx++) {
                let slot = (row * STRIDE + ky) * span.y + column * STRIDE + kx;
                d = fma(unpack(filters[(ky * K + kx + 1u) * params.c4 + quad]), tile[slot * WG_X + local.x], d);
            }
        }
        let at = ((image * params.out_height + first.x + row) * params.out_width + first.y + column) * params.c4 + quad;
        var other = vec4<f32>(0.0);
        if (params.join > 0u) {
            other = first_channels(unpack(residual[at]), quad, params.joined);
        }
        let early = select(vec4<f32>(0.0), other, params.join == 2u);
        let y = activate(params.act, d + early);
        sum += y;
        if (n < params.c4 && params.pool == 0u) {
            output[at] = repack(y + (other - early));
        }
    }
    return sum;
}

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let n = group.x * WG_X + local.x;
    let tiles = params.tiles_y * params.tiles_x;
    var sum = vec4<f32>(0.0);
    for (var t = group.y; t < select(group.y + 1u, tiles, params.pool == 1u); t++) {
        let tile_y = t / params.tiles_x;
        sum += compute(group.z, tile_y, t - tile_y * params.tiles_x, n, local);
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
