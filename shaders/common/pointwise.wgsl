// What the shaders of the 1x1 convolution share: parameters, operands, where a tile lies and how a result is stored.

struct Params {
    // Positions of a slice.
    pixels: u32,
    // Input quads of a product, output quads and tiles of all products.
    cin4: u32,
    cout4: u32,
    tiles_n: u32,
    act: u32,
    // 0 without a gate, 1 with one that is read; in excite_pointwise.wgsl 2 where it is computed, 3 where that is all.
    gate: u32,
    join: u32,
    joined: u32,
    // Quads of the input tensor, and the first that counts.
    x4: u32,
    first4: u32,
    // Output quads and tiles of a product.
    group4: u32,
    group_tiles: u32,
    // Quads of the other tensor and of the output tensor.
    other4: u32,
    y4: u32,
    // 1 where the other tensor lies in the output, which takes its place.
    in_place: u32,
    pad1: u32,
    rolled: vec4u,
    // Squeeze-and-excitation in front of the product, where the gate is computed here: Excite in common/excite_params.wgsl.
    h4: u32,
    tiles: u32,
    inverse: f32,
    hidden_act: u32,
    gate_act: u32,
}

override INTERLEAVE: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;
@group(0) @binding(4) var<storage, read> gate: array<Stored>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;

// Activates, joins and stores output quad `quad` of a position. By turns with another tensor, a quad of each becomes two.
fn store(position: u32, quad: u32, act: u32, join: u32, sum: vec4f) {
    var other = vec4f(0.0);
    if (join > 0u) {
        let at = position * params.other4 + quad;
        if (params.in_place == 1u) {
            other = recall(output[at]);
        } else {
            other = unpack(residual[at]);
        }
        other = first_channels(other, quad, params.joined);
    }
    if (INTERLEAVE == 1u) {
        let y = activate(act, sum);
        let at = position * params.y4 + 2u * quad;
        output[at] = repack(vec4f(other.x, y.x, other.y, y.y));
        if (2u * quad + 1u < params.y4) {
            output[at + 1u] = repack(vec4f(other.z, y.z, other.w, y.w));
        }
    } else {
        output[position * params.y4 + quad] = repack(activate_joined(act, join, sum, other));
    }
}
