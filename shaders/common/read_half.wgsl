enable f16;
// How operands are stored: f16.

alias Stored = vec4<f16>;

fn unpack(v: Stored) -> vec4<f32> {
    return vec4<f32>(v);
}
