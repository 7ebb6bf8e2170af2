// 1x1 convolution as a matrix product: y = act(sum_k (x * gate) * w + bias) + residual.
//
// An invocation computes ROWS positions x COLS groups of four output channels. Grid: x over groups of COLS
// output quads, y over groups of ROWS positions, z over slices of `pixels` positions (images, or the whole batch
// as one slice where no gate tells images apart).
// Weights: [bias: cout4 | (k4 * cout4 + n4) * 4 + kk], each vector over the four output channels of n4.

struct Params {
    pixels: u32,
    cin4: u32,
    cout4: u32,
    pad: u32,
}

override WG_X: u32 = 8u;
override WG_Y: u32 = 8u;
override GATE: u32 = 0u;
override RESIDUAL: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Stored>;
@group(0) @binding(4) var<storage, read> gate: array<Stored>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;

fn store(at: u32, n: u32, sum: vec4<f32>) {
    var y = activate(sum + unpack(weights[n]));
    if (RESIDUAL == 1u) {
        y += unpack(residual[at + n]);
    }
    output[at + n] = repack(y);
}

fn finish(slice: u32, row: u32, n: u32, s: Sums) {
    if (row >= params.pixels) {
        return;
    }
    let at = (slice * params.pixels + row) * params.cout4;
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

// Positions past the end read the last one; their sums are not stored.
fn address(slice: u32, row: u32) -> u32 {
    return (slice * params.pixels + min(row, params.pixels - 1u)) * params.cin4;
}

fn pixel(at: u32, g: vec4<f32>) -> vec4<f32> {
    let x = unpack(input[at]);
    if (GATE == 1u) {
        return x * g;
    }
    return x;
}

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let n = id.x * COLS;
    let row = id.y * ROWS;
    if (n >= params.cout4 || row >= params.pixels) {
        return;
    }
    let slice = id.z;
    let quads = min(vec4<u32>(n) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.cout4 - 1u));
    let at = vec4<u32>(params.cout4) + quads * 4u;
    let stride = params.cout4 * 4u;
    let p0 = address(slice, row);
    let p1 = address(slice, row + 1u);
    let p2 = address(slice, row + 2u);
    let p3 = address(slice, row + 3u);
    let p4 = address(slice, row + 4u);
    let p5 = address(slice, row + 5u);
    let p6 = address(slice, row + 6u);
    let p7 = address(slice, row + 7u);
    let p8 = address(slice, row + 8u);
    let p9 = address(slice, row + 9u);
    let p10 = address(slice, row + 10u);
    let p11 = address(slice, row + 11u);
    let p12 = address(slice, row + 12u);
    let p13 = address(slice, row + 13u);
    let p14 = address(slice, row + 14u);
    let p15 = address(slice, row + 15u);
    var s0: Sums;
    var s1: Sums;
    var s2: Sums;
    var s3: Sums;
    var s4: Sums;
    var s5: Sums;
    var s6: Sums;
    var s7: Sums;
    var s8: Sums;
    var s9: Sums;
    var s10: Sums;
    var s11: Sums;
    var s12: Sums;
    var s13: Sums;
    var s14: Sums;
    var s15: Sums;
    for (var k = 0u; k < params.cin4; k++) {
        let w = load_blocks(at, k * stride);
        var g = vec4<f32>(1.0);
        if (GATE == 1u) {
            g = unpack(gate[slice * params.cin4 + k]);
        }
        s0 = accumulate(s0, pixel(p0 + k, g), w);
        if (ROWS > 1u) {
            s1 = accumulate(s1, pixel(p1 + k, g), w);
        }
        if (ROWS > 2u) {
            s2 = accumulate(s2, pixel(p2 + k, g), w);
        }
        if (ROWS > 3u) {
            s3 = accumulate(s3, pixel(p3 + k, g), w);
        }
        if (ROWS > 4u) {
            s4 = accumulate(s4, pixel(p4 + k, g), w);
        }
        if (ROWS > 5u) {
            s5 = accumulate(s5, pixel(p5 + k, g), w);
        }
        if (ROWS > 6u) {
            s6 = accumulate(s6, pixel(p6 + k, g), w);
        }
        if (ROWS > 7u) {
            s7 = accumulate(s7, pixel(p7 + k, g), w);
        }
        if (ROWS > 8u) {
            s8 = accumulate(s8, pixel(p8 + k, g), w);
        }
        if (ROWS > 9u) {
            s9 = accumulate(s9, pixel(p9 + k, g), w);
        }
        if (ROWS > 10u) {
            s10 = accumulate(s10, pixel(p10 + k, g), w);
        }
        if (ROWS > 11u) {
            s11 = accumulate(s11, pixel(p11 + k, g), w);
        }
        if (ROWS > 12u) {
            s12 = accumulate(s12, pixel(p12 + k, g), w);
        }
        if (ROWS > 13u) {
            s13 = accumulate(s13, pixel(p13 + k, g), w);
        }
        if (ROWS > 14u) {
            s14 = accumulate(s14, pixel(p14 + k, g), w);
        }
        if (ROWS > 15u) {
            s15 = accumulate(s15, pixel(p15 + k, g), w);
        }
    }
    finish(slice, row, n, s0);
    if (ROWS > 1u) {
        finish(slice, row + 1u, n, s1);
    }
    if (ROWS > 2u) {
        finish(slice, row + 2u, n, s2);
    }
    if (ROWS > 3u) {
        finish(slice, row + 3u, n, s3);
    }
    if (ROWS > 4u) {
        finish(slice, row + 4u, n, s4);
    }
    if (ROWS > 5u) {
        finish(slice, row + 5u, n, s5);
    }
    if (ROWS > 6u) {
        finish(slice, row + 6u, n, s6);
    }
    if (ROWS > 7u) {
        finish(slice, row + 7u, n, s7);
    }
    if (ROWS > 8u) {
        finish(slice, row + 8u, n, s8);
    }
    if (ROWS > 9u) {
        finish(slice, row + 9u, n, s9);
    }
    if (ROWS > 10u) {
        finish(slice, row + 10u, n, s10);
    }
    if (ROWS > 11u) {
        finish(slice, row + 11u, n, s11);
    }
    if (ROWS > 12u) {
        finish(slice, row + 12u, n, s12);
    }
    if (ROWS > 13u) {
        finish(slice, row + 13u, n, s13);
    }
    if (ROWS > 14u) {
        finish(slice, row + 14u, n, s14);
    }
    if (ROWS > 15u) {
        finish(slice, row + 15u, n, s15);
    }
}
