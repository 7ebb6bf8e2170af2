// A tile of a matrix product for adapters whose loads cost far more than their arithmetic (SwiftShader loads lane by lane,
// behind a branch each): of four lanes each loads another quad of weights and other positions, and weights move on by quad
// swaps. So all that a load brings counts.
//
// Lane l computes ROWS positions, 1 or 7, x four output quads: column r of its sums is quad l ^ r of the tile. Weights as in
// pointwise.wgsl; the shader declares the bindings `input` and `weights`, and `gate_of`, what input quads are multiplied
// by. Loops stay loops there, so what is done for each input is written out.

override ROWS: u32 = 7u;

// The first input quad of each position.
struct Rows {
    r0: u32,
    r1: u32,
    r2: u32,
    r3: u32,
    r4: u32,
    r5: u32,
    r6: u32,
}

// The sums at each position.
struct Sums {
    s0: mat4x4<f32>,
    s1: mat4x4<f32>,
    s2: mat4x4<f32>,
    s3: mat4x4<f32>,
    s4: mat4x4<f32>,
    s5: mat4x4<f32>,
    s6: mat4x4<f32>,
}

// The weights from an input quad to each of the lane's output quads.
struct Weights {
    w0: mat4x4<f32>,
    w1: mat4x4<f32>,
    w2: mat4x4<f32>,
    w3: mat4x4<f32>,
}

// Lane `lane`'s positions of a tile, a quad of lanes apart. Past the last position that one is computed again.
fn rows_of(first: u32, position: u32, last: u32, width: u32, quad: u32) -> Rows {
    return Rows(
        (first + min(position, last)) * width + quad,
        (first + min(position + 4u, last)) * width + quad,
        (first + min(position + 8u, last)) * width + quad,
        (first + min(position + 12u, last)) * width + quad,
        (first + min(position + 16u, last)) * width + quad,
        (first + min(position + 20u, last)) * width + quad,
        (first + min(position + 24u, last)) * width + quad,
    );
}

// What this lane and its neighbours have of a vector.
fn swapped(v: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(v, quadSwapX(v), quadSwapY(v), quadSwapDiagonal(v));
}

fn add(s: mat4x4<f32>, at: u32, w: Weights) -> mat4x4<f32> {
    let x = unpack(input[at]);
    return mat4x4<f32>(s[0] + w.w0 * x, s[1] + w.w1 * x, s[2] + w.w2 * x, s[3] + w.w3 * x);
}

// Of `cin4` input quads with the weights to quad `column` of `cout4`, this lane's.
fn product(rows: Rows, cin4: u32, column: u32, cout4: u32) -> Sums {
    let bias = swapped(unpack(weights[column]));
    var s = Sums(bias, bias, bias, bias, bias, bias, bias);
    var at = column + cout4;
    for (var k = 0u; k < cin4; k++) {
        let g = gate_of(k);
        let a = swapped(unpack(weights[at]) * g.x);
        let b = swapped(unpack(weights[at + cout4]) * g.y);
        let c = swapped(unpack(weights[at + 2u * cout4]) * g.z);
        let d = swapped(unpack(weights[at + 3u * cout4]) * g.w);
        let w = Weights(
            mat4x4<f32>(a[0], b[0], c[0], d[0]),
            mat4x4<f32>(a[1], b[1], c[1], d[1]),
            mat4x4<f32>(a[2], b[2], c[2], d[2]),
            mat4x4<f32>(a[3], b[3], c[3], d[3]),
        );
        s.s0 = add(s.s0, rows.r0 + k, w);
        if (ROWS > 1u) {
            s.s1 = add(s.s1, rows.r1 + k, w);
            s.s2 = add(s.s2, rows.r2 + k, w);
            s.s3 = add(s.s3, rows.r3 + k, w);
            s.s4 = add(s.s4, rows.r4 + k, w);
            s.s5 = add(s.s5, rows.r5 + k, w);
            s.s6 = add(s.s6, rows.r6 + k, w);
        }
        at += 4u * cout4;
    }
    return s;
}

// The sums of the next position first.
fn moved_up(s: Sums) -> Sums {
    if (ROWS == 1u) {
        return s;
    }
    return Sums(s.s1, s.s2, s.s3, s.s4, s.s5, s.s6, s.s6);
}
