//! A 1x1 convolution and the depthwise convolution behind it in one, as an inverted residual begins; the tensor between
//! them stays in workgroup memory. Shader: `shaders/expand_depthwise.wgsl`.
//!
//! Neighbouring tiles both compute what their windows share of that tensor: [`tiles`] keeps that small.

use super::depthwise::Tiles;
use super::fused::{self, Variant};
use super::{AdapterClass, KernelKey, Launch, Window, grid, indexable, join_code};
use crate::error::Result;
use crate::graph::{Activation, Join};

/// Name of the family.
pub const NAME: &str = "expand_depthwise";

/// `y = act(depthwise(expand_act(x * v + b)) + c)`, joined with another tensor, or averaged over the
/// positions. The window pads with zeros what the 1x1 convolution gives, not what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    /// The window of the depthwise convolution, its edge 1 to [`super::depthwise::MAX_KERNEL`], its step 1 or 2.
    pub window: Window,
    /// Channels of the input.
    pub c_in: usize,
    /// Channels of the output.
    pub c: usize,
    /// Applied to the sums of the 1x1 convolution.
    pub expand_act: Activation,
    /// Applied to the sums of the depthwise convolution.
    pub act: Activation,
    /// How [`super::Role::Residual`] enters the result: not by turns.
    pub join: Join,
    /// Sums of the outputs over each tile, before anything is joined, go to [`super::Role::Squeeze`].
    pub squeeze: bool,
    /// The output is the mean over the positions, `[N, 1, 1, c]`; nothing joins it, no sums are written.
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
    pub c4: u32,
    /// Rows of a tile.
    pub tile_h: u32,
    /// Columns of a tile.
    pub tile_w: u32,
    /// Tiles along y.
    pub tiles_y: u32,
    /// Tiles along x.
    pub tiles_x: u32,
    /// Activation code of the 1x1 convolution.
    pub expand_act: u32,
    /// Activation code of the depthwise convolution.
    pub act: u32,
    /// How the other tensor joins.
    pub join: u32,
    /// How many of its channels do.
    pub joined: u32,
    /// 1 where the tiles' sums are wanted.
    pub squeeze: u32,
    /// Edge of the window.
    pub kernel: u32,
    /// 1 for the mean.
    pub pool: u32,
    /// 1 / positions.
    pub inverse: f32,
}

/// For windows of 3x3.
const SMALL: Variant = Variant { quads: 4, lanes: 64 };
/// For wider windows, which share more with their neighbours.
const LARGE: Variant = Variant { quads: 2, lanes: 128 };

/// Every row; all compute the same but for the tiles of the squeeze.
pub const VARIANTS: &[Variant] = &[SMALL, LARGE];

/// The default row.
pub fn choose(args: &Args, _: AdapterClass) -> Variant {
    if args.window.kernel > 3 { LARGE } else { SMALL }
}

/// The tiles of a row that compute the fewest positions of the tensor between the two convolutions, and how many they
/// compute of each image.
pub fn tiles(window: &Window, variant: &Variant) -> (Tiles, usize) {
    fused::tiles(window, |span, _| span <= variant.capacity())
}

/// The dispatch of the default row, and its tiles.
///
/// # Errors
/// [`crate::error::Error::Limit`] when the tensors are too large for one dispatch, [`crate::error::Error::BadInput`] for a window or step
/// that the family does not have.
pub fn launch(args: &Args, class: AdapterClass) -> Result<(Launch, Tiles)> {
    launch_with(args, &choose(args, class))
}

/// The dispatch of a given row, and its tiles.
///
/// # Errors
/// As [`launch`].
pub fn launch_with(args: &Args, variant: &Variant) -> Result<(Launch, Tiles)> {
    let window = &args.window;
    fused::check("expanding depthwise convolution", window)?;
    let (x4, c4) = (args.c_in.div_ceil(4), args.c.div_ceil(4));
    let [inputs, outputs] = window.positions();
    indexable(NAME, (inputs * x4).max(outputs * c4) as u64)?;
    let (tiles, _) = tiles(window, variant);
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
        c4: c4 as u32,
        tile_h: tiles.height as u32,
        tile_w: tiles.width as u32,
        tiles_y: tiles.tiles_y as u32,
        tiles_x: tiles.tiles_x as u32,
        expand_act: args.expand_act.code(),
        act: args.act.code(),
        join,
        joined,
        squeeze: args.squeeze.into(),
        kernel: window.kernel as u32,
        pool: args.pool.into(),
        inverse: (1.0 / (window.out_h * window.out_w) as f64) as f32,
    };
    let of_an_image = if args.pool { 1 } else { tiles.count() };
    let groups = [c4.div_ceil(variant.quads as usize), of_an_image, window.n];
    let key = KernelKey::new(NAME, &variant.consts(window));
    Ok((Launch { key, grid: grid(NAME, groups)?, params: bytemuck::bytes_of(&params).to_vec() }, tiles))
}
