//! Fusions into convolutions: activation, squeeze-and-excitation, scale, residual, pooling.

use super::Rewrite;
use crate::graph::{Activation, Conv2d, ConvKind, Join, NodeId, Op, SqueezeExcite};

impl Rewrite<'_> {
    pub(super) fn conv(&self, id: NodeId) -> Option<Conv2d> {
        match self.graph.nodes[id].op {
            Op::Conv2d(conv) => Some(conv),
            _ => None,
        }
    }

    /// A 1x1 convolution of all channels, nothing fused but its activation.
    pub(super) fn plain_pointwise(&self, id: NodeId) -> Option<Conv2d> {
        self.conv(id)
            .filter(|c| c.kernel == 1 && c.stride == 1 && c.groups == 1 && !c.gate && c.first.is_none() && c.is_plain())
    }

    pub(super) fn inputs(&self, id: NodeId) -> Vec<NodeId> {
        self.graph.nodes[id].inputs.clone()
    }
}

/// `act(conv(x))` becomes one convolution.
pub(super) fn activation(r: &mut Rewrite) {
    for id in 0..r.graph.nodes.len() {
        let Op::Activation(act) = r.graph.nodes[id].op else { continue };
        let producer = r.inputs(id)[0];
        let Some(conv) = r.conv(producer).filter(|c| c.act == Activation::Identity && c.is_plain()) else { continue };
        if r.may_absorb(producer, id) {
            r.graph.nodes[id].op = Op::Conv2d(Conv2d { act, ..conv });
            let inputs = r.inputs(producer);
            r.absorbed(&[producer], id, inputs);
        }
    }
}

/// `act(conv(x) + y)` becomes one convolution (ResNet).
pub(super) fn residual_activation(r: &mut Rewrite) {
    for id in 0..r.graph.nodes.len() {
        let Op::Activation(act) = r.graph.nodes[id].op else { continue };
        let producer = r.inputs(id)[0];
        let summed = |c: &Conv2d| {
            c.join == Join::Add && c.act == Activation::Identity && !c.keep_input && c.shuffle == 1 && !c.pool
        };
        let Some(conv) = r.conv(producer).filter(summed) else { continue };
        if r.may_absorb(producer, id) {
            r.graph.nodes[id].op = Op::Conv2d(Conv2d { act, join: Join::AddThenAct, ..conv });
            let inputs = r.inputs(producer);
            r.absorbed(&[producer], id, inputs);
        }
    }
}

/// Pool, reduce and expand become one gate, where every reader of the gate scales the pooled tensor.
pub(super) fn squeeze_excite(r: &mut Rewrite) {
    for id in 0..r.graph.nodes.len() {
        let Some(expand) = r.plain_pointwise(id) else { continue };
        let reduce_id = r.inputs(id)[0];
        let Some(reduce) = r.plain_pointwise(reduce_id) else { continue };
        let pool_id = r.inputs(reduce_id)[0];
        if r.graph.nodes[pool_id].op != Op::GlobalAvgPool {
            continue;
        }
        let x = r.inputs(pool_id)[0];
        let scales =
            |&u: &NodeId| matches!(r.graph.nodes[u].op, Op::Scale { .. }) && r.graph.nodes[u].inputs == [x, id];
        let (Some(reduce_bias), Some(expand_bias)) = (reduce.bias, expand.bias) else { continue };
        if !r.users[id].iter().all(scales) || !r.may_absorb(reduce_id, id) || !r.may_absorb(pool_id, reduce_id) {
            continue;
        }
        r.graph.nodes[id].op = Op::SqueezeExcite(SqueezeExcite {
            reduce_weight: reduce.weight,
            reduce_bias,
            expand_weight: expand.weight,
            expand_bias,
            hidden: reduce.out,
            act: reduce.act,
            gate: expand.act,
        });
        r.absorbed(&[reduce_id, pool_id], id, vec![x]);
    }
}

/// A scale moves into the 1x1 convolution that reads it.
pub(super) fn scale(r: &mut Rewrite) {
    for id in 0..r.graph.nodes.len() {
        let Some(conv) = r.plain_pointwise(id) else { continue };
        let inputs = r.inputs(id);
        if r.graph.nodes[inputs[0]].op != (Op::Scale { residual: false }) || !r.may_absorb(inputs[0], id) {
            continue;
        }
        let mut operands = r.inputs(inputs[0]);
        operands.extend(&inputs[1..]);
        r.graph.nodes[id].op = Op::Conv2d(Conv2d { gate: true, ..conv });
        r.absorbed(&[inputs[0]], id, operands);
    }
}

/// `conv(x) + y` becomes a convolution with a residual, `x * gate + y` a scale with one.
pub(super) fn residual(r: &mut Rewrite) {
    for id in 0..r.graph.nodes.len() {
        let Op::Add { channels } = r.graph.nodes[id].op else { continue };
        let operands = r.inputs(id);
        // The later operand is the block's own result; the earlier one must be alive already.
        let (producer, other) = (operands[0].max(operands[1]), operands[0].min(operands[1]));
        let fused = match r.graph.nodes[producer].op {
            // Where only some channels are added, the first operand is the one that has the others.
            _ if producer == other || (channels.is_some() && producer != operands[0]) => continue,
            Op::Conv2d(conv) if conv.join.is_some() || conv.pool => continue,
            Op::Conv2d(conv) if channels.is_some() && !conv.is_plain() => continue,
            Op::Conv2d(conv) => Op::Conv2d(Conv2d { join: channels.map_or(Join::Add, Join::AddFirst), ..conv }),
            Op::Scale { residual: false } if channels.is_none() => Op::Scale { residual: true },
            _ => continue,
        };
        if r.may_absorb(producer, id) {
            let mut inputs = r.inputs(producer);
            inputs.push(other);
            r.graph.nodes[id].op = fused;
            r.absorbed(&[producer], id, inputs);
        }
    }
}

/// The mean over all positions moves into the 1x1 convolution before it.
pub(super) fn pool(r: &mut Rewrite) {
    for id in 0..r.graph.nodes.len() {
        if r.graph.nodes[id].op != Op::GlobalAvgPool {
            continue;
        }
        let producer = r.inputs(id)[0];
        let Some(conv) = r.plain_pointwise(producer) else { continue };
        let channels_in = r.graph.params[conv.weight].shape[1];
        if conv.kind(channels_in) == ConvKind::Pointwise && r.may_absorb(producer, id) {
            r.graph.nodes[id].op = Op::Conv2d(Conv2d { pool: true, ..conv });
            let inputs = r.inputs(producer);
            r.absorbed(&[producer], id, inputs);
        }
    }
}
