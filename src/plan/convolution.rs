//! What a convolution of a graph is to the kernels.

use crate::graph::{Conv2d, ConvKind, Graph, Join, NodeId, Op};
use crate::kernels::{Channels, pointwise};
use crate::tensor::Shape;

/// Which kind of convolution it is.
pub(super) fn kind(graph: &Graph, conv: &Conv2d) -> ConvKind {
    conv.kind(in_channels(graph, conv))
}

/// Input channels.
pub(super) fn in_channels(graph: &Graph, conv: &Conv2d) -> usize {
    graph.params[conv.weight].shape[1] * conv.groups
}

/// The channels of a convolution whose input has `whole` of them.
pub(super) fn channels(graph: &Graph, conv: &Conv2d, whole: usize) -> Channels {
    let Conv2d { out, groups, shuffle, .. } = *conv;
    let first = conv.first.unwrap_or(0);
    Channels { whole, first, c_in: in_channels(graph, conv), c_out: out, groups, shuffle }
}

/// Whether a convolution's input has one position at any resolution: a classifier's, or a product behind a pooling.
pub(super) fn vector(graph: &Graph, id: NodeId, conv: &Conv2d) -> bool {
    let linear = graph.params[conv.weight].shape.len() == 2;
    linear || matches!(graph.nodes[graph.nodes[id].inputs[0]].op, Op::GlobalAvgPool)
}

/// A 1x1 convolution with step 1 as a product.
pub(super) fn product_args(graph: &Graph, shapes: &[Shape], id: NodeId, conv: &Conv2d) -> pointwise::Args {
    let inputs = &graph.nodes[id].inputs;
    let x = shapes[inputs[0]];
    pointwise::Args {
        n: x.n,
        pixels: x.pixels(),
        channels: channels(graph, conv, x.c),
        act: conv.act,
        gate: conv.gate,
        join: conv.join,
        other: inputs.last().map_or(0, |&other| shapes[other].c),
        vector: vector(graph, id, conv),
    }
}

/// What no kernel does; `head` is a convolution with nothing but its activation fused.
pub(super) fn unsupported(kind: ConvKind, conv: &Conv2d, head: bool) -> Option<&'static str> {
    let pointwise = conv.kernel == 1 && conv.stride == 1 && kind != ConvKind::Depthwise;
    let turns = conv.join == Join::Interleave;
    match () {
        () if conv.pool && !(kind == ConvKind::Pointwise && head) => Some("pooling behind this convolution"),
        () if conv.dilation > 1 && kind == ConvKind::Depthwise => Some("a dilated depthwise convolution"),
        () if conv.gate && kind != ConvKind::Pointwise => Some("a gate in front of this convolution"),
        () if (turns || conv.first.is_some() || conv.shuffle > 1) && !pointwise => {
            Some("channels rearranged by this convolution")
        }
        () if turns && conv.groups > 1 => Some("channels by turns with those of a grouped convolution"),
        () if conv.keep_input && kind != ConvKind::Depthwise => Some("the input in front of this convolution's output"),
        () => None,
    }
}
