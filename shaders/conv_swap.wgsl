// The convolution of conv.wgsl in tiles of swap.wgsl. Grid: x over output positions, y over channels, z over images.

override WG_X: u32 = 4u;

@compute @workgroup_size(WG_X)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) id: u32) {
    let lane = id & 3u;
    let tile = place(group.y, 4u);
    let pixels = params.out_height * params.out_width;
    let last = pixels - 1u;
    let position = group.x * 4u * ROWS + lane;
    let c0 = corner(min(position, last));
    let c1 = corner(min(position + 4u, last));
    let c2 = corner(min(position + 8u, last));
    let c3 = corner(min(position + 12u, last));
    let c4 = corner(min(position + 16u, last));
    let c5 = corner(min(position + 20u, last));
    let c6 = corner(min(position + 24u, last));
    let column = min(tile.n + lane, params.cout4 - 1u);
    var at = column + params.cout4;
    var s = biased(column);
    // One loop over taps and input quads: each loop more would carry all sums once more.
    var tap = Tap(vec2i(0), 0u);
    for (var left = K * K * params.cin4; left > 0u; left--) {
        let w = weights_at(at, params.cout4, vec4f(1.0));
        let quad = tile.k0 + tap.quad;
        s.s0 = add(s.s0, load(group.z, c0 + tap.at, quad), w);
        s.s1 = add(s.s1, load(group.z, c1 + tap.at, quad), w);
        if (ROWS > 2u) {
            s.s2 = add(s.s2, load(group.z, c2 + tap.at, quad), w);
            s.s3 = add(s.s3, load(group.z, c3 + tap.at, quad), w);
            s.s4 = add(s.s4, load(group.z, c4 + tap.at, quad), w);
            s.s5 = add(s.s5, load(group.z, c5 + tap.at, quad), w);
            s.s6 = add(s.s6, load(group.z, c6 + tap.at, quad), w);
        }
        at += 4u * params.cout4;
        tap = next(tap);
    }
    let join = select(params.join, 0u, RESIDUAL == 0u);
    for (var i = 0u; i < ROWS; i++) {
        let to = position + 4u * i;
        finish(s.s0, group.z * pixels + to, tile.n, lane, select(0u, tile.quads, to <= last), params.act, join);
        s = moved_up(s);
    }
}
