//! k x k convolution over all channels or groups of them, computed directly. Shaders: `shaders/conv.wgsl` and,
//! with weights shared by subgroup broadcasts or by quad swaps, `shaders/conv_subgroup.wgsl` and `shaders/conv_swap.wgsl`.

use super::{AdapterClass, Channels, KernelKey, Launch, Window, grid, indexable, join_code, without_curves};
use crate::error::Result;
use crate::graph::{Activation, Join};

/// Name of the family.
pub const NAME: &str = "conv";
/// Name of the family with subgroup broadcasts.
pub const SUBGROUP_NAME: &str = "conv_subgroup";
/// Name of the family with quad swaps.
pub const SWAP_NAME: &str = "conv_swap";

/// `y = act(conv(x) + bias)`, joined with another tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    /// The window and the maps it slides over.
    pub window: Window,
    /// Input and output channels.
    pub channels: Channels,
    /// Applied to the sum.
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
    /// Input channels of a product / 4.
    pub cin4: u32,
    /// Output channels / 4.
    pub cout4: u32,
    /// Tiles along output channels, of all products.
    pub tiles_n: u32,
    /// Activation code.
    pub act: u32,
    /// How the other tensor joins.
    pub join: u32,
    /// How many of its channels do.
    pub joined: u32,
    /// Channels of the input tensor / 4.
    pub x4: u32,
    /// The first input quad.
    pub first4: u32,
    /// Output quads of a product.
    pub group4: u32,
    /// Tiles along the output channels of a product.
    pub group_tiles: u32,
    /// Trip counts for `ROLL = 1`, see `shaders/common/tile.wgsl`.
    pub rolled: [u32; 4],
}

/// A row of the variant table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Output columns per invocation, 1 to 8.
    pub rows: u32,
    /// Output channel quads per invocation, 1 to 4.
    pub cols: u32,
    /// Lanes of a workgroup.
    pub wg_x: u32,
    /// Keeps the loops over the tile rolled: a far smaller program.
    pub roll: bool,
    /// Lanes lie along all positions of an image and share weights by broadcasts: the tile of
    /// `shaders/conv_subgroup.wgsl`, which fixes `rows` and `cols`; `wg_x` is a multiple of [`super::SUBGROUP_LANES`].
    pub subgroup: bool,
    /// Four lanes share weights by quad swaps: the tile of `shaders/common/swap.wgsl`, where `rows` is 2 or 7; it
    /// fixes `cols` and `wg_x`.
    pub swap: bool,
}

const GPU: Variant = Variant { rows: 4, cols: 1, wg_x: 64, roll: false, subgroup: false, swap: false };
const SOFTWARE: Variant = Variant { rows: 7, cols: 4, wg_x: 8, roll: true, ..GPU };
/// A software adapter's tile where subgroups may be used.
const SOFTWARE_SUBGROUP: Variant = Variant { subgroup: true, ..SOFTWARE };
/// SwiftShader's tile.
const SWAP: Variant = Variant { rows: 7, cols: 4, wg_x: 4, swap: true, ..GPU };
/// SwiftShader's tile for a stem, which takes little time to compile.
const SWAP_STEM: Variant = Variant { rows: 2, ..SWAP };

/// Every row; all compute the same.
pub const VARIANTS: &[Variant] = &[SOFTWARE, SOFTWARE_SUBGROUP, GPU, SWAP, SWAP_STEM];

/// The default row.
pub fn choose(args: &Args, class: AdapterClass) -> Variant {
    match class {
        AdapterClass::Software => SOFTWARE,
        AdapterClass::SwiftShader if args.channels.in4() == 1 => SWAP_STEM,
        AdapterClass::SwiftShader => SWAP,
        AdapterClass::SoftwareSubgroup => SOFTWARE_SUBGROUP,
        AdapterClass::Gpu => GPU,
    }
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
    let (window, channels) = (&args.window, &args.channels);
    let [inputs, outputs] = window.positions();
    indexable(NAME, (inputs * channels.whole4()).max(outputs * channels.out4()) as u64)?;
    let group_tiles = channels.group4().div_ceil(variant.cols as usize);
    let tiles_n = group_tiles * channels.products();
    let mut consts = vec![
        ("K", window.kernel as u32),
        ("RESIDUAL", args.join.is_some().into()),
        ("STRIDE", window.stride as u32),
        ("WG_X", variant.wg_x),
    ];
    consts.extend((window.dilation > 1).then_some(("DILATION", window.dilation as u32)));
    let name = match variant {
        Variant { subgroup: true, .. } => SUBGROUP_NAME,
        Variant { swap: true, .. } => SWAP_NAME,
        _ => NAME,
    };
    match name {
        NAME => consts.extend([("COLS", variant.cols), ("ROLL", variant.roll.into()), ("ROWS", variant.rows)]),
        SWAP_NAME => consts.extend([("ROWS", variant.rows), without_curves(args.act)]),
        _ => consts.push(without_curves(args.act)),
    }
    let key = KernelKey::new(name, &consts);
    let [height, width, out_height, out_width, pad_top, pad_left] = window.params();
    let [join, joined] = join_code(args.join);
    let params = Params {
        height,
        width,
        out_height,
        out_width,
        pad_top,
        pad_left,
        cin4: channels.in4() as u32,
        cout4: channels.out4() as u32,
        tiles_n: tiles_n as u32,
        act: args.act.code(),
        join,
        joined,
        x4: channels.whole4() as u32,
        first4: channels.first4() as u32,
        group4: channels.group4() as u32,
        group_tiles: group_tiles as u32,
        rolled: [variant.rows, variant.cols, 4, window.kernel as u32],
    };
    let (rows, wg) = (variant.rows as usize, variant.wg_x as usize);
    let tiles = (window.out_h * window.out_w).div_ceil(rows * wg);
    let groups = match name {
        NAME => [(window.out_w.div_ceil(rows) * tiles_n).div_ceil(wg), window.out_h, window.n],
        SWAP_NAME => [tiles, tiles_n, window.n],
        _ => [tiles * tiles_n, 1, window.n],
    };
    Ok(Launch { key, grid: grid(NAME, groups)?, params: bytemuck::bytes_of(&params).to_vec() })
}
