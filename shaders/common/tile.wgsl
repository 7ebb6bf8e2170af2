// A register tile of a matrix product: ROWS positions by COLS groups of four output channels.

override ROWS: u32 = 4u;
override COLS: u32 = 2u;

// One position's sums, COLS of them in use.
struct Sums {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

// 4 x 4 weights: one vector over four output channels for each of four input channels.
struct Block {
    k0: vec4<f32>,
    k1: vec4<f32>,
    k2: vec4<f32>,
    k3: vec4<f32>,
}

struct Blocks {
    a: Block,
    b: Block,
    c: Block,
    d: Block,
}

fn multiply(sum: vec4<f32>, x: vec4<f32>, w: Block) -> vec4<f32> {
    var s = fma(w.k0, x.xxxx, sum);
    s = fma(w.k1, x.yyyy, s);
    s = fma(w.k2, x.zzzz, s);
    return fma(w.k3, x.wwww, s);
}

fn accumulate(sums: Sums, x: vec4<f32>, w: Blocks) -> Sums {
    var s = sums;
    s.a = multiply(s.a, x, w.a);
    if (COLS > 1u) {
        s.b = multiply(s.b, x, w.b);
    }
    if (COLS > 2u) {
        s.c = multiply(s.c, x, w.c);
    }
    if (COLS > 3u) {
        s.d = multiply(s.d, x, w.d);
    }
    return s;
}

fn load_block(at: u32) -> Block {
    return Block(unpack(weights[at]), unpack(weights[at + 1u]), unpack(weights[at + 2u]), unpack(weights[at + 3u]));
}

// The blocks at `step + at[i]`, the first COLS of them.
fn load_blocks(at: vec4<u32>, step: u32) -> Blocks {
    var w: Blocks;
    w.a = load_block(at.x + step);
    if (COLS > 1u) {
        w.b = load_block(at.y + step);
    }
    if (COLS > 2u) {
        w.c = load_block(at.z + step);
    }
    if (COLS > 3u) {
        w.d = load_block(at.w + step);
    }
    return w;
}
