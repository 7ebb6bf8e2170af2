// 1x1 convolution as a matrix product: y = act(sum_k (x * gate) * w + bias), joined with another tensor.
//
// An invocation computes ROWS positions x COLS quads of output channels. Grid: x over tiles, channels first,
// z over slices of `pixels` positions (images, or the whole batch as one slice where no gate tells images apart).
// PARTS > 1 shares the input channels of a tile among the workgroup's y lanes and adds their sums up in workgroup
// memory, in a fixed order: for products with few outputs.
// Weights: [bias: cout4 | k * cout4 + n4], each vector over the four output channels of n4, k counting within a group.

override WG_X: u32 = 8u;
override PARTS: u32 = 1u;

// The sums of lanes y > 0, quad by quad.
var<workgroup> shared_sums: array<vec4<f32>, (PARTS - 1u) * ROWS * COLS * WG_X + 1u>;

@compute @workgroup_size(WG_X, PARTS)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let count = trips(params.rolled);
    let tile_row = id.x / params.tiles_n;
    let at = place(id.x - tile_row * params.tiles_n, COLS);
    let n = at.n;
    let row = tile_row * ROWS;
    let first = id.z * params.pixels + row;
    // The last tile's positions are its last rows; a lane past the last tile has none.
    let used = min(count.rows, max(params.pixels, row) - row);
    let unused = count.rows - used;
    var tile: Tile;
    if (local.y == 0u) {
        tile = fill(load_cols(0u, n, params.cout4 - 1u, count.cols));
    }
    for (var k = local.y; k < params.cin4; k += PARTS) {
        var g = vec4<f32>(1.0);
        if (params.gate == 1u) {
            g = unpack(gate[id.z * params.x4 + at.k0 + k]);
        }
        var x: Rows;
        for (var i = 0u; i < used; i++) {
            x = push_row(x, unpack(input[(first + i) * params.x4 + at.k0 + k]) * g);
        }
        tile = accumulate_quad(tile, x, (k * 4u + 1u) * params.cout4, n, params.cout4, count);
    }
    if (PARTS > 1u) {
        if (local.y > 0u) {
            var mine = tile;
            for (var i = 0u; i < count.rows; i++) {
                var sums = mine.s0;
                for (var j = 0u; j < count.cols; j++) {
                    let quad = ((local.y - 1u) * ROWS + i) * COLS + j;
                    shared_sums[quad * WG_X + local.x] = sums.a;
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
                sum += shared_sums[(((part - 1u) * ROWS + i) * COLS + j) * WG_X + local.x];
            }
            store(first + i - unused, n + j, params.act, params.join, sum);
            sums = push_col(sums, sum);
        }
        tile = pop_row(tile);
    }
}
