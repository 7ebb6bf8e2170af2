// k x k convolution, computed directly: y = act(sum_taps sum_k x * w + bias), joined with another tensor.
//
// An invocation computes ROWS neighbouring output columns of one output row x COLS quads of output channels.
// Grid: x over tiles of a row, channels first, y over output rows, z over images. Groups as in pointwise.
// Weights: [bias: cout4 | ((ky * K + kx) * cin4 * 4 + k) * cout4 + n4], each vector over four output channels.

override WG_X: u32 = 8u;

@compute @workgroup_size(WG_X)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let tile_column = id.x / params.tiles_n;
    let tile_n = id.x - tile_column * params.tiles_n;
    let at_n = place(tile_n, COLS);
    let n = at_n.n;
    let column = tile_column * ROWS;
    if (column >= params.out_width) {
        return;
    }
    let count = trips(params.rolled);
    let left = i32(column * STRIDE) - i32(params.pad_left);
    let top = i32(id.y * STRIDE) - i32(params.pad_top);
    let right = i32(params.width) - 1;
    let bottom = i32(params.height) - 1;
    var tile = fill(load_cols(0u, n, params.cout4 - 1u, count.cols));
    // The taps' rows and columns come from the uniform where the tile's loops do.
    let edge = select(K, params.rolled.w, ROLL == 1u);
    for (var ky = 0u; ky < edge; ky++) {
        let y = top + i32(ky * DILATION);
        let line = (id.z * params.height + u32(clamp(y, 0, bottom))) * params.width;
        for (var kx = 0u; kx < edge; kx++) {
            for (var k = 0u; k < params.cin4; k++) {
                var rows: Rows;
                for (var i = 0u; i < count.rows; i++) {
                    let x = left + i32(kx * DILATION + i * STRIDE);
                    let v = unpack(input[(line + u32(clamp(x, 0, right))) * params.x4 + at_n.k0 + k]);
                    let inside = y >= 0 && y <= bottom && x >= 0 && x <= right;
                    rows = push_row(rows, select(vec4f(0.0), v, inside));
                }
                let at = (((ky * K + kx) * params.cin4 + k) * 4u + 1u) * params.cout4;
                tile = accumulate_quad(tile, rows, at, n, params.cout4, count);
            }
        }
    }
    for (var i = 0u; i < min(count.rows, params.out_width - column); i++) {
        var sums = tile.s0;
        let position = (id.z * params.out_height + id.y) * params.out_width + column + i;
        for (var j = 0u; j < min(count.cols, at_n.quads); j++) {
            store(position, n + j, params.act, params.join, sums.a);
            sums = push_col(sums, sums.a);
        }
        tile = pop_row(tile);
    }
}
