//! Depthwise k x k convolution with the partial sums of squeeze-and-excitation. Shader: `shaders/depthwise.wgsl`.

use super::{AdapterClass, KernelKey, Launch, grid, indexable, pack_bias};
use crate::error::{Error, Result};
use crate::graph::Activation;

/// Name of the family.
pub const NAME: &str = "depthwise";
/// Name of the family with neighbouring channels in neighbouring lanes.
pub const LANES_NAME: &str = "depthwise_lanes";

/// Largest window edge.
pub const MAX_KERNEL: usize = 7;

/// `y = act(conv(x) + bias) + residual`, one filter per channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
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
    /// Zero rows above the input.
    pub pad_top: usize,
    /// Zero columns left of the input.
    pub pad_left: usize,
    /// Channels.
    pub c: usize,
    /// Edge of the window, 1 to [`MAX_KERNEL`].
    pub kernel: usize,
    /// Step of the window, 1 or 2.
    pub stride: usize,
    /// Applied to the sum.
    pub act: Activation,
    /// [`super::Role::Residual`] is added last.
    pub residual: bool,
    /// Sums of the activated outputs over each tile go to [`super::Role::Squeeze`].
    pub squeeze: bool,
}

/// How the output is cut into tiles. Squeeze index: `(image * tiles_y * tiles_x + tile_y * tiles_x + tile_x) * c4 + c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiles {
    /// Rows of a tile.
    pub height: usize,
    /// Columns of a tile.
    pub width: usize,
    /// Tiles along y.
    pub tiles_y: usize,
    /// Tiles along x.
    pub tiles_x: usize,
}

impl Tiles {
    /// Tiles of an image.
    pub const fn count(&self) -> usize {
        self.tiles_y * self.tiles_x
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
    /// Zero rows above.
    pub pad_top: u32,
    /// Zero columns to the left.
    pub pad_left: u32,
    /// Channels / 4.
    pub c4: u32,
    /// Rows of a tile.
    pub tile_h: u32,
    /// Tiles along y.
    pub tiles_y: u32,
    /// Tiles along x.
    pub tiles_x: u32,
    /// Activation code.
    pub act: u32,
    /// 1 where the tiles' sums are wanted.
    pub squeeze: u32,
    /// Trip counts for `ROLL = 1`: window, input columns of a line, output columns, step.
    pub rolled: [u32; 4],
}

/// A row of the variant table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Output columns per invocation, 1 to 7: the width of a tile.
    pub cols: u32,
    /// The most output rows of a tile.
    pub max_rows: u32,
    /// Lanes along channels.
    pub wg_x: u32,
    /// Lanes along tile columns.
    pub wg_y: u32,
    /// Keeps the loops over the tile rolled: a far smaller program.
    pub roll: bool,
    /// Neighbouring lanes take neighbouring channels: `shaders/depthwise_lanes.wgsl`, whose tiles are 4 wide.
    pub lanes: bool,
}

const SOFTWARE: Variant = Variant { cols: 4, max_rows: 14, wg_x: 8, wg_y: 1, roll: true, lanes: false };
const GPU: Variant = Variant { cols: 4, max_rows: 7, wg_x: 8, wg_y: 8, roll: false, lanes: false };
const LANES: Variant = Variant { cols: 4, max_rows: 14, wg_x: 4, wg_y: 1, roll: false, lanes: true };

/// Every row; all compute the same but for the tiles of the squeeze.
pub const VARIANTS: &[Variant] = &[SOFTWARE, LANES, GPU];

/// The default row.
pub fn choose(_: &Args, class: AdapterClass) -> Variant {
    match class {
        AdapterClass::SwiftShader => LANES,
        AdapterClass::Software | AdapterClass::SoftwareSubgroup => SOFTWARE,
        AdapterClass::Gpu => GPU,
    }
}

/// The dispatch of the default row, and its tiles.
///
/// # Errors
/// [`Error::Limit`] when the tensors are too large for one dispatch, [`Error::BadInput`] for a window or step
/// that the family does not have.
pub fn launch(args: &Args, class: AdapterClass) -> Result<(Launch, Tiles)> {
    launch_with(args, &choose(args, class))
}

/// The dispatch of a given row, and its tiles.
///
/// # Errors
/// As [`launch`].
pub fn launch_with(args: &Args, variant: &Variant) -> Result<(Launch, Tiles)> {
    if !(1..=MAX_KERNEL).contains(&args.kernel) || !(1..=2).contains(&args.stride) {
        let problem = format!("window {0}x{0} step {1}: windows up to 7x7, steps 1 and 2", args.kernel, args.stride);
        return Err(Error::bad("depthwise convolution", problem));
    }
    let c4 = args.c.div_ceil(4);
    indexable(NAME, (args.n * args.h * args.w).max(args.n * args.out_h * args.out_w) as u64 * c4 as u64)?;
    let tiles_y = args.out_h.div_ceil(variant.max_rows as usize);
    let tiles = Tiles {
        height: args.out_h.div_ceil(tiles_y),
        width: variant.cols as usize,
        tiles_y,
        tiles_x: args.out_w.div_ceil(variant.cols as usize),
    };
    let (kernel, stride) = (args.kernel as u32, args.stride as u32);
    let common = [("K", kernel), ("RESIDUAL", args.residual.into()), ("STRIDE", stride), ("WG_X", variant.wg_x)];
    let of_tile = [("COLS", variant.cols), ("ROLL", variant.roll.into()), ("WG_Y", variant.wg_y)];
    let key = match variant.lanes {
        true => KernelKey::new(LANES_NAME, &[&common[..], &[("ACT", args.act.code())]].concat()),
        false => KernelKey::new(NAME, &[&common[..], &of_tile[..]].concat()),
    };
    let params = Params {
        height: args.h as u32,
        width: args.w as u32,
        out_height: args.out_h as u32,
        out_width: args.out_w as u32,
        pad_top: args.pad_top as u32,
        pad_left: args.pad_left as u32,
        c4: c4 as u32,
        tile_h: tiles.height as u32,
        tiles_y: tiles_y as u32,
        tiles_x: tiles.tiles_x as u32,
        act: args.act.code(),
        squeeze: args.squeeze.into(),
        rolled: [kernel, (variant.cols - 1) * stride + kernel, variant.cols, stride],
    };
    let lanes = if variant.lanes { c4 * 4 } else { c4 };
    let groups =
        [lanes.div_ceil(variant.wg_x as usize), tiles.tiles_x.div_ceil(variant.wg_y as usize), args.n * tiles_y];
    let launch = Launch { key, grid: grid(NAME, groups)?, params: bytemuck::bytes_of(&params).to_vec() };
    Ok((launch, tiles))
}

/// Length of the packed bias and weights, in f32.
pub fn packed_len(kernel: usize, c: usize) -> usize {
    (1 + kernel * kernel) * c.div_ceil(4) * 4
}

/// Packs `weight` `[c, 1, kernel, kernel]` and `bias` `[c]` as `[bias | one row of channels per tap]`.
///
/// # Panics
/// When a length differs.
pub fn pack(weight: &[f32], bias: &[f32], kernel: usize, c: usize, out: &mut [f32]) {
    let (taps, row) = (kernel * kernel, c.div_ceil(4) * 4);
    assert_eq!(bias.len(), c, "bias");
    assert_eq!(weight.len(), taps * c, "weights of {c} x {kernel} x {kernel}");
    assert_eq!(out.len(), packed_len(kernel, c), "packed weights of {c} x {kernel} x {kernel}");
    let (head, rows) = out.split_at_mut(row);
    pack_bias(bias, row / 4, head);
    rows.fill(0.0);
    for (channel, filter) in weight.chunks_exact(taps).enumerate() {
        for (tap, &v) in filter.iter().enumerate() {
            rows[tap * row + channel] = v;
        }
    }
}
