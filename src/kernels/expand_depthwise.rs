//! A 1x1 convolution and the depthwise convolution behind it in one, as an inverted residual begins; the tensor between
//! them stays in workgroup memory. Shader: `shaders/expand_depthwise.wgsl`.
//!
//! Neighbouring tiles both compute what their windows share of that tensor: [`tiles`] keeps that small.

use super::depthwise::{MAX_KERNEL, Tiles};
use super::{AdapterClass, FUSED_BYTES, KernelKey, Launch, Window, grid, indexable, join_code};
use crate::error::{Error, Result};
use crate::graph::{Activation, Join};

/// Name of the family.
pub const NAME: &str = "expand_depthwise";

/// `y = act(depthwise(expand_act(x * v + b)) + c)`, joined with another tensor, or averaged over the
/// positions. The window pads with zeros what the 1x1 convolution gives, not what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    /// The window of the depthwise convolution, its edge 1 to [`MAX_KERNEL`], its step 1 or 2.
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

/// A row of the variant table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Channel quads of a workgroup: the fewer, the larger its tile.
    pub quads: u32,
    /// Lanes along positions, a power of two.
    pub lanes: u32,
}

/// For windows of 3x3.
const SMALL: Variant = Variant { quads: 4, lanes: 64 };
/// For wider windows, which share more with their neighbours.
const LARGE: Variant = Variant { quads: 2, lanes: 128 };

/// Every row; all compute the same but for the tiles of the squeeze.
pub const VARIANTS: &[Variant] = &[SMALL, LARGE];

impl Variant {
    /// Positions of the tensor between the two that fit in workgroup memory.
    fn capacity(&self) -> usize {
        (FUSED_BYTES / 16 / self.quads) as usize
    }
}

/// The default row.
pub fn choose(args: &Args, _: AdapterClass) -> Variant {
    if args.window.kernel > 3 { LARGE } else { SMALL }
}

/// The tiles of a row that compute the fewest positions of the tensor between the two convolutions, and how many they
/// compute of each image.
pub fn tiles(window: &Window, variant: &Variant) -> (Tiles, usize) {
    let (kernel, stride, capacity) = (window.kernel, window.stride, variant.capacity());
    let span = |outputs: usize| (outputs - 1) * stride + kernel;
    // Positions inside the image under all tiles of an axis.
    let computed = |size: usize, out: usize, pad: usize, tile: usize| {
        let of_tile = |first: usize| {
            let begin = first * stride;
            (begin + span(tile.min(out - first))).min(size + pad).saturating_sub(begin.max(pad))
        };
        (0..out).step_by(tile).map(of_tile).sum::<usize>()
    };
    let sizes = |out: usize| (1..=out).take_while(|&n| span(n) <= capacity);
    let columns: Vec<_> =
        sizes(window.out_w).map(|w| (w, computed(window.w, window.out_w, window.pad_left, w))).collect();
    let choices = sizes(window.out_h).flat_map(|h| {
        let rows = computed(window.h, window.out_h, window.pad_top, h);
        let fits = move |c: &&(usize, usize)| span(h) * span(c.0) <= capacity;
        columns.iter().filter(fits).map(move |&(w, columns)| (rows * columns, h, w))
    });
    let count = |h: usize, w: usize| window.out_h.div_ceil(h) * window.out_w.div_ceil(w);
    let best = choices.min_by_key(|&(positions, h, w)| (positions, count(h, w), h.abs_diff(w)));
    let (positions, height, width) = best.unwrap_or((window.h * window.w, 1, 1));
    let (tiles_y, tiles_x) = (window.out_h.div_ceil(height), window.out_w.div_ceil(width));
    (Tiles { height, width, tiles_y, tiles_x }, positions)
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
    let window = &args.window;
    if !(1..=MAX_KERNEL).contains(&window.kernel) || !(1..=2).contains(&window.stride) {
        let problem =
            format!("window {0}x{0} step {1}: windows up to 7x7, steps 1 and 2", window.kernel, window.stride);
        return Err(Error::bad("expanding depthwise convolution", problem));
    }
    let (x4, c4) = (args.c_in.div_ceil(4), args.c.div_ceil(4));
    let [inputs, outputs] = window.positions();
    indexable(NAME, (inputs * x4).max(outputs * c4) as u64)?;
    let (tiles, _) = tiles(window, variant);
    let consts = [
        ("K", window.kernel as u32),
        ("STRIDE", window.stride as u32),
        ("WG_X", variant.quads),
        ("WG_Y", variant.lanes),
    ];
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
    let key = KernelKey::new(NAME, &consts);
    Ok((Launch { key, grid: grid(NAME, groups)?, params: bytemuck::bytes_of(&params).to_vec() }, tiles))
}
