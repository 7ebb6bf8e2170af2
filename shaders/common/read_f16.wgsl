// How operands are stored: f16, two in a word.

alias Stored = vec2u;

fn unpack(v: Stored) -> vec4f {
    return vec4f(unpack2x16float(v.x), unpack2x16float(v.y));
}
