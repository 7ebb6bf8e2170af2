// Squeeze-and-excitation's gate from partial sums: mean, reduce + act, expand + gate, in one dispatch.
//
// One workgroup per image. The mean is kept in the output, where the gate replaces it; workgroup memory holds the
// hidden layer. Phase 2 gives each lane one hidden quad and every `parts`-th channel quad.
// Weights: [reduce bias: h4 | expand bias: c4 | reduce: (c * h4 + h) * 4 + kk | expand: (h * c4 + c) * 4 + kk].
// Input: partial sums, (image * tiles + tile) * c4 + c.

struct Params {
    c4: u32,
    h4: u32,
    tiles: u32,
    inverse: f32,
}

override WG_X: u32 = 64u;
override GATE_ACT: u32 = 4u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Stored>;

const MAX_HIDDEN_QUADS = 256u;
var<workgroup> partial: array<vec4<f32>, MAX_HIDDEN_QUADS>;
var<workgroup> hidden: array<vec4<f32>, MAX_HIDDEN_QUADS>;

fn multiply(sum: vec4<f32>, x: vec4<f32>, at: u32) -> vec4<f32> {
    var s = fma(unpack(weights[at]), x.xxxx, sum);
    s = fma(unpack(weights[at + 1u]), x.yyyy, s);
    s = fma(unpack(weights[at + 2u]), x.zzzz, s);
    return fma(unpack(weights[at + 3u]), x.wwww, s);
}

@compute @workgroup_size(WG_X)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let lane = local.x;
    let image = group.x;
    let gates = image * params.c4;
    for (var c = lane; c < params.c4; c += WG_X) {
        var sum = vec4<f32>(0.0);
        let first = image * params.tiles * params.c4 + c;
        for (var tile = 0u; tile < params.tiles; tile++) {
            sum += input[first + tile * params.c4];
        }
        output[gates + c] = repack(sum * params.inverse);
    }
    storageBarrier();
    workgroupBarrier();

    let span = min(params.h4, WG_X);
    let parts = WG_X / span;
    let part = lane / span;
    let reduce = params.h4 + params.c4;
    if (part < parts) {
        for (var h = lane - part * span; h < params.h4; h += span) {
            var sum = vec4<f32>(0.0);
            for (var c = part; c < params.c4; c += parts) {
                sum = multiply(sum, unpack(output[gates + c]), reduce + (c * params.h4 + h) * 4u);
            }
            partial[part * params.h4 + h] = sum;
        }
    }
    workgroupBarrier();

    for (var h = lane; h < params.h4; h += WG_X) {
        var sum = unpack(weights[h]);
        for (var p = 0u; p < parts; p++) {
            sum += partial[p * params.h4 + h];
        }
        hidden[h] = activate(sum);
    }
    workgroupBarrier();

    let expand = reduce + params.c4 * params.h4 * 4u;
    for (var c = lane; c < params.c4; c += WG_X) {
        var sum = unpack(weights[params.h4 + c]);
        for (var h = 0u; h < params.h4; h++) {
            sum = multiply(sum, hidden[h], expand + (h * params.c4 + c) * 4u);
        }
        output[gates + c] = repack(activate_as(GATE_ACT, sum));
    }
}
