// An inverted residual without squeeze-and-excitation: a 1x1 convolution that expands, the depthwise k x k convolution of
// its result, and the 1x1 convolution that projects that; neither tensor between them is ever stored:
// e = expand_act(sum_k x * v + b), d = filter_act(sum_taps e * w + c), y = act(sum_k d * u + t), joined with another
// tensor.
//
// A workgroup owns a tile of outputs and `columns` quads of output channels. It goes through the expanded channels, WG_X
// quads at a time: e under the tile, then d, then what these add to the sums of the projection, for which a lane owns an
// output quad and every `lanes`-th position of the tile, up to eight. Workgroup memory holds e and behind it d.
// Grid: x over output channels, y over tiles, z over images. How e and d are computed: common/expand.wgsl.

struct Params {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    pad_top: u32,
    pad_left: u32,
    x4: u32,
    c4: u32,
    y4: u32,
    tile_h: u32,
    tile_w: u32,
    tiles_x: u32,
    // How the invocations are arranged for the projection.
    columns: u32,
    lanes: u32,
    expand_act: u32,
    filter_act: u32,
    act: u32,
    join: u32,
    joined: u32,
    // K; the loop over it stays rolled, or software adapters take long to compile.
    kernel: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> expand: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;
@group(0) @binding(7) var<storage, read> filters: array<Stored>;
@group(0) @binding(8) var<storage, read> weights: array<Stored>;

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let area = area_of(group.z, group.y);
    let outputs = area.size.x * area.size.y;
    let behind = area.span.x * area.span.y;
    // A lane without an output quad or position of its own computes another's again and stores nothing.
    let lane = row_column(local.y * WG_X + local.x, params.columns);
    let n = group.x * params.columns + lane.y;
    let quad = min(n, params.y4 - 1u);
    let last = outputs - 1u;
    let d0 = (behind + min(lane.x, last)) * WG_X;
    let d1 = (behind + min(lane.x + params.lanes, last)) * WG_X;
    let d2 = (behind + min(lane.x + 2u * params.lanes, last)) * WG_X;
    let d3 = (behind + min(lane.x + 3u * params.lanes, last)) * WG_X;
    let d4 = (behind + min(lane.x + 4u * params.lanes, last)) * WG_X;
    let d5 = (behind + min(lane.x + 5u * params.lanes, last)) * WG_X;
    let d6 = (behind + min(lane.x + 6u * params.lanes, last)) * WG_X;
    let d7 = (behind + min(lane.x + 7u * params.lanes, last)) * WG_X;
    var s0 = unpack(weights[quad]);
    var s1 = s0;
    var s2 = s0;
    var s3 = s0;
    var s4 = s0;
    var s5 = s0;
    var s6 = s0;
    var s7 = s0;

    surround(area, local);
    for (var chunk = 0u; chunk < params.c4; chunk += WG_X) {
        let mine = min(chunk + local.x, params.c4 - 1u);
        expand_under(area, local, mine, params.x4);
        workgroupBarrier();
        for (var i = local.y; i < outputs; i += WG_Y) {
            let d = window_sum(area, row_column(i, area.size.y), local.x, mine);
            tile[(behind + i) * WG_X + local.x] = activate(params.filter_act, d);
        }
        workgroupBarrier();
        for (var k = 0u; k < min(WG_X, params.c4 - chunk); k++) {
            let w = columns(chunk + k, quad);
            s0 = add(s0, tile[d0 + k], w);
            if (outputs > params.lanes) {
                s1 = add(s1, tile[d1 + k], w);
            }
            if (outputs > 2u * params.lanes) {
                s2 = add(s2, tile[d2 + k], w);
            }
            if (outputs > 3u * params.lanes) {
                s3 = add(s3, tile[d3 + k], w);
            }
            if (outputs > 4u * params.lanes) {
                s4 = add(s4, tile[d4 + k], w);
            }
            if (outputs > 5u * params.lanes) {
                s5 = add(s5, tile[d5 + k], w);
            }
            if (outputs > 6u * params.lanes) {
                s6 = add(s6, tile[d6 + k], w);
            }
            if (outputs > 7u * params.lanes) {
                s7 = add(s7, tile[d7 + k], w);
            }
        }
    }
    for (var i = lane.x; i < outputs && lane.x < params.lanes && n < params.y4; i += params.lanes) {
        let at = area.first + row_column(i, area.size.y);
        let position = (group.z * params.out_height + at.x) * params.out_width + at.y;
        output[position * params.y4 + n] = repack(projected(position, n, s0));
        s0 = s1;
        s1 = s2;
        s2 = s3;
        s3 = s4;
        s4 = s5;
        s5 = s6;
        s6 = s7;
    }
}
