// Squeeze-and-excitation's gate from partial sums: mean, reduce + act, expand + gate, in one dispatch.
//
// One workgroup per image. The mean is kept in the output, where the gate replaces it; workgroup memory holds the
// hidden layer. Phase 2 gives each lane one hidden quad and every `parts`-th channel quad.
// Weights: [reduce bias: h4 | expand bias: c4 | reduce: channel * h4 + h | expand: unit * c4 + c].
// Input: partial sums, (image * tiles + tile) * c4 + c.

struct Params {
    c4: u32,
    h4: u32,
    tiles: u32,
    inverse: f32,
    act: u32,
    gate_act: u32,
    four: u32,
    pad: u32,
}

override WG_X: u32 = 64u;
override ROLL: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;

const MAX_HIDDEN_QUADS = 256u;
var<workgroup> partial: array<vec4<f32>, MAX_HIDDEN_QUADS>;
var<workgroup> hidden: array<vec4<f32>, MAX_HIDDEN_QUADS>;

// sum + x times the 4 x 4 weights at `at`, `stride` apart. With ROLL = 1 the trip count comes from the uniform and
// the loop stays rolled, which keeps the program small where each load is expanded.
fn multiply(sum: vec4<f32>, v: vec4<f32>, at: u32, stride: u32) -> vec4<f32> {
    var s = sum;
    var x = v;
    for (var kk = 0u; kk < select(4u, params.four, ROLL == 1u); kk++) {
        s = fma(unpack(weights[at + kk * stride]), x.xxxx, s);
        x = x.yzwx;
    }
    return s;
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
                sum = multiply(sum, unpack_written(output[gates + c]), reduce + c * 4u * params.h4 + h, params.h4);
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
        hidden[h] = activate(params.act, sum);
    }
    workgroupBarrier();

    let expand = reduce + params.c4 * params.h4 * 4u;
    for (var c = lane; c < params.c4; c += WG_X) {
        var sum = unpack(weights[params.h4 + c]);
        for (var h = 0u; h < params.h4; h++) {
            sum = multiply(sum, hidden[h], expand + h * 4u * params.c4 + c, params.c4);
        }
        output[gates + c] = repack(activate(params.gate_act, sum));
    }
}
