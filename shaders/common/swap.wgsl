// A tile of a matrix product for adapters whose loads cost far more than their arithmetic (SwiftShader loads lane by lane,
// behind a branch each): of four lanes each loads another quad of weights and other positions, and weights move on by quad
// swaps. So all that a load brings counts.
//
// Lane l computes ROWS positions, 2 or 7, x four output quads: column r of its sums is quad l ^ r of the tile. Weights as in
// pointwise.wgsl. Loops stay loops there, so what is done for each input is written out.

override ROWS: u32 = 7u;

// The sums at each position.
struct Sums {
    s0: mat4x4f,
    s1: mat4x4f,
    s2: mat4x4f,
    s3: mat4x4f,
    s4: mat4x4f,
    s5: mat4x4f,
    s6: mat4x4f,
}

// The weights from an input quad to each of the lane's output quads.
struct Weights {
    w0: mat4x4f,
    w1: mat4x4f,
    w2: mat4x4f,
    w3: mat4x4f,
}

// What this lane and its neighbours have of a vector.
fn swapped(v: vec4f) -> mat4x4f {
    return mat4x4f(v, quadSwapX(v), quadSwapY(v), quadSwapDiagonal(v));
}

// The weights of an input quad, this lane's of which begin at `at`, times a gate.
fn weights_at(at: u32, cout4: u32, gate: vec4f) -> Weights {
    let a = swapped(unpack(weights[at]) * gate.x);
    let b = swapped(unpack(weights[at + cout4]) * gate.y);
    let c = swapped(unpack(weights[at + 2u * cout4]) * gate.z);
    let d = swapped(unpack(weights[at + 3u * cout4]) * gate.w);
    return Weights(
        mat4x4f(a[0], b[0], c[0], d[0]),
        mat4x4f(a[1], b[1], c[1], d[1]),
        mat4x4f(a[2], b[2], c[2], d[2]),
        mat4x4f(a[3], b[3], c[3], d[3]),
    );
}

// The sums before the first input: the bias.
fn biased(column: u32) -> Sums {
    let bias = swapped(unpack(weights[column]));
    return Sums(bias, bias, bias, bias, bias, bias, bias);
}

fn add(s: mat4x4f, x: vec4f, w: Weights) -> mat4x4f {
    return mat4x4f(s[0] + w.w0 * x, s[1] + w.w1 * x, s[2] + w.w2 * x, s[3] + w.w3 * x);
}

// The sums of the next position first.
fn moved_up(s: Sums) -> Sums {
    return Sums(s.s1, s.s2, s.s3, s.s4, s.s5, s.s6, s.s6);
}
