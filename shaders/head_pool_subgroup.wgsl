// head_pool for adapters whose subgroups have at least eight lanes: the same result, bindings and weights.
//
// A workgroup's eight lanes, WG_X, run over all positions of an image, ROWS neighbours each at a time.
// Grid: x over groups of COLS output quads, z over images.

const COLS: u32 = 4u;
const MAX_COLS: u32 = COLS;

override WG_X: u32 = 8u;

@compute @workgroup_size(WG_X)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let n = group.x * COLS;
    let first = group.z * params.pixels;
    let last = params.pixels - 1u;
    let quads = min(params.rolled.y, params.cout4 - n);
    let columns = columns_of(lane, n, params.cout4);
    let factor = one(params.pixels);
    var totals: array<vec4<f32>, COLS>;
    for (var start = 0u; start < params.pixels; start += WG_X * ROWS) {
        let row = start + local.x * ROWS;
        var starts: array<u32, ROWS>;
        for (var i = 0u; i < ROWS; i++) {
            starts[i] = (first + min(row + i, last)) * params.cin4;
        }
        var at = first_weights(lane, columns, params.cout4);
        var tile: Tile;
        bias(&tile, columns);
        for (var k = 0u; k < params.cin4; k++) {
            var x: Rows;
            for (var i = 0u; i < ROWS; i++) {
                x[i] = unpack(input[starts[i] + k]) * factor;
            }
            accumulate_quad(&tile, &x, at, params.cout4, factor);
            at += 4u * params.cout4;
        }
        let used = min(params.rolled.x, params.pixels - min(row, params.pixels));
        for (var j = 0u; j < quads; j++) {
            var sum = totals[j];
            for (var i = 0u; i < used; i++) {
                sum += activate(params.act, tile[j * ROWS + i]);
            }
            totals[j] = sum;
        }
    }
    for (var j = 0u; j < quads; j++) {
        let sum = sum_lanes(totals[j]);
        if (local.x == 0u) {
            output[group.z * params.cout4 + n + j] = repack(sum * params.inverse);
        }
    }
}

// Adds up the lanes, always in the same order.
fn sum_lanes(v: vec4<f32>) -> vec4<f32> {
    let low = subgroupBroadcast(v, 0u) + subgroupBroadcast(v, 1u) + subgroupBroadcast(v, 2u) + subgroupBroadcast(v, 3u);
    let high = subgroupBroadcast(v, 4u) + subgroupBroadcast(v, 5u) + subgroupBroadcast(v, 6u) + subgroupBroadcast(v, 7u);
    return low + high;
}
