// Depthwise k x k convolution: y = act(sum_taps x * w + bias) + residual, and the sum of the activated outputs
// over each tile for squeeze-and-excitation.
//
// An invocation owns a tile of `tile_h` x COLS outputs of one channel quad. It reads each input line of the tile
// once and adds it to the SETS output rows that it touches: set j is the row that started j steps ago.
// Grid: x over channel quads, y over tile columns, z over images x tile rows.
// Weights: [bias: c4 | (ky * K + kx) * c4 + c]. Squeeze: (image * tiles + tile) * c4 + c.

struct Params {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    pad_top: u32,
    pad_left: u32,
    c4: u32,
    tile_h: u32,
    tiles_y: u32,
    tiles_x: u32,
}

override WG_X: u32 = 8u;
override WG_Y: u32 = 1u;
override K: u32 = 3u;
override STRIDE: u32 = 1u;
override COLS: u32 = 7u;
override RESIDUAL: u32 = 0u;
override SQUEEZE: u32 = 0u;

// Output rows in flight, ceil(K / STRIDE), and input columns of a line.
override SETS: u32 = (K + STRIDE - 1u) / STRIDE;
override SPAN: u32 = (COLS - 1u) * STRIDE + K;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Stored>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;
@group(0) @binding(6) var<storage, read_write> squeeze: array<vec4<f32>>;

// Sums of COLS neighbouring outputs.
struct Strip {
    c0: vec4<f32>,
    c1: vec4<f32>,
    c2: vec4<f32>,
    c3: vec4<f32>,
    c4: vec4<f32>,
    c5: vec4<f32>,
    c6: vec4<f32>,
}

// One row of weights.
struct Taps {
    t0: vec4<f32>,
    t1: vec4<f32>,
    t2: vec4<f32>,
    t3: vec4<f32>,
    t4: vec4<f32>,
    t5: vec4<f32>,
    t6: vec4<f32>,
}

// SPAN neighbouring inputs.
struct Line {
    x0: vec4<f32>,
    x1: vec4<f32>,
    x2: vec4<f32>,
    x3: vec4<f32>,
    x4: vec4<f32>,
    x5: vec4<f32>,
    x6: vec4<f32>,
    x7: vec4<f32>,
    x8: vec4<f32>,
    x9: vec4<f32>,
    x10: vec4<f32>,
    x11: vec4<f32>,
    x12: vec4<f32>,
    x13: vec4<f32>,
    x14: vec4<f32>,
    x15: vec4<f32>,
    x16: vec4<f32>,
    x17: vec4<f32>,
    x18: vec4<f32>,
}

// Where a line's columns are: the first one's x, and the channel quad.
struct Place {
    left: i32,
    channel: u32,
}

fn at(line: u32, place: Place, i: i32, row_inside: bool) -> vec4<f32> {
    let x = place.left + i;
    let last = i32(params.width) - 1;
    let v = unpack(input[line + u32(clamp(x, 0, last)) * params.c4]);
    return select(vec4<f32>(0.0), v, row_inside && x >= 0 && x <= last);
}

// The inputs of row y, zero outside the image.
fn load_line(image: u32, y: i32, place: Place) -> Line {
    let last = i32(params.height) - 1;
    let inside = y >= 0 && y <= last;
    let line = (image * params.height + u32(clamp(y, 0, last))) * params.width * params.c4 + place.channel;
    var l: Line;
    l.x0 = at(line, place, 0, inside);
    if (SPAN > 1u) {
        l.x1 = at(line, place, 1, inside);
    }
    if (SPAN > 2u) {
        l.x2 = at(line, place, 2, inside);
    }
    if (SPAN > 3u) {
        l.x3 = at(line, place, 3, inside);
    }
    if (SPAN > 4u) {
        l.x4 = at(line, place, 4, inside);
    }
    if (SPAN > 5u) {
        l.x5 = at(line, place, 5, inside);
    }
    if (SPAN > 6u) {
        l.x6 = at(line, place, 6, inside);
    }
    if (SPAN > 7u) {
        l.x7 = at(line, place, 7, inside);
    }
    if (SPAN > 8u) {
        l.x8 = at(line, place, 8, inside);
    }
    if (SPAN > 9u) {
        l.x9 = at(line, place, 9, inside);
    }
    if (SPAN > 10u) {
        l.x10 = at(line, place, 10, inside);
    }
    if (SPAN > 11u) {
        l.x11 = at(line, place, 11, inside);
    }
    if (SPAN > 12u) {
        l.x12 = at(line, place, 12, inside);
    }
    if (SPAN > 13u) {
        l.x13 = at(line, place, 13, inside);
    }
    if (SPAN > 14u) {
        l.x14 = at(line, place, 14, inside);
    }
    if (SPAN > 15u) {
        l.x15 = at(line, place, 15, inside);
    }
    if (SPAN > 16u) {
        l.x16 = at(line, place, 16, inside);
    }
    if (SPAN > 17u) {
        l.x17 = at(line, place, 17, inside);
    }
    if (SPAN > 18u) {
        l.x18 = at(line, place, 18, inside);
    }
    return l;
}

fn load_taps(ky: u32, channel: u32) -> Taps {
    var t: Taps;
    let first = (1u + ky * K) * params.c4 + channel;
    t.t0 = unpack(weights[first]);
    if (K > 1u) {
        t.t1 = unpack(weights[first + 1u * params.c4]);
    }
    if (K > 2u) {
        t.t2 = unpack(weights[first + 2u * params.c4]);
    }
    if (K > 3u) {
        t.t3 = unpack(weights[first + 3u * params.c4]);
    }
    if (K > 4u) {
        t.t4 = unpack(weights[first + 4u * params.c4]);
    }
    if (K > 5u) {
        t.t5 = unpack(weights[first + 5u * params.c4]);
    }
    if (K > 6u) {
        t.t6 = unpack(weights[first + 6u * params.c4]);
    }
    return t;
}

fn dot_taps(sum: vec4<f32>, w: Taps, x0: vec4<f32>, x1: vec4<f32>, x2: vec4<f32>, x3: vec4<f32>, x4: vec4<f32>, x5: vec4<f32>, x6: vec4<f32>) -> vec4<f32> {
    var s = fma(w.t0, x0, sum);
    if (K > 1u) {
        s = fma(w.t1, x1, s);
    }
    if (K > 2u) {
        s = fma(w.t2, x2, s);
    }
    if (K > 3u) {
        s = fma(w.t3, x3, s);
    }
    if (K > 4u) {
        s = fma(w.t4, x4, s);
    }
    if (K > 5u) {
        s = fma(w.t5, x5, s);
    }
    if (K > 6u) {
        s = fma(w.t6, x6, s);
    }
    return s;
}

// Adds one line's share to each output of the strip.
fn slide(strip: Strip, w: Taps, l: Line) -> Strip {
    var s = strip;
    if (STRIDE == 1u) {
        s.c0 = dot_taps(s.c0, w, l.x0, l.x1, l.x2, l.x3, l.x4, l.x5, l.x6);
        if (COLS > 1u) {
            s.c1 = dot_taps(s.c1, w, l.x1, l.x2, l.x3, l.x4, l.x5, l.x6, l.x7);
        }
        if (COLS > 2u) {
            s.c2 = dot_taps(s.c2, w, l.x2, l.x3, l.x4, l.x5, l.x6, l.x7, l.x8);
        }
        if (COLS > 3u) {
            s.c3 = dot_taps(s.c3, w, l.x3, l.x4, l.x5, l.x6, l.x7, l.x8, l.x9);
        }
        if (COLS > 4u) {
            s.c4 = dot_taps(s.c4, w, l.x4, l.x5, l.x6, l.x7, l.x8, l.x9, l.x10);
        }
        if (COLS > 5u) {
            s.c5 = dot_taps(s.c5, w, l.x5, l.x6, l.x7, l.x8, l.x9, l.x10, l.x11);
        }
        if (COLS > 6u) {
            s.c6 = dot_taps(s.c6, w, l.x6, l.x7, l.x8, l.x9, l.x10, l.x11, l.x12);
        }
    } else {
        s.c0 = dot_taps(s.c0, w, l.x0, l.x1, l.x2, l.x3, l.x4, l.x5, l.x6);
        if (COLS > 1u) {
            s.c1 = dot_taps(s.c1, w, l.x2, l.x3, l.x4, l.x5, l.x6, l.x7, l.x8);
        }
        if (COLS > 2u) {
            s.c2 = dot_taps(s.c2, w, l.x4, l.x5, l.x6, l.x7, l.x8, l.x9, l.x10);
        }
        if (COLS > 3u) {
            s.c3 = dot_taps(s.c3, w, l.x6, l.x7, l.x8, l.x9, l.x10, l.x11, l.x12);
        }
        if (COLS > 4u) {
            s.c4 = dot_taps(s.c4, w, l.x8, l.x9, l.x10, l.x11, l.x12, l.x13, l.x14);
        }
        if (COLS > 5u) {
            s.c5 = dot_taps(s.c5, w, l.x10, l.x11, l.x12, l.x13, l.x14, l.x15, l.x16);
        }
        if (COLS > 6u) {
            s.c6 = dot_taps(s.c6, w, l.x12, l.x13, l.x14, l.x15, l.x16, l.x17, l.x18);
        }
    }
    return s;
}

// Stores one output and returns what it adds to the tile's sum.
fn store(at: u32, column: u32, channel: u32, value: vec4<f32>) -> vec4<f32> {
    if (column >= params.out_width) {
        return vec4<f32>(0.0);
    }
    let y = activate(value);
    let i = at + column * params.c4 + channel;
    if (RESIDUAL == 1u) {
        output[i] = repack(y + unpack(residual[i]));
    } else {
        output[i] = repack(y);
    }
    return y;
}

fn finish(at: u32, column: u32, channel: u32, s: Strip, bias: vec4<f32>) -> vec4<f32> {
    var sum = store(at, column, channel, s.c0 + bias);
    if (COLS > 1u) {
        sum += store(at, column + 1u, channel, s.c1 + bias);
    }
    if (COLS > 2u) {
        sum += store(at, column + 2u, channel, s.c2 + bias);
    }
    if (COLS > 3u) {
        sum += store(at, column + 3u, channel, s.c3 + bias);
    }
    if (COLS > 4u) {
        sum += store(at, column + 4u, channel, s.c4 + bias);
    }
    if (COLS > 5u) {
        sum += store(at, column + 5u, channel, s.c5 + bias);
    }
    if (COLS > 6u) {
        sum += store(at, column + 6u, channel, s.c6 + bias);
    }
    return sum;
}

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let channel = id.x;
    if (channel >= params.c4 || id.y >= params.tiles_x) {
        return;
    }
    let image = id.z / params.tiles_y;
    let tile_y = id.z - image * params.tiles_y;
    let column = id.y * COLS;
    let place = Place(i32(column * STRIDE) - i32(params.pad_left), channel);
    let first = tile_y * params.tile_h;
    let rows = min(params.tile_h, params.out_height - first);
    let bias = unpack(weights[channel]);
    let w0 = load_taps(0u, channel);
    var w1: Taps;
    if (K > 1u) {
        w1 = load_taps(1u, channel);
    }
    var w2: Taps;
    if (K > 2u) {
        w2 = load_taps(2u, channel);
    }
    var w3: Taps;
    if (K > 3u) {
        w3 = load_taps(3u, channel);
    }
    var w4: Taps;
    if (K > 4u) {
        w4 = load_taps(4u, channel);
    }
    var w5: Taps;
    if (K > 5u) {
        w5 = load_taps(5u, channel);
    }
    var w6: Taps;
    if (K > 6u) {
        w6 = load_taps(6u, channel);
    }
    var s0: Strip;
    var s1: Strip;
    var s2: Strip;
    var s3: Strip;
    var s4: Strip;
    var s5: Strip;
    var s6: Strip;
    var sum = vec4<f32>(0.0);
    for (var step = 0u; step < rows + SETS - 1u; step++) {
        let y = i32((first + step) * STRIDE) - i32(params.pad_top);
        let line = load_line(image, y, place);
        if (STRIDE == 1u) {
            s0 = slide(s0, w0, line);
            if (K > 1u) {
                s1 = slide(s1, w1, line);
            }
            if (K > 2u) {
                s2 = slide(s2, w2, line);
            }
            if (K > 3u) {
                s3 = slide(s3, w3, line);
            }
            if (K > 4u) {
                s4 = slide(s4, w4, line);
            }
            if (K > 5u) {
                s5 = slide(s5, w5, line);
            }
            if (K > 6u) {
                s6 = slide(s6, w6, line);
            }
        } else {
            s0 = slide(s0, w0, line);
            if (K > 2u) {
                s1 = slide(s1, w2, line);
            }
            if (K > 4u) {
                s2 = slide(s2, w4, line);
            }
            if (K > 6u) {
                s3 = slide(s3, w6, line);
            }
            if (K > 1u) {
                let next = load_line(image, y + 1, place);
                s0 = slide(s0, w1, next);
                if (K > 3u) {
                    s1 = slide(s1, w3, next);
                }
                if (K > 5u) {
                    s2 = slide(s2, w5, next);
                }
            }
        }
        if (step + 1u >= SETS) {
            let at = (image * params.out_height + first + step + 1u - SETS) * params.out_width * params.c4;
            var done = s0;
            if (SETS == 2u) {
                done = s1;
            }
            if (SETS == 3u) {
                done = s2;
            }
            if (SETS == 4u) {
                done = s3;
            }
            if (SETS == 5u) {
                done = s4;
            }
            if (SETS == 6u) {
                done = s5;
            }
            if (SETS == 7u) {
                done = s6;
            }
            sum += finish(at, column, channel, done, bias);
        }
        s6 = s5;
        s5 = s4;
        s4 = s3;
        s3 = s2;
        s2 = s1;
        s1 = s0;
        s0 = Strip();
    }
    if (SQUEEZE == 1u) {
        squeeze[((image * params.tiles_y + tile_y) * params.tiles_x + id.y) * params.c4 + channel] = sum;
    }
}
