//! k x k convolution with one filter per channel.

use super::ConvTask;
use crate::tensor::{Tensor, window};
use crate::weights::platform::for_chunks;

pub(super) fn depthwise(task: &ConvTask) -> Tensor {
    let (conv, x, out) = (task.conv, task.x, task.out);
    let (size, stride, channels) = (conv.kernel, conv.stride, out.c);
    let before = |input| window(conv.padding, input, size, stride).map_or(0, |w| w.before);
    let (top, left) = (before(x.shape.h), before(x.shape.w));
    // Channels innermost, as in the image: [tap][channel] from [channel][tap].
    let taps = size * size;
    let weight: Vec<f64> =
        (0..taps * channels).map(|i| f64::from(task.weight[i % channels * taps + i / channels])).collect();
    let mut y = Tensor::zeros(out);
    let row_len = out.w * channels;
    for_chunks(&mut y.data, row_len, |index, y| {
        let (n, oy) = (index / out.h, index % out.h);
        let gate = &task.gate[n * channels..][..channels];
        let mut sums = vec![0.0; channels];
        for (ox, y) in y.chunks_exact_mut(channels).enumerate() {
            sums.fill(0.0);
            for (tap, weight) in weight.chunks_exact(channels).enumerate() {
                let iy = (oy * stride + tap / size).wrapping_sub(top);
                let ix = (ox * stride + tap % size).wrapping_sub(left);
                if iy >= x.shape.h || ix >= x.shape.w {
                    continue;
                }
                let pixel = &x.data[((n * x.shape.h + iy) * x.shape.w + ix) * channels..][..channels];
                for ((sum, x), w) in sums.iter_mut().zip(pixel).zip(weight) {
                    *sum += f64::from(*x) * w;
                }
            }
            // The gate is constant over the window: it multiplies the sum.
            sums.iter_mut().zip(gate).for_each(|(sum, gate)| *sum *= gate);
            task.store(&sums, 0, index * row_len + ox * channels, y);
        }
    });
    y
}
