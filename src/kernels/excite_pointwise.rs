//! The gate of squeeze-and-excitation and the 1x1 convolution of what it scales in one, as an MBConv block ends; the gate
//! stays in workgroup memory. Shader: `shaders/excite_pointwise.wgsl`.
//!
//! Every workgroup computes all gates of its image: [`Args::workgroups`] of them read what one would. Where that does
//! not pay, two launches of one pipeline compute first the gates and then the product.

use super::pointwise::Variant;
use super::{AdapterClass, Launch, grid, pointwise, squeeze_excite};
use crate::error::{Error, Result};

/// Name of the family.
pub const NAME: &str = "excite_pointwise";

/// What a launch computes. The discriminant is the shader's `gate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Part {
    /// The product, its gates from [`super::Role::Gate`].
    Product = 1,
    /// Both.
    Whole = 2,
    /// The gates, `[N, 1, 1, C]`.
    Gates = 3,
}

/// `y = act(sum_k (x * gate) * w + bias)`, the gate as [`squeeze_excite`] computes it from [`super::Role::Sums`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    /// The product: gated, of all channels, not grouped.
    pub product: pointwise::Args,
    /// The gate, at most [`MAX_SLOTS`] quads of it and its hidden layer together.
    pub excite: squeeze_excite::Args,
    /// What is computed here.
    pub part: Part,
}

/// Quads of channels and of the hidden layer that workgroup memory holds beside what its lanes hold.
pub const MAX_SLOTS: usize = SLOTS - LANES;
const SLOTS: usize = 1024;
const LANES: usize = 256;

/// The tile of a GPU's product.
const GPU: Variant = Variant { rows: 4, cols: 2, wg_x: 128, parts: 1, roll: false, subgroup: false, swap: false };
/// The tile where there are few outputs.
const GPU_SPLIT: Variant = Variant { cols: 1, wg_x: 32, parts: 8, ..GPU };

/// Every row, [`pointwise`]'s with other sizes; all compute the same up to the order of sums. The last has half of the second's workgroups.
pub const VARIANTS: &[Variant] = &[GPU, GPU_SPLIT, Variant { wg_x: 64, parts: 4, ..GPU_SPLIT }];

/// The default row. It follows from the network alone: another batch or resolution must not need another pipeline.
pub fn choose(args: &Args, _: AdapterClass) -> Variant {
    if pointwise::splits(&args.product) { GPU_SPLIT } else { GPU }
}

impl Args {
    /// Workgroups of a row for an image.
    pub fn workgroups(&self, variant: &Variant) -> usize {
        let pointwise::Args { pixels, channels, .. } = &self.product;
        let tiles = pixels.div_ceil(variant.rows as usize) * channels.out4().div_ceil(variant.cols as usize);
        tiles.div_ceil(variant.wg_x as usize)
    }

    /// Bytes of sums and weights from which a workgroup computes its gates, with weights of so many bytes each.
    pub fn bytes(&self, weight: usize) -> usize {
        let squeeze_excite::Args { c, hidden, tiles, .. } = self.excite;
        4 * c * tiles + 2 * weight * c * hidden
    }
}

/// The dispatch of the default row.
///
/// # Errors
/// [`Error::Limit`] when the tensors are too large for one dispatch, or the gates for a workgroup's memory.
pub fn launch(args: &Args, class: AdapterClass) -> Result<Launch> {
    launch_with(args, &choose(args, class))
}

/// The dispatch of a given row.
///
/// # Errors
/// As [`launch`].
pub fn launch_with(args: &Args, variant: &Variant) -> Result<Launch> {
    let excite = squeeze_excite::params(&args.excite)?;
    let needed = excite.c4 + excite.h4;
    if needed as usize > MAX_SLOTS {
        return Err(Error::Limit {
            what: "the gates of a workgroup".into(),
            needed: needed.into(),
            available: MAX_SLOTS as u64,
            unit: "quads",
            advice: "do not fuse them with the product",
        });
    }
    let mut launch = pointwise::launch_with(&args.product, variant)?;
    let mut params: pointwise::Params = bytemuck::pod_read_unaligned(&launch.params);
    params.gate = args.part as u32;
    params.h4 = excite.h4;
    params.tiles = excite.tiles;
    params.inverse = excite.inverse;
    params.hidden_act = excite.act;
    params.gate_act = excite.gate_act;
    launch.params = bytemuck::bytes_of(&params).to_vec();
    launch.key.shader = NAME;
    if args.part == Part::Gates {
        launch.grid = grid(NAME, [1, 1, args.excite.n])?;
    }
    Ok(launch)
}

/// Bytes of workgroup memory of any key.
#[cfg(not(feature = "web"))]
pub(super) const BYTES: u32 = 16 * SLOTS as u32;
