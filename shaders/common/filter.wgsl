// What the shaders share that begin with a depthwise k x k convolution: d = filter_act(sum_taps x * w + b). Weights as in
// depthwise.wgsl; the shader declares the uniform `params` and the bindings `input` and `first`, the filters.

// Quad `k` of d for the window of an image whose first tap lies at `corner`; zeros pad the image.
fn filtered(image: u32, corner: vec2<i32>, k: u32) -> vec4<f32> {
    let end = vec2<i32>(vec2<u32>(params.height, params.width)) - 1;
    var d = unpack(first[k]);
    for (var ky = 0u; ky < params.kernel; ky++) {
        for (var kx = 0u; kx < K; kx++) {
            let tap = corner + vec2<i32>(vec2<u32>(ky, kx));
            let at = vec2<u32>(clamp(tap, vec2<i32>(0), end));
            let v = unpack(input[((image * params.height + at.x) * params.width + at.y) * params.x4 + k]);
            let x = select(vec4<f32>(0.0), v, all(vec2<i32>(at) == tap));
            d = fma(unpack(first[(ky * K + kx + 1u) * params.x4 + k]), x, d);
        }
    }
    return activate(params.filter_act, d);
}
