// k x k convolution, computed directly: y = act(sum_taps sum_k x * w + bias), joined with another tensor.
//
// An invocation computes ROWS neighbouring output columns of one output row x COLS quads of output channels.
// Grid: x over tiles of a row, channels first, y over output rows, z over images. Groups as in pointwise.
// Weights: [bias: cout4 | ((ky * K + kx) * cin4 * 4 + k) * cout4 + n4], each vector over four output channels.

struct Params {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    pad_top: u32,
    pad_left: u32,
    cin4: u32,
    cout4: u32,
    tiles_n: u32,
    act: u32,
    join: u32,
    joined: u32,
    x4: u32,
    first4: u32,
    group4: u32,
    group_tiles: u32,
    rolled: vec4<u32>,
}

override WG_X: u32 = 8u;
override K: u32 = 3u;
override STRIDE: u32 = 1u;
override DILATION: u32 = 1u;
override RESIDUAL: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;

@compute @workgroup_size(WG_X)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let tile_column = id.x / params.tiles_n;
    let tile_n = id.x - tile_column * params.tiles_n;
    let group = tile_n / params.group_tiles;
    let n = group * params.group4 + (tile_n - group * params.group_tiles) * COLS;
    let k0 = params.first4 + group * params.cin4;
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
                    let v = unpack(input[(line + u32(clamp(x, 0, right))) * params.x4 + k0 + k]);
                    let inside = y >= 0 && y <= bottom && x >= 0 && x <= right;
                    rows = push_row(rows, select(vec4<f32>(0.0), v, inside));
                }
                let at = (((ky * K + kx) * params.cin4 + k) * 4u + 1u) * params.cout4;
                tile = accumulate_quad(tile, rows, at, n, params.cout4, count);
            }
        }
    }
    for (var i = 0u; i < min(count.rows, params.out_width - column); i++) {
        var sums = tile.s0;
        let at = ((id.z * params.out_height + id.y) * params.out_width + column + i) * params.cout4 + n;
        for (var j = 0u; j < min(count.cols, (group + 1u) * params.group4 - n); j++) {
            var other = vec4<f32>(0.0);
            if (RESIDUAL == 1u) {
                other = first_channels(unpack(residual[at + j]), n + j, params.joined);
            }
            output[at + j] = repack(activate_joined(params.act, params.join, sums.a, other));
            sums = push_col(sums, sums.a);
        }
        tile = pop_row(tile);
    }
}
