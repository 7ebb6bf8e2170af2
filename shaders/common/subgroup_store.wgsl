// Stores `used` positions from `position` on and `quads` quads from `n` on: by one instruction in a short loop whose
// trip count no compiler knows, see tile.wgsl.
fn store_tile(tile: ptr<function, Tile>, position: u32, used: u32, n: u32, quads: u32) {
    for (var j = 0u; j < min(params.rolled.y, quads); j++) {
        for (var i = 0u; i < used; i++) {
            store(position + i, n + j, params.act, params.join, (*tile)[j * ROWS + i]);
        }
    }
}
