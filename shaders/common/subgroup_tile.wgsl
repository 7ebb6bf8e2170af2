// A tile of a matrix product, ROWS positions by COLS quads of output channels, for adapters whose subgroups have at least
// eight lanes.
//
// A workgroup's lanes lie along positions and share the channels, so lanes 0 to 7 of a subgroup each load another of the
// weights, and every lane gets all by broadcast. Broadcasts need those lanes active: no lane returns early, positions
// past the end repeat the last one and are not used.
//
// A kernel says how many quads its tile has, COLS, and the most of any pipeline, MAX_COLS: sizes must be constants. It
// declares `Inputs`, which tell where its positions' inputs lie, and `input_quad`, which loads one of them.
//
// Loops whose trip count is a constant are for the compiler to unroll. The sums are stored by a variable index, so they
// stay in memory, and the tile is as large as it takes to load few operands for many products. A row's input is loaded
// just before its products: few values are alive at a time.
//
// Other loops end with their condition. Where they begin with it, lavapipe runs what follows once more with no lane active.
// What an `if` rules out for all lanes it skips.

const ROWS: u32 = 7u;

// The sums of each output quad, COLS in use.
alias Tile = array<vec4f, MAX_COLS * ROWS>;
// The weights of an input quad for each output quad.
alias Weights = array<mat4x4f, MAX_COLS>;

// A factor that changes nothing. No compiler knows, so what was loaded as words of 64 bits becomes numbers where it is
// multiplied: without that, lavapipe moves registers of 512 bits among the products, which take half as long again.
fn one(positive: u32) -> f32 {
    return f32(min(positive, 1u));
}

// The positions of a tile: row `i` of a lane is position `first + i * lanes + lane` of `count`. Rows past the last position
// of all lanes are neither loaded nor multiplied.
struct Positions {
    first: u32,
    lane: u32,
    lanes: u32,
    count: u32,
}

// The position of the lane's row `i`, the last of all where it has none.
fn position(at: Positions, i: u32) -> u32 {
    return min(at.first + i * at.lanes + at.lane, at.count - 1u);
}

// How many rows a lane has; the first has the most.
fn count_rows(at: Positions, lane: u32) -> u32 {
    return (at.count - min(at.first + lane, at.count) + at.lanes - 1u) / at.lanes;
}

// Which output quads of those from `n` on the lane loads, one of each batch, the last one for columns past it.
fn columns_of(lane: u32, n: u32, cout4: u32) -> vec2u {
    return min(vec2u(n, n + 4u) + (lane & 3u), vec2u(cout4 - 1u));
}

// The weights of input channel 0 (lanes 0 to 3) or 1 (lanes 4 to 7) of the first input quad.
fn first_weights(lane: u32, columns: vec2u, cout4: u32) -> vec2u {
    return (((lane >> 2u) & 1u) + 1u) * cout4 + columns;
}

// The sums before the first input: the bias.
fn bias(tile: ptr<function, Tile>, columns: vec2u) {
    bias_batch(tile, 0u, unpack(weights[columns.x]));
    if (COLS > 4u) {
        bias_batch(tile, 4u, unpack(weights[columns.y]));
    }
}

fn bias_batch(tile: ptr<function, Tile>, quad: u32, loaded: vec4f) {
    for (var i = 0u; i < ROWS; i++) {
        (*tile)[quad * ROWS + i] = subgroupBroadcast(loaded, 0u);
        (*tile)[(quad + 1u) * ROWS + i] = subgroupBroadcast(loaded, 1u);
        (*tile)[(quad + 2u) * ROWS + i] = subgroupBroadcast(loaded, 2u);
        (*tile)[(quad + 3u) * ROWS + i] = subgroupBroadcast(loaded, 3u);
    }
}

// The weights of one input quad, this lane's of which lie at `at` and two channels further.
fn share_weights(w: ptr<function, Weights>, at: vec2u, cout4: u32, factor: f32) {
    let next = at + 2u * cout4;
    share_batch(w, 0u, unpack(weights[at.x]) * factor, unpack(weights[next.x]) * factor);
    if (COLS > 4u) {
        share_batch(w, 4u, unpack(weights[at.y]) * factor, unpack(weights[next.y]) * factor);
    }
}

// The lane of a broadcast must be a constant.
fn share_batch(w: ptr<function, Weights>, quad: u32, low: vec4f, high: vec4f) {
    (*w)[quad] = mat4x4f(
        subgroupBroadcast(low, 0u),
        subgroupBroadcast(low, 4u),
        subgroupBroadcast(high, 0u),
        subgroupBroadcast(high, 4u),
    );
    (*w)[quad + 1u] = mat4x4f(
        subgroupBroadcast(low, 1u),
        subgroupBroadcast(low, 5u),
        subgroupBroadcast(high, 1u),
        subgroupBroadcast(high, 5u),
    );
    (*w)[quad + 2u] = mat4x4f(
        subgroupBroadcast(low, 2u),
        subgroupBroadcast(low, 6u),
        subgroupBroadcast(high, 2u),
        subgroupBroadcast(high, 6u),
    );
    (*w)[quad + 3u] = mat4x4f(
        subgroupBroadcast(low, 3u),
        subgroupBroadcast(low, 7u),
        subgroupBroadcast(high, 3u),
        subgroupBroadcast(high, 7u),
    );
}

// Adds the products of one input quad of `rows` rows with its weights to the sums of `quads` output quads.
fn accumulate_quad(tile: ptr<function, Tile>, w: ptr<function, Weights>, inputs: ptr<function, Inputs>, rows: u32, quads: u32) {
    accumulate_row(tile, w, inputs, 0u, rows, quads);
    accumulate_row(tile, w, inputs, 1u, rows, quads);
    accumulate_row(tile, w, inputs, 2u, rows, quads);
    accumulate_row(tile, w, inputs, 3u, rows, quads);
    accumulate_row(tile, w, inputs, 4u, rows, quads);
    accumulate_row(tile, w, inputs, 5u, rows, quads);
    accumulate_row(tile, w, inputs, 6u, rows, quads);
}

fn accumulate_row(
    tile: ptr<function, Tile>,
    w: ptr<function, Weights>,
    inputs: ptr<function, Inputs>,
    i: u32,
    rows: u32,
    quads: u32,
) {
    if (i < rows) {
        let x = input_quad(inputs, i);
        accumulate_batch(tile, w, x, i, 0u);
        if (COLS > 4u) {
            if (quads > 4u) {
                accumulate_batch(tile, w, x, i, 4u);
            }
        }
    }
}

fn accumulate_batch(tile: ptr<function, Tile>, w: ptr<function, Weights>, x: vec4f, i: u32, first: u32) {
    for (var quad = first; quad < first + 4u; quad++) {
        let at = quad * ROWS + i;
        (*tile)[at] = multiply((*tile)[at], (*w)[quad], x);
    }
}

// `w` has a column per input channel.
fn multiply(sum: vec4f, w: mat4x4f, x: vec4f) -> vec4f {
    let two = fma(w[1], vec4f(x.y), fma(w[0], vec4f(x.x), sum));
    return fma(w[3], vec4f(x.w), fma(w[2], vec4f(x.z), two));
}
