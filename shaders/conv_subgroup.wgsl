// conv for adapters whose subgroups have at least eight lanes: the same result, bindings and weights.
//
// Grid: x over groups of WG_X x ROWS output positions of an image, channels first, z over images.

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
    let c0 = corner(min(row, last));
    let c1 = corner(min(row + 1u, last));
    let c2 = corner(min(row + 2u, last));
    let c3 = corner(min(row + 3u, last));
    let column = column_of(lane, n, params.cout4);
    var at = first_weights(lane, column, params.cout4);
    var tile = biased(column);
    // One loop over taps and input quads: each loop more would carry all sums once more.
    var at_tap = Tap(vec2<i32>(0), 0u);
    for (var left = K * K * params.cin4; left > 0u; left--) {
        let tap = at_tap.at;
        let quad = at_n.k0 + at_tap.quad;
        let x = Rows(
            load(group.z, c0 + tap, quad),
            load(group.z, c1 + tap, quad),
            load(group.z, c2 + tap, quad),
            load(group.z, c3 + tap, quad),
        );
        tile = accumulate_quad(tile, x, at, params.cout4);
        at += 4u * params.cout4;
        at_tap = next(at_tap);
    }
    let used = min(params.rolled.x, pixels - min(row, pixels));
    store_tile(tile, group.z * pixels + row, used, n, min(params.rolled.y, at_n.quads));
}
