// How another tensor enters a result, by kernels::join_code: 1 y + other, 2 act(sum + other).

// Quad number `quad` of a tensor of which only the first `channels` channels count.
fn first_channels(v: vec4f, quad: u32, channels: u32) -> vec4f {
    return select(vec4f(0.0), v, vec4u(0u, 1u, 2u, 3u) + 4u * quad < vec4u(channels));
}

// `other` is zero where nothing is joined.
fn activate_joined(act: u32, code: u32, sum: vec4f, other: vec4f) -> vec4f {
    let before = select(vec4f(0.0), other, code == 2u);
    return activate(act, sum + before) + (other - before);
}
