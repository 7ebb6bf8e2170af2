// How operands are stored: f16, read four at a time.

alias Stored = u64;

fn unpack(v: Stored) -> vec4f {
    return vec4f(unpack2x16float(u32(v)), unpack2x16float(u32(v >> 32u)));
}
