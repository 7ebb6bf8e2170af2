enable f16;
// How operands are stored: f16.

alias Stored = vec4<f16>;

fn unpack(v: Stored) -> vec4f {
    return vec4f(v);
}
