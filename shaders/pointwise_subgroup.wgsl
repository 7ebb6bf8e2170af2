// pointwise for adapters whose subgroups have at least eight lanes: the same product, bindings and weights.
//
// An invocation computes ROWS positions x COLS quads of output channels. A workgroup's lanes lie along positions and
// share the channels, so lanes 0 to 7 of a subgroup each load another of the weights, and every lane gets all by
// broadcast. Broadcasts need those lanes active: no lane returns early, positions past the end repeat the last one
// and are not stored. Grid: x over groups of WG_X x ROWS positions, channels first, z over slices as in pointwise.

const ROWS: u32 = 4u;
const COLS: u32 = 4u;

override WG_X: u32 = 8u;
override GATE: u32 = 0u;

// What there is at an invocation's positions: inputs, or sums of one output quad.
struct Rows {
    r0: vec4<f32>,
    r1: vec4<f32>,
    r2: vec4<f32>,
    r3: vec4<f32>,
}

fn multiply(sum: vec4<f32>, w: mat4x4<f32>, x: vec4<f32>) -> vec4<f32> {
    let two = fma(w[1], vec4<f32>(x.y), fma(w[0], vec4<f32>(x.x), sum));
    return fma(w[3], vec4<f32>(x.w), fma(w[2], vec4<f32>(x.z), two));
}

// Adds the share of one input quad. `w` has a column per input channel.
fn accumulate(s: Rows, w: mat4x4<f32>, x: Rows) -> Rows {
    return Rows(multiply(s.r0, w, x.r0), multiply(s.r1, w, x.r1), multiply(s.r2, w, x.r2), multiply(s.r3, w, x.r3));
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
    let bias_a = subgroupBroadcast(bias, 0u);
    let bias_b = subgroupBroadcast(bias, 1u);
    let bias_c = subgroupBroadcast(bias, 2u);
    let bias_d = subgroupBroadcast(bias, 3u);
    var a = Rows(bias_a, bias_a, bias_a, bias_a);
    var b = Rows(bias_b, bias_b, bias_b, bias_b);
    var c = Rows(bias_c, bias_c, bias_c, bias_c);
    var d = Rows(bias_d, bias_d, bias_d, bias_d);
    for (var k = 0u; k < params.cin4; k++) {
        var x = Rows(unpack(input[x0 + k]), unpack(input[x1 + k]), unpack(input[x2 + k]), unpack(input[x3 + k]));
        if (GATE == 1u) {
            let g = unpack(gate[group.z * params.x4 + at_n.k0 + k]);
            x = Rows(x.r0 * g, x.r1 * g, x.r2 * g, x.r3 * g);
        }
        // Input channels 0 (lanes 0 to 3) and 1 (lanes 4 to 7), then 2 and 3.
        let low = unpack(weights[at]);
        let high = unpack(weights[at + 2u * params.cout4]);
        at += 4u * params.cout4;
        // Quad by quad at all positions: few weights are alive at a time. The lane of a broadcast must be a constant.
        a = accumulate(
            a,
            mat4x4<f32>(
                subgroupBroadcast(low, 0u),
                subgroupBroadcast(low, 4u),
                subgroupBroadcast(high, 0u),
                subgroupBroadcast(high, 4u),
            ),
            x,
        );
        b = accumulate(
            b,
            mat4x4<f32>(
                subgroupBroadcast(low, 1u),
                subgroupBroadcast(low, 5u),
                subgroupBroadcast(high, 1u),
                subgroupBroadcast(high, 5u),
            ),
            x,
        );
        c = accumulate(
            c,
            mat4x4<f32>(
                subgroupBroadcast(low, 2u),
                subgroupBroadcast(low, 6u),
                subgroupBroadcast(high, 2u),
                subgroupBroadcast(high, 6u),
            ),
            x,
        );
        d = accumulate(
            d,
            mat4x4<f32>(
                subgroupBroadcast(low, 3u),
                subgroupBroadcast(low, 7u),
                subgroupBroadcast(high, 3u),
                subgroupBroadcast(high, 7u),
            ),
            x,
        );
    }
    // Stored by one instruction in a short loop whose trip count no compiler knows, see common/tile.wgsl.
    let used = min(params.rolled.x, params.pixels - min(row, params.pixels));
    let quads = min(params.rolled.y, at_n.quads);
    for (var j = 0u; j < quads; j++) {
        for (var i = 0u; i < used; i++) {
            store(first + row + i, n + j, params.act, params.join, a.r0);
            a = Rows(a.r1, a.r2, a.r3, a.r0);
        }
        a = b;
        b = c;
        c = d;
    }
}
