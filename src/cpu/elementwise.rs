//! Operations on each value by itself: activation, batch norm, gate, sum.

use super::Context;
use crate::error::Result;
use crate::graph::{Activation, BatchNorm};
use crate::tensor::Tensor;
use crate::weights::platform::for_chunks;

pub(super) fn activation(act: Activation, x: &Tensor) -> Tensor {
    per_pixel(x, |_, values| {
        for v in values {
            *v = act.eval(f64::from(*v)) as f32;
        }
    })
}

/// `(x - mean) / sqrt(var + eps) * gamma + beta` per channel.
pub(super) fn batch_norm(context: &Context, bn: &BatchNorm, x: &Tensor) -> Result<Tensor> {
    let [gamma, beta, mean, var] = [bn.gamma, bn.beta, bn.mean, bn.var].map(|id| context.values_f64(id, x, x.shape.c));
    let (gamma, beta, mean, var) = (gamma?, beta?, mean?, var?);
    let deviation: Vec<f64> = var.iter().map(|v| (v + bn.eps).sqrt()).collect();
    Ok(per_pixel(x, |_, values| {
        for (c, v) in values.iter_mut().enumerate() {
            *v = ((f64::from(*v) - mean[c]) / deviation[c] * gamma[c] + beta[c]) as f32;
        }
    }))
}

/// `x` times the gate of its image and channel.
pub(super) fn scale(x: &Tensor, gate: &Tensor) -> Tensor {
    let (c, pixels) = (x.shape.c, x.shape.pixels());
    per_pixel(x, |pixel, values| {
        let gate = &gate.data[pixel / pixels * c..][..c];
        for (v, gate) in values.iter_mut().zip(gate) {
            *v = (f64::from(*v) * f64::from(*gate)) as f32;
        }
    })
}

/// `x + y` in the first `channels` channels, `x` in the others.
pub(super) fn add(x: &Tensor, y: &Tensor, channels: usize) -> Tensor {
    let c = x.shape.c;
    per_pixel(x, |pixel, values| {
        for (v, other) in values.iter_mut().zip(&y.data[pixel * c..][..channels]) {
            *v = (f64::from(*v) + f64::from(*other)) as f32;
        }
    })
}

/// A copy of `x` with `f(pixel, values)` applied to the channels of each pixel of the batch.
pub(super) fn per_pixel(x: &Tensor, f: impl Fn(usize, &mut [f32]) + Sync + Send) -> Tensor {
    let c = x.shape.c;
    let block = (16384 / c).max(1);
    let mut y = x.clone();
    for_chunks(&mut y.data, block * c, |index, values| {
        for (i, values) in values.chunks_exact_mut(c).enumerate() {
            f(index * block + i, values);
        }
    });
    y
}
