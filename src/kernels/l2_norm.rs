//! Each position's channels over their L2 norm, times a factor per channel. Shader: `shaders/l2_norm.wgsl`.

use super::{AdapterClass, KernelKey, Launch, grid, indexable};
use crate::error::Result;

/// Name of the family.
pub const NAME: &str = "l2_norm";

/// `y = x / max(|x|, 1e-12) * scale`, the norm over the channels of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    /// Images.
    pub n: usize,
    /// Positions of an image.
    pub pixels: usize,
    /// Channels.
    pub c: usize,
}

/// `struct Params` of the shader.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    /// Positions of an image.
    pub pixels: u32,
    /// Channels / 4.
    pub c4: u32,
    /// Channels that count.
    pub channels: u32,
    /// Zero.
    pub pad: u32,
}

/// A row of the variant table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Lanes along positions.
    pub wg_x: u32,
}

const ANY: Variant = Variant { wg_x: 64 };

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
    let key = KernelKey::new(NAME, &[("WG_X", variant.wg_x)]);
    let params = Params { pixels: args.pixels as u32, c4: c4 as u32, channels: args.c as u32, pad: 0 };
    let groups = [args.pixels.div_ceil(variant.wg_x as usize), args.n, 1];
    Ok(Launch { key, grid: grid(NAME, groups)?, params: bytemuck::bytes_of(&params).to_vec() })
}

/// Length of the packed factors in f32.
pub const fn packed_len(c: usize) -> usize {
    c.div_ceil(4) * 4
}
