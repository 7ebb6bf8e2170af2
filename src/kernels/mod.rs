//! Kernel families: what each WGSL shader is specialised by, how it is launched and how its weights are packed.
//!
//! One file per family, named like its shader. No wgpu and no model names here: a [`Launch`] is data.
//!
//! Conventions every shader follows:
//! - activations are NHWC with channels padded to a multiple of four, in quads: `array<Stored>`, see [`Storage`];
//!   padded channels hold finite values that the next kernel's zero weights cancel;
//! - `@group(0)`, bindings by [`Role`]; shapes come in a uniform (`struct Params`), so neither batch nor
//!   resolution recompiles anything; kernel size, stride, flags and tile sizes are `override`s.

use crate::error::{Error, Result};
use crate::graph::{Activation, Join};
use crate::tensor::{Padding, Shape, window};

pub mod channel_copy;
mod channels;
pub mod conv;
pub mod depthwise;
pub mod depthwise_pointwise;
pub mod elementwise;
pub mod excite_pointwise;
pub mod expand_depthwise;
mod families;
mod fingerprint;
pub mod fused;
pub mod global_pool;
pub mod head_pool;
pub mod inverted_residual;
pub mod l2_norm;
pub mod pointwise;
pub mod pool;
pub mod resize_normalize;
mod rows;
pub mod sandglass;
pub mod squeeze_excite;
mod storage;
mod text;

pub use channels::Channels;
pub use families::{FAMILIES, Family, family, source};
pub use fingerprint::{fingerprint, fingerprint_of};
pub use rows::{Rows, Tiled, most_rows};
pub use storage::{Storage, Words};

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
    /// `var<storage, read>`: another tensor that joins the result; bound to the input where the launch does not use it.
    Residual = 5,
    /// `var<storage, read_write>`: squeeze partial sums; bound to a spare buffer where the key does not use it.
    Squeeze = 6,
    /// `var<storage, read>`: bias and weights of the second of several convolutions.
    NextWeights = 7,
    /// `var<storage, read>`: bias and weights of the third of several convolutions.
    ThirdWeights = 8,
    /// `var<storage, read>`: the partial sums that squeeze-and-excitation averages, where they are not the first input.
    Sums = 9,
    /// `var<storage, read>`: bias and weights of a convolution in front of the first; bound to a spare buffer where the
    /// launch has none.
    FrontWeights = 10,
}

/// Identifies a compiled pipeline: cache key, label, profile row and test id.
///
/// Written `<shader>.<storage>[:<CONST>=<int>]*`, constants sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelKey {
    /// Name of the family: `shaders/<shader>.wgsl`.
    pub shader: &'static str,
    /// Storage of activations and weights.
    pub storage: Storage,
    /// Values of the shader's `override`s, sorted by name.
    pub consts: Vec<(&'static str, u32)>,
}

impl KernelKey {
    /// A key whose constants are put in order.
    pub fn new(shader: &'static str, consts: &[(&'static str, u32)]) -> Self {
        let mut consts = consts.to_vec();
        consts.sort_unstable();
        Self { shader, storage: Storage::default(), consts }
    }
}

impl std::fmt::Display for KernelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = format!("{}.{}", self.shader, self.storage.name());
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
    /// SwiftShader with subgroup operations, which Chromium brings: loads cost far more than arithmetic.
    SwiftShader,
    /// Such a CPU whose device has [`SUBGROUP_LANES`] lanes or more in every subgroup.
    SoftwareSubgroup,
}

/// Lanes of a subgroup that kernels with broadcasts rely on.
pub const SUBGROUP_LANES: u32 = 8;
/// Lanes of a subgroup that kernels with quad swaps rely on.
pub const QUAD_LANES: u32 = 4;

impl KernelKey {
    /// The value of a constant, `default` where the key does not set it.
    pub fn constant(&self, name: &str, default: u32) -> u32 {
        self.consts.iter().find(|c| c.0 == name).map_or(default, |c| c.1)
    }

    /// Leaves hard curves out where exponentials are already.
    pub fn drop_hard_curves(&mut self) {
        if self.constant("EXP", 1) == 0 {
            self.consts.push(("HARD", 0));
            self.consts.sort_unstable();
        }
    }

    /// Invocations of a workgroup in x, y, z.
    pub fn workgroup(&self) -> [u32; 3] {
        [self.constant("WG_X", 1), self.constant("WG_Y", 1) * self.constant("PARTS", 1), 1]
    }

    /// Bytes of workgroup memory.
    pub fn workgroup_bytes(&self) -> u32 {
        family(self.shader).map_or(0, |f| (f.workgroup_bytes)(self))
    }
}

/// A window that slides over maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Images.
    pub n: usize,
    /// Input rows.
    pub h: usize,
    /// Input columns.
    pub w: usize,
    /// Output rows.
    pub out_h: usize,
    /// Output columns.
    pub out_w: usize,
    /// Positions above the input.
    pub pad_top: usize,
    /// Positions left of the input.
    pub pad_left: usize,
    /// Edge of the window.
    pub kernel: usize,
    /// Step of the window.
    pub stride: usize,
    /// Input positions from one of the window's to the next.
    pub dilation: usize,
}

impl Window {
    /// A window of `kernel` x `kernel` over maps of shape `x`; `None` where it does not fit.
    pub fn over(x: Shape, padding: Padding, kernel: usize, stride: usize) -> Option<Self> {
        Self::dilated(x, padding, kernel, stride, 1)
    }

    /// The same with `dilation` input positions from one of the window's to the next.
    pub fn dilated(x: Shape, padding: Padding, kernel: usize, stride: usize, dilation: usize) -> Option<Self> {
        let extent = kernel.checked_sub(1)? * dilation + 1;
        let (y, x_axis) = (window(padding, x.h, extent, stride)?, window(padding, x.w, extent, stride)?);
        Some(Self {
            n: x.n,
            h: x.h,
            w: x.w,
            out_h: y.out,
            out_w: x_axis.out,
            pad_top: y.before,
            pad_left: x_axis.before,
            kernel,
            stride,
            dilation,
        })
    }

    /// Input positions, and output positions, of all images.
    fn positions(&self) -> [usize; 2] {
        [self.n * self.h * self.w, self.n * self.out_h * self.out_w]
    }

    /// How uniforms begin: height, width, out_height, out_width, pad_top, pad_left.
    fn params(&self) -> [u32; 6] {
        [self.h, self.w, self.out_h, self.out_w, self.pad_top, self.pad_left].map(|v| v as u32)
    }
}

/// The number that stands for a [`Join`] in uniforms, and how many channels it joins.
fn join_code(join: Join) -> [u32; 2] {
    match join {
        Join::None => [0, 0],
        Join::Add => [1, u32::MAX],
        Join::AddFirst(channels) => [1, channels as u32],
        Join::AddThenAct => [2, u32::MAX],
        Join::Interleave => [3, u32::MAX],
    }
}

/// Whether an activation is computed with an exponential.
fn exponential(act: Activation) -> bool {
    matches!(act, Activation::Swish | Activation::Sigmoid)
}

/// The constant of a key without curves that an activation does not need, for adapters that execute every branch. A network
/// has exponentials or hard curves, seldom both: what else it has shares their pipelines.
fn without_curves(act: Activation) -> (&'static str, u32) {
    if exponential(act) { ("HARD", 0) } else { ("EXP", 0) }
}

/// The most workgroups WebGPU allows in each dimension of a dispatch.
pub const MAX_GROUPS: u64 = 65_535;

/// Checks a grid against [`MAX_GROUPS`].
fn grid(what: &str, groups: [usize; 3]) -> Result<[u32; 3]> {
    for needed in groups {
        if needed as u64 > MAX_GROUPS {
            return Err(Error::Limit {
                what: format!("dispatch of {what}"),
                needed: needed as u64,
                available: MAX_GROUPS,
                unit: "workgroups in one dimension",
                advice: "reduce the batch or the resolution",
            });
        }
    }
    Ok(groups.map(|g| g as u32))
}

/// Shader indices are u32: fails where a tensor of `quads` vectors cannot be indexed.
fn indexable(what: &str, quads: u64) -> Result<()> {
    if quads > u64::from(u32::MAX) {
        return Err(Error::Limit {
            what: format!("tensor of {what}"),
            needed: quads * 16,
            available: u64::from(u32::MAX) * 16,
            unit: "bytes",
            advice: "reduce the batch or the resolution",
        });
    }
    Ok(())
}

/// Writes `bias` at the start of `out`; the rest is zero.
fn pack_bias(bias: &[f32], out: &mut [f32]) {
    let (values, rest) = out.split_at_mut(bias.len());
    values.copy_from_slice(bias);
    rest.fill(0.0);
}

#[cfg(test)]
mod tests;
