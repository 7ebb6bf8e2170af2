//! Each position's channels over their L2 norm, times a factor per channel.

use super::Context;
use super::elementwise::per_pixel;
use crate::error::Result;
use crate::graph::ParamId;
use crate::tensor::Tensor;

/// [`crate::graph::Op::L2Norm`].
pub(super) fn l2_norm(context: &Context, scale: ParamId, x: &Tensor) -> Result<Tensor> {
    let scale = context.values_f64(scale, x, x.shape.c)?;
    Ok(per_pixel(x, |_, values| {
        let squares: f64 = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        let norm = squares.sqrt().max(1e-12);
        for (v, scale) in values.iter_mut().zip(&scale) {
            *v = (f64::from(*v) / norm * scale) as f32;
        }
    }))
}
