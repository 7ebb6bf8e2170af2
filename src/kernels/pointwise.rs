//! 1x1 convolutions and linear layers as a matrix product. Shaders: `shaders/pointwise.wgsl` and, with weights shared
//! by subgroup broadcasts, `shaders/pointwise_subgroup.wgsl`.

use super::{AdapterClass, KernelKey, Launch, grid, indexable, pack_bias, pack_matrix};
use crate::error::Result;
use crate::graph::Activation;

/// Name of the family.
pub const NAME: &str = "pointwise";
/// Name of the family with subgroup broadcasts.
pub const SUBGROUP_NAME: &str = "pointwise_subgroup";
/// Name of the family with neighbouring channels in neighbouring lanes.
pub const LANES_NAME: &str = "pointwise_lanes";

/// `y = act(sum_k (x * gate) * w + bias) + residual` at each of `n * pixels` positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    /// Images.
    pub n: usize,
    /// Positions of an image.
    pub pixels: usize,
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Applied to the sum.
    pub act: Activation,
    /// The input is multiplied by [`super::Role::Gate`].
    pub gate: bool,
    /// [`super::Role::Residual`] is added last.
    pub residual: bool,
    /// The input has one position at any resolution (a classifier's).
    pub vector: bool,
}

/// `struct Params` of the shader.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    /// Positions of a slice.
    pub pixels: u32,
    /// Input channels / 4.
    pub cin4: u32,
    /// Output channels / 4.
    pub cout4: u32,
    /// Tiles along output channels.
    pub tiles_n: u32,
    /// Activation code.
    pub act: u32,
    /// 1 where the input is gated.
    pub gate: u32,
    /// 1 where a residual is added.
    pub residual: u32,
    /// Zero.
    pub pad: u32,
    /// Trip counts for `ROLL = 1`, see `shaders/common/tile.wgsl`.
    pub rolled: [u32; 4],
}

/// A row of the variant table: the tile of an invocation and the lanes of a workgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Positions per invocation, 1 to 16.
    pub rows: u32,
    /// Output channel quads per invocation, 1 to 4.
    pub cols: u32,
    /// Lanes along tiles.
    pub wg_x: u32,
    /// Lanes that share a tile's input channels; 1 needs no workgroup memory.
    pub parts: u32,
    /// Keeps the loops over the tile rolled: a far smaller program.
    pub roll: bool,
    /// Lanes lie along positions and share weights by broadcasts: the tile of `shaders/pointwise_subgroup.wgsl`, which
    /// fixes `rows`, `cols` and `parts`; `wg_x` is a multiple of [`super::SUBGROUP_LANES`].
    pub subgroup: bool,
    /// Neighbouring lanes take neighbouring channels: the tile of `shaders/pointwise_lanes.wgsl`, which fixes `rows`,
    /// `cols` (quads of single channels here) and `parts`.
    pub lanes: bool,
}

/// A software adapter's tile, for single vectors too.
const SOFTWARE: Variant = Variant { rows: 7, cols: 4, wg_x: 8, parts: 1, roll: true, subgroup: false, lanes: false };
/// A software adapter's tile where subgroups may be used.
const SOFTWARE_SUBGROUP: Variant =
    Variant { rows: 4, cols: 4, wg_x: 8, parts: 1, roll: true, subgroup: true, lanes: false };
/// SwiftShader's tile.
const LANES: Variant = Variant { rows: 8, cols: 2, wg_x: 4, parts: 1, roll: false, subgroup: false, lanes: true };
/// A GPU's tile.
const GPU: Variant = Variant { rows: 4, cols: 2, wg_x: 64, parts: 1, roll: false, subgroup: false, lanes: false };
/// A GPU's tile where there are few outputs.
const GPU_SPLIT: Variant = Variant { rows: 4, cols: 1, wg_x: 8, parts: 8, roll: false, subgroup: false, lanes: false };
/// A GPU's product with one vector.
const GPU_VECTOR: Variant = Variant { rows: 1, cols: 1, wg_x: 8, parts: 8, roll: false, subgroup: false, lanes: false };

/// Every row; all compute the same up to the order of sums.
pub const VARIANTS: &[Variant] = &[SOFTWARE, SOFTWARE_SUBGROUP, LANES, GPU, GPU_SPLIT, GPU_VECTOR];

/// From this many channels on (of the wider side), a mobile network's maps have few positions for a large GPU.
const WIDE: usize = 240;
/// Input channels from which sharing them among lanes pays.
const MIN_SHARED: usize = 64;

/// The default row. It follows from the network alone: another batch or resolution must not need another pipeline.
pub fn choose(args: &Args, class: AdapterClass) -> Variant {
    let split = args.c_in.max(args.c_out) >= WIDE && args.c_in >= MIN_SHARED;
    match class {
        AdapterClass::SoftwareSubgroup if !args.vector => SOFTWARE_SUBGROUP,
        AdapterClass::SwiftShader => LANES,
        AdapterClass::Software | AdapterClass::SoftwareSubgroup => SOFTWARE,
        AdapterClass::Gpu if args.vector => GPU_VECTOR,
        AdapterClass::Gpu if split => GPU_SPLIT,
        AdapterClass::Gpu => GPU,
    }
}

/// The dispatch of the default row. On maps so large that its grid exceeds the limits (several megapixels), that of
/// the large tile.
///
/// # Errors
/// [`crate::error::Error::Limit`] when the tensors are too large for one dispatch.
pub fn launch(args: &Args, class: AdapterClass) -> Result<Launch> {
    launch_with(args, &choose(args, class)).or_else(|_| launch_with(args, &GPU))
}

/// The dispatch of a given row.
///
/// # Errors
/// As [`launch`].
pub fn launch_with(args: &Args, variant: &Variant) -> Result<Launch> {
    let (cin4, cout4) = (args.c_in.div_ceil(4), args.c_out.div_ceil(4));
    let total = args.n * args.pixels;
    indexable(NAME, total as u64 * cin4.max(cout4) as u64)?;
    // Of single channels, a workgroup has eight a lane.
    let tile = if variant.lanes { 2 * variant.wg_x } else { variant.cols };
    let (tiles_n, wg) = (cout4.div_ceil(tile as usize), variant.wg_x as usize);
    let groups = |pixels: usize| match variant.subgroup {
        true => pixels.div_ceil(variant.rows as usize * wg) * tiles_n,
        false if variant.lanes => pixels.div_ceil(variant.rows as usize),
        false => (pixels.div_ceil(variant.rows as usize) * tiles_n).div_ceil(wg),
    };
    let across = if variant.lanes { tiles_n } else { 1 };
    let flat = !args.gate && groups(total) as u64 <= super::MAX_GROUPS;
    let (pixels, slices) = if flat { (total, 1) } else { (args.pixels, args.n) };
    let key = match variant.subgroup {
        true => KernelKey::new(SUBGROUP_NAME, &[("WG_X", variant.wg_x)]),
        false if variant.lanes => KernelKey::new(
            LANES_NAME,
            &[
                ("ACT", args.act.code()),
                ("GATE", args.gate.into()),
                ("RESIDUAL", args.residual.into()),
                ("WG_X", variant.wg_x),
            ],
        ),
        false => KernelKey::new(
            NAME,
            &[
                ("COLS", variant.cols),
                ("PARTS", variant.parts),
                ("ROLL", variant.roll.into()),
                ("ROWS", variant.rows),
                ("WG_X", variant.wg_x),
            ],
        ),
    };
    let params = Params {
        pixels: pixels as u32,
        cin4: cin4 as u32,
        cout4: cout4 as u32,
        tiles_n: tiles_n as u32,
        act: args.act.code(),
        gate: args.gate.into(),
        residual: args.residual.into(),
        pad: 0,
        rolled: [variant.rows, variant.cols, 4, 0],
    };
    Ok(Launch {
        key,
        grid: grid(NAME, [groups(pixels), across, slices])?,
        params: bytemuck::bytes_of(&params).to_vec(),
    })
}

/// Length of the packed bias and weights, in f32.
pub fn packed_len(c_in: usize, c_out: usize) -> usize {
    let (cin4, cout4) = (c_in.div_ceil(4), c_out.div_ceil(4));
    cout4 * 4 + cin4 * cout4 * 16
}

/// Packs `weight` `[c_out, c_in]` and `bias` `[c_out]` as `[bias | one row of outputs per input]`.
///
/// # Panics
/// When a length differs.
pub fn pack(weight: &[f32], bias: &[f32], c_in: usize, c_out: usize, out: &mut [f32]) {
    assert_eq!(bias.len(), c_out, "bias");
    let (head, blocks) = out.split_at_mut(c_out.div_ceil(4) * 4);
    pack_bias(bias, c_out.div_ceil(4), head);
    pack_matrix(weight, 1, c_in, c_out, blocks);
}

/// Bytes of workgroup memory of a key.
pub(super) fn workgroup_bytes(key: &KernelKey) -> u32 {
    let quads = ["ROWS", "COLS", "WG_X"].map(|name| key.constant(name, 1)).iter().product::<u32>();
    ((key.constant("PARTS", 1) - 1) * quads + 1) * 16
}
