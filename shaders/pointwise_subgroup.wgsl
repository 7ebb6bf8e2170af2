// pointwise for adapters whose subgroups have at least eight lanes: the same product, bindings and weights.
//
// An invocation computes ROWS positions x COLS quads of output channels. A workgroup's lanes lie along positions and
// share the channels, so lanes 0 to 7 of a subgroup each load another of the weights, and every lane gets all by
// broadcast. Broadcasts need those lanes active: no lane returns early, positions past the end repeat the last one
// and are not stored. Grid: x over groups of WG_X x ROWS positions, channels first, z over slices as in pointwise.

const ROWS: u32 = 4u;
const COLS: u32 = 4u;

override WG_X: u32 = 8u;

// One position's sums.
struct Cols {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

// The weights of one input quad: a matrix per output quad, a column per input channel.
struct Block {
    a: mat4x4<f32>,
    b: mat4x4<f32>,
    c: mat4x4<f32>,
    d: mat4x4<f32>,
}

// `low` holds input channels 0 (lanes 0 to 3) and 1 (lanes 4 to 7), `high` holds 2 and 3.
fn gather(low: vec4<f32>, high: vec4<f32>) -> Block {
    return Block(
        mat4x4<f32>(
            subgroupBroadcast(low, 0u),
            subgroupBroadcast(low, 4u),
            subgroupBroadcast(high, 0u),
            subgroupBroadcast(high, 4u)
        ),
        mat4x4<f32>(
            subgroupBroadcast(low, 1u),
            subgroupBroadcast(low, 5u),
            subgroupBroadcast(high, 1u),
            subgroupBroadcast(high, 5u)
        ),
        mat4x4<f32>(
            subgroupBroadcast(low, 2u),
            subgroupBroadcast(low, 6u),
            subgroupBroadcast(high, 2u),
            subgroupBroadcast(high, 6u)
        ),
        mat4x4<f32>(
            subgroupBroadcast(low, 3u),
            subgroupBroadcast(low, 7u),
            subgroupBroadcast(high, 3u),
            subgroupBroadcast(high, 7u)
        ),
    );
}

fn multiply(sum: vec4<f32>, w: mat4x4<f32>, x: vec4<f32>) -> vec4<f32> {
    let two = fma(w[1], vec4<f32>(x.y), fma(w[0], vec4<f32>(x.x), sum));
    return fma(w[3], vec4<f32>(x.w), fma(w[2], vec4<f32>(x.z), two));
}

fn accumulate(s: Cols, w: Block, x: vec4<f32>) -> Cols {
    return Cols(multiply(s.a, w.a, x), multiply(s.b, w.b, x), multiply(s.c, w.c, x), multiply(s.d, w.d, x));
}

@compute @workgroup_size(WG_X)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let tile_row = group.x / params.tiles_n;
    let at_n = place(group.x - tile_row * params.tiles_n, COLS);
    let n = at_n.n;
    let row = (tile_row * WG_X + local.x) * ROWS;
    let first = group.z * params.pixels;
    let last = params.pixels - 1u;
    let x0 = (first + min(row, last)) * params.x4 + at_n.k0;
    let x1 = (first + min(row + 1u, last)) * params.x4 + at_n.k0;
    let x2 = (first + min(row + 2u, last)) * params.x4 + at_n.k0;
    let x3 = (first + min(row + 3u, last)) * params.x4 + at_n.k0;
    // This lane's output quad, the last one for columns past it, and the first of its two input channels.
    let column = min(n + (lane & 3u), params.cout4 - 1u);
    var at = (((lane >> 2u) & 1u) + 1u) * params.cout4 + column;
    let bias = unpack(weights[column]);
    var s0 = Cols(
        subgroupBroadcast(bias, 0u),
        subgroupBroadcast(bias, 1u),
        subgroupBroadcast(bias, 2u),
        subgroupBroadcast(bias, 3u),
    );
    var s1 = s0;
    var s2 = s0;
    var s3 = s0;
    for (var k = 0u; k < params.cin4; k++) {
        var g = vec4<f32>(1.0);
        if (params.gate == 1u) {
            g = unpack(gate[group.z * params.x4 + at_n.k0 + k]);
        }
        let w = gather(unpack(weights[at]), unpack(weights[at + 2u * params.cout4]));
        at += 4u * params.cout4;
        s0 = accumulate(s0, w, unpack(input[x0 + k]) * g);
        s1 = accumulate(s1, w, unpack(input[x1 + k]) * g);
        s2 = accumulate(s2, w, unpack(input[x2 + k]) * g);
        s3 = accumulate(s3, w, unpack(input[x3 + k]) * g);
    }
    // Stored by one instruction in a short loop whose trip count no compiler knows, see common/tile.wgsl.
    let used = min(params.rolled.x, params.pixels - min(row, params.pixels));
    let quads = min(params.rolled.y, at_n.quads);
    for (var i = 0u; i < used; i++) {
        for (var j = 0u; j < quads; j++) {
            store(first + row + i, n + j, s0.a);
            s0 = Cols(s0.b, s0.c, s0.d, s0.a);
        }
        s0 = s1;
        s1 = s2;
        s2 = s3;
    }
}
