// Dense k x k convolution, computed directly: y = act(sum_taps sum_k x * w + bias) + residual.
//
// An invocation computes ROWS neighbouring output columns of one output row x COLS groups of four output channels.
// Grid: x over groups of COLS output quads, y over groups of ROWS columns, z over images x output rows.
// Weights: [bias: cout4 | (((ky * K + kx) * cin4 + k4) * cout4 + n4) * 4 + kk], each vector over four output channels.

struct Params {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    pad_top: u32,
    pad_left: u32,
    cin4: u32,
    cout4: u32,
}

override WG_X: u32 = 8u;
override WG_Y: u32 = 8u;
override K: u32 = 3u;
override STRIDE: u32 = 1u;
override RESIDUAL: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Stored>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;

fn store(at: u32, n: u32, sum: vec4<f32>) {
    var y = activate(sum + unpack(weights[n]));
    if (RESIDUAL == 1u) {
        y += unpack(residual[at + n]);
    }
    output[at + n] = repack(y);
}

fn finish(line: u32, column: u32, n: u32, s: Sums) {
    if (column >= params.out_width) {
        return;
    }
    let at = (line * params.out_width + column) * params.cout4;
    store(at, n, s.a);
    if (COLS > 1u && n + 1u < params.cout4) {
        store(at, n + 1u, s.b);
    }
    if (COLS > 2u && n + 2u < params.cout4) {
        store(at, n + 2u, s.c);
    }
    if (COLS > 3u && n + 3u < params.cout4) {
        store(at, n + 3u, s.d);
    }
}

// Input quad k at column x of the line that starts at `line`; zero outside the image.
fn pixel(line: u32, x: i32, k: u32) -> vec4<f32> {
    let last = i32(params.width) - 1;
    let v = unpack(input[line + u32(clamp(x, 0, last)) * params.cin4 + k]);
    return select(vec4<f32>(0.0), v, x >= 0 && x <= last);
}

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let n = id.x * COLS;
    let column = id.y * ROWS;
    if (n >= params.cout4 || column >= params.out_width) {
        return;
    }
    let image = id.z / params.out_height;
    let row = id.z - image * params.out_height;
    let quads = min(vec4<u32>(n) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.cout4 - 1u));
    let stride = params.cout4 * 4u;
    let left = i32(column * STRIDE) - i32(params.pad_left);
    let top = i32(row * STRIDE) - i32(params.pad_top);
    var s0: Sums;
    var s1: Sums;
    var s2: Sums;
    var s3: Sums;
    var s4: Sums;
    var s5: Sums;
    var s6: Sums;
    var s7: Sums;
    for (var ky = 0u; ky < K; ky++) {
        let y = top + i32(ky);
        if (y < 0 || y >= i32(params.height)) {
            continue;
        }
        let line = (image * params.height + u32(y)) * params.width * params.cin4;
        for (var kx = 0u; kx < K; kx++) {
            let x = left + i32(kx);
            let at = vec4<u32>(params.cout4) + quads * 4u + vec4<u32>((ky * K + kx) * params.cin4 * stride);
            for (var k = 0u; k < params.cin4; k++) {
                let w = load_blocks(at, k * stride);
                s0 = accumulate(s0, pixel(line, x, k), w);
                if (ROWS > 1u) {
                    s1 = accumulate(s1, pixel(line, x + i32(1u * STRIDE), k), w);
                }
                if (ROWS > 2u) {
                    s2 = accumulate(s2, pixel(line, x + i32(2u * STRIDE), k), w);
                }
                if (ROWS > 3u) {
                    s3 = accumulate(s3, pixel(line, x + i32(3u * STRIDE), k), w);
                }
                if (ROWS > 4u) {
                    s4 = accumulate(s4, pixel(line, x + i32(4u * STRIDE), k), w);
                }
                if (ROWS > 5u) {
                    s5 = accumulate(s5, pixel(line, x + i32(5u * STRIDE), k), w);
                }
                if (ROWS > 6u) {
                    s6 = accumulate(s6, pixel(line, x + i32(6u * STRIDE), k), w);
                }
                if (ROWS > 7u) {
                    s7 = accumulate(s7, pixel(line, x + i32(7u * STRIDE), k), w);
                }
            }
        }
    }
    finish(id.z, column, n, s0);
    if (ROWS > 1u) {
        finish(id.z, column + 1u, n, s1);
    }
    if (ROWS > 2u) {
        finish(id.z, column + 2u, n, s2);
    }
    if (ROWS > 3u) {
        finish(id.z, column + 3u, n, s3);
    }
    if (ROWS > 4u) {
        finish(id.z, column + 4u, n, s4);
    }
    if (ROWS > 5u) {
        finish(id.z, column + 5u, n, s5);
    }
    if (ROWS > 6u) {
        finish(id.z, column + 6u, n, s6);
    }
    if (ROWS > 7u) {
        finish(id.z, column + 7u, n, s7);
    }
}
