//! The gate of squeeze-and-excitation from partial sums, in one dispatch. Shaders: `shaders/squeeze_excite.wgsl` over
//! `shaders/common/excite.wgsl` and, without barriers, `shaders/squeeze_excite_subgroup.wgsl`.

use super::{AdapterClass, KernelKey, Launch, QUAD_LANES, grid, indexable, pack_bias};
use crate::error::{Error, Result};
use crate::graph::Activation;

/// Name of the family.
pub const NAME: &str = "squeeze_excite";
/// Name of the family with subgroup shuffles.
pub const SUBGROUP_NAME: &str = "squeeze_excite_subgroup";

/// Largest hidden width.
pub const MAX_HIDDEN: usize = 1024;

/// `gate(expand(act(reduce(sum of tiles / pixels))))`, `[N, 1, 1, C]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    /// Images.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Width of the bottleneck, at most [`MAX_HIDDEN`].
    pub hidden: usize,
    /// Partial sums per image and channel.
    pub tiles: usize,
    /// Positions that the partial sums cover together.
    pub pixels: usize,
    /// Between the two products.
    pub act: Activation,
    /// After the second.
    pub gate: Activation,
}

/// `struct Excite` of the shader.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    /// Channels / 4.
    pub c4: u32,
    /// Hidden width / 4.
    pub h4: u32,
    /// Partial sums per image and channel.
    pub tiles: u32,
    /// 1 / positions.
    pub inverse: f32,
    /// Code of the activation between the two products.
    pub act: u32,
    /// Code of the activation after the second.
    pub gate_act: u32,
    /// Trip count 4 of loops that stay rolled.
    pub four: u32,
    /// Zero.
    pub pad: u32,
}

/// A row of the variant table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Lanes of the workgroup, one workgroup per image.
    pub wg_x: u32,
    /// Keeps loops rolled: a far smaller program.
    pub roll: bool,
    /// The workgroup is one subgroup and has no barriers; `wg_x` is at most [`super::QUAD_LANES`].
    pub subgroup: bool,
}

/// One vector of a software adapter: its barriers switch between no others.
const SOFTWARE: Variant = Variant { wg_x: 8, roll: true, subgroup: false };
/// SwiftShader's, which takes a second to compile barriers.
const SUBGROUP: Variant = Variant { wg_x: QUAD_LANES, roll: true, subgroup: true };
const GPU: Variant = Variant { wg_x: 256, roll: false, subgroup: false };

/// Every row; all compute the same up to the order of sums.
pub const VARIANTS: &[Variant] = &[SOFTWARE, SUBGROUP, GPU, Variant { wg_x: 64, ..GPU }];

/// The default row.
pub fn choose(_: &Args, class: AdapterClass) -> Variant {
    match class {
        AdapterClass::SwiftShader => SUBGROUP,
        AdapterClass::Software | AdapterClass::SoftwareSubgroup => SOFTWARE,
        AdapterClass::Gpu => GPU,
    }
}

/// The dispatch of the default row.
///
/// # Errors
/// [`Error::Limit`] when the batch or the hidden width is too large.
pub fn launch(args: &Args, class: AdapterClass) -> Result<Launch> {
    launch_with(args, &choose(args, class))
}

/// The uniform.
pub(super) fn params(args: &Args) -> Result<Params> {
    if args.hidden > MAX_HIDDEN {
        return Err(Error::Limit {
            what: "squeeze-and-excitation's hidden layer".into(),
            needed: args.hidden as u64,
            available: MAX_HIDDEN as u64,
            unit: "channels",
            advice: "use a smaller squeeze ratio",
        });
    }
    let (c4, h4) = (args.c.div_ceil(4), args.hidden.div_ceil(4));
    indexable(NAME, (args.n * args.tiles * c4) as u64)?;
    Ok(Params {
        c4: c4 as u32,
        h4: h4 as u32,
        tiles: args.tiles as u32,
        inverse: (1.0 / args.pixels as f64) as f32,
        act: args.act.code(),
        gate_act: args.gate.code(),
        four: 4,
        pad: 0,
    })
}

/// The dispatch of a given row.
///
/// # Errors
/// As [`launch`].
pub fn launch_with(args: &Args, variant: &Variant) -> Result<Launch> {
    let params = params(args)?;
    let key = match variant.subgroup {
        true => KernelKey::new(SUBGROUP_NAME, &[("WG_X", variant.wg_x)]),
        false => KernelKey::new(NAME, &[("ROLL", variant.roll.into()), ("WG_X", variant.wg_x)]),
    };
    Ok(Launch { key, grid: grid(NAME, [args.n, 1, 1])?, params: bytemuck::bytes_of(&params).to_vec() })
}

/// Length of the packed biases and weights, in f32.
pub fn packed_len(c: usize, hidden: usize) -> usize {
    let (c4, h4) = (c.div_ceil(4), hidden.div_ceil(4));
    (h4 + c4) * 4 + 2 * c4 * h4 * 16
}

/// Weights and biases in PyTorch's order.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// `[hidden, c]`.
    pub reduce: &'a [f32],
    /// `[hidden]`.
    pub reduce_bias: &'a [f32],
    /// `[c, hidden]`.
    pub expand: &'a [f32],
    /// `[c]`.
    pub expand_bias: &'a [f32],
}

/// Packs `[reduce bias | expand bias | reduce rows | expand rows]`.
///
/// # Panics
/// When a length differs.
pub fn pack(w: &Weights<'_>, c: usize, hidden: usize, out: &mut [f32]) {
    assert_eq!((w.reduce_bias.len(), w.expand_bias.len()), (hidden, c), "biases");
    let (c4, h4) = (c.div_ceil(4), hidden.div_ceil(4));
    let (biases, blocks) = out.split_at_mut((h4 + c4) * 4);
    let (reduce_bias, expand_bias) = biases.split_at_mut(h4 * 4);
    let (reduce, expand) = blocks.split_at_mut(c4 * h4 * 16);
    pack_bias(w.reduce_bias, reduce_bias);
    pack_bias(w.expand_bias, expand_bias);
    pack_matrix(w.reduce, c, hidden, reduce);
    pack_matrix(w.expand, hidden, c, expand);
}

/// `[outputs, inputs]` as a row of outputs per input, both padded with zeros to multiples of four.
fn pack_matrix(weight: &[f32], inputs: usize, outputs: usize, out: &mut [f32]) {
    assert_eq!(weight.len(), inputs * outputs, "weights of {outputs} x {inputs}");
    let row = outputs.next_multiple_of(4);
    out.fill(0.0);
    for (n, weights) in weight.chunks_exact(inputs).enumerate() {
        for (k, &v) in weights.iter().enumerate() {
            out[k * row + n] = v;
        }
    }
}

/// Bytes of workgroup memory of a key.
pub(super) fn workgroup_bytes(_: &KernelKey) -> u32 {
    2 * MAX_HIDDEN as u32 * 4
}
