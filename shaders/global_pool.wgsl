// Mean over positions.
//
// Grid: x over channel quads, z over images. PARTS > 1 shares an image's positions among the workgroup's y lanes
// and adds their sums up in workgroup memory, in a fixed order.

struct Params {
    pixels: u32,
    c4: u32,
    inverse: f32,
    pad: u32,
}

override WG_X: u32 = 8u;
override PARTS: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;

var<workgroup> shared_sums: array<vec4f, WG_X * PARTS>;

@compute @workgroup_size(WG_X, PARTS)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let channel = min(id.x, params.c4 - 1u);
    let first = id.z * params.pixels * params.c4 + channel;
    var sum = vec4f(0.0);
    for (var p = local.y; p < params.pixels; p += PARTS) {
        sum += unpack(input[first + p * params.c4]);
    }
    if (PARTS > 1u) {
        shared_sums[local.y * WG_X + local.x] = sum;
        workgroupBarrier();
        sum = vec4f(0.0);
        for (var part = 0u; part < PARTS; part++) {
            sum += shared_sums[part * WG_X + local.x];
        }
    }
    if (local.y == 0u && id.x < params.c4) {
        output[id.z * params.c4 + channel] = repack(sum * params.inverse);
    }
}
