//! A window over each channel by itself. Shader: `shaders/pool.wgsl`.

use super::{AdapterClass, KernelKey, Launch, Window, grid, indexable};
use crate::error::Result;
use crate::graph::PoolKind;

/// Name of the family.
pub const NAME: &str = "pool";

/// The largest value under the window, or the mean of those inside the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    /// The window and the maps it slides over.
    pub window: Window,
    /// Channels.
    pub c: usize,
    /// What becomes of the values under the window.
    pub kind: PoolKind,
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
    /// Rows above the input.
    pub pad_top: u32,
    /// Columns left of the input.
    pub pad_left: u32,
    /// Channels / 4.
    pub c4: u32,
    /// Edge of the window.
    pub kernel: u32,
    /// Step of the window.
    pub stride: u32,
    /// 1 for the mean.
    pub average: u32,
}

/// A row of the variant table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Lanes along channels.
    pub wg_x: u32,
    /// Lanes along output columns.
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
    let (window, c4) = (&args.window, args.c.div_ceil(4));
    indexable(NAME, (window.positions()[0] * c4) as u64)?;
    let key = KernelKey::new(NAME, &[("WG_X", variant.wg_x), ("WG_Y", variant.wg_y)]);
    let [height, width, out_height, out_width, pad_top, pad_left] = window.params();
    let params = Params {
        height,
        width,
        out_height,
        out_width,
        pad_top,
        pad_left,
        c4: c4 as u32,
        kernel: window.kernel as u32,
        stride: window.stride as u32,
        average: (args.kind == PoolKind::Average).into(),
    };
    let groups =
        [c4.div_ceil(variant.wg_x as usize), window.out_w.div_ceil(variant.wg_y as usize), window.n * window.out_h];
    Ok(Launch { key, grid: grid(NAME, groups)?, params: bytemuck::bytes_of(&params).to_vec() })
}
