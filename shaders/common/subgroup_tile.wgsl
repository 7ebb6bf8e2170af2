// A register tile of a matrix product, ROWS positions by COLS quads of output channels, for adapters whose subgroups
// have at least eight lanes.
//
// A workgroup's lanes lie along positions and share the channels, so lanes 0 to 7 of a subgroup each load another of the
// weights, and every lane gets all by broadcast. Broadcasts need those lanes active: no lane returns early, positions
// past the end repeat the last one and are not used.

const ROWS: u32 = 4u;
const COLS: u32 = 4u;

// What there is at an invocation's positions: inputs, or sums of one output quad.
struct Rows {
    r0: vec4<f32>,
    r1: vec4<f32>,
    r2: vec4<f32>,
    r3: vec4<f32>,
}

// The sums of each output quad.
struct Tile {
    a: Rows,
    b: Rows,
    c: Rows,
    d: Rows,
}

fn fill(v: vec4<f32>) -> Rows {
    return Rows(v, v, v, v);
}

fn multiply(sum: vec4<f32>, w: mat4x4<f32>, x: vec4<f32>) -> vec4<f32> {
    let two = fma(w[1], vec4<f32>(x.y), fma(w[0], vec4<f32>(x.x), sum));
    return fma(w[3], vec4<f32>(x.w), fma(w[2], vec4<f32>(x.z), two));
}

// Adds the share of one input quad. `w` has a column per input channel.
fn accumulate(s: Rows, w: mat4x4<f32>, x: Rows) -> Rows {
    return Rows(multiply(s.r0, w, x.r0), multiply(s.r1, w, x.r1), multiply(s.r2, w, x.r2), multiply(s.r3, w, x.r3));
}

// Which output quad of those from `n` on the lane loads, the last one for columns past it.
fn column_of(lane: u32, n: u32, cout4: u32) -> u32 {
    return min(n + (lane & 3u), cout4 - 1u);
}

// The weights of input channel 0 (lanes 0 to 3) or 1 (lanes 4 to 7) of the first input quad.
fn first_weights(lane: u32, column: u32, cout4: u32) -> u32 {
    return (((lane >> 2u) & 1u) + 1u) * cout4 + column;
}

// The sums before the first input: the bias.
fn biased(column: u32) -> Tile {
    let bias = unpack(weights[column]);
    return Tile(
        fill(subgroupBroadcast(bias, 0u)),
        fill(subgroupBroadcast(bias, 1u)),
        fill(subgroupBroadcast(bias, 2u)),
        fill(subgroupBroadcast(bias, 3u)),
    );
}

// Adds the products of one input quad with its weights, this lane's of which lie at `at` and two channels further.
// Quad by quad at all positions: few weights are alive at a time. The lane of a broadcast must be a constant.
fn accumulate_quad(t: Tile, x: Rows, at: u32, cout4: u32) -> Tile {
    let low = unpack(weights[at]);
    let high = unpack(weights[at + 2u * cout4]);
    let a = accumulate(
        t.a,
        mat4x4<f32>(
            subgroupBroadcast(low, 0u),
            subgroupBroadcast(low, 4u),
            subgroupBroadcast(high, 0u),
            subgroupBroadcast(high, 4u),
        ),
        x,
    );
    let b = accumulate(
        t.b,
        mat4x4<f32>(
            subgroupBroadcast(low, 1u),
            subgroupBroadcast(low, 5u),
            subgroupBroadcast(high, 1u),
            subgroupBroadcast(high, 5u),
        ),
        x,
    );
    let c = accumulate(
        t.c,
        mat4x4<f32>(
            subgroupBroadcast(low, 2u),
            subgroupBroadcast(low, 6u),
            subgroupBroadcast(high, 2u),
            subgroupBroadcast(high, 6u),
        ),
        x,
    );
    let d = accumulate(
        t.d,
        mat4x4<f32>(
            subgroupBroadcast(low, 3u),
            subgroupBroadcast(low, 7u),
            subgroupBroadcast(high, 3u),
            subgroupBroadcast(high, 7u),
        ),
        x,
    );
    return Tile(a, b, c, d);
}
