//! Means over positions, and windows over each channel by itself.

use crate::graph::{Pool, PoolKind};
use crate::tensor::{Shape, Tensor, window};
use crate::weights::platform::for_chunks;

/// [`Pool`]; `y` is its output's shape.
pub(super) fn pool(pool: &Pool, x: &Tensor, y: Shape) -> Tensor {
    let before = |input| window(pool.padding, input, pool.kernel, pool.stride).map_or(0, |w| w.before);
    let (top, left, c) = (before(x.shape.h), before(x.shape.w), y.c);
    let mut out = Tensor::zeros(y);
    for_chunks(&mut out.data, y.w * c, |index, row| {
        let (n, oy) = (index / y.h, index % y.h);
        for (ox, out) in row.chunks_exact_mut(c).enumerate() {
            let mut values = vec![if pool.kind == PoolKind::Max { f64::NEG_INFINITY } else { 0.0 }; c];
            let mut inside = 0.0;
            for tap in 0..pool.kernel * pool.kernel {
                let iy = (oy * pool.stride + tap / pool.kernel).wrapping_sub(top);
                let ix = (ox * pool.stride + tap % pool.kernel).wrapping_sub(left);
                if iy >= x.shape.h || ix >= x.shape.w {
                    continue;
                }
                inside += 1.0;
                let pixel = &x.data[((n * x.shape.h + iy) * x.shape.w + ix) * c..][..c];
                for (value, v) in values.iter_mut().zip(pixel) {
                    *value = match pool.kind {
                        PoolKind::Max => value.max(f64::from(*v)),
                        PoolKind::Average => *value + f64::from(*v),
                    };
                }
            }
            let divisor = if pool.kind == PoolKind::Max { 1.0 } else { inside };
            out.iter_mut().zip(values).for_each(|(out, value)| *out = (value / divisor) as f32);
        }
    });
    out
}

/// `[N, H, W, C]` to `[N, 1, 1, C]`.
pub(super) fn global_avg(x: &Tensor) -> Tensor {
    let data = means(x).into_iter().map(|v| v as f32).collect();
    Tensor { shape: Shape { h: 1, w: 1, ..x.shape }, data }
}

/// The means of each image's channels, `[N, C]`.
pub(super) fn means(x: &Tensor) -> Vec<f64> {
    let Shape { n, c, .. } = x.shape;
    let mut sums = vec![0.0; n * c];
    for (image, sums) in x.data.chunks_exact(x.shape.pixels() * c).zip(sums.chunks_exact_mut(c)) {
        for pixel in image.chunks_exact(c) {
            sums.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += f64::from(*v));
        }
    }
    let pixels = x.shape.pixels() as f64;
    sums.iter_mut().for_each(|sum| *sum /= pixels);
    sums
}
