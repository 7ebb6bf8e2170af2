// The product of pointwise.wgsl in tiles of swap.wgsl. Grid: x over positions, y over channels, z over slices.
//
// What is applied to the sums is fixed when the pipeline is made, as far as it pays: SwiftShader executes every branch.
// With JOIN = 0 no other tensor joins.

override WG_X: u32 = 4u;
override GATE: u32 = 0u;
override JOIN: u32 = 1u;

var<private> gates: u32;

fn gate_of(k: u32) -> vec4f {
    if (GATE == 1u) {
        return unpack(gate[gates + k]);
    }
    return vec4f(1.0);
}

@compute @workgroup_size(WG_X)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) id: u32) {
    let lane = id & 3u;
    let tile = place(group.y, 4u);
    let position = group.x * 4u * ROWS + lane;
    let last = params.pixels - 1u;
    let first = group.z * params.pixels;
    gates = group.z * params.x4 + tile.k0;
    let rows = rows_of(first, position, last, params.x4, tile.k0);
    let join = select(params.join, 0u, JOIN == 0u);
    var s = product(rows, params.cin4, min(tile.n + lane, params.cout4 - 1u), params.cout4);
    // What stores sums is there once: written out for each position it took most of the time to compile.
    for (var i = 0u; i < ROWS; i++) {
        let at = position + 4u * i;
        finish(s.s0, first + at, tile.n, lane, select(0u, tile.quads, at <= last), params.act, join);
        s = moved_up(s);
    }
}
