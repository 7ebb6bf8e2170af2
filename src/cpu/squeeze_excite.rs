//! Squeeze-and-excitation's gate: mean over positions, reduce, activation, expand, gate function.

use super::{Context, pool, widen};
use crate::error::Result;
use crate::graph::SqueezeExcite;
use crate::tensor::{Shape, Tensor};

/// `[N, H, W, C]` to the gate `[N, 1, 1, C]`; nothing is rounded on the way.
pub(super) fn squeeze_excite(context: &Context, se: &SqueezeExcite, x: &Tensor) -> Result<Tensor> {
    let Shape { n, c, .. } = x.shape;
    let reduce = context.values(se.reduce_weight, x, se.hidden * c)?;
    let reduce_bias = widen(&context.values(se.reduce_bias, x, se.hidden)?);
    let expand = context.values(se.expand_weight, x, c * se.hidden)?;
    let expand_bias = widen(&context.values(se.expand_bias, x, c)?);
    let mut data = Vec::with_capacity(n * c);
    for squeezed in pool::means(x).chunks_exact(c) {
        let hidden: Vec<f64> = affine(&reduce, &reduce_bias, squeezed).into_iter().map(|v| se.act.eval(v)).collect();
        data.extend(affine(&expand, &expand_bias, &hidden).into_iter().map(|v| se.gate.eval(v) as f32));
    }
    Tensor::new(Shape { h: 1, w: 1, ..x.shape }, data)
}

/// `weight * x + bias`, weight `[bias.len(), x.len()]`.
fn affine(weight: &[f32], bias: &[f64], x: &[f64]) -> Vec<f64> {
    let row = |o: usize| &weight[o * x.len()..(o + 1) * x.len()];
    let dot = |o| row(o).iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
    bias.iter().enumerate().map(|(o, b)| dot(o) + b).collect()
}
