//! Concatenations, shuffles and slices that a convolution does on the way, so that no copy is left.

use super::Rewrite;
use crate::graph::{Conv2d, ConvKind, Join, NodeId, Op};

/// `[x | depthwise(x)]`: the convolution stores its input, too (GhostNet's ghost module).
pub(super) fn keep_input(r: &mut Rewrite) {
    for id in 0..r.graph.nodes.len() {
        if r.graph.nodes[id].op != Op::Concat {
            continue;
        }
        let operands = r.inputs(id);
        let Some(conv) = r.conv(operands[1]).filter(|c| c.is_plain() && c.stride == 1 && !c.gate) else { continue };
        let depthwise = conv.kind(r.weight_inputs(&conv)) == ConvKind::Depthwise;
        if depthwise && r.inputs(operands[1]) == operands[..1] && r.may_absorb(operands[1], id) {
            r.graph.nodes[id].op = Op::Conv2d(Conv2d { keep_input: true, ..conv });
            r.absorbed(&operands[1..], id, vec![operands[0]]);
        }
    }
}

/// `shuffle([y | conv(x)], 2)`: the convolution stores its channels between those of `y` (ShuffleNetV2).
pub(super) fn interleave(r: &mut Rewrite) {
    let channels = r.graph.channels();
    for id in 0..r.graph.nodes.len() {
        if r.graph.nodes[id].op != (Op::Shuffle { groups: 2 }) || r.graph.nodes[r.inputs(id)[0]].op != Op::Concat {
            continue;
        }
        let concat = r.inputs(id)[0];
        let (other, producer) = (r.inputs(concat)[0], r.inputs(concat)[1]);
        let Some(conv) = r.plain_pointwise(producer).filter(|c| c.out == channels[other]) else { continue };
        if !r.may_absorb(concat, id) || !r.may_absorb(producer, concat) {
            continue;
        }
        let mut gone = vec![concat, producer];
        let mut operands = r.inputs(producer);
        // The first channels of a value are as good as a slice of them.
        let slice = matches!(r.graph.nodes[other].op, Op::Slice { first: 0, .. });
        if slice && r.may_absorb(other, concat) {
            operands.extend(r.inputs(other));
            gone.push(other);
        } else {
            operands.push(other);
        }
        r.graph.nodes[id].op = Op::Conv2d(Conv2d { join: Join::Interleave, ..conv });
        r.absorbed(&gone, id, operands);
    }
}

/// `shuffle(conv(x))`: the order of the convolution's weights (IGCV3).
pub(super) fn shuffle(r: &mut Rewrite) {
    for id in 0..r.graph.nodes.len() {
        let Op::Shuffle { groups } = r.graph.nodes[id].op else { continue };
        let producer = r.inputs(id)[0];
        let Some(conv) = r.conv(producer).filter(|c| c.is_plain() && c.kernel == 1 && c.stride == 1 && !c.gate) else {
            continue;
        };
        let depthwise = conv.kind(r.weight_inputs(&conv)) == ConvKind::Depthwise;
        if !depthwise && r.may_absorb(producer, id) {
            r.graph.nodes[id].op = Op::Conv2d(Conv2d { shuffle: groups, ..conv });
            let inputs = r.inputs(producer);
            r.absorbed(&[producer], id, inputs);
        }
    }
}

/// A 1x1 convolution reads its slice of the whole value.
pub(super) fn slice(r: &mut Rewrite) {
    for id in 0..r.graph.nodes.len() {
        let pointwise = |c: &Conv2d| c.kernel == 1 && c.stride == 1 && c.groups == 1 && !c.gate && c.first.is_none();
        let Some(conv) = r.conv(id).filter(pointwise) else { continue };
        let mut inputs = r.inputs(id);
        let Op::Slice { first, .. } = r.graph.nodes[inputs[0]].op else { continue };
        if r.may_absorb(inputs[0], id) {
            let gone: NodeId = inputs[0];
            inputs[0] = r.inputs(gone)[0];
            r.graph.nodes[id].op = Op::Conv2d(Conv2d { first: Some(first), ..conv });
            r.absorbed(&[gone], id, inputs);
        }
    }
}

impl Rewrite<'_> {
    /// Input channels of a convolution's weights.
    fn weight_inputs(&self, conv: &Conv2d) -> usize {
        self.graph.params[conv.weight].shape[1] * conv.groups
    }
}
