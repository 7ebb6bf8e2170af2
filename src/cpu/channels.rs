//! Operations that move whole channels: concatenation, slice, shuffle.

use crate::graph::shuffled;
use crate::tensor::{Shape, Tensor};

/// The channels of `x`, then those of `y`.
pub(super) fn concat(x: &Tensor, y: &Tensor) -> Tensor {
    let (a, b) = (x.shape.c, y.shape.c);
    let data = x.data.chunks_exact(a).zip(y.data.chunks_exact(b)).flat_map(|(x, y)| x.iter().chain(y)).copied();
    Tensor { data: data.collect(), shape: Shape { c: a + b, ..x.shape } }
}

/// `channels` channels from `first` on.
pub(super) fn slice(x: &Tensor, first: usize, channels: usize) -> Tensor {
    let data = x.data.chunks_exact(x.shape.c).flat_map(|pixel| &pixel[first..first + channels]).copied();
    Tensor { data: data.collect(), shape: Shape { c: channels, ..x.shape } }
}

/// [`crate::graph::Op::Shuffle`].
pub(super) fn shuffle(x: &Tensor, groups: usize) -> Tensor {
    let c = x.shape.c;
    let data = x.data.chunks_exact(c).flat_map(|pixel| (0..c).map(move |i| pixel[shuffled(i, c, groups)]));
    Tensor { data: data.collect(), shape: x.shape }
}
