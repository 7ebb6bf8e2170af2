//! Activations, gates and sums that nothing fused. Shader: `shaders/elementwise.wgsl`.

use super::{AdapterClass, KernelKey, Launch, grid, indexable};
use crate::error::Result;
use crate::graph::Activation;

/// Name of the family.
pub const NAME: &str = "elementwise";

/// `y = act(x * gate + other)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    /// Images.
    pub n: usize,
    /// Positions of an image.
    pub pixels: usize,
    /// Channels.
    pub c: usize,
    /// Applied last.
    pub act: Activation,
    /// The input is multiplied by [`super::Role::Gate`].
    pub gate: bool,
    /// [`super::Role::Residual`] is added: so many of its channels, the first ones.
    pub residual: Option<usize>,
}

/// `struct Params` of the shader.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    /// Positions of an image.
    pub pixels: u32,
    /// Channels / 4.
    pub c4: u32,
    /// Activation code.
    pub act: u32,
    /// 1 where the input is gated.
    pub gate: u32,
    /// How many channels of a residual are added.
    pub residual: u32,
    /// Zero.
    pub pad: [u32; 3],
}

/// A row of the variant table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Lanes along channels.
    pub wg_x: u32,
    /// Lanes along positions.
    pub wg_y: u32,
}

const ANY: Variant = Variant { wg_x: 8, wg_y: 8 };

/// Every row; all compute the same.
pub const VARIANTS: &[Variant] = &[ANY];

/// The default row.
pub fn choose(_: &Args, _: AdapterClass) -> Variant {
    ANY
}

/// The dispatch of the default row.
///
/// # Errors
/// [`crate::error::Error::Limit`] when the tensors are too large for one dispatch.
pub fn launch(args: &Args, class: AdapterClass) -> Result<Launch> {
    launch_with(args, &choose(args, class))
}

/// The dispatch of a given row.
///
/// # Errors
/// As [`launch`].
pub fn launch_with(args: &Args, variant: &Variant) -> Result<Launch> {
    let c4 = args.c.div_ceil(4);
    indexable(NAME, (args.n * args.pixels * c4) as u64)?;
    let key = KernelKey::new(NAME, &[("WG_X", variant.wg_x), ("WG_Y", variant.wg_y)]);
    let params = Params {
        pixels: args.pixels as u32,
        c4: c4 as u32,
        act: args.act.code(),
        gate: args.gate.into(),
        residual: args.residual.unwrap_or(0) as u32,
        pad: [0; 3],
    };
    let groups = [c4.div_ceil(variant.wg_x as usize), args.pixels.div_ceil(variant.wg_y as usize), args.n];
    Ok(Launch { key, grid: grid(NAME, groups)?, params: bytemuck::bytes_of(&params).to_vec() })
}
