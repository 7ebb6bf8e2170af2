// y = act(x * gate + other).
//
// Grid: x over channel quads, y over positions, z over images.

struct Params {
    pixels: u32,
    c4: u32,
    act: u32,
    gate: u32,
    residual: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

override WG_X: u32 = 8u;
override WG_Y: u32 = 8u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;
@group(0) @binding(4) var<storage, read> gate: array<Stored>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= params.c4 || id.y >= params.pixels) {
        return;
    }
    let i = (id.z * params.pixels + id.y) * params.c4 + id.x;
    var v = unpack(input[i]);
    if (params.gate == 1u) {
        v *= unpack(gate[id.z * params.c4 + id.x]);
    }
    if (params.residual > 0u) {
        v += first_channels(unpack(residual[i]), id.x, params.residual);
    }
    output[i] = repack(activate(params.act, v));
}
