// head_pool for adapters whose subgroups have at least eight lanes: the same result, bindings and weights.
//
// A workgroup's eight lanes, WG_X, run over all positions of an image, ROWS each at a time.
// Grid: x over groups of COLS output quads, z over images.

const COLS: u32 = 4u;
const MAX_COLS: u32 = COLS;

override WG_X: u32 = 8u;

// Where the lane's rows start, and the input quad.
struct Inputs {
    starts: array<u32, ROWS>,
    k: u32,
    factor: f32,
}

fn input_quad(inputs: ptr<function, Inputs>, i: u32) -> vec4f {
    return unpack(input[(*inputs).starts[i] + (*inputs).k]) * (*inputs).factor;
}

@compute @workgroup_size(WG_X)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let n = group.x * COLS;
    let first = group.z * params.pixels;
    let quads = min(params.rolled.y, params.cout4 - n);
    let columns = columns_of(lane, n, params.cout4);
    let factor = one(params.pixels);
    var totals: array<vec4f, COLS>;
    var start = 0u;
    loop {
        let tile_at = Positions(start, local.x, WG_X, params.pixels);
        var inputs: Inputs;
        for (var i = 0u; i < ROWS; i++) {
            inputs.starts[i] = (first + position(tile_at, i)) * params.cin4;
        }
        inputs.factor = factor;
        var at = first_weights(lane, columns, params.cout4);
        var tile: Tile;
        bias(&tile, columns);
        var k = 0u;
        loop {
            inputs.k = k;
            var w: Weights;
            share_weights(&w, at, params.cout4, factor);
            accumulate_quad(&tile, &w, &inputs, count_rows(tile_at, 0u), COLS);
            at += 4u * params.cout4;
            k++;
            if (k >= params.cin4) {
                break;
            }
        }
        let used = min(params.rolled.x, count_rows(tile_at, local.x));
        for (var j = 0u; j < quads; j++) {
            var sum = totals[j];
            for (var i = 0u; i < used; i++) {
                sum += activate(params.act, tile[j * ROWS + i]);
            }
            totals[j] = sum;
        }
        start += WG_X * ROWS;
        if (start >= params.pixels) {
            break;
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
fn sum_lanes(v: vec4f) -> vec4f {
    let low = subgroupBroadcast(v, 0u) + subgroupBroadcast(v, 1u) + subgroupBroadcast(v, 2u) + subgroupBroadcast(v, 3u);
    let high = subgroupBroadcast(v, 4u) + subgroupBroadcast(v, 5u) + subgroupBroadcast(v, 6u) + subgroupBroadcast(v, 7u);
    return low + high;
}
