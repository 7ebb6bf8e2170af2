// How operands are stored: f32.

alias Stored = vec4<f32>;

fn unpack(v: Stored) -> vec4<f32> {
    return v;
}
