// The operands of a 1x1 convolution by quads of channels, and how a result is stored.

@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;
@group(0) @binding(4) var<storage, read> gate: array<Stored>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;

// Activates, joins and stores output quad `quad` of a position. By turns with another tensor, a quad of each becomes two.
fn store(position: u32, quad: u32, sum: vec4<f32>) {
    var other = vec4<f32>(0.0);
    if (params.join > 0u) {
        let at = position * params.other4 + quad;
        if (params.in_place == 1u) {
            other = recall(output[at]);
        } else {
            other = unpack(residual[at]);
        }
        other = first_channels(other, quad, params.joined);
    }
    if (INTERLEAVE == 1u) {
        let y = activate(params.act, sum);
        let at = position * params.y4 + 2u * quad;
        output[at] = repack(vec4<f32>(other.x, y.x, other.y, y.y));
        if (2u * quad + 1u < params.y4) {
            output[at + 1u] = repack(vec4<f32>(other.z, y.z, other.w, y.w));
        }
    } else {
        output[position * params.y4 + quad] = repack(activate_joined(params.act, params.join, sum, other));
    }
}
