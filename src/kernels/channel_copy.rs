//! Slices, concatenations and shuffles that nothing fused. Shader: `shaders/channel_copy.wgsl`.

use super::{AdapterClass, KernelKey, Launch, grid, indexable};
use crate::error::Result;

/// Name of the family.
pub const NAME: &str = "channel_copy";

/// `y[c] = [a | b][shuffled(c)]`: `a` is the input from channel `first` on, `b` is [`super::Role::Residual`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    /// Images.
    pub n: usize,
    /// Positions of an image.
    pub pixels: usize,
    /// Channels of the input.
    pub c: usize,
    /// The first one that counts.
    pub first: usize,
    /// How many count.
    pub from_a: usize,
    /// Channels of the other tensor; 0 for none.
    pub other: usize,
    /// Groups of the shuffle; 1 for none.
    pub groups: usize,
}

/// `struct Params` of the shader.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    /// Positions of an image.
    pub pixels: u32,
    /// Channels of the input / 4.
    pub a4: u32,
    /// Channels of the other tensor / 4.
    pub b4: u32,
    /// Channels of the output / 4.
    pub y4: u32,
    /// The first input channel that counts.
    pub first: u32,
    /// How many count.
    pub from_a: u32,
    /// Channels of the output.
    pub channels: u32,
    /// Groups of the shuffle.
    pub groups: u32,
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
    let channels = args.from_a + args.other;
    let [a4, b4, y4] = [args.c, args.other, channels].map(|c| c.div_ceil(4));
    indexable(NAME, (args.n * args.pixels * a4.max(y4)) as u64)?;
    let key = KernelKey::new(NAME, &[("WG_X", variant.wg_x), ("WG_Y", variant.wg_y)]);
    let params = Params {
        pixels: args.pixels as u32,
        a4: a4 as u32,
        b4: b4 as u32,
        y4: y4 as u32,
        first: args.first as u32,
        from_a: args.from_a as u32,
        channels: channels as u32,
        groups: args.groups as u32,
    };
    let groups = [y4.div_ceil(variant.wg_x as usize), args.pixels.div_ceil(variant.wg_y as usize), args.n];
    Ok(Launch { key, grid: grid(NAME, groups)?, params: bytemuck::bytes_of(&params).to_vec() })
}
