// The last 1x1 convolution and the mean over positions: y = mean_p act(sum_k x[p] * w + bias); the map is never stored.
//
// An invocation runs over every PARTS-th group of ROWS positions for COLS quads of output channels.
// Grid: x over groups of COLS output quads, z over images. PARTS > 1 shares an image's positions among the
// workgroup's y lanes and adds their sums up in workgroup memory, in a fixed order.
// Weights: as in pointwise.

override WG_X: u32 = 8u;
override PARTS: u32 = 1u;

var<workgroup> shared_sums: array<vec4f, WG_X * PARTS * COLS>;

@compute @workgroup_size(WG_X, PARTS)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let n = id.x * COLS;
    let count = trips(params.rolled);
    let first = id.z * params.pixels;
    let last = params.pixels - 1u;
    let bias = load_cols(0u, n, params.cout4 - 1u, count.cols);
    var total: Cols;
    for (var row = local.y * ROWS; row < params.pixels; row += ROWS * PARTS) {
        var tile = fill(bias);
        for (var k = 0u; k < params.cin4; k++) {
            // Positions past the end repeat the last one; their sums are not used.
            var x: Rows;
            for (var i = 0u; i < count.rows; i++) {
                x = push_row(x, unpack(input[(first + min(row + i, last)) * params.cin4 + k]));
            }
            tile = accumulate_quad(tile, x, (k * 4u + 1u) * params.cout4, n, params.cout4, count);
        }
        for (var i = 0u; i < min(count.rows, params.pixels - row); i++) {
            for (var j = 0u; j < count.cols; j++) {
                total = push_col(total, total.a + activate(params.act, tile.s0.a));
                tile.s0 = push_col(tile.s0, tile.s0.a);
            }
            tile = pop_row(tile);
        }
    }
    let quads = select(0u, min(count.cols, params.cout4 - n), n < params.cout4);
    let at = id.z * params.cout4 + n;
    if (PARTS > 1u) {
        let column = local.x * COLS;
        for (var j = 0u; j < count.cols; j++) {
            shared_sums[local.y * WG_X * COLS + column + j] = total.a;
            total = push_col(total, total.a);
        }
        workgroupBarrier();
        // Lane y of a column adds up output quads y, y + PARTS, ...
        for (var j = local.y; j < quads; j += PARTS) {
            var sum = vec4f(0.0);
            for (var part = 0u; part < PARTS; part++) {
                sum += shared_sums[part * WG_X * COLS + column + j];
            }
            output[at + j] = repack(sum * params.inverse);
        }
    } else {
        for (var j = 0u; j < quads; j++) {
            output[at + j] = repack(total.a * params.inverse);
            total = push_col(total, total.a);
        }
    }
}
