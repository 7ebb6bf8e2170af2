//! Kernel families: what each WGSL shader is specialised by, how it is launched and how its weights are packed.
//!
//! One file per family, named like its shader. No wgpu and no model names here: a [`Launch`] is data.
//!
//! Conventions every shader follows:
//! - activations are NHWC with channels padded to a multiple of four, `array<vec4<f32>>`;
//!   padded channels hold finite values that the next kernel's zero weights cancel;
//! - `@group(0)`, bindings by [`Role`]; shapes come in a uniform (`struct Params`), so neither batch nor
//!   resolution recompiles anything; kernel size, stride, activation, flags and tile sizes are `override`s.

use std::borrow::Cow;

/// What a binding carries. The discriminant is its `@binding` number in every shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Role {
    /// `var<uniform>`: the family's `repr(C)` parameter struct, at most 256 bytes.
    Params = 0,
    /// `var<storage, read>`: the first input.
    Input = 1,
    /// `var<storage, read>`: bias and weights as packed by the family.
    Weights = 2,
    /// `var<storage, read_write>`: the result.
    Output = 3,
    /// `var<storage, read>`: a gate `[N, 1, 1, C]`; bound to the input where the key does not use it.
    Gate = 4,
    /// `var<storage, read>`: a tensor of the output's shape; bound to the input where the key does not use it.
    Residual = 5,
    /// `var<storage, read_write>`: squeeze partial sums; bound to a spare buffer where the key does not use it.
    Squeeze = 6,
}

/// Identifies a compiled pipeline: cache key, label, profile row and test id.
///
/// Written `<shader>.<dtype>[:<CONST>=<int>]*`, constants sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelKey {
    /// Name of the family: `shaders/<shader>.wgsl`.
    pub shader: &'static str,
    /// Storage type of activations and weights.
    pub dtype: &'static str,
    /// Values of the shader's `override`s, sorted by name.
    pub consts: Vec<(&'static str, u32)>,
}

impl KernelKey {
    /// A key whose constants are put in order.
    pub fn new(shader: &'static str, consts: &[(&'static str, u32)]) -> Self {
        let mut consts = consts.to_vec();
        consts.sort_unstable();
        Self { shader, dtype: "f32", consts }
    }
}

impl std::fmt::Display for KernelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = format!("{}.{}", self.shader, self.dtype);
        for (name, value) in &self.consts {
            text += &format!(":{name}={value}");
        }
        f.pad(&text)
    }
}

/// One dispatch: which pipeline, how many workgroups, with which shapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The pipeline.
    pub key: KernelKey,
    /// Workgroups in x, y, z.
    pub grid: [u32; 3],
    /// Bytes of the uniform.
    pub params: Vec<u8>,
}

/// What kind of adapter a plan is for: it decides which row of a family's variant table is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdapterClass {
    /// A GPU.
    Gpu,
    /// A CPU that poses as one (lavapipe, SwiftShader, WARP): no workgroup barriers, few large tiles.
    Software,
}

/// The complete WGSL text of a shader: the preludes it needs in front of `shaders/<shader>.wgsl`.
pub fn source(shader: &str) -> Option<Cow<'static, str>> {
    let _ = shader;
    None
}
