//! Mean over positions.

use crate::tensor::{Shape, Tensor};

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
