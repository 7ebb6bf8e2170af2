// What the shaders share that begin with a depthwise k x k convolution: d = filter_act(sum_taps x * w + b). Weights as in
// depthwise.wgsl; the shader declares the uniform `params` and the bindings `input` and `first`, the filters.

// Quad `k` of d for the window of an image whose first tap lies at `corner`; zeros pad the image.
fn filtered(image: u32, corner: vec2i, k: u32) -> vec4f {
    let end = vec2i(vec2u(params.height, params.width)) - 1;
    var d = unpack(first[k]);
    for (var ky = 0u; ky < params.kernel; ky++) {
        for (var kx = 0u; kx < K; kx++) {
            let tap = corner + vec2i(vec2u(ky, kx));
            let at = vec2u(clamp(tap, vec2i(0), end));
            let v = unpack(input[((image * params.height + at.x) * params.width + at.y) * params.x4 + k]);
            let x = select(vec4f(0.0), v, all(vec2i(at) == tap));
            d = fma(unpack(first[(ky * K + kx + 1u) * params.x4 + k]), x, d);
        }
    }
    return activate(params.filter_act, d);
}
