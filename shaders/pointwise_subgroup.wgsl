// pointwise for adapters whose subgroups have at least eight lanes: the same product, bindings and weights.
//
// Grid: x over groups of WG_X x ROWS positions, channels first, z over slices as in pointwise.

override WG_X: u32 = 8u;
override GATE: u32 = 0u;

@compute @workgroup_size(WG_X)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let tile_row = group.x / params.tiles_n;
    let at_n = place(group.x - tile_row * params.tiles_n, COLS);
    let n = at_n.n;
    let row = (tile_row * WG_X + local.x) * ROWS;
    let first = group.z * params.pixels;
    let last = params.pixels - 1u;
    let x0 = (first + min(row, last)) * params.x4 + at_n.k0;
    let x1 = (first + min(row + 1u, last)) * params.x4 + at_n.k0;
    let x2 = (first + min(row + 2u, last)) * params.x4 + at_n.k0;
    let x3 = (first + min(row + 3u, last)) * params.x4 + at_n.k0;
    let column = column_of(lane, n, params.cout4);
    var at = first_weights(lane, column, params.cout4);
    var tile = biased(column);
    for (var k = 0u; k < params.cin4; k++) {
        var x = Rows(unpack(input[x0 + k]), unpack(input[x1 + k]), unpack(input[x2 + k]), unpack(input[x3 + k]));
        if (GATE == 1u) {
            let g = unpack(gate[group.z * params.x4 + at_n.k0 + k]);
            x = Rows(x.r0 * g, x.r1 * g, x.r2 * g, x.r3 * g);
        }
        tile = accumulate_quad(tile, x, at, params.cout4);
        at += 4u * params.cout4;
    }
    let used = min(params.rolled.x, params.pixels - min(row, params.pixels));
    store_tile(tile, first + row, used, n, min(params.rolled.y, at_n.quads));
}
