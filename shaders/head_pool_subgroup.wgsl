// head_pool for adapters whose subgroups have at least eight lanes: the same result, bindings and weights.
//
// A workgroup's eight lanes, WG_X, run over all positions of an image, ROWS neighbours each at a time.
// Grid: x over groups of COLS output quads, z over images.

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
    let column = column_of(lane, n, params.cout4);
    let bias = biased(column);
    var total = fill(vec4<f32>(0.0));
    for (var start = 0u; start < params.pixels; start += WG_X * ROWS) {
        let row = start + local.x * ROWS;
        let x0 = (first + min(row, last)) * params.cin4;
        let x1 = (first + min(row + 1u, last)) * params.cin4;
        let x2 = (first + min(row + 2u, last)) * params.cin4;
        let x3 = (first + min(row + 3u, last)) * params.cin4;
        var at = first_weights(lane, column, params.cout4);
        var tile = bias;
        for (var k = 0u; k < params.cin4; k++) {
            let x = Rows(unpack(input[x0 + k]), unpack(input[x1 + k]), unpack(input[x2 + k]), unpack(input[x3 + k]));
            tile = accumulate_quad(tile, x, at, params.cout4);
            at += 4u * params.cout4;
        }
        let counts = vec4<f32>(vec4<u32>(row, row + 1u, row + 2u, row + 3u) < vec4<u32>(params.pixels));
        total.r0 += sum_rows(tile.a, counts);
        total.r1 += sum_rows(tile.b, counts);
        total.r2 += sum_rows(tile.c, counts);
        total.r3 += sum_rows(tile.d, counts);
    }
    // Every lane has all sums; the first four store one each.
    let sums = Rows(sum_lanes(total.r0), sum_lanes(total.r1), sum_lanes(total.r2), sum_lanes(total.r3));
    if (local.x < COLS && n + local.x < params.cout4) {
        let low = select(sums.r0, sums.r1, local.x == 1u);
        let high = select(sums.r2, sums.r3, local.x == 3u);
        output[group.z * params.cout4 + n + local.x] = repack(select(low, high, local.x >= 2u) * params.inverse);
    }
}

// Activates and adds up the positions that count.
fn sum_rows(rows: Rows, counts: vec4<f32>) -> vec4<f32> {
    let early = activate(params.act, rows.r0) * counts.x + activate(params.act, rows.r1) * counts.y;
    return early + activate(params.act, rows.r2) * counts.z + activate(params.act, rows.r3) * counts.w;
}

// Adds up the lanes, always in the same order.
fn sum_lanes(v: vec4<f32>) -> vec4<f32> {
    let low = subgroupBroadcast(v, 0u) + subgroupBroadcast(v, 1u) + subgroupBroadcast(v, 2u) + subgroupBroadcast(v, 3u);
    let high = subgroupBroadcast(v, 4u) + subgroupBroadcast(v, 5u) + subgroupBroadcast(v, 6u) + subgroupBroadcast(v, 7u);
    return low + high;
}
