// What the shaders share that begin with a 1x1 convolution and the depthwise k x k convolution of its result:
// e = expand_act(sum_k x * v + b) and sum_taps e * w + c.
//
// A workgroup owns a tile of outputs. It computes e under the tile, as far as that lies in the image, and zeros around
// the image (they pad e, not x): slot `position * WG_X + lane` of `tile`. Weights as in pointwise.wgsl and
// depthwise.wgsl; the shader declares the uniform `params`, the bindings `expand` and `filters`, and where x lies: `source`
// and `stored`.

override K: u32 = 3u;
override STRIDE: u32 = 1u;

// A tile of outputs and what its windows cover, in rows and columns.
struct Area {
    // The first output, and how many there are.
    first: vec2u,
    size: vec2u,
    // What the windows cover, the part of it that lies in the image, and what comes before that.
    span: vec2u,
    inside: vec2u,
    skipped: vec2u,
    // That part's first position in the input.
    corner: u32,
}

fn area_of(image: u32, number: u32) -> Area {
    let tile_y = number / params.tiles_x;
    let first = vec2u(tile_y * params.tile_h, (number - tile_y * params.tiles_x) * params.tile_w);
    let size = min(vec2u(params.tile_h, params.tile_w), vec2u(params.out_height, params.out_width) - first);
    let image_size = vec2i(vec2u(params.height, params.width));
    let origin = vec2i(first * STRIDE) - vec2i(vec2u(params.pad_top, params.pad_left));
    let span = (size - 1u) * STRIDE + K;
    let begin = max(origin, vec2i(0));
    let inside = vec2u(min(origin + vec2i(span), image_size) - begin);
    let corner = (image * params.height + u32(begin.x)) * params.width + u32(begin.y);
    return Area(first, size, span, inside, vec2u(begin - origin), corner);
}

// Row and column of position `i`, `columns` to a row.
fn row_column(i: u32, columns: u32) -> vec2u {
    let row = i / columns;
    return vec2u(row, i - row * columns);
}

// Zeros where the windows of the tile leave the image.
fn surround(area: Area, local: vec3u) {
    for (var i = local.y; i < area.span.x * area.span.y; i += WG_Y) {
        if (any(row_column(i, area.span.y) - area.skipped >= area.inside)) {
            tile[i * WG_X + local.x] = vec4f(0.0);
        }
    }
}

// Computes quad `quad` of e inside the image from x of `depth` quads.
fn expand_under(area: Area, local: vec3u, quad: u32, depth: u32) {
    let positions = area.inside.x * area.inside.y;
    let source0 = source(area, local.y);
    let source1 = source(area, local.y + WG_Y);
    let source2 = source(area, local.y + 2u * WG_Y);
    let source3 = source(area, local.y + 3u * WG_Y);
    var e0 = unpack(expand[quad]);
    var e1 = e0;
    var e2 = e0;
    var e3 = e0;
    for (var k = 0u; k < depth; k++) {
        let at = (k * 4u + 1u) * params.c4 + quad;
        let w = mat4x4f(
            unpack(expand[at]),
            unpack(expand[at + params.c4]),
            unpack(expand[at + 2u * params.c4]),
            unpack(expand[at + 3u * params.c4]),
        );
        e0 = add(e0, stored(source0 + k), w);
        if (positions > WG_Y) {
            e1 = add(e1, stored(source1 + k), w);
        }
        if (positions > 2u * WG_Y) {
            e2 = add(e2, stored(source2 + k), w);
        }
        if (positions > 3u * WG_Y) {
            e3 = add(e3, stored(source3 + k), w);
        }
    }
    for (var i = local.y; i < positions; i += WG_Y) {
        let at = row_column(i, area.inside.y) + area.skipped;
        tile[(at.x * area.span.y + at.y) * WG_X + local.x] = activate(params.expand_act, e0);
        e0 = e1;
        e1 = e2;
        e2 = e3;
    }
}

// The window of an output of the tile over quad `quad` of e.
fn window_sum(area: Area, output: vec2u, lane: u32, quad: u32) -> vec4f {
    var d = unpack(filters[quad]);
    for (var ky = 0u; ky < params.kernel; ky++) {
        for (var kx = 0u; kx < K; kx++) {
            let slot = (output.x * STRIDE + ky) * area.span.y + output.y * STRIDE + kx;
            d = fma(unpack(filters[(ky * K + kx + 1u) * params.c4 + quad]), tile[slot * WG_X + lane], d);
        }
    }
    return d;
}
