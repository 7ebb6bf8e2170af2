//! Depthwise k x k convolution with the partial sums of squeeze-and-excitation. Shader: `shaders/depthwise.wgsl`.

use super::{AdapterClass, KernelKey, Launch, Window, grid, indexable, join_code, pack_bias, without_curves};
use crate::error::{Error, Result};
use crate::graph::{Activation, Join};

/// Name of the family.
pub const NAME: &str = "depthwise";

/// Largest window edge.
pub const MAX_KERNEL: usize = 7;

/// `y = act(conv(x) + bias)`, one filter per channel, joined with another tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    /// The window, its edge 1 to [`MAX_KERNEL`], its step 1 or 2, and the maps it slides over.
    pub window: Window,
    /// Channels of the input.
    pub c: usize,
    /// Applied to the sum.
    pub act: Activation,
    /// How [`super::Role::Residual`] enters the result: not by turns.
    pub join: Join,
    /// The output is `[x | y]`: the input's channels come first. The window's step is 1.
    pub keep_input: bool,
    /// Sums of the outputs over each tile, before anything is joined, go to [`super::Role::Squeeze`].
    pub squeeze: bool,
}

impl Args {
    /// Channels that the output has before those of the convolution.
    fn kept(&self) -> usize {
        if self.keep_input { self.c } else { 0 }
    }

    /// Quads of filters: they begin where an output quad begins.
    fn quads(&self) -> usize {
        filter_quads(self.c, self.keep_input)
    }

    /// Quads of the output.
    fn y4(&self) -> usize {
        (self.kept() + self.c).div_ceil(4)
    }
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
    /// Quads of filters.
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
    /// Channels of the input / 4.
    pub x4: u32,
    /// Channels of the output / 4.
    pub y4: u32,
    /// How the other tensor joins.
    pub join: u32,
    /// How many of its channels do.
    pub joined: u32,
    /// Trip counts of loops that stay rolled: the filter's weights ([`Roll::All`]) or rows, input columns of a line, output
    /// columns, step.
    pub rolled: [u32; 4],
}

/// Which loops stay rolled: the more, the smaller the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roll {
    /// None.
    None = 0,
    /// All.
    All = 1,
    /// The one that loads the rows of the filter, which runs once.
    Filter = 2,
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
    /// Which loops stay rolled.
    pub roll: Roll,
    /// Has no exponential, or no hard curve, where the activation needs none, at the price of another pipeline: for adapters
    /// that execute every branch.
    pub lean: bool,
}

const SOFTWARE: Variant = Variant { cols: 4, max_rows: 14, wg_x: 8, wg_y: 1, roll: Roll::All, lean: false };
/// SwiftShader's tile.
const LEAN: Variant = Variant { cols: 4, max_rows: 28, lean: true, ..SOFTWARE };
/// Three columns: with more, little less is loaded, and the program takes longer to compile.
const STRIP: Variant = Variant { cols: 3, max_rows: 56, wg_x: 8, wg_y: 1, roll: Roll::Filter, lean: true };
const GPU: Variant = Variant { cols: 4, max_rows: 7, wg_x: 8, wg_y: 8, roll: Roll::None, lean: false };

/// Positions of a GPU's tile.
pub const GPU_TILE: usize = (GPU.cols * GPU.max_rows) as usize;

/// Every row; all compute the same but for the tiles of the squeeze.
pub const VARIANTS: &[Variant] = &[SOFTWARE, STRIP, GPU, LEAN];

/// The default row.
pub fn choose(_: &Args, class: AdapterClass) -> Variant {
    match class {
        AdapterClass::SwiftShader => LEAN,
        AdapterClass::Software | AdapterClass::SoftwareSubgroup => STRIP,
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
    let window = &args.window;
    let steps = if args.keep_input { 1..=1 } else { 1..=2 };
    if !(1..=MAX_KERNEL).contains(&window.kernel) || !steps.contains(&window.stride) {
        let problem = format!(
            "window {0}x{0} step {1}: windows up to 7x7, steps 1 and 2, step 1 where the input is kept",
            window.kernel, window.stride
        );
        return Err(Error::bad("depthwise convolution", problem));
    }
    let (c4, x4, y4) = (args.quads(), args.c.div_ceil(4), args.y4());
    let [inputs, outputs] = window.positions();
    indexable(NAME, (inputs * x4).max(outputs * y4) as u64)?;
    let tiles_y = window.out_h.div_ceil(variant.max_rows as usize);
    let tiles = Tiles {
        height: window.out_h.div_ceil(tiles_y),
        width: variant.cols as usize,
        tiles_y,
        tiles_x: window.out_w.div_ceil(variant.cols as usize),
    };
    let (kernel, stride) = (window.kernel as u32, window.stride as u32);
    let first_loop = if variant.roll == Roll::All { kernel * kernel } else { kernel };
    let mut consts =
        vec![("K", kernel), ("RESIDUAL", args.join.is_some().into()), ("STRIDE", stride), ("WG_X", variant.wg_x)];
    consts.extend([("COLS", variant.cols), ("ROLL", variant.roll as u32), ("WG_Y", variant.wg_y)]);
    consts.extend(variant.lean.then(|| without_curves(args.act)));
    if args.keep_input {
        consts.extend([("KEEP", 1), ("SHIFT", args.kept() as u32 % 4)]);
    }
    let key = KernelKey::new(NAME, &consts);
    let [height, width, out_height, out_width, pad_top, pad_left] = window.params();
    let [join, joined] = join_code(args.join);
    let params = Params {
        height,
        width,
        out_height,
        out_width,
        pad_top,
        pad_left,
        c4: c4 as u32,
        tile_h: tiles.height as u32,
        tiles_y: tiles_y as u32,
        tiles_x: tiles.tiles_x as u32,
        act: args.act.code(),
        squeeze: args.squeeze.into(),
        x4: x4 as u32,
        y4: y4 as u32,
        join,
        joined,
        rolled: [first_loop, (variant.cols - 1) * stride + kernel, variant.cols, stride],
    };
    let groups =
        [c4.div_ceil(variant.wg_x as usize), tiles.tiles_x.div_ceil(variant.wg_y as usize), window.n * tiles_y];
    let launch = Launch { key, grid: grid(NAME, groups)?, params: bytemuck::bytes_of(&params).to_vec() };
    Ok((launch, tiles))
}

/// What the shader computes of a key's constants.
pub(super) fn derived(key: &KernelKey, name: &str) -> Option<u32> {
    let [kernel, stride, cols] = ["K", "STRIDE", "COLS"].map(|name| key.constant(name, 1));
    match name {
        "SETS" => Some(kernel.div_ceil(stride)),
        "SPAN" => Some((cols - 1) * stride + kernel),
        _ => None,
    }
}

/// Quads of filters of `c` channels. Behind the kept input they begin in the middle of a quad where it ends there.
fn filter_quads(c: usize, keep_input: bool) -> usize {
    (c + if keep_input { c % 4 } else { 0 }).div_ceil(4)
}

/// Length of the packed bias and weights, in f32.
pub fn packed_len(kernel: usize, c: usize, keep_input: bool) -> usize {
    (1 + kernel * kernel) * filter_quads(c, keep_input) * 4
}

/// Packs `weight` `[c, 1, kernel, kernel]` and `bias` `[c]` as `[bias | one row of channels per tap]`.
///
/// # Panics
/// When a length differs.
pub fn pack(weight: &[f32], bias: &[f32], kernel: usize, c: usize, keep_input: bool, out: &mut [f32]) {
    let (taps, row) = (kernel * kernel, filter_quads(c, keep_input) * 4);
    assert_eq!(bias.len(), c, "bias");
    assert_eq!(weight.len(), taps * c, "weights of {c} x {kernel} x {kernel}");
    assert_eq!(out.len(), packed_len(kernel, c, keep_input), "packed weights of {c} x {kernel} x {kernel}");
    let shift = if keep_input { c % 4 } else { 0 };
    let (head, rows) = out.split_at_mut(row);
    head[..shift].fill(0.0);
    pack_bias(bias, &mut head[shift..]);
    rows.fill(0.0);
    for (channel, filter) in weight.chunks_exact(taps).enumerate() {
        for (tap, &v) in filter.iter().enumerate() {
            rows[tap * row + shift + channel] = v;
        }
    }
}
