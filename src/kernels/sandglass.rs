//! A sandglass block in one: a depthwise convolution, the 1x1 convolution that reduces its result, the 1x1 convolution that
//! expands that, and the depthwise convolution behind; the tensors between them stay in workgroup memory. A block that
//! halves the map begins with the reduction. Shader: `shaders/sandglass.wgsl`. The block: Zhou et al. 2020, "Rethinking
//! Bottleneck Structure for Efficient Mobile Network Design" (MobileNeXt), section 3.2.
//!
//! Neighbouring tiles compute what their windows share of all but the last convolution, and each reads every weight: see
//! [`tiles`] and [`Args::weight_bytes`].

use super::depthwise::Tiles;
use super::fused::{self, Variant};
use super::{AdapterClass, KernelKey, Launch, Window, grid, indexable, join_code};
use crate::error::{Error, Result};
use crate::graph::{Activation, Join};

/// Name of the family.
pub const NAME: &str = "sandglass";

/// `y = act(depthwise(expand_act(r * v + b)) + c)` joined with another tensor, of
/// `r = reduce_act(filter_act(depthwise(x) + a) * u + t)`. Both windows pad with zeros.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Args {
    /// The window of the first depthwise convolution, as wide as the last one, its step 1; `None` where `r` is of `x`.
    pub first: Option<Window>,
    /// The window of the last convolution, its edge 1 to [`super::depthwise::MAX_KERNEL`], its step 1 or 2.
    pub window: Window,
    /// Channels of the input.
    pub c_in: usize,
    /// Reduced channels.
    pub hidden: usize,
    /// Channels of the output.
    pub c: usize,
    /// Applied to the sums of the first convolution.
    pub filter_act: Activation,
    /// Applied to the sums of the reduction.
    pub reduce_act: Activation,
    /// Applied to the sums of the expansion.
    pub expand_act: Activation,
    /// Applied to the sums of the last convolution.
    pub act: Activation,
    /// How [`super::Role::Residual`] enters the result: not by turns.
    pub join: Join,
}

impl Args {
    /// Bytes of the 1x1 convolutions' weights, which every workgroup reads, at so many a number.
    pub fn weight_bytes(&self, bytes: usize) -> usize {
        self.hidden * (self.c_in + self.c) * bytes
    }
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
    /// Zero rows above the window of the last convolution.
    pub pad_top: u32,
    /// Zero columns to the left of it.
    pub pad_left: u32,
    /// Zero rows above the window of the first convolution.
    pub first_top: u32,
    /// Zero columns to the left of it.
    pub first_left: u32,
    /// Channels of the input / 4.
    pub x4: u32,
    /// Reduced channels / 4.
    pub y4: u32,
    /// Channels of the output / 4.
    pub c4: u32,
    /// Rows of a tile.
    pub tile_h: u32,
    /// Columns of a tile.
    pub tile_w: u32,
    /// Tiles along x.
    pub tiles_x: u32,
    /// Lanes along positions for each reduced quad.
    pub lanes: u32,
    /// Activation code of the first convolution.
    pub filter_act: u32,
    /// Activation code of the reduction.
    pub reduce_act: u32,
    /// Activation code of the expansion.
    pub expand_act: u32,
    /// Activation code of the last convolution.
    pub act: u32,
    /// How the other tensor joins.
    pub join: u32,
    /// How many of its channels do.
    pub joined: u32,
    /// Edge of the windows.
    pub kernel: u32,
    /// Zero.
    pub pad: [u32; 2],
}

/// For large tiles.
const NARROW: Variant = Variant { quads: 4, lanes: 64 };
/// For few steps one behind the other.
const MEDIUM: Variant = Variant { quads: 8, lanes: 32 };

/// Every row; all compute the same.
pub const VARIANTS: &[Variant] = &[NARROW, MEDIUM];

/// Positions whose sums a lane keeps.
const SUMS: usize = 4;
/// Workgroups that the tiles are small enough for: fewer leave a GPU idle, more read the weights too often.
pub const BUSY: usize = 32;

/// The default row.
pub fn choose(_: &Args, _: AdapterClass) -> Variant {
    NARROW
}

/// Lanes along positions for each reduced quad.
fn lanes(args: &Args, variant: &Variant) -> usize {
    (variant.quads * variant.lanes) as usize / args.hidden.div_ceil(4).max(1)
}

/// Whether what lies under a tile that covers so many positions finds room.
fn holds(args: &Args, variant: &Variant, positions: usize) -> bool {
    let slots = (variant.quads as usize + args.hidden.div_ceil(4)) * positions;
    slots * 16 <= fused::BYTES as usize && positions <= SUMS * lanes(args, variant)
}

/// Whether the family has a block: what lies under a single output must find room.
pub fn has(args: &Args, variant: &Variant) -> bool {
    let Window { h, w, n, kernel, .. } = args.window;
    let alike = |first: Window| {
        (first.kernel, first.stride, first.dilation) == (kernel, 1, 1)
            && [first.n, first.out_h, first.out_w] == [n, h, w]
    };
    args.first.is_none_or(alike) && holds(args, variant, kernel * kernel)
}

/// A row's tiles, and how many positions of the tensors between they compute of each image.
pub fn tiles(args: &Args, variant: &Variant) -> (Tiles, usize) {
    let Window { n, out_h, out_w, .. } = args.window;
    let most = (n * out_h * out_w).div_ceil(BUSY);
    fused::tiles(&args.window, |span, outputs| outputs <= most && holds(args, variant, span))
}

/// The dispatch of the default row.
///
/// # Errors
/// [`Error::Limit`] when the tensors are too large for one dispatch, [`Error::BadInput`] for windows, steps or reduced
/// channels that the family does not have.
pub fn launch(args: &Args, class: AdapterClass) -> Result<Launch> {
    launch_with(args, &choose(args, class))
}

/// The dispatch of a given row.
///
/// # Errors
/// As [`launch`].
pub fn launch_with(args: &Args, variant: &Variant) -> Result<Launch> {
    let window = &args.window;
    fused::check(NAME, window)?;
    if !has(args, variant) {
        let problem = format!(
            "{} reduced channels between windows {:?} and {window:?}: the first must be as wide, its step 1, and what a \
             window covers must fit in workgroup memory",
            args.hidden, args.first
        );
        return Err(Error::bad(NAME, problem));
    }
    let [x4, y4, c4] = [args.c_in, args.hidden, args.c].map(|c| c.div_ceil(4));
    let [inputs, outputs] = window.positions();
    indexable(NAME, (inputs * x4).max(outputs * c4) as u64)?;
    let (tiles, _) = tiles(args, variant);
    let [height, width, out_height, out_width, pad_top, pad_left] = window.params();
    let [join, joined] = join_code(args.join);
    let params = Params {
        height,
        width,
        out_height,
        out_width,
        pad_top,
        pad_left,
        first_top: args.first.map_or(0, |first| first.pad_top as u32),
        first_left: args.first.map_or(0, |first| first.pad_left as u32),
        x4: x4 as u32,
        y4: y4 as u32,
        c4: c4 as u32,
        tile_h: tiles.height as u32,
        tile_w: tiles.width as u32,
        tiles_x: tiles.tiles_x as u32,
        lanes: lanes(args, variant) as u32,
        filter_act: args.filter_act.code(),
        reduce_act: args.reduce_act.code(),
        expand_act: args.expand_act.code(),
        act: args.act.code(),
        join,
        joined,
        kernel: window.kernel as u32,
        pad: [0; 2],
    };
    let grid = grid(NAME, [tiles.tiles_x, tiles.tiles_y, window.n])?;
    let consts = [&variant.consts(window)[..], &[("FIRST", args.first.is_some().into())]].concat();
    Ok(Launch { key: KernelKey::new(NAME, &consts), grid, params: bytemuck::bytes_of(&params).to_vec() })
}
