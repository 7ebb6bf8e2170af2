// Slice, concatenation and shuffle that no other kernel does on the way: channel s of [a | b] to channel c, where a is
// the input from channel `first` on, b the other tensor, and s what the shuffle puts at place c.
//
// Grid: x over output quads, y over positions, z over images.

struct Params {
    pixels: u32,
    // Quads of the input, of the other tensor and of the output.
    a4: u32,
    b4: u32,
    y4: u32,
    first: u32,
    // Channels that come from the input, and of the output.
    from_a: u32,
    channels: u32,
    groups: u32,
}

override WG_X: u32 = 8u;
override WG_Y: u32 = 8u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= params.y4 || id.y >= params.pixels) {
        return;
    }
    let position = id.z * params.pixels + id.y;
    let run = params.channels / params.groups;
    // The last component is the newest: four turns bring each to its place.
    var y = vec4f(0.0);
    for (var i = 0u; i < 4u; i++) {
        // Channels past the last repeat it.
        let c = min(4u * id.x + i, params.channels - 1u);
        let column = c / params.groups;
        let s = (c - column * params.groups) * run + column;
        var quad: vec4f;
        var lane = params.first + s;
        if (s < params.from_a) {
            quad = unpack(input[position * params.a4 + lane / 4u]);
        } else {
            lane = s - params.from_a;
            quad = unpack(residual[position * params.b4 + lane / 4u]);
        }
        y = vec4f(y.yzw, quad[lane % 4u]);
    }
    output[position * params.y4 + id.x] = repack(y);
}
