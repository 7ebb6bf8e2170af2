//! A depthwise convolution and the 1x1 convolution behind it in one, as a depthwise separable block is; the tensor
//! between them stays in workgroup memory. Shader: `shaders/depthwise_pointwise.wgsl`.
//!
//! The depthwise convolution is computed once for each [slice](slices) of the output channels.

use super::fused::{self, Variant};
use super::{AdapterClass, KernelKey, Launch, Window, grid, indexable, join_code};
use crate::error::Result;
use crate::graph::{Activation, Join};

/// Name of the family.
pub const NAME: &str = "depthwise_pointwise";

/// `y = act(filter_act(depthwise(x) + b) * v + c)`, joined with another tensor, or averaged over the positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    /// The window of the depthwise convolution, its edge 1 to [`super::depthwise::MAX_KERNEL`], its step 1 or 2.
    pub window: Window,
    /// Channels of the input.
    pub c: usize,
    /// Channels of the output.
    pub c_out: usize,
    /// Applied to the sums of the depthwise convolution.
    pub filter_act: Activation,
    /// Applied to the sums of the 1x1 convolution.
    pub act: Activation,
    /// How [`super::Role::Residual`] enters the result: not by turns.
    pub join: Join,
    /// The output is the mean over the positions, `[N, 1, 1, c_out]`; nothing joins it.
    pub pool: bool,
}

/// `struct Params` of the shader.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    /// Input rows.
    pub height: u32,
    /// Input columns.
    pub width: u32,
    /// Output rows.
    pub out_height: u32,
    /// Output columns.
    pub out_width: u32,
    /// Zero rows above.
    pub pad_top: u32,
    /// Zero columns to the left.
    pub pad_left: u32,
    /// Channels of the input / 4.
    pub x4: u32,
    /// Channels of the output / 4.
    pub y4: u32,
    /// Positions of a tile.
    pub tile_size: u32,
    /// From a workgroup's tile to its next, in positions.
    pub step: u32,
    /// Activation code of the depthwise convolution.
    pub filter_act: u32,
    /// Activation code of the 1x1 convolution.
    pub act: u32,
    /// How the other tensor joins.
    pub join: u32,
    /// How many of its channels do.
    pub joined: u32,
    /// 1 for the mean.
    pub pool: u32,
    /// 1 / positions.
    pub inverse: f32,
    /// Edge of the window.
    pub kernel: u32,
    /// Zero.
    pub pad: [u32; 3],
}

/// For few output channels.
const NARROW: Variant = Variant { quads: 8, lanes: 32 };
const WIDE: Variant = Variant { quads: 16, lanes: 16 };

/// Every row; all compute the same up to the order of the mean.
pub const VARIANTS: &[Variant] = &[NARROW, WIDE];

/// Workgroups that the tiles are small enough for, unless lanes were idle: fewer leave a GPU idle.
const BUSY: usize = 32;

/// How many times a row computes the depthwise convolution.
pub fn slices(args: &Args, variant: &Variant) -> usize {
    args.c_out.div_ceil(4).div_ceil(variant.quads as usize)
}

/// The default row. It follows from the network alone: another batch or resolution must not need another pipeline.
pub fn choose(args: &Args, _: AdapterClass) -> Variant {
    if args.c_out > 32 { WIDE } else { NARROW }
}

/// The dispatch of the default row.
///
/// # Errors
/// [`crate::error::Error::Limit`] when the tensors are too large for one dispatch, [`crate::error::Error::BadInput`] for a window or step
/// that the family does not have.
pub fn launch(args: &Args, class: AdapterClass) -> Result<Launch> {
    launch_with(args, &choose(args, class))
}

/// The dispatch of a given row.
///
/// # Errors
/// As [`launch`].
pub fn launch_with(args: &Args, variant: &Variant) -> Result<Launch> {
    let window = &args.window;
    fused::check("depthwise separable convolution", window)?;
    let (x4, y4, pixels) = (args.c.div_ceil(4), args.c_out.div_ceil(4), window.out_h * window.out_w);
    let [inputs, outputs] = window.positions();
    indexable(NAME, (inputs * x4).max(outputs * y4) as u64)?;
    let slices = slices(args, variant);
    // Tiles of one size, no larger than workgroup memory; for the mean a workgroup has them all.
    let busy = BUSY.div_ceil(slices * window.n).min(pixels.div_ceil(variant.lanes as usize));
    let tiles = pixels.div_ceil(variant.capacity()).max(if args.pool { 1 } else { busy });
    let tile_size = pixels.div_ceil(tiles);
    let [height, width, out_height, out_width, pad_top, pad_left] = window.params();
    let [join, joined] = join_code(args.join);
    let params = Params {
        height,
        width,
        out_height,
        out_width,
        pad_top,
        pad_left,
        x4: x4 as u32,
        y4: y4 as u32,
        tile_size: tile_size as u32,
        step: if args.pool { tile_size } else { pixels } as u32,
        filter_act: args.filter_act.code(),
        act: args.act.code(),
        join,
        joined,
        pool: args.pool.into(),
        inverse: (1.0 / pixels as f64) as f32,
        kernel: window.kernel as u32,
        pad: [0; 3],
    };
    let groups = [slices, if args.pool { 1 } else { tiles }, window.n];
    let key = KernelKey::new(NAME, &variant.consts(window));
    Ok(Launch { key, grid: grid(NAME, groups)?, params: bytemuck::bytes_of(&params).to_vec() })
}
