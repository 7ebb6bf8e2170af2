// How operands are stored: f16, two in a word.

alias Stored = vec2<u32>;

fn unpack(v: Stored) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y));
}
