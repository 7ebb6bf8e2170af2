// pointwise for adapters whose subgroups have at least eight lanes: the same product, bindings and weights.
//
// Grid: x over groups of WG_X x ROWS positions, channels first, z over slices as in pointwise.

const MAX_COLS: u32 = 8u;

override COLS: u32 = 8u;
override WG_X: u32 = 8u;
override GATE: u32 = 0u;

// Where the lane's rows start, the input quad and what it is multiplied by.
struct Inputs {
    starts: array<u32, ROWS>,
    k: u32,
    scale: vec4f,
}

fn input_quad(inputs: ptr<function, Inputs>, i: u32) -> vec4f {
    return unpack(input[(*inputs).starts[i] + (*inputs).k]) * (*inputs).scale;
}

@compute @workgroup_size(WG_X)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let tile_row = group.x / params.tiles_n;
    let at_n = place(group.x - tile_row * params.tiles_n, COLS);
    let n = at_n.n;
    let tile_at = Positions(tile_row * WG_X * ROWS, local.x, WG_X, params.pixels);
    let first = group.z * params.pixels;
    var inputs: Inputs;
    for (var i = 0u; i < ROWS; i++) {
        inputs.starts[i] = (first + position(tile_at, i)) * params.x4 + at_n.k0;
    }
    let columns = columns_of(lane, n, params.cout4);
    var at = first_weights(lane, columns, params.cout4);
    var tile: Tile;
    bias(&tile, columns);
    let factor = one(params.pixels);
    var k = 0u;
    loop {
        inputs.k = k;
        inputs.scale = vec4f(factor);
        if (GATE == 1u) {
            inputs.scale = unpack(gate[group.z * params.x4 + at_n.k0 + k]);
        }
        var w: Weights;
        share_weights(&w, at, params.cout4, factor);
        accumulate_quad(&tile, &w, &inputs, count_rows(tile_at, 0u), at_n.quads);
        at += 4u * params.cout4;
        k++;
        if (k >= params.cin4) {
            break;
        }
    }
    store_tile(&tile, tile_at, first, n, at_n.quads);
}
