//! Operations in words, for listings and pictures.

use super::{Activation, ConvKind, Join, Op};
use crate::tensor::Padding;

impl Op {
    /// The operation in a few words: `depthwise 5x5 /2 same`; behind it what the passes fused around a convolution:
    /// `pointwise 1x1, gate, residual`.
    pub fn text(&self, in_channels: usize) -> String {
        let Self::Conv2d(c) = self else { return self.name().into() };
        let kind = match c.kind(in_channels) {
            ConvKind::Pointwise => "pointwise",
            ConvKind::Depthwise => "depthwise",
            ConvKind::Dense | ConvKind::Grouped => "conv2d",
        };
        let mut text = format!("{kind} {0}x{0}", c.kernel);
        if c.stride > 1 {
            text += &format!(" /{}", c.stride);
        }
        if c.dilation > 1 {
            text += &format!(" dilated {}", c.dilation);
        }
        match c.padding {
            Padding::Same | Padding::SameFixed if c.kernel > 1 => text += " same",
            Padding::Valid if c.kernel > 1 => text += " valid",
            _ => {}
        }
        if c.kind(in_channels) == ConvKind::Grouped {
            text += &format!(" {} groups", c.groups);
        }
        let act = (c.act != Activation::Identity).then_some(c.act.name());
        let join = match c.join {
            Join::None => None,
            Join::Add => Some("residual"),
            Join::AddFirst(_) => Some("residual of some channels"),
            Join::AddThenAct => Some("residual before the activation"),
            Join::Interleave => Some("by turns with another"),
        };
        let fused = [
            c.first.map(|_| "slice"),
            c.gate.then_some("gate"),
            act,
            (c.shuffle > 1).then_some("shuffle"),
            c.keep_input.then_some("behind its input"),
            join,
            c.pool.then_some("pool"),
        ];
        fused.into_iter().flatten().fold(text, |text, part| text + ", " + part)
    }
}
