// pointwise for adapters whose subgroups have at least eight lanes: the same product, bindings and weights.
//
// Grid: x over groups of WG_X x ROWS positions, channels first, z over slices as in pointwise.

const MAX_COLS: u32 = 8u;

override COLS: u32 = 8u;
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
    var starts: array<u32, ROWS>;
    for (var i = 0u; i < ROWS; i++) {
        starts[i] = (first + min(row + i, last)) * params.x4 + at_n.k0;
    }
    let columns = columns_of(lane, n, params.cout4);
    var at = first_weights(lane, columns, params.cout4);
    var tile: Tile;
    bias(&tile, columns);
    let factor = one(params.pixels);
    for (var k = 0u; k < params.cin4; k++) {
        var scale = vec4<f32>(factor);
        if (GATE == 1u) {
            scale = unpack(gate[group.z * params.x4 + at_n.k0 + k]);
        }
        var x: Rows;
        for (var i = 0u; i < ROWS; i++) {
            x[i] = unpack(input[starts[i] + k]) * scale;
        }
        accumulate_quad(&tile, &x, at, params.cout4, factor);
        at += 4u * params.cout4;
    }
    store_tile(&tile, first + row, min(params.rolled.x, params.pixels - min(row, params.pixels)), n, at_n.quads);
}
