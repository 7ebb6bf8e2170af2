// How operands are stored: f32, read two at a time.

alias Stored = vec2<u64>;

fn unpack(v: Stored) -> vec4f {
    return bitcast<vec4f>(vec4u(u32(v.x), u32(v.x >> 32u), u32(v.y), u32(v.y >> 32u)));
}
