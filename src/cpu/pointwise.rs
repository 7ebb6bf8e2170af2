//! 1x1 convolution, stride 1, one group: a matrix product over the channels of each pixel. Also linear layers.

use super::ConvTask;
use super::matrix::{Panels, padded_rows, rows_per_task};
use crate::tensor::Tensor;
use crate::weights::platform::for_chunks;

pub(super) fn pointwise(task: &ConvTask) -> Tensor {
    let (x, out) = (task.x, task.out);
    let (k, outputs, pixels) = (x.shape.c, out.c, out.pixels());
    let weights = Panels::new(outputs, k, |o, i| task.weight[o * k + i]);
    let mut y = Tensor::zeros(out);
    let block = rows_per_task(out.n * pixels);
    for_chunks(&mut y.data, block * outputs, |index, y| {
        let first = index * block;
        let count = y.len() / outputs;
        let mut rows = vec![0.0; padded_rows(count) * k];
        for (pixel, row) in (first..first + count).zip(rows.chunks_exact_mut(k)) {
            let gate = &task.gate[pixel / pixels * k..][..k];
            for ((row, x), gate) in row.iter_mut().zip(&x.data[pixel * k..]).zip(gate) {
                *row = f64::from(*x) * gate;
            }
        }
        let mut sums = vec![0.0; padded_rows(count) * weights.width()];
        weights.product(&rows, &mut sums);
        for (i, (y, sums)) in y.chunks_exact_mut(outputs).zip(sums.chunks_exact(weights.width())).enumerate() {
            task.store(sums, 0, (first + i) * outputs, y);
        }
    });
    y
}
