//! The last 1x1 convolution and the mean over positions, in one. Shaders: `shaders/head_pool.wgsl` and, with weights
//! shared by subgroup broadcasts or by quad swaps, `shaders/head_pool_subgroup.wgsl` and `shaders/head_pool_swap.wgsl`.

use super::{AdapterClass, KernelKey, Launch, grid, indexable};
use crate::error::Result;
use crate::graph::Activation;

/// Name of the family.
pub const NAME: &str = "head_pool";
/// Name of the family with subgroup broadcasts.
pub const SUBGROUP_NAME: &str = "head_pool_subgroup";
/// Name of the family with quad swaps.
pub const SWAP_NAME: &str = "head_pool_swap";

/// `y = mean_p act(sum_k x[p] * w + bias)`, `[N, 1, 1, C_out]`.
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
    /// Applied to each position's sum.
    pub act: Activation,
    /// There is one position at any resolution (a classifier's).
    pub vector: bool,
}

/// `struct Params` of the shader.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    /// Positions of an image.
    pub pixels: u32,
    /// Input channels / 4.
    pub cin4: u32,
    /// Output channels / 4.
    pub cout4: u32,
    /// 1 / positions.
    pub inverse: f32,
    /// Activation code.
    pub act: u32,
    /// Zero.
    pub pad: [u32; 3],
    /// Trip counts for `ROLL = 1`, see `shaders/common/tile.wgsl`.
    pub rolled: [u32; 4],
}

/// A row of the variant table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Positions at a time per invocation, 1 to 8.
    pub rows: u32,
    /// Output channel quads per invocation, 1 to 4.
    pub cols: u32,
    /// Lanes along channels.
    pub wg_x: u32,
    /// Lanes that share an image's positions; 1 needs no workgroup memory.
    pub parts: u32,
    /// Keeps the loops over the tile rolled: a far smaller program.
    pub roll: bool,
    /// Lanes lie along positions and share weights by broadcasts: the tile of `shaders/head_pool_subgroup.wgsl`, which fixes
    /// all the rest.
    pub subgroup: bool,
    /// Four lanes share weights by quad swaps: the tile of `shaders/common/swap.wgsl`, which fixes the rest.
    pub swap: bool,
}

const GPU: Variant = Variant { rows: 4, cols: 1, wg_x: 8, parts: 8, roll: false, subgroup: false, swap: false };
const SOFTWARE: Variant = Variant { rows: 7, cols: 4, parts: 1, roll: true, ..GPU };
/// A software adapter's tile where subgroups may be used.
const SOFTWARE_SUBGROUP: Variant = Variant { subgroup: true, ..SOFTWARE };
/// A software adapter's product with one vector.
const SOFTWARE_VECTOR: Variant = Variant { rows: 1, cols: 1, parts: 1, ..GPU };
/// SwiftShader's tile: small, so that it takes little time to compile, and one pipeline for the head and the classifier.
const SWAP: Variant = Variant { rows: 2, cols: 1, wg_x: 4, parts: 1, swap: true, ..GPU };

/// Every row; all compute the same up to the order of the sum over positions.
pub const VARIANTS: &[Variant] = &[SOFTWARE, SOFTWARE_SUBGROUP, SOFTWARE_VECTOR, GPU, SWAP];

/// The default row.
pub fn choose(args: &Args, class: AdapterClass) -> Variant {
    match class {
        AdapterClass::SwiftShader => SWAP,
        AdapterClass::Software => SOFTWARE,
        AdapterClass::SoftwareSubgroup if args.vector => SOFTWARE_VECTOR,
        AdapterClass::SoftwareSubgroup => SOFTWARE_SUBGROUP,
        AdapterClass::Gpu => GPU,
    }
}

/// The pipeline of every network's head and classifier, where they share one.
pub fn shared(class: AdapterClass) -> Option<KernelKey> {
    (class == AdapterClass::SwiftShader).then(|| key(&SWAP))
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
    indexable(NAME, (args.n * args.pixels * cin4) as u64)?;
    let quads = if variant.subgroup { variant.cols } else { variant.cols * variant.wg_x };
    let params = Params {
        pixels: args.pixels as u32,
        cin4: cin4 as u32,
        cout4: cout4 as u32,
        inverse: (1.0 / args.pixels as f64) as f32,
        act: args.act.code(),
        pad: [0; 3],
        rolled: [variant.rows, variant.cols, 4, 0],
    };
    Ok(Launch {
        key: key(variant),
        grid: grid(NAME, [cout4.div_ceil(quads as usize), 1, args.n])?,
        params: bytemuck::bytes_of(&params).to_vec(),
    })
}

/// The pipeline of a row: no shape makes another one.
fn key(variant: &Variant) -> KernelKey {
    let lanes = [("ROWS", variant.rows), ("WG_X", variant.wg_x)];
    match variant {
        Variant { subgroup: true, .. } => KernelKey::new(SUBGROUP_NAME, &lanes[1..]),
        Variant { swap: true, .. } => KernelKey::new(SWAP_NAME, &lanes),
        _ => {
            let tile = [("COLS", variant.cols), ("PARTS", variant.parts), ("ROLL", variant.roll.into())];
            KernelKey::new(NAME, &[&lanes[..], &tile].concat())
        }
    }
}

/// Bytes of workgroup memory of a key.
pub(super) fn workgroup_bytes(key: &KernelKey) -> u32 {
    key.constant("WG_X", 1) * key.constant("PARTS", 1) * key.constant("COLS", 1) * 16
}
