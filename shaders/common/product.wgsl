// A tile of the 1x1 convolution: ROWS positions x COLS quads of output channels.
//
// PARTS > 1 shares the input channels of a tile among the workgroup's y lanes and adds their sums up in workgroup
// memory, in a fixed order: for products with few outputs. The shader declares that `memory`, whether the gates lie in
// it, and what gives them: `gate_quad`.

override WG_X: u32 = 8u;
override PARTS: u32 = 1u;

// Tile `number` of a slice, channels first.
fn product(number: u32, slice: u32, local: vec3u) {
    let count = trips(params.rolled);
    let tile_row = number / params.tiles_n;
    let at = place(number - tile_row * params.tiles_n, COLS);
    let n = at.n;
    let row = tile_row * ROWS;
    let first = slice * params.pixels + row;
    // The last tile's positions are its last rows; a lane past the last tile has none.
    let used = min(count.rows, max(params.pixels, row) - row);
    let unused = count.rows - used;
    var tile: Tile;
    if (local.y == 0u) {
        tile = fill(load_cols(0u, n, params.cout4 - 1u, count.cols));
    }
    for (var k = local.y; k < params.cin4; k += PARTS) {
        let g = gate_quad(slice, at.k0 + k);
        var x: Rows;
        for (var i = 0u; i < used; i++) {
            x = push_row(x, unpack(input[(first + i) * params.x4 + at.k0 + k]) * g);
        }
        tile = accumulate_quad(tile, x, (k * 4u + 1u) * params.cout4, n, params.cout4, count);
    }
    if (PARTS > 1u) {
        if (GATES_IN_MEMORY) {
            workgroupBarrier();
        }
        if (local.y > 0u) {
            var mine = tile;
            for (var i = 0u; i < count.rows; i++) {
                var sums = mine.s0;
                for (var j = 0u; j < count.cols; j++) {
                    let quad = ((local.y - 1u) * ROWS + i) * COLS + j;
                    memory[quad * WG_X + local.x] = sums.a;
                    sums = push_col(sums, sums.a);
                }
                mine = pop_row(mine);
            }
        }
        workgroupBarrier();
    }
    let columns = min(count.cols, at.quads);
    for (var i = 0u; i < count.rows; i++) {
        var sums = tile.s0;
        let quads = select(columns, 0u, i < unused || local.y > 0u);
        for (var j = 0u; j < quads; j++) {
            var sum = sums.a;
            for (var part = 1u; part < PARTS; part++) {
                sum += memory[(((part - 1u) * ROWS + i) * COLS + j) * WG_X + local.x];
            }
            store(first + i - unused, n + j, params.act, params.join, sum);
            sums = push_col(sums, sum);
        }
        tile = pop_row(tile);
    }
}
