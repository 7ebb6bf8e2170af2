//! 1x1 convolutions and linear layers as a matrix product. Shaders: `shaders/pointwise.wgsl` and, with weights shared
//! by subgroup broadcasts and by quad swaps, `shaders/pointwise_subgroup.wgsl` and `shaders/pointwise_swap.wgsl`.

use super::{AdapterClass, Channels, KernelKey, Launch, exponential, grid, indexable, join_code, without_curves};
use crate::error::Result;
use crate::graph::{Activation, Join};

/// Name of the family.
pub const NAME: &str = "pointwise";
/// Name of the family with subgroup broadcasts.
pub const SUBGROUP_NAME: &str = "pointwise_subgroup";
/// Name of the family with quad swaps.
pub const SWAP_NAME: &str = "pointwise_swap";

/// `y = act(sum_k (x * gate) * w + bias)` at each of `n * pixels` positions, joined with another tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    /// Images.
    pub n: usize,
    /// Positions of an image.
    pub pixels: usize,
    /// Input and output channels.
    pub channels: Channels,
    /// Applied to the sum.
    pub act: Activation,
    /// The input is multiplied by [`super::Role::Gate`].
    pub gate: bool,
    /// How [`super::Role::Residual`] enters the result.
    pub join: Join,
    /// Channels of that tensor.
    pub other: usize,
    /// The input has one position at any resolution (a classifier's).
    pub vector: bool,
}

/// `struct Params` of the shader.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    /// Positions of a slice.
    pub pixels: u32,
    /// Input channels of a product / 4.
    pub cin4: u32,
    /// Output channels / 4.
    pub cout4: u32,
    /// Tiles along output channels, of all products.
    pub tiles_n: u32,
    /// Activation code.
    pub act: u32,
    /// 1 where the input is gated; more in [`super::excite_pointwise::Part`].
    pub gate: u32,
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
    /// Channels of the other tensor / 4.
    pub other4: u32,
    /// Channels of the output tensor / 4.
    pub y4: u32,
    /// 1 where the other tensor lies in the output, which takes its place: see [`in_place`].
    pub in_place: u32,
    /// Zero.
    pub pad: u32,
    /// Trip counts for `ROLL = 1`, see `shaders/common/tile.wgsl`.
    pub rolled: [u32; 4],
    /// From here on what [`super::excite_pointwise`] computes the gate by, else zero: hidden width / 4.
    pub h4: u32,
    /// Partial sums per image and channel.
    pub tiles: u32,
    /// 1 / positions.
    pub inverse: f32,
    /// Code of the activation between the gate's products.
    pub hidden_act: u32,
    /// Code of the activation after the second.
    pub gate_act: u32,
    /// Zero.
    pub rest: [u32; 3],
}

/// A row of the variant table: the tile of an invocation and the lanes of a workgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Positions per invocation, 1 to 8.
    pub rows: u32,
    /// Output channel quads per invocation, 1 to 4, with `subgroup` 4 or 8.
    pub cols: u32,
    /// Lanes along tiles.
    pub wg_x: u32,
    /// Lanes that share a tile's input channels; 1 needs no workgroup memory.
    pub parts: u32,
    /// Keeps the loops over the tile rolled: a far smaller program.
    pub roll: bool,
    /// Lanes lie along positions and share weights by broadcasts: the tile of `shaders/pointwise_subgroup.wgsl`, which
    /// fixes `rows` and `parts`; `wg_x` is a multiple of [`super::SUBGROUP_LANES`].
    pub subgroup: bool,
    /// Four lanes share weights by quad swaps: the tile of `shaders/common/swap.wgsl`, which fixes the rest.
    pub swap: bool,
}

/// A software adapter's tile, for single vectors too.
const SOFTWARE: Variant = Variant { rows: 7, cols: 4, wg_x: 8, parts: 1, roll: true, subgroup: false, swap: false };
/// A software adapter's tile where subgroups may be used.
const SOFTWARE_SUBGROUP: Variant =
    Variant { rows: 7, cols: 8, wg_x: 8, parts: 1, roll: true, subgroup: true, swap: false };
/// The same for gated products, which have few outputs: up to a tenth slower, and takes two thirds of the time to compile.
const NARROW_SUBGROUP: Variant = Variant { cols: 4, ..SOFTWARE_SUBGROUP };
/// SwiftShader's tile.
const SWAP: Variant = Variant { rows: 7, cols: 4, wg_x: 4, parts: 1, roll: false, subgroup: false, swap: true };
/// A GPU's tile.
const GPU: Variant = Variant { rows: 4, cols: 2, wg_x: 64, parts: 1, roll: false, subgroup: false, swap: false };
/// A GPU's tile where there are few outputs.
const GPU_SPLIT: Variant = Variant { rows: 4, cols: 1, wg_x: 8, parts: 8, roll: false, subgroup: false, swap: false };
/// A GPU's product with one vector.
const GPU_VECTOR: Variant = Variant { rows: 1, cols: 1, wg_x: 8, parts: 8, roll: false, subgroup: false, swap: false };

/// Every row; all compute the same up to the order of sums.
pub const VARIANTS: &[Variant] = &[SOFTWARE, SOFTWARE_SUBGROUP, NARROW_SUBGROUP, SWAP, GPU, GPU_SPLIT, GPU_VECTOR];

/// From this many channels on (of the wider side), a mobile network's maps have few positions for a large GPU.
const WIDE: usize = 240;
/// Input channels from which sharing them among lanes pays.
const MIN_SHARED: usize = 64;

/// Whether lanes of a GPU share a tile's input channels.
pub(super) fn splits(args: &Args) -> bool {
    let Channels { c_in, c_out, .. } = args.channels;
    c_in.max(c_out) >= WIDE && c_in >= MIN_SHARED
}

/// The default row. It follows from the network alone: another batch or resolution must not need another pipeline.
pub fn choose(args: &Args, class: AdapterClass) -> Variant {
    match class {
        AdapterClass::SoftwareSubgroup if args.gate => NARROW_SUBGROUP,
        AdapterClass::SoftwareSubgroup if !args.vector => SOFTWARE_SUBGROUP,
        AdapterClass::SwiftShader => SWAP,
        AdapterClass::Software | AdapterClass::SoftwareSubgroup => SOFTWARE,
        AdapterClass::Gpu if args.vector => GPU_VECTOR,
        AdapterClass::Gpu if splits(args) => GPU_SPLIT,
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
    let channels = &args.channels;
    let interleave = args.join == Join::Interleave;
    let y4 = if interleave { (2 * channels.c_out).div_ceil(4) } else { channels.out4() };
    let total = args.n * args.pixels;
    indexable(NAME, total as u64 * channels.whole4().max(y4).max(args.other.div_ceil(4)) as u64)?;
    let group_tiles = channels.group4().div_ceil(variant.cols as usize);
    let (tiles_n, wg) = (group_tiles * channels.products(), variant.wg_x as usize);
    let groups = |pixels: usize| match variant.subgroup {
        true => pixels.div_ceil(variant.rows as usize * wg) * tiles_n,
        false if variant.swap => pixels.div_ceil(variant.rows as usize * wg),
        false => (pixels.div_ceil(variant.rows as usize) * tiles_n).div_ceil(wg),
    };
    let across = if variant.swap { tiles_n } else { 1 };
    let flat = !args.gate && groups(total) as u64 <= super::MAX_GROUPS;
    let (pixels, slices) = if flat { (total, 1) } else { (args.pixels, args.n) };
    let [join, joined] = join_code(args.join);
    let (name, mut consts) = match variant {
        Variant { subgroup: true, .. } => {
            let tile = [("COLS", variant.cols), ("GATE", args.gate.into()), ("WG_X", variant.wg_x)];
            (SUBGROUP_NAME, [&tile[..], &[without_curves(args.act)]].concat())
        }
        Variant { swap: true, .. } => {
            // Without exponentials all share a pipeline, whether they have a shortcut or not.
            let joins = args.join.is_some() || !exponential(args.act);
            let applied = [("GATE", args.gate.into()), ("JOIN", joins.into()), without_curves(args.act)];
            (SWAP_NAME, [&applied[..], &[("ROWS", variant.rows), ("WG_X", variant.wg_x)]].concat())
        }
        _ => {
            let tile = [("COLS", variant.cols), ("PARTS", variant.parts), ("ROLL", variant.roll.into())];
            (NAME, [&tile[..], &[("ROWS", variant.rows), ("WG_X", variant.wg_x)]].concat())
        }
    };
    consts.extend(interleave.then_some(("INTERLEAVE", 1)));
    let key = KernelKey::new(name, &consts);
    let params = Params {
        pixels: pixels as u32,
        cin4: channels.in4() as u32,
        cout4: channels.out4() as u32,
        tiles_n: tiles_n as u32,
        act: args.act.code(),
        gate: args.gate.into(),
        join,
        joined,
        x4: channels.whole4() as u32,
        first4: channels.first4() as u32,
        group4: channels.group4() as u32,
        group_tiles: group_tiles as u32,
        other4: args.other.div_ceil(4) as u32,
        y4: y4 as u32,
        rolled: [variant.rows, variant.cols, 4, 0],
        ..bytemuck::Zeroable::zeroed()
    };
    Ok(Launch {
        key,
        grid: grid(NAME, [groups(pixels), across, slices])?,
        params: bytemuck::bytes_of(&params).to_vec(),
    })
}

/// Whether the result of a launch may take the place of the other tensor: see [`in_place`]. By turns, channels move.
pub fn sums_in_place(key: &KernelKey) -> bool {
    [NAME, SUBGROUP_NAME, SWAP_NAME, super::excite_pointwise::NAME].contains(&key.shader)
        && key.constant("INTERLEAVE", 0) == 0
}

/// Lets the result take the place of the other tensor, of the same shape: each invocation reads what it adds from
/// [`super::Role::Output`], and writes there.
pub fn in_place(launch: &mut Launch) {
    launch.params[std::mem::offset_of!(Params, in_place)..][..4].copy_from_slice(&1_u32.to_ne_bytes());
}

/// Bytes of workgroup memory of a key.
pub(super) fn workgroup_bytes(key: &KernelKey) -> u32 {
    let quads = ["ROWS", "COLS", "WG_X"].map(|name| key.constant(name, 1)).iter().product::<u32>();
    ((key.constant("PARTS", 1) - 1) * quads + 1) * 16
}
