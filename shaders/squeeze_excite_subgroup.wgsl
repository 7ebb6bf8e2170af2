// The gate of squeeze_excite.wgsl without barriers, which software adapters compile and run slowly: one subgroup per image,
// whose lanes have every WG_X-th quad of the mean and of the hidden layer and ask each other for the rest.
//
// WG_X is at most a subgroup's lanes, so that a workgroup is one. Weights and input as there.

override WG_X: u32 = 4u;

@group(0) @binding(0) var<uniform> params: Excite;
@group(0) @binding(1) var<storage, read> input: array<vec4f>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;

// sum + the products of WG_X quads from `first` on, of `count`, with their weights to quad n of `row4`. `own` is this lane's.
fn add_layer(sum: vec4f, own: vec4f, first: u32, count: u32, begin: u32, row4: u32, n: u32) -> vec4f {
    var s = sum;
    for (var lane = 0u; lane < min(WG_X, count - first); lane++) {
        var x = subgroupShuffle(own, lane);
        var at = begin + (first + lane) * 4u * row4 + n;
        for (var kk = 0u; kk < params.four; kk++) {
            s = fma(unpack(weights[at]), x.xxxx, s);
            x = x.yzwx;
            at += row4;
        }
    }
    return s;
}

@compute @workgroup_size(WG_X)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
    let image = group.x;
    let reduce = params.h4 + params.c4;
    let expand = reduce + params.c4 * params.h4 * 4u;
    // Quads of this lane.
    var hidden: array<vec4f, 64>;
    for (var first = 0u; first < params.h4; first += WG_X) {
        let h = min(first + lane, params.h4 - 1u);
        var sum = unpack(weights[h]);
        for (var c = 0u; c < params.c4; c += WG_X) {
            var mean = vec4f(0.0);
            var at = image * params.tiles * params.c4 + min(c + lane, params.c4 - 1u);
            for (var tile = 0u; tile < params.tiles; tile++) {
                mean += input[at];
                at += params.c4;
            }
            sum = add_layer(sum, mean * params.inverse, c, params.c4, reduce, params.h4, h);
        }
        hidden[first / WG_X] = activate(params.act, sum);
    }
    for (var c = 0u; c < params.c4; c += WG_X) {
        let n = min(c + lane, params.c4 - 1u);
        var sum = unpack(weights[params.h4 + n]);
        for (var first = 0u; first < params.h4; first += WG_X) {
            sum = add_layer(sum, hidden[first / WG_X], first, params.h4, expand, params.c4, n);
        }
        if (c + lane < params.c4) {
            output[image * params.c4 + n] = repack(activate(params.gate_act, sum));
        }
    }
}
