//! An inverted residual without squeeze-and-excitation in one: a 1x1 convolution that expands, the depthwise convolution
//! of its result and the 1x1 convolution that projects that; both tensors between them stay in workgroup memory.
//! Shader: `shaders/inverted_residual.wgsl`. The block: Sandler et al. 2018, "MobileNetV2", section 3.3.
//!
//! Neighbouring tiles both compute what their windows share of the expanded tensor, and each slice of the output channels
//! computes everything in front of the projection: see [`repeats`].

use super::depthwise::Tiles;
use super::fused::{self, Variant};
use super::{AdapterClass, KernelKey, Launch, Window, grid, indexable, join_code};
use crate::error::Result;
use crate::graph::{Activation, Join};

/// Name of the family.
pub const NAME: &str = "inverted_residual";

/// `y = act(filter_act(depthwise(expand_act(x * v + b)) + c) * u + t)`, joined with another tensor. The window pads with
/// zeros what the first convolution gives, not what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    /// The window of the depthwise convolution, its edge 1 to [`super::depthwise::MAX_KERNEL`], its step 1 or 2.
    pub window: Window,
    /// Channels of the input.
    pub c_in: usize,
    /// Expanded channels.
    pub c: usize,
    /// Channels of the output.
    pub c_out: usize,
    /// Applied to the sums of the first convolution.
    pub expand_act: Activation,
    /// Applied to the sums of the depthwise convolution.
    pub filter_act: Activation,
    /// Applied to the sums of the last convolution.
    pub act: Activation,
    /// How [`super::Role::Residual`] enters the result: not by turns.
    pub join: Join,
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
    /// Expanded channels / 4.
    pub c4: u32,
    /// Channels of the output / 4.
    pub y4: u32,
    /// Rows of a tile.
    pub tile_h: u32,
    /// Columns of a tile.
    pub tile_w: u32,
    /// Tiles along x.
    pub tiles_x: u32,
    /// Output quads of a workgroup, a lane each.
    pub columns: u32,
    /// Lanes along positions for each of them.
    pub lanes: u32,
    /// Activation code of the first convolution.
    pub expand_act: u32,
    /// Activation code of the depthwise convolution.
    pub filter_act: u32,
    /// Activation code of the last convolution.
    pub act: u32,
    /// How the other tensor joins.
    pub join: u32,
    /// How many of its channels do.
    pub joined: u32,
    /// Edge of the window.
    pub kernel: u32,
}

/// For many channels, on small maps: few steps one behind the other.
const WIDE: Variant = Variant { quads: 16, lanes: 16 };
const MEDIUM: Variant = Variant { quads: 8, lanes: 32 };
/// For wide windows: large tiles.
const NARROW: Variant = Variant { quads: 4, lanes: 64 };

/// Every row; all compute the same.
pub const VARIANTS: &[Variant] = &[WIDE, MEDIUM, NARROW];

/// From this many expanded channels on, a mobile network's maps are small.
const MANY: usize = 384;
/// Positions whose sums a lane keeps.
const SUMS: usize = 8;
/// Workgroups that the tiles are small enough for: fewer leave a GPU idle, more read the weights too often.
const BUSY: usize = 16;
/// The most output quads of a workgroup.
const MAX_COLUMNS: usize = 128;

/// The default row. It follows from the network alone: another batch or resolution must not need another pipeline.
pub fn choose(args: &Args, _: AdapterClass) -> Variant {
    match args.window.kernel {
        ..=3 if args.c >= MANY => WIDE,
        ..=5 => MEDIUM,
        _ => NARROW,
    }
}

/// Workgroups along the output channels, the output quads of each, and how many lanes each quad has.
fn columns(args: &Args, variant: &Variant) -> [usize; 3] {
    let y4 = args.c_out.div_ceil(4);
    let slices = y4.div_ceil(MAX_COLUMNS);
    let columns = y4.div_ceil(slices);
    [slices, columns, (variant.quads * variant.lanes) as usize / columns]
}

/// A row's tiles, and how many positions of the expanded tensor they compute of each image.
pub fn tiles(args: &Args, variant: &Variant) -> (Tiles, usize) {
    let Window { n, out_h, out_w, .. } = args.window;
    tiles_up_to(args, variant, (columns(args, variant)[0] * n * out_h * out_w).div_ceil(BUSY))
}

/// Tiles of at most so many positions.
fn tiles_up_to(args: &Args, variant: &Variant, most: usize) -> (Tiles, usize) {
    let most = most.min(SUMS * columns(args, variant)[2]);
    fused::tiles(&args.window, |span, outputs| outputs <= most && span + outputs <= variant.capacity())
}

/// How many times tiles as large as can be compute each of the first two convolutions. Where those would be too few for a
/// GPU, smaller ones repeat more, in less time.
pub fn repeats(args: &Args, variant: &Variant) -> [f64; 2] {
    let slices = columns(args, variant)[0] as f64;
    [slices * tiles_up_to(args, variant, usize::MAX).1 as f64 / (args.window.h * args.window.w) as f64, slices]
}

/// The dispatch of the default row.
///
/// # Errors
/// [`crate::error::Error::Limit`] when the tensors are too large for one dispatch, [`crate::error::Error::BadInput`] for
/// a window or step that the family does not have.
pub fn launch(args: &Args, class: AdapterClass) -> Result<Launch> {
    launch_with(args, &choose(args, class))
}

/// The dispatch of a given row.
///
/// # Errors
/// As [`launch`].
pub fn launch_with(args: &Args, variant: &Variant) -> Result<Launch> {
    let window = &args.window;
    fused::check("inverted residual", window)?;
    let [x4, c4, y4] = [args.c_in, args.c, args.c_out].map(|c| c.div_ceil(4));
    let [inputs, outputs] = window.positions();
    indexable(NAME, (inputs * x4).max(outputs * y4) as u64)?;
    let ([slices, columns, lanes], (tiles, _)) = (columns(args, variant), tiles(args, variant));
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
        y4: y4 as u32,
        tile_h: tiles.height as u32,
        tile_w: tiles.width as u32,
        tiles_x: tiles.tiles_x as u32,
        columns: columns as u32,
        lanes: lanes as u32,
        expand_act: args.expand_act.code(),
        filter_act: args.filter_act.code(),
        act: args.act.code(),
        join,
        joined,
        kernel: window.kernel as u32,
    };
    let grid = grid(NAME, [slices, tiles.count(), window.n])?;
    let key = KernelKey::new(NAME, &variant.consts(window));
    Ok(Launch { key, grid, params: bytemuck::bytes_of(&params).to_vec() })
}
