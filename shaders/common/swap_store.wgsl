// How a position's sums in a tile of swap.wgsl are stored. Of the tile's quads, the first of which is `n`, `quads` are its
// product's.
fn finish(sums: mat4x4f, position: u32, n: u32, lane: u32, quads: u32, act: u32, join: u32) {
    var s = sums;
    // What stores a quad is there once: compilers of software adapters take long for it.
    for (var r = 0u; r < 4u; r++) {
        let quad = lane ^ r;
        if (quad < quads) {
            store(position, n + quad, act, join, s[0]);
        }
        s = mat4x4f(s[1], s[2], s[3], s[0]);
    }
}
