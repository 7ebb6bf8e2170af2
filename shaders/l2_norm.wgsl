// Each position's channels over their L2 norm, times a factor per channel.
//
// Grid: x over positions, y over images. Weights: a factor per channel.

struct Params {
    pixels: u32,
    c4: u32,
    channels: u32,
    pad: u32,
}

override WG_X: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;

@compute @workgroup_size(WG_X)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= params.pixels) {
        return;
    }
    let at = (id.y * params.pixels + id.x) * params.c4;
    var squares = vec4f(0.0);
    for (var i = 0u; i < params.c4; i++) {
        // Padded channels hold anything finite.
        let v = first_channels(unpack(input[at + i]), i, params.channels);
        squares += v * v;
    }
    let norm = max(sqrt(dot(squares, vec4f(1.0))), 1e-12);
    for (var i = 0u; i < params.c4; i++) {
        output[at + i] = repack(unpack(input[at + i]) / norm * unpack(weights[i]));
    }
}
