// conv for adapters whose subgroups have at least eight lanes: the same result, bindings and weights.
//
// Grid: x over groups of WG_X x ROWS output positions of an image, channels first, z over images.

const COLS: u32 = 4u;
const MAX_COLS: u32 = COLS;

override WG_X: u32 = 8u;

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
    let pixels = params.out_height * params.out_width;
    let last = pixels - 1u;
    var corners: array<vec2<i32>, ROWS>;
    for (var i = 0u; i < ROWS; i++) {
        corners[i] = corner(min(row + i, last));
    }
    let columns = columns_of(lane, n, params.cout4);
    var at = first_weights(lane, columns, params.cout4);
    var tile: Tile;
    bias(&tile, columns);
    let factor = one(pixels);
    // One loop over taps and input quads: each loop more would carry all sums once more.
    var at_tap = Tap(vec2<i32>(0), 0u);
    for (var left = K * K * params.cin4; left > 0u; left--) {
        var x: Rows;
        for (var i = 0u; i < ROWS; i++) {
            x[i] = load(group.z, corners[i] + at_tap.at, at_n.k0 + at_tap.quad) * factor;
        }
        accumulate_quad(&tile, &x, at, params.cout4, factor);
        at += 4u * params.cout4;
        at_tap = next(at_tap);
    }
    store_tile(&tile, group.z * pixels + row, min(params.rolled.x, pixels - min(row, pixels)), n, at_n.quads);
}
