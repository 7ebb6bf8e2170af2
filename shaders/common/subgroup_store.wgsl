// Stores the lane's rows, at positions from `start` on, and `quads` quads from `n` on: by one instruction in a short loop
// whose trip count no compiler knows, see tile.wgsl.
fn store_tile(tile: ptr<function, Tile>, at: Positions, start: u32, n: u32, quads: u32) {
    let used = count_rows(at, at.lane);
    let most = min(params.rolled.x, count_rows(at, 0u));
    var j = 0u;
    loop {
        var i = 0u;
        loop {
            if (i < used) {
                store(start + position(at, i), n + j, params.act, params.join, (*tile)[j * ROWS + i]);
            }
            i++;
            if (i >= most) {
                break;
            }
        }
        j++;
        if (j >= min(params.rolled.y, quads)) {
            break;
        }
    }
}
