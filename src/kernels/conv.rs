//! Dense k x k convolution, computed directly. Shader: `shaders/conv.wgsl`.

use super::{AdapterClass, KernelKey, Launch, grid, indexable, pack_bias, pack_matrix};
use crate::error::Result;
use crate::graph::Activation;

/// Name of the family.
pub const NAME: &str = "conv";

/// `y = act(conv(x) + bias) + residual`.
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
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Edge of the window.
    pub kernel: usize,
    /// Step of the window.
    pub stride: usize,
    /// Applied to the sum.
    pub act: Activation,
    /// [`super::Role::Residual`] is added last.
    pub residual: bool,
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
    /// Input channels / 4.
    pub cin4: u32,
    /// Output channels / 4.
    pub cout4: u32,
    /// Tiles along output channels.
    pub tiles_n: u32,
    /// Activation code.
    pub act: u32,
    /// Zero.
    pub pad: [u32; 2],
    /// Trip counts for `ROLL = 1`, see `shaders/common/tile.wgsl`.
    pub rolled: [u32; 4],
}

/// A row of the variant table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Output columns per invocation, 1 to 16.
    pub rows: u32,
    /// Output channel quads per invocation, 1 to 4.
    pub cols: u32,
    /// Lanes of a workgroup.
    pub wg_x: u32,
    /// Keeps the loops over the tile rolled: a far smaller program.
    pub roll: bool,
}

const SOFTWARE: Variant = Variant { rows: 7, cols: 4, wg_x: 8, roll: true };
const GPU: Variant = Variant { rows: 4, cols: 1, wg_x: 64, roll: false };

/// Every row; all compute the same.
pub const VARIANTS: &[Variant] = &[SOFTWARE, GPU];

/// The default row.
pub fn choose(_: &Args, class: AdapterClass) -> Variant {
    match class {
        AdapterClass::Software | AdapterClass::SwiftShader | AdapterClass::SoftwareSubgroup => SOFTWARE,
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
    let (cin4, cout4) = (args.c_in.div_ceil(4), args.c_out.div_ceil(4));
    indexable(NAME, (args.n * args.h * args.w * cin4).max(args.n * args.out_h * args.out_w * cout4) as u64)?;
    let tiles_n = cout4.div_ceil(variant.cols as usize);
    let key = KernelKey::new(
        NAME,
        &[
            ("COLS", variant.cols),
            ("K", args.kernel as u32),
            ("RESIDUAL", args.residual.into()),
            ("ROLL", variant.roll.into()),
            ("ROWS", variant.rows),
            ("STRIDE", args.stride as u32),
            ("WG_X", variant.wg_x),
        ],
    );
    let params = Params {
        height: args.h as u32,
        width: args.w as u32,
        out_height: args.out_h as u32,
        out_width: args.out_w as u32,
        pad_top: args.pad_top as u32,
        pad_left: args.pad_left as u32,
        cin4: cin4 as u32,
        cout4: cout4 as u32,
        tiles_n: tiles_n as u32,
        act: args.act.code(),
        pad: [0; 2],
        rolled: [variant.rows, variant.cols, 4, args.kernel as u32],
    };
    let tiles = args.out_w.div_ceil(variant.rows as usize) * tiles_n;
    let groups = [tiles.div_ceil(variant.wg_x as usize), args.out_h, args.n];
    Ok(Launch { key, grid: grid(NAME, groups)?, params: bytemuck::bytes_of(&params).to_vec() })
}

/// Length of the packed bias and weights, in f32.
pub fn packed_len(kernel: usize, c_in: usize, c_out: usize) -> usize {
    let (cin4, cout4) = (c_in.div_ceil(4), c_out.div_ceil(4));
    cout4 * 4 + kernel * kernel * cin4 * cout4 * 16
}

/// Packs `weight` `[c_out, c_in, kernel, kernel]` and `bias` `[c_out]` as `[bias | one row of outputs per tap and input]`.
///
/// # Panics
/// When a length differs.
pub fn pack(weight: &[f32], bias: &[f32], kernel: usize, c_in: usize, c_out: usize, out: &mut [f32]) {
    assert_eq!(bias.len(), c_out, "bias");
    let (head, blocks) = out.split_at_mut(c_out.div_ceil(4) * 4);
    pack_bias(bias, c_out.div_ceil(4), head);
    pack_matrix(weight, kernel * kernel, c_in, c_out, blocks);
}
