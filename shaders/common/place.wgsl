// Where a tile along output channels lies: its product's first input quad, its first output quad, and how many output
// quads its product has from there on. Groups of channels are products side by side.
struct Place {
    k0: u32,
    n: u32,
    quads: u32,
}

fn place(tile: u32, cols: u32) -> Place {
    let product = tile / params.group_tiles;
    let column = (tile - product * params.group_tiles) * cols;
    return Place(params.first4 + product * params.cin4, product * params.group4 + column, params.group4 - column);
}
