// How operands are stored: f32.

alias Stored = vec4f;

fn unpack(v: Stored) -> vec4f {
    return v;
}
