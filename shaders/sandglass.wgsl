// A sandglass block: a depthwise k x k convolution, where it has one, the 1x1 convolution that reduces its result, the 1x1
// convolution that expands that, and the depthwise k x k convolution behind; none of the tensors between is ever stored:
// d = filter_act(sum_taps x * f + a), r = reduce_act(sum_k d * u + t), e = expand_act(sum_k r * v + b),
// y = act(sum_taps e * w + c), joined with another tensor.
//
// A workgroup owns a tile of outputs. It goes through the input channels, WG_X quads at a time: d under the tile, then what
// these add to r, of which a lane owns a quad and every `lanes`-th position, up to four. Then it goes through the output
// channels, WG_X quads at a time: e under the tile, then y. Workgroup memory holds d or e, and behind it r.
// Grid: x and y over tiles, z over images. How d, r and e are computed: common/filter.wgsl, project.wgsl, expand.wgsl.

struct Params {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    // Of the last convolution, and of the first.
    pad_top: u32,
    pad_left: u32,
    first_top: u32,
    first_left: u32,
    x4: u32,
    // Quads of r, and of the output.
    y4: u32,
    c4: u32,
    tile_h: u32,
    tile_w: u32,
    tiles_x: u32,
    lanes: u32,
    filter_act: u32,
    reduce_act: u32,
    expand_act: u32,
    act: u32,
    join: u32,
    joined: u32,
    // K; the loop over it stays rolled, or software adapters take long to compile.
    kernel: u32,
    pad0: u32,
    pad1: u32,
}

// 1 where the block begins with a depthwise convolution.
override FIRST: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;
@group(0) @binding(7) var<storage, read> expand: array<Stored>;
@group(0) @binding(8) var<storage, read> filters: array<Stored>;
@group(0) @binding(10) var<storage, read> first: array<Stored>;

// The first quad of r at position `i` inside the image, of the last one for those past it.
fn source(area: Area, i: u32) -> u32 {
    return area.span.x * area.span.y * WG_X + min(i, area.inside.x * area.inside.y - 1u) * params.y4;
}

fn stored(at: u32) -> vec4f {
    return tile[at];
}

// Quad `k` of d at position `i` inside the image; of the input where no depthwise convolution is first.
fn reduced_from(image: u32, area: Area, i: u32, k: u32) -> vec4f {
    let at = row_column(i, area.inside.y);
    if (FIRST == 1u) {
        let begin = vec2i(area.first * STRIDE + area.skipped + at) - vec2i(vec2u(params.pad_top, params.pad_left));
        return filtered(image, begin - vec2i(vec2u(params.first_top, params.first_left)), k);
    } else {
        return unpack(input[(area.corner + at.x * params.width + at.y) * params.x4 + k]);
    }
}

// Computes r under the tile, as far as that lies in the image.
fn reduce_under(image: u32, area: Area, local: vec3u) {
    let positions = area.inside.x * area.inside.y;
    // A lane without a quad or position of its own computes another's again and keeps nothing.
    let lane = row_column(local.y * WG_X + local.x, params.y4);
    let end = positions - 1u;
    let d0 = min(lane.x, end) * WG_X;
    let d1 = min(lane.x + params.lanes, end) * WG_X;
    let d2 = min(lane.x + 2u * params.lanes, end) * WG_X;
    let d3 = min(lane.x + 3u * params.lanes, end) * WG_X;
    var s0 = unpack(weights[lane.y]);
    var s1 = s0;
    var s2 = s0;
    var s3 = s0;
    for (var chunk = 0u; chunk < params.x4; chunk += WG_X) {
        let mine = min(chunk + local.x, params.x4 - 1u);
        for (var i = local.y; i < positions; i += WG_Y) {
            tile[i * WG_X + local.x] = reduced_from(image, area, i, mine);
        }
        workgroupBarrier();
        for (var k = 0u; k < min(WG_X, params.x4 - chunk); k++) {
            let w = columns(chunk + k, lane.y);
            s0 = add(s0, tile[d0 + k], w);
            if (positions > params.lanes) {
                s1 = add(s1, tile[d1 + k], w);
            }
            if (positions > 2u * params.lanes) {
                s2 = add(s2, tile[d2 + k], w);
            }
            if (positions > 3u * params.lanes) {
                s3 = add(s3, tile[d3 + k], w);
            }
        }
        workgroupBarrier();
    }
    for (var i = lane.x; i < positions && lane.x < params.lanes; i += params.lanes) {
        tile[source(area, i) + lane.y] = activate(params.reduce_act, s0);
        s0 = s1;
        s1 = s2;
        s2 = s3;
    }
}

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let area = area_of(group.z, group.y * params.tiles_x + group.x);
    reduce_under(group.z, area, local);
    surround(area, local);
    workgroupBarrier();
    for (var chunk = 0u; chunk < params.c4; chunk += WG_X) {
        // A lane past the last quad computes that one again and stores nothing.
        let quad = min(chunk + local.x, params.c4 - 1u);
        expand_under(area, local, quad, params.y4);
        workgroupBarrier();
        for (var i = local.y; i < area.size.x * area.size.y && chunk + local.x < params.c4; i += WG_Y) {
            let place = row_column(i, area.size.y);
            let position = area.first + place;
            let at = ((group.z * params.out_height + position.x) * params.out_width + position.y) * params.c4 + quad;
            var other = vec4f(0.0);
            if (params.join > 0u) {
                other = first_channels(unpack(residual[at]), quad, params.joined);
            }
            let sum = window_sum(area, place, local.x, quad);
            output[at] = repack(activate_joined(params.act, params.join, sum, other));
        }
        workgroupBarrier();
    }
}
