// How a position's sums in a tile of swap.wgsl are stored. Of the tile's quads, the first of which is `n`, `quads` are its
// product's.
fn finish(sums: mat4x4<f32>, position: u32, n: u32, lane: u32, quads: u32, act: u32, join: u32) {
    if (lane < quads) {
        store(position, n + lane, act, join, sums[0]);
    }
    if ((lane ^ 1u) < quads) {
        store(position, n + (lane ^ 1u), act, join, sums[1]);
    }
    if ((lane ^ 2u) < quads) {
        store(position, n + (lane ^ 2u), act, join, sums[2]);
    }
    if ((lane ^ 3u) < quads) {
        store(position, n + (lane ^ 3u), act, join, sums[3]);
    }
}
