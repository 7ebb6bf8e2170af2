// conv for adapters whose subgroups have at least eight lanes: the same result, bindings and weights.
//
// Grid: x over groups of WG_X x ROWS output positions of an image, channels first, z over images.

override WG_X: u32 = 8u;

// The input position of a window's first tap.
struct Corner {
    y: i32,
    x: i32,
}

fn corner(position: u32) -> Corner {
    let row = position / params.out_width;
    let column = position - row * params.out_width;
    return Corner(i32(row * STRIDE) - i32(params.pad_top), i32(column * STRIDE) - i32(params.pad_left));
}

// An input quad of a tap, zero outside the map.
fn load(c: Corner, tap: vec2<u32>, image: u32, quad: u32) -> vec4<f32> {
    let y = c.y + i32(tap.y * DILATION);
    let x = c.x + i32(tap.x * DILATION);
    let bottom = i32(params.height) - 1;
    let right = i32(params.width) - 1;
    let at = (image * params.height + u32(clamp(y, 0, bottom))) * params.width + u32(clamp(x, 0, right));
    let v = unpack(input[at * params.x4 + quad]);
    return select(vec4<f32>(0.0), v, y >= 0 && y <= bottom && x >= 0 && x <= right);
}

fn store(position: u32, quad: u32, act: u32, join: u32, sum: vec4<f32>) {
    let at = position * params.cout4 + quad;
    var other = vec4<f32>(0.0);
    if (RESIDUAL == 1u) {
        other = first_channels(unpack(residual[at]), quad, params.joined);
    }
    output[at] = repack(activate_joined(act, join, sum, other));
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
    let pixels = params.out_height * params.out_width;
    let last = pixels - 1u;
    let c0 = corner(min(row, last));
    let c1 = corner(min(row + 1u, last));
    let c2 = corner(min(row + 2u, last));
    let c3 = corner(min(row + 3u, last));
    let column = column_of(lane, n, params.cout4);
    var at = first_weights(lane, column, params.cout4);
    var tile = biased(column);
    // One loop over taps and input quads: each loop more would carry all sums once more.
    var tap = vec2<u32>(0u);
    var k = 0u;
    for (var left = K * K * params.cin4; left > 0u; left--) {
        let quad = at_n.k0 + k;
        let x = Rows(
            load(c0, tap, group.z, quad),
            load(c1, tap, group.z, quad),
            load(c2, tap, group.z, quad),
            load(c3, tap, group.z, quad),
        );
        tile = accumulate_quad(tile, x, at, params.cout4);
        at += 4u * params.cout4;
        k = select(k + 1u, 0u, k + 1u == params.cin4);
        tap.x = select(tap.x, select(tap.x + 1u, 0u, tap.x + 1u == K), k == 0u);
        tap.y = select(tap.y, tap.y + 1u, k == 0u && tap.x == 0u);
    }
    let used = min(params.rolled.x, pixels - min(row, pixels));
    store_tile(tile, group.z * pixels + row, used, n, min(params.rolled.y, at_n.quads));
}
