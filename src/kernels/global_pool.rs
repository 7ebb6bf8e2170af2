//! Mean over positions. Shader: `shaders/global_pool.wgsl`.

use super::{AdapterClass, KernelKey, Launch, grid, indexable};
use crate::error::Result;

/// Name of the family.
pub const NAME: &str = "global_pool";

/// `[N, H, W, C]` to `[N, 1, 1, C]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args {
    /// Images.
    pub n: usize,
    /// Positions of an image.
    pub pixels: usize,
    /// Channels.
    pub c: usize,
}

/// `struct Params` of the shader.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    /// Positions of an image.
    pub pixels: u32,
    /// Channels / 4.
    pub c4: u32,
    /// 1 / positions.
    pub inverse: f32,
    /// Zero.
    pub pad: u32,
}

/// A row of the variant table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Lanes along channels.
    pub wg_x: u32,
    /// Lanes that share an image's positions; 1 needs no workgroup memory.
    pub parts: u32,
}

const SOFTWARE: Variant = Variant { wg_x: 8, parts: 1 };
const GPU: Variant = Variant { wg_x: 16, parts: 8 };

/// Every row; all compute the same up to the order of the sum.
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
    let c4 = args.c.div_ceil(4);
    indexable(NAME, (args.n * args.pixels * c4) as u64)?;
    let key = KernelKey::new(NAME, &[("PARTS", variant.parts), ("WG_X", variant.wg_x)]);
    let params =
        Params { pixels: args.pixels as u32, c4: c4 as u32, inverse: (1.0 / args.pixels as f64) as f32, pad: 0 };
    Ok(Launch {
        key,
        grid: grid(NAME, [c4.div_ceil(variant.wg_x as usize), 1, args.n])?,
        params: bytemuck::bytes_of(&params).to_vec(),
    })
}

/// Bytes of workgroup memory of a key.
pub(super) fn workgroup_bytes(key: &KernelKey) -> u32 {
    match key.constant("PARTS", 1) {
        1 => 0,
        parts => key.constant("WG_X", 1) * parts * 16,
    }
}
