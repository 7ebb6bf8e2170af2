// Storage type of activations and weights, and its conversions: f32.

alias Stored = vec4<f32>;

fn unpack(v: Stored) -> vec4<f32> {
    return v;
}

fn repack(v: vec4<f32>) -> Stored {
    return v;
}
