// Stores `used` positions from `position` on and `quads` quads from `n` on: by one instruction in a short loop whose
// trip count no compiler knows, see tile.wgsl.
fn store_tile(tile: Tile, position: u32, used: u32, n: u32, quads: u32) {
    var t = tile;
    for (var j = 0u; j < quads; j++) {
        var rows = t.a;
        for (var i = 0u; i < used; i++) {
            store(position + i, n + j, params.act, params.join, rows.r0);
            rows = Rows(rows.r1, rows.r2, rows.r3, rows.r0);
        }
        t = Tile(t.b, t.c, t.d, t.a);
    }
}
