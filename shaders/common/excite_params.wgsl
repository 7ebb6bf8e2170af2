// What squeeze-and-excitation's gate is computed with.
struct Excite {
    c4: u32,
    h4: u32,
    tiles: u32,
    inverse: f32,
    act: u32,
    gate_act: u32,
    four: u32,
    pad: u32,
}
