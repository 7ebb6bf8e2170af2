// Depthwise k x k convolution: y = act(sum_taps x * w + bias), joined with another tensor, and the sum of y before
// that over each tile for squeeze-and-excitation.
//
// An invocation owns a tile of `tile_h` x COLS outputs of one channel quad. It reads each input line of the tile
// once and adds it to the SETS output rows that it touches: set j is the row that started j steps ago. A step takes
// STRIDE lines; for the second one, the even and the odd rows of the filter change places.
// Grid: x over channel quads, y over tile columns, z over images x tile rows.
// Weights: [bias: c4 | (ky * K + kx) * c4 + c]. Squeeze: (image * tiles + tile) * y4 + c.
//
// KEEP = 1 stores [x | y]. An invocation then stores the input quad of its number and the output quad of its filters,
// which begin SHIFT channels into their first quad, where those of x end.
//
// Lines outside the map are skipped, and loops end with their condition, see subgroup_tile.wgsl.
//
// As in tile.wgsl, everything is loaded and stored by one instruction in a short loop whose trip count comes from
// the uniform where ROLL = 1; where ROLL = 2, so does that of the loop over the filter's rows alone.

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
    act: u32,
    squeeze: u32,
    x4: u32,
    y4: u32,
    join: u32,
    joined: u32,
    // K, or K * K where ROLL = 1; SPAN, COLS, STRIDE.
    rolled: vec4u,
}

override WG_X: u32 = 8u;
override WG_Y: u32 = 1u;
override K: u32 = 3u;
override STRIDE: u32 = 1u;
override COLS: u32 = 4u;
override RESIDUAL: u32 = 0u;
override ROLL: u32 = 0u;
override KEEP: u32 = 0u;
override SHIFT: u32 = 0u;

// Output rows in flight, ceil(K / STRIDE), and input columns of a line.
override SETS: u32 = (K + STRIDE - 1u) / STRIDE;
override SPAN: u32 = (COLS - 1u) * STRIDE + K;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;
@group(0) @binding(6) var<storage, read_write> squeeze: array<vec4f>;

// Sums of COLS neighbouring outputs.
struct Strip {
    c0: vec4f,
    c1: vec4f,
    c2: vec4f,
    c3: vec4f,
    c4: vec4f,
    c5: vec4f,
    c6: vec4f,
}

// One row of the filter, K in use.
struct Taps {
    t0: vec4f,
    t1: vec4f,
    t2: vec4f,
    t3: vec4f,
    t4: vec4f,
    t5: vec4f,
    t6: vec4f,
}

// SPAN neighbouring inputs.
struct Line {
    x0: vec4f,
    x1: vec4f,
    x2: vec4f,
    x3: vec4f,
    x4: vec4f,
    x5: vec4f,
    x6: vec4f,
    x7: vec4f,
    x8: vec4f,
    x9: vec4f,
    x10: vec4f,
    x11: vec4f,
    x12: vec4f,
    x13: vec4f,
    x14: vec4f,
    x15: vec4f,
    x16: vec4f,
    x17: vec4f,
    x18: vec4f,
}

// Puts `v` behind the others; the first, which makes room, is returned.
fn push_tap(w: ptr<function, Taps>, v: vec4f) -> vec4f {
    let first = (*w).t0;
    (*w).t0 = v;
    if (K > 1u) {
        (*w).t0 = (*w).t1;
        (*w).t1 = v;
    }
    if (K > 2u) {
        (*w).t1 = (*w).t2;
        (*w).t2 = v;
    }
    if (K > 3u) {
        (*w).t2 = (*w).t3;
        (*w).t3 = v;
    }
    if (K > 4u) {
        (*w).t3 = (*w).t4;
        (*w).t4 = v;
    }
    if (K > 5u) {
        (*w).t4 = (*w).t5;
        (*w).t5 = v;
    }
    if (K > 6u) {
        (*w).t5 = (*w).t6;
        (*w).t6 = v;
    }
    return first;
}

fn swap_rows(a: ptr<function, Taps>, b: ptr<function, Taps>) {
    let first = *a;
    *a = *b;
    *b = first;
}

fn push_input(l: ptr<function, Line>, v: vec4f) {
    (*l).x0 = v;
    if (SPAN > 1u) {
        (*l).x0 = (*l).x1;
        (*l).x1 = v;
    }
    if (SPAN > 2u) {
        (*l).x1 = (*l).x2;
        (*l).x2 = v;
    }
    if (SPAN > 3u) {
        (*l).x2 = (*l).x3;
        (*l).x3 = v;
    }
    if (SPAN > 4u) {
        (*l).x3 = (*l).x4;
        (*l).x4 = v;
    }
    if (SPAN > 5u) {
        (*l).x4 = (*l).x5;
        (*l).x5 = v;
    }
    if (SPAN > 6u) {
        (*l).x5 = (*l).x6;
        (*l).x6 = v;
    }
    if (SPAN > 7u) {
        (*l).x6 = (*l).x7;
        (*l).x7 = v;
    }
    if (SPAN > 8u) {
        (*l).x7 = (*l).x8;
        (*l).x8 = v;
    }
    if (SPAN > 9u) {
        (*l).x8 = (*l).x9;
        (*l).x9 = v;
    }
    if (SPAN > 10u) {
        (*l).x9 = (*l).x10;
        (*l).x10 = v;
    }
    if (SPAN > 11u) {
        (*l).x10 = (*l).x11;
        (*l).x11 = v;
    }
    if (SPAN > 12u) {
        (*l).x11 = (*l).x12;
        (*l).x12 = v;
    }
    if (SPAN > 13u) {
        (*l).x12 = (*l).x13;
        (*l).x13 = v;
    }
    if (SPAN > 14u) {
        (*l).x13 = (*l).x14;
        (*l).x14 = v;
    }
    if (SPAN > 15u) {
        (*l).x14 = (*l).x15;
        (*l).x15 = v;
    }
    if (SPAN > 16u) {
        (*l).x15 = (*l).x16;
        (*l).x16 = v;
    }
    if (SPAN > 17u) {
        (*l).x16 = (*l).x17;
        (*l).x17 = v;
    }
    if (SPAN > 18u) {
        (*l).x17 = (*l).x18;
        (*l).x18 = v;
    }
}

fn push_output(s: ptr<function, Strip>, v: vec4f) {
    (*s).c0 = v;
    if (COLS > 1u) {
        (*s).c0 = (*s).c1;
        (*s).c1 = v;
    }
    if (COLS > 2u) {
        (*s).c1 = (*s).c2;
        (*s).c2 = v;
    }
    if (COLS > 3u) {
        (*s).c2 = (*s).c3;
        (*s).c3 = v;
    }
    if (COLS > 4u) {
        (*s).c3 = (*s).c4;
        (*s).c4 = v;
    }
    if (COLS > 5u) {
        (*s).c4 = (*s).c5;
        (*s).c5 = v;
    }
    if (COLS > 6u) {
        (*s).c5 = (*s).c6;
        (*s).c6 = v;
    }
}

fn dot_taps(sum: vec4f, w: ptr<function, Taps>, x0: vec4f, x1: vec4f, x2: vec4f, x3: vec4f, x4: vec4f, x5: vec4f, x6: vec4f) -> vec4f {
    var s = fma((*w).t0, x0, sum);
    if (K > 1u) {
        s = fma((*w).t1, x1, s);
    }
    if (K > 2u) {
        s = fma((*w).t2, x2, s);
    }
    if (K > 3u) {
        s = fma((*w).t3, x3, s);
    }
    if (K > 4u) {
        s = fma((*w).t4, x4, s);
    }
    if (K > 5u) {
        s = fma((*w).t5, x5, s);
    }
    if (K > 6u) {
        s = fma((*w).t6, x6, s);
    }
    return s;
}

// Adds one line's share to each output of the strip.
fn slide(s: ptr<function, Strip>, w: ptr<function, Taps>, l: ptr<function, Line>) {
    if (STRIDE == 1u) {
        (*s).c0 = dot_taps((*s).c0, w, (*l).x0, (*l).x1, (*l).x2, (*l).x3, (*l).x4, (*l).x5, (*l).x6);
        if (COLS > 1u) {
            (*s).c1 = dot_taps((*s).c1, w, (*l).x1, (*l).x2, (*l).x3, (*l).x4, (*l).x5, (*l).x6, (*l).x7);
        }
        if (COLS > 2u) {
            (*s).c2 = dot_taps((*s).c2, w, (*l).x2, (*l).x3, (*l).x4, (*l).x5, (*l).x6, (*l).x7, (*l).x8);
        }
        if (COLS > 3u) {
            (*s).c3 = dot_taps((*s).c3, w, (*l).x3, (*l).x4, (*l).x5, (*l).x6, (*l).x7, (*l).x8, (*l).x9);
        }
        if (COLS > 4u) {
            (*s).c4 = dot_taps((*s).c4, w, (*l).x4, (*l).x5, (*l).x6, (*l).x7, (*l).x8, (*l).x9, (*l).x10);
        }
        if (COLS > 5u) {
            (*s).c5 = dot_taps((*s).c5, w, (*l).x5, (*l).x6, (*l).x7, (*l).x8, (*l).x9, (*l).x10, (*l).x11);
        }
        if (COLS > 6u) {
            (*s).c6 = dot_taps((*s).c6, w, (*l).x6, (*l).x7, (*l).x8, (*l).x9, (*l).x10, (*l).x11, (*l).x12);
        }
    }
    if (STRIDE > 1u) {
        (*s).c0 = dot_taps((*s).c0, w, (*l).x0, (*l).x1, (*l).x2, (*l).x3, (*l).x4, (*l).x5, (*l).x6);
        if (COLS > 1u) {
            (*s).c1 = dot_taps((*s).c1, w, (*l).x2, (*l).x3, (*l).x4, (*l).x5, (*l).x6, (*l).x7, (*l).x8);
        }
        if (COLS > 2u) {
            (*s).c2 = dot_taps((*s).c2, w, (*l).x4, (*l).x5, (*l).x6, (*l).x7, (*l).x8, (*l).x9, (*l).x10);
        }
        if (COLS > 3u) {
            (*s).c3 = dot_taps((*s).c3, w, (*l).x6, (*l).x7, (*l).x8, (*l).x9, (*l).x10, (*l).x11, (*l).x12);
        }
        if (COLS > 4u) {
            (*s).c4 = dot_taps((*s).c4, w, (*l).x8, (*l).x9, (*l).x10, (*l).x11, (*l).x12, (*l).x13, (*l).x14);
        }
        if (COLS > 5u) {
            (*s).c5 = dot_taps((*s).c5, w, (*l).x10, (*l).x11, (*l).x12, (*l).x13, (*l).x14, (*l).x15, (*l).x16);
        }
        if (COLS > 6u) {
            (*s).c6 = dot_taps((*s).c6, w, (*l).x12, (*l).x13, (*l).x14, (*l).x15, (*l).x16, (*l).x17, (*l).x18);
        }
    }
}

// The inputs of the filters at `channel` of a position.
fn load(position: u32, channel: u32) -> vec4f {
    let start = position * params.x4;
    if (SHIFT > 0u) {
        let before = unpack(input[start + max(channel, 1u) - 1u]);
        let here = unpack(input[start + min(channel, params.x4 - 1u)]);
        if (SHIFT == 1u) {
            return vec4f(before.w, here.xyz);
        }
        if (SHIFT == 2u) {
            return vec4f(before.zw, here.xy);
        }
        return vec4f(before.yzw, here.x);
    }
    return unpack(input[start + channel]);
}

// `span` inputs of row `y`, which is in the map, from column `left` on, zero outside the map.
fn read_line(l: ptr<function, Line>, image: u32, y: i32, left: i32, channel: u32, span: u32) {
    let right = i32(params.width) - 1;
    let start = (image * params.height + u32(y)) * params.width;
    for (var i = 0u; i < span; i++) {
        let x = left + i32(i);
        let v = load(start + u32(clamp(x, 0, right)), channel);
        push_input(l, select(vec4f(0.0), v, x >= 0 && x <= right));
    }
}

// What joins an output quad.
fn load_other(position: u32, quad: u32) -> vec4f {
    if (RESIDUAL == 1u) {
        return first_channels(unpack(residual[position * params.y4 + quad]), quad, params.joined);
    }
    return vec4f(0.0);
}

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let channel = id.x;
    if (channel >= params.c4 || id.y >= params.tiles_x) {
        return;
    }
    var count = vec4u(K, SPAN, COLS, STRIDE);
    var taps = K;
    if (ROLL == 1u) {
        count = params.rolled;
        taps = 1u;
    }
    if (ROLL == 2u) {
        count.x = params.rolled.x;
    }
    let image = id.z / params.tiles_y;
    let tile_y = id.z - image * params.tiles_y;
    let column = id.y * COLS;
    let first = tile_y * params.tile_h;
    let rows = min(params.tile_h, params.out_height - first);
    let left = i32(column * STRIDE) - i32(params.pad_left);
    let top = i32(first * STRIDE) - i32(params.pad_top);
    let bottom = i32(params.height) - 1;

    // The filter's rows, K in use.
    var w0: Taps;
    var w1: Taps;
    var w2: Taps;
    var w3: Taps;
    var w4: Taps;
    var w5: Taps;
    var w6: Taps;
    var w7: Taps;
    let bias = unpack(weights[channel]);
    var at = params.c4 + channel;
    var i = 0u;
    loop {
        for (var j = 0u; j < taps; j++) {
            var tap = unpack(weights[at]);
            if (K > 6u) {
                tap = push_tap(&w6, tap);
            }
            if (K > 5u) {
                tap = push_tap(&w5, tap);
            }
            if (K > 4u) {
                tap = push_tap(&w4, tap);
            }
            if (K > 3u) {
                tap = push_tap(&w3, tap);
            }
            if (K > 2u) {
                tap = push_tap(&w2, tap);
            }
            if (K > 1u) {
                tap = push_tap(&w1, tap);
            }
            push_tap(&w0, tap);
            at += params.c4;
        }
        i++;
        if (i >= count.x) {
            break;
        }
    }

    var line: Line;
    var s0: Strip;
    var s1: Strip;
    var s2: Strip;
    var s3: Strip;
    var s4: Strip;
    var s5: Strip;
    var s6: Strip;
    // Whole quads of the input in front of the filters' outputs, and the first of these.
    let kept4 = select(0u, params.x4 - u32(SHIFT > 0u), KEEP == 1u);
    let quad = kept4 + channel;
    var sum = vec4f(0.0);
    var kept_sum = vec4f(0.0);
    let columns = min(count.z, params.out_width - column);
    var step = 0u;
    loop {
        if (STRIDE == 1u) {
            let y = top + i32(step);
            if (y >= 0 && y <= bottom) {
                read_line(&line, image, y, left, channel, count.y);
                slide(&s0, &w0, &line);
                if (K > 1u) {
                    slide(&s1, &w1, &line);
                }
                if (K > 2u) {
                    slide(&s2, &w2, &line);
                }
                if (K > 3u) {
                    slide(&s3, &w3, &line);
                }
                if (K > 4u) {
                    slide(&s4, &w4, &line);
                }
                if (K > 5u) {
                    slide(&s5, &w5, &line);
                }
                if (K > 6u) {
                    slide(&s6, &w6, &line);
                }
            }
        }
        if (STRIDE > 1u) {
            var s = 0u;
            loop {
                let y = top + i32(step * STRIDE + s);
                if (y >= 0 && y <= bottom) {
                    read_line(&line, image, y, left, channel, count.y);
                    slide(&s0, &w0, &line);
                    if (K > 2u) {
                        slide(&s1, &w2, &line);
                    }
                    if (K > 4u) {
                        slide(&s2, &w4, &line);
                    }
                    if (K > 6u) {
                        slide(&s3, &w6, &line);
                    }
                }
                swap_rows(&w0, &w1);
                if (K > 2u) {
                    swap_rows(&w2, &w3);
                }
                if (K > 4u) {
                    swap_rows(&w4, &w5);
                }
                if (K > 6u) {
                    swap_rows(&w6, &w7);
                }
                s++;
                if (s >= count.w) {
                    break;
                }
            }
        }
        if (step + 1u >= SETS) {
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
            let row = (image * params.out_height + first + step + 1u - SETS) * params.out_width + column;
            var i = 0u;
            loop {
                let position = row + i;
                let other = load_other(position, quad);
                let early = select(vec4f(0.0), other, params.join == 2u);
                var y = activate(params.act, done.c0 + bias + early);
                if (KEEP == 1u) {
                    // The input's position is the output's.
                    if (SHIFT > 0u && channel == 0u) {
                        let tail = unpack(input[position * params.x4 + quad]);
                        y = select(y, tail, vec4u(0u, 1u, 2u, 3u) < vec4u(SHIFT));
                    }
                    if (channel < kept4) {
                        let x = unpack(input[position * params.x4 + channel]);
                        kept_sum += x;
                        output[position * params.y4 + channel] = repack(x + load_other(position, channel));
                    }
                }
                sum += y;
                output[position * params.y4 + quad] = repack(y + (other - early));
                push_output(&done, done.c0);
                i++;
                if (i >= columns) {
                    break;
                }
            }
        }
        if (SETS > 6u) {
            s6 = s5;
        }
        if (SETS > 5u) {
            s5 = s4;
        }
        if (SETS > 4u) {
            s4 = s3;
        }
        if (SETS > 3u) {
            s3 = s2;
        }
        if (SETS > 2u) {
            s2 = s1;
        }
        if (SETS > 1u) {
            s1 = s0;
        }
        s0 = Strip();
        step++;
        if (step >= rows + SETS - 1u) {
            break;
        }
    }
    if (params.squeeze == 1u) {
        let tile = ((image * params.tiles_y + tile_y) * params.tiles_x + id.y) * params.y4;
        squeeze[tile + quad] = sum;
        if (KEEP == 1u) {
            if (channel < kept4) {
                squeeze[tile + channel] = kept_sum;
            }
        }
    }
}
