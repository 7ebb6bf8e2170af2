// A register tile of a matrix product: ROWS positions by COLS quads of output channels.
//
// Everything is loaded, rotated and stored by one instruction in a short loop, so that a compiler that expands each
// memory access into many instructions (lavapipe: one branch per lane and component) still gets a small program. With ROLL = 0 the
// trip counts are constants and GPU compilers unroll the loops, which turns the rotations into renamed registers;
// with ROLL = 1 they come from the uniform and no compiler unrolls them.

override ROWS: u32 = 4u;
override COLS: u32 = 2u;
override ROLL: u32 = 0u;

// One position's sums, or the weights of one input channel: COLS quads in use.
struct Cols {
    a: vec4f,
    b: vec4f,
    c: vec4f,
    d: vec4f,
}

// An input quad of each position, ROWS in use.
struct Rows {
    x0: vec4f,
    x1: vec4f,
    x2: vec4f,
    x3: vec4f,
    x4: vec4f,
    x5: vec4f,
    x6: vec4f,
    x7: vec4f,
}

// The sums, ROWS in use.
struct Tile {
    s0: Cols,
    s1: Cols,
    s2: Cols,
    s3: Cols,
    s4: Cols,
    s5: Cols,
    s6: Cols,
    s7: Cols,
}

// Moves every column one place down and puts `v` last.
fn push_col(old: Cols, v: vec4f) -> Cols {
    var c = old;
    c.a = v;
    if (COLS > 1u) {
        c.a = old.b;
        c.b = v;
    }
    if (COLS > 2u) {
        c.b = old.c;
        c.c = v;
    }
    if (COLS > 3u) {
        c.c = old.d;
        c.d = v;
    }
    return c;
}

// Moves every row one place down and puts `v` last.
fn push_row(old: Rows, v: vec4f) -> Rows {
    var r = old;
    r.x0 = v;
    if (ROWS > 1u) {
        r.x0 = old.x1;
        r.x1 = v;
    }
    if (ROWS > 2u) {
        r.x1 = old.x2;
        r.x2 = v;
    }
    if (ROWS > 3u) {
        r.x2 = old.x3;
        r.x3 = v;
    }
    if (ROWS > 4u) {
        r.x3 = old.x4;
        r.x4 = v;
    }
    if (ROWS > 5u) {
        r.x4 = old.x5;
        r.x5 = v;
    }
    if (ROWS > 6u) {
        r.x5 = old.x6;
        r.x6 = v;
    }
    if (ROWS > 7u) {
        r.x6 = old.x7;
        r.x7 = v;
    }
    return r;
}

// Moves every row's sums one place down.
fn pop_row(old: Tile) -> Tile {
    var t = old;
    if (ROWS > 1u) {
        t.s0 = old.s1;
    }
    if (ROWS > 2u) {
        t.s1 = old.s2;
    }
    if (ROWS > 3u) {
        t.s2 = old.s3;
    }
    if (ROWS > 4u) {
        t.s3 = old.s4;
    }
    if (ROWS > 5u) {
        t.s4 = old.s5;
    }
    if (ROWS > 6u) {
        t.s5 = old.s6;
    }
    if (ROWS > 7u) {
        t.s6 = old.s7;
    }
    return t;
}

// The next channel of each input quad becomes its first.
fn turn(old: Rows) -> Rows {
    var r = old;
    r.x0 = old.x0.yzwx;
    if (ROWS > 1u) {
        r.x1 = old.x1.yzwx;
    }
    if (ROWS > 2u) {
        r.x2 = old.x2.yzwx;
    }
    if (ROWS > 3u) {
        r.x3 = old.x3.yzwx;
    }
    if (ROWS > 4u) {
        r.x4 = old.x4.yzwx;
    }
    if (ROWS > 5u) {
        r.x5 = old.x5.yzwx;
    }
    if (ROWS > 6u) {
        r.x6 = old.x6.yzwx;
    }
    if (ROWS > 7u) {
        r.x7 = old.x7.yzwx;
    }
    return r;
}

fn fill(c: Cols) -> Tile {
    return Tile(c, c, c, c, c, c, c, c);
}

fn multiply(old: Cols, x: f32, w: Cols) -> Cols {
    var s = old;
    let v = vec4f(x);
    s.a = fma(w.a, v, s.a);
    if (COLS > 1u) {
        s.b = fma(w.b, v, s.b);
    }
    if (COLS > 2u) {
        s.c = fma(w.c, v, s.c);
    }
    if (COLS > 3u) {
        s.d = fma(w.d, v, s.d);
    }
    return s;
}

// Adds the product of each row's first channel with that channel's weights.
fn accumulate(old: Tile, x: Rows, w: Cols) -> Tile {
    var t = old;
    t.s0 = multiply(old.s0, x.x0.x, w);
    if (ROWS > 1u) {
        t.s1 = multiply(old.s1, x.x1.x, w);
    }
    if (ROWS > 2u) {
        t.s2 = multiply(old.s2, x.x2.x, w);
    }
    if (ROWS > 3u) {
        t.s3 = multiply(old.s3, x.x3.x, w);
    }
    if (ROWS > 4u) {
        t.s4 = multiply(old.s4, x.x4.x, w);
    }
    if (ROWS > 5u) {
        t.s5 = multiply(old.s5, x.x5.x, w);
    }
    if (ROWS > 6u) {
        t.s6 = multiply(old.s6, x.x6.x, w);
    }
    if (ROWS > 7u) {
        t.s7 = multiply(old.s7, x.x7.x, w);
    }
    return t;
}

// Trip counts, see above.
struct Trips {
    rows: u32,
    cols: u32,
    channels: u32,
}

fn trips(rolled: vec4u) -> Trips {
    if (ROLL == 1u) {
        return Trips(rolled.x, rolled.y, rolled.z);
    }
    return Trips(ROWS, COLS, 4u);
}

// COLS quads from `at` on; columns past the last output quad repeat it.
fn load_cols(at: u32, n: u32, last: u32, count: u32) -> Cols {
    var c: Cols;
    for (var j = 0u; j < count; j++) {
        c = push_col(c, unpack(weights[at + min(n + j, last)]));
    }
    return c;
}

// Adds the products of one input quad of every row with its 4 x COLS weights, which start at `at`.
fn accumulate_quad(old: Tile, rows: Rows, at: u32, n: u32, cout4: u32, count: Trips) -> Tile {
    var t = old;
    var x = rows;
    for (var kk = 0u; kk < count.channels; kk++) {
        t = accumulate(t, x, load_cols(at + kk * cout4, n, cout4 - 1u, count.cols));
        x = turn(x);
    }
    return t;
}
