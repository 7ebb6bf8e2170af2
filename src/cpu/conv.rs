//! k x k convolution over all channels, or over groups of them: each window is gathered into a row, zeros where
//! it leaves the image, and multiplied with the weights of its group.

use super::ConvTask;
use super::matrix::{Panels, padded_rows};
use crate::tensor::{Tensor, window};
use crate::weights::platform::for_chunks;

pub(super) fn conv(task: &ConvTask) -> Tensor {
    let (conv, x, out) = (task.conv, task.x, task.out);
    let (groups, size) = (conv.groups, conv.kernel);
    let (inputs, outputs) = (x.shape.c / groups, out.c / groups);
    let k = size * size * inputs;
    // A row is ordered by window row, window column, channel; the weights OIHW.
    let weights: Vec<Panels> = (0..groups)
        .map(|group| {
            Panels::new(outputs, k, |o, i| {
                let (tap, channel) = (i / inputs, i % inputs);
                task.weight[((group * outputs + o) * inputs + channel) * size * size + tap]
            })
        })
        .collect();
    let mut y = Tensor::zeros(out);
    let row_len = out.w * out.c;
    for_chunks(&mut y.data, row_len, |index, y| {
        let (n, oy) = (index / out.h, index % out.h);
        let mut rows = vec![0.0; padded_rows(out.w) * k];
        let mut sums = Vec::new();
        for (group, weights) in weights.iter().enumerate() {
            for (ox, row) in (0..out.w).zip(rows.chunks_exact_mut(k)) {
                gather(task, [n, oy, ox], group * inputs..(group + 1) * inputs, row);
            }
            sums.resize(padded_rows(out.w) * weights.width(), 0.0);
            weights.product(&rows, &mut sums);
            let channel = group * outputs;
            for (ox, (y, sums)) in y.chunks_exact_mut(out.c).zip(sums.chunks_exact(weights.width())).enumerate() {
                let at = index * row_len + ox * out.c + channel;
                task.store(sums, channel, at, &mut y[channel..channel + outputs]);
            }
        }
    });
    y
}

/// The window of output position `[n, y, x]` over some channels.
fn gather(task: &ConvTask, [n, oy, ox]: [usize; 3], channels: std::ops::Range<usize>, row: &mut [f64]) {
    let (conv, x) = (task.conv, task.x);
    let before = |input| window(conv.padding, input, conv.extent(), conv.stride).map_or(0, |w| w.before);
    let (top, left) = (before(x.shape.h), before(x.shape.w));
    let gate = &task.gate[n * x.shape.c..][channels.clone()];
    for (tap, row) in row.chunks_exact_mut(channels.len()).enumerate() {
        let iy = (oy * conv.stride + tap / conv.kernel * conv.dilation).wrapping_sub(top);
        let ix = (ox * conv.stride + tap % conv.kernel * conv.dilation).wrapping_sub(left);
        if iy >= x.shape.h || ix >= x.shape.w {
            row.fill(0.0);
            continue;
        }
        let pixel = &x.data[((n * x.shape.h + iy) * x.shape.w + ix) * x.shape.c..][channels.clone()];
        for ((row, x), gate) in row.iter_mut().zip(pixel).zip(gate) {
            *row = f64::from(*x) * gate;
        }
    }
}
