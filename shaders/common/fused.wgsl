// What the shaders share that keep the tensor between two convolutions in workgroup memory.
//
// A workgroup has WG_X lanes along quads of channels and WG_Y, a power of two, along positions; a lane owns every
// WG_Y-th position, up to four.

override WG_X: u32 = 4u;
override WG_Y: u32 = 64u;

// 16,384 bytes, all that the web grants: WG_X quads of up to 4 * WG_Y positions.
const SLOTS = 1024u;
var<workgroup> tile: array<vec4f, SLOTS>;

// Adds the product of an input quad with its weights, a column an input.
fn add(sum: vec4f, x: vec4f, w: mat4x4f) -> vec4f {
    return fma(w[3], x.wwww, fma(w[2], x.zzzz, fma(w[1], x.yyyy, fma(w[0], x.xxxx, sum))));
}

// What the position lanes of a quad hold together, added up in a fixed order. All lanes come here, behind a barrier.
fn sum_lanes(local: vec3u, value: vec4f) -> vec4f {
    let slot = local.y * WG_X + local.x;
    tile[slot] = value;
    workgroupBarrier();
    for (var half = WG_Y / 2u; half > 0u; half /= 2u) {
        if (local.y < half) {
            tile[slot] += tile[slot + half * WG_X];
        }
        workgroupBarrier();
    }
    return tile[local.x];
}
