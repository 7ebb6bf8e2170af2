// 1x1 convolution as a matrix product: y = act(sum_k (x * gate) * w + bias) + residual.
//
// An invocation computes ROWS positions x COLS quads of output channels. Grid: x over tiles, channels first,
// z over slices of `pixels` positions (images, or the whole batch as one slice where no gate tells images apart).
// Weights: [bias: cout4 | k * cout4 + n4], each vector over the four output channels of n4.

struct Params {
    pixels: u32,
    cin4: u32,
    cout4: u32,
    tiles_n: u32,
    act: u32,
    gate: u32,
    residual: u32,
    pad: u32,
    rolled: vec4<u32>,
}

override WG_X: u32 = 8u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Stored>;
@group(0) @binding(4) var<storage, read> gate: array<Stored>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;

@compute @workgroup_size(WG_X)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let tile_row = id.x / params.tiles_n;
    let n = (id.x - tile_row * params.tiles_n) * COLS;
    let row = tile_row * ROWS;
    if (row >= params.pixels) {
        return;
    }
    let count = trips(params.rolled);
    let first = id.z * params.pixels;
    // The last tile's positions are its last rows.
    let used = min(count.rows, params.pixels - row);
    let unused = count.rows - used;
    var tile = fill(load_cols(0u, n, params.cout4 - 1u, count.cols));
    for (var k = 0u; k < params.cin4; k++) {
        var g = vec4<f32>(1.0);
        if (params.gate == 1u) {
            g = unpack(gate[id.z * params.cin4 + k]);
        }
        var x: Rows;
        for (var i = 0u; i < used; i++) {
            x = push_row(x, unpack(input[(first + row + i) * params.cin4 + k]) * g);
        }
        tile = accumulate_quad(tile, x, (k * 4u + 1u) * params.cout4, n, params.cout4, count);
    }
    for (var i = 0u; i < count.rows; i++) {
        var sums = tile.s0;
        let at = (first + row + i - unused) * params.cout4 + n;
        let quads = select(min(count.cols, params.cout4 - n), 0u, i < unused);
        for (var j = 0u; j < quads; j++) {
            var y = activate(params.act, sums.a);
            if (params.residual == 1u) {
                y += unpack(residual[at + j]);
            }
            output[at + j] = repack(y);
            sums = push_col(sums, y);
        }
        tile = pop_row(tile);
    }
}
