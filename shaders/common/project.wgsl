// What the shaders share that end with a 1x1 convolution of what lies in workgroup memory:
// y = act(sum_k d * v + b), joined with another tensor. Weights as in pointwise.wgsl; the shader declares the uniform
// `params` and the bindings `weights` and `residual`.

// The weights of input quad `k` for output quad `quad`, a column an input.
fn columns(k: u32, quad: u32) -> mat4x4f {
    let at = (k * 4u + 1u) * params.y4 + quad;
    return mat4x4f(
        unpack(weights[at]),
        unpack(weights[at + params.y4]),
        unpack(weights[at + 2u * params.y4]),
        unpack(weights[at + 3u * params.y4]),
    );
}

// Output quad `n` of a position.
fn projected(position: u32, n: u32, sum: vec4f) -> vec4f {
    var other = vec4f(0.0);
    if (params.join > 0u) {
        other = first_channels(unpack(residual[position * params.y4 + n]), n, params.joined);
    }
    return activate_joined(params.act, params.join, sum, other);
}
