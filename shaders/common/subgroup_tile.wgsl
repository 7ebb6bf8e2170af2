// A tile of a matrix product, ROWS positions by COLS quads of output channels, for adapters whose subgroups have at least
// eight lanes.
//
// A workgroup's lanes lie along positions and share the channels, so lanes 0 to 7 of a subgroup each load another of the
// weights, and every lane gets all by broadcast. Broadcasts need those lanes active: no lane returns early, positions
// past the end repeat the last one and are not used.
//
// A kernel says how many quads its tile has, COLS, and the most of any pipeline, MAX_COLS: sizes must be constants.
//
// Loops whose trip count is a constant are for the compiler to unroll. The sums are stored by a variable index, so they
// stay in memory, and the tile is as large as it takes to load few operands for many products.

const ROWS: u32 = 7u;

// What there is at an invocation's positions: inputs, or sums of one output quad.
alias Rows = array<vec4<f32>, ROWS>;
// The sums of each output quad, COLS in use.
alias Tile = array<vec4<f32>, MAX_COLS * ROWS>;

// A factor that changes nothing. No compiler knows, so what was loaded as words of 64 bits becomes numbers where it is
// multiplied: without that, lavapipe moves registers of 512 bits among the products, which take half as long again.
fn one(positive: u32) -> f32 {
    return f32(min(positive, 1u));
}

fn multiply(sum: vec4<f32>, w: mat4x4<f32>, x: vec4<f32>) -> vec4<f32> {
    let two = fma(w[1], vec4<f32>(x.y), fma(w[0], vec4<f32>(x.x), sum));
    return fma(w[3], vec4<f32>(x.w), fma(w[2], vec4<f32>(x.z), two));
}

// Adds the share of one input quad to an output quad's sums. `w` has a column per input channel.
fn accumulate(tile: ptr<function, Tile>, quad: u32, w: mat4x4<f32>, x: ptr<function, Rows>) {
    for (var i = 0u; i < ROWS; i++) {
        (*tile)[quad * ROWS + i] = multiply((*tile)[quad * ROWS + i], w, (*x)[i]);
    }
}

// Which output quads of those from `n` on the lane loads, one of each batch, the last one for columns past it.
fn columns_of(lane: u32, n: u32, cout4: u32) -> vec2<u32> {
    return min(vec2<u32>(n, n + 4u) + (lane & 3u), vec2<u32>(cout4 - 1u));
}

// The weights of input channel 0 (lanes 0 to 3) or 1 (lanes 4 to 7) of the first input quad.
fn first_weights(lane: u32, columns: vec2<u32>, cout4: u32) -> vec2<u32> {
    return (((lane >> 2u) & 1u) + 1u) * cout4 + columns;
}

// The sums before the first input: the bias.
fn bias(tile: ptr<function, Tile>, columns: vec2<u32>) {
    bias_batch(tile, 0u, unpack(weights[columns.x]));
    if (COLS > 4u) {
        bias_batch(tile, 4u, unpack(weights[columns.y]));
    }
}

fn bias_batch(tile: ptr<function, Tile>, quad: u32, loaded: vec4<f32>) {
    for (var i = 0u; i < ROWS; i++) {
        (*tile)[quad * ROWS + i] = subgroupBroadcast(loaded, 0u);
        (*tile)[(quad + 1u) * ROWS + i] = subgroupBroadcast(loaded, 1u);
        (*tile)[(quad + 2u) * ROWS + i] = subgroupBroadcast(loaded, 2u);
        (*tile)[(quad + 3u) * ROWS + i] = subgroupBroadcast(loaded, 3u);
    }
}

// Adds the products of one input quad with its weights, this lane's of which lie at `at` and two channels further.
fn accumulate_quad(tile: ptr<function, Tile>, x: ptr<function, Rows>, at: vec2<u32>, cout4: u32, factor: f32) {
    let next = at + 2u * cout4;
    accumulate_batch(tile, 0u, x, unpack(weights[at.x]) * factor, unpack(weights[next.x]) * factor);
    if (COLS > 4u) {
        accumulate_batch(tile, 4u, x, unpack(weights[at.y]) * factor, unpack(weights[next.y]) * factor);
    }
}

// Quad by quad: few weights are alive at a time. The lane of a broadcast must be a constant.
fn accumulate_batch(
    tile: ptr<function, Tile>,
    quad: u32,
    x: ptr<function, Rows>,
    low: vec4<f32>,
    high: vec4<f32>,
) {
    let a = mat4x4<f32>(
        subgroupBroadcast(low, 0u),
        subgroupBroadcast(low, 4u),
        subgroupBroadcast(high, 0u),
        subgroupBroadcast(high, 4u),
    );
    accumulate(tile, quad, a, x);
    let b = mat4x4<f32>(
        subgroupBroadcast(low, 1u),
        subgroupBroadcast(low, 5u),
        subgroupBroadcast(high, 1u),
        subgroupBroadcast(high, 5u),
    );
    accumulate(tile, quad + 1u, b, x);
    let c = mat4x4<f32>(
        subgroupBroadcast(low, 2u),
        subgroupBroadcast(low, 6u),
        subgroupBroadcast(high, 2u),
        subgroupBroadcast(high, 6u),
    );
    accumulate(tile, quad + 2u, c, x);
    let d = mat4x4<f32>(
        subgroupBroadcast(low, 3u),
        subgroupBroadcast(low, 7u),
        subgroupBroadcast(high, 3u),
        subgroupBroadcast(high, 7u),
    );
    accumulate(tile, quad + 3u, d, x);
}
