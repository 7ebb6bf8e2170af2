// The product and mean of head_pool.wgsl in tiles of swap.wgsl. Grid: x over tiles of output quads, z over images.

override WG_X: u32 = 4u;

fn gate_of(k: u32) -> vec4f {
    return vec4f(1.0);
}

// Adds the result at a position, if the image has it. What activates a quad is there once.
fn add_up(total: mat4x4f, sums: mat4x4f, counts: bool) -> mat4x4f {
    let one = select(0.0, 1.0, counts);
    var t = total;
    var s = sums;
    for (var r = 0u; r < 4u; r++) {
        t = mat4x4f(t[1], t[2], t[3], t[0] + one * activate(params.act, s[0]));
        s = mat4x4f(s[1], s[2], s[3], s[0]);
    }
    return t;
}

@compute @workgroup_size(WG_X)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) id: u32) {
    let lane = id & 3u;
    let quad = group.x * 4u + lane;
    let pixels = params.pixels;
    var total: mat4x4f;
    for (var row = 0u; row < pixels; row += 4u * ROWS) {
        let position = row + lane;
        let rows = rows_of(group.z * pixels, position, pixels - 1u, params.cin4, 0u);
        var s = product(rows, params.cin4, min(quad, params.cout4 - 1u), params.cout4);
        for (var i = 0u; i < ROWS; i++) {
            total = add_up(total, s.s0, position + 4u * i < pixels);
            s = moved_up(s);
        }
    }
    // Each lane has sums of all four quads over its own positions.
    let sum = total[0] + quadSwapX(total[1]) + quadSwapY(total[2]) + quadSwapDiagonal(total[3]);
    if (quad < params.cout4) {
        output[group.z * params.cout4 + quad] = repack(sum * params.inverse);
    }
}
