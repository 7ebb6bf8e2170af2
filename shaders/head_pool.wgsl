// The last 1x1 convolution and the mean over positions: y = mean_p act(sum_k x[p] * w + bias); the map is never stored.
//
// An invocation runs over every PARTS-th group of ROWS positions for COLS groups of four output channels.
// Grid: x over groups of COLS output quads, z over images. PARTS > 1 shares an image's positions among the
// workgroup's y lanes and adds their sums up in workgroup memory, in a fixed order.
// Weights: as in pointwise.

struct Params {
    pixels: u32,
    cin4: u32,
    cout4: u32,
    inverse: f32,
}

override WG_X: u32 = 8u;
override PARTS: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Stored>;

var<workgroup> shared_sums: array<vec4<f32>, WG_X * PARTS * COLS>;

fn add_activated(total: Sums, sums: Sums, bias: Sums, inside: bool) -> Sums {
    var t = total;
    if (inside) {
        t.a += activate(sums.a + bias.a);
        if (COLS > 1u) {
            t.b += activate(sums.b + bias.b);
        }
        if (COLS > 2u) {
            t.c += activate(sums.c + bias.c);
        }
        if (COLS > 3u) {
            t.d += activate(sums.d + bias.d);
        }
    }
    return t;
}

// Positions past the end read the last one; their sums are not used.
fn address(slice: u32, row: u32) -> u32 {
    return (slice * params.pixels + min(row, params.pixels - 1u)) * params.cin4;
}

fn load_bias(quads: vec4<u32>) -> Sums {
    var b: Sums;
    b.a = unpack(weights[quads.x]);
    if (COLS > 1u) {
        b.b = unpack(weights[quads.y]);
    }
    if (COLS > 2u) {
        b.c = unpack(weights[quads.z]);
    }
    if (COLS > 3u) {
        b.d = unpack(weights[quads.w]);
    }
    return b;
}

fn store(slice: u32, n: u32, sum: vec4<f32>) {
    if (n < params.cout4) {
        output[slice * params.cout4 + n] = repack(sum * params.inverse);
    }
}

@compute @workgroup_size(WG_X, PARTS)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let n = id.x * COLS;
    let slice = id.z;
    let quads = min(vec4<u32>(n) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.cout4 - 1u));
    let at = vec4<u32>(params.cout4) + quads * 4u;
    let stride = params.cout4 * 4u;
    let bias = load_bias(quads);
    var total: Sums;
    for (var row = local.y * ROWS; row < params.pixels; row += ROWS * PARTS) {
        let p0 = address(slice, row);
        let p1 = address(slice, row + 1u);
        let p2 = address(slice, row + 2u);
        let p3 = address(slice, row + 3u);
        let p4 = address(slice, row + 4u);
        let p5 = address(slice, row + 5u);
        let p6 = address(slice, row + 6u);
        let p7 = address(slice, row + 7u);
        var s0 = Sums();
        var s1 = Sums();
        var s2 = Sums();
        var s3 = Sums();
        var s4 = Sums();
        var s5 = Sums();
        var s6 = Sums();
        var s7 = Sums();
        for (var k = 0u; k < params.cin4; k++) {
            let w = load_blocks(at, k * stride);
            s0 = accumulate(s0, unpack(input[p0 + k]), w);
            if (ROWS > 1u) {
                s1 = accumulate(s1, unpack(input[p1 + k]), w);
            }
            if (ROWS > 2u) {
                s2 = accumulate(s2, unpack(input[p2 + k]), w);
            }
            if (ROWS > 3u) {
                s3 = accumulate(s3, unpack(input[p3 + k]), w);
            }
            if (ROWS > 4u) {
                s4 = accumulate(s4, unpack(input[p4 + k]), w);
            }
            if (ROWS > 5u) {
                s5 = accumulate(s5, unpack(input[p5 + k]), w);
            }
            if (ROWS > 6u) {
                s6 = accumulate(s6, unpack(input[p6 + k]), w);
            }
            if (ROWS > 7u) {
                s7 = accumulate(s7, unpack(input[p7 + k]), w);
            }
        }
        total = add_activated(total, s0, bias, true);
        if (ROWS > 1u) {
            total = add_activated(total, s1, bias, row + 1u < params.pixels);
        }
        if (ROWS > 2u) {
            total = add_activated(total, s2, bias, row + 2u < params.pixels);
        }
        if (ROWS > 3u) {
            total = add_activated(total, s3, bias, row + 3u < params.pixels);
        }
        if (ROWS > 4u) {
            total = add_activated(total, s4, bias, row + 4u < params.pixels);
        }
        if (ROWS > 5u) {
            total = add_activated(total, s5, bias, row + 5u < params.pixels);
        }
        if (ROWS > 6u) {
            total = add_activated(total, s6, bias, row + 6u < params.pixels);
        }
        if (ROWS > 7u) {
            total = add_activated(total, s7, bias, row + 7u < params.pixels);
        }
    }
    if (PARTS > 1u) {
        let first = local.x * COLS;
        let mine = local.y * WG_X * COLS + first;
        shared_sums[mine] = total.a;
        if (COLS > 1u) {
            shared_sums[mine + 1u] = total.b;
        }
        if (COLS > 2u) {
            shared_sums[mine + 2u] = total.c;
        }
        if (COLS > 3u) {
            shared_sums[mine + 3u] = total.d;
        }
        workgroupBarrier();
        // Lane y of a column adds up output quads y, y + PARTS, ...
        for (var column = local.y; column < COLS; column += PARTS) {
            var sum = vec4<f32>(0.0);
            for (var part = 0u; part < PARTS; part++) {
                sum += shared_sums[part * WG_X * COLS + first + column];
            }
            store(slice, n + column, sum);
        }
    } else {
        store(slice, n, total.a);
        if (COLS > 1u) {
            store(slice, n + 1u, total.b);
        }
        if (COLS > 2u) {
            store(slice, n + 2u, total.c);
        }
        if (COLS > 3u) {
            store(slice, n + 3u, total.d);
        }
    }
}
