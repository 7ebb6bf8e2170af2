// conv for adapters whose subgroups have at least eight lanes: the same result, bindings and weights.
//
// Grid: x over groups of WG_X x ROWS output positions of an image, channels first, z over images.

const COLS: u32 = 4u;
const MAX_COLS: u32 = COLS;

override WG_X: u32 = 8u;

// Where the windows of the lane's rows start, the tap and the first input quad.
struct Inputs {
    corners: array<vec2i, ROWS>,
    tap: Tap,
    image: u32,
    k0: u32,
    factor: f32,
}

fn input_quad(inputs: ptr<function, Inputs>, i: u32) -> vec4f {
    let at = (*inputs).corners[i] + (*inputs).tap.at;
    return load((*inputs).image, at, (*inputs).k0 + (*inputs).tap.quad) * (*inputs).factor;
}

@compute @workgroup_size(WG_X)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let tile_row = group.x / params.tiles_n;
    let at_n = place(group.x - tile_row * params.tiles_n, COLS);
    let n = at_n.n;
    let pixels = params.out_height * params.out_width;
    let tile_at = Positions(tile_row * WG_X * ROWS, local.x, WG_X, pixels);
    let factor = one(pixels);
    var inputs: Inputs;
    for (var i = 0u; i < ROWS; i++) {
        inputs.corners[i] = corner(position(tile_at, i));
    }
    inputs.image = group.z;
    inputs.k0 = at_n.k0;
    inputs.factor = factor;
    let columns = columns_of(lane, n, params.cout4);
    var at = first_weights(lane, columns, params.cout4);
    var tile: Tile;
    bias(&tile, columns);
    // One loop over taps and input quads: each loop more would carry all sums once more.
    var left = K * K * params.cin4;
    loop {
        var w: Weights;
        share_weights(&w, at, params.cout4, factor);
        accumulate_quad(&tile, &w, &inputs, count_rows(tile_at, 0u), at_n.quads);
        at += 4u * params.cout4;
        inputs.tap = next(inputs.tap);
        left--;
        if (left == 0u) {
            break;
        }
    }
    store_tile(&tile, tile_at, group.z * pixels, n, at_n.quads);
}
