//! How a node's weights are packed for its kernel: one match, one arm per operation.

use super::convolution::{channels, in_channels};
use crate::error::Result;
use crate::graph::{ConvKind, Graph, NodeId, Op};
#[cfg(not(feature = "web"))]
use crate::kernels::l2_norm;
use crate::kernels::{depthwise, squeeze_excite};
use crate::weights::Weights;

/// Length in f32 of a node's packed weights; 0 for none.
pub(super) fn packed_len(graph: &Graph, id: NodeId) -> usize {
    match graph.nodes[id].op {
        Op::Conv2d(c) => {
            let c_in = in_channels(graph, &c);
            match c.kind(c_in) {
                ConvKind::Depthwise => depthwise::packed_len(c.kernel, c.out, c.keep_input),
                _ => channels(graph, &c, c_in).packed_len(c.kernel * c.kernel),
            }
        }
        #[cfg(not(feature = "web"))]
        Op::L2Norm { scale } => l2_norm::packed_len(graph.params[scale].len()),
        Op::SqueezeExcite(se) => squeeze_excite::packed_len(graph.params[se.expand_bias].len(), se.hidden),
        _ => 0,
    }
}

/// Packs a node's weights into `out`, `packed_len` values.
///
/// # Errors
/// As [`Weights::values`].
pub(super) fn pack(graph: &Graph, id: NodeId, weights: &Weights, out: &mut [f32]) -> Result<()> {
    match graph.nodes[id].op {
        Op::Conv2d(c) => {
            let c_in = in_channels(graph, &c);
            let weight = weights.values(graph, c.weight)?;
            let bias = match c.bias {
                Some(bias) => weights.values(graph, bias)?,
                None => vec![0.0; c.out].into(),
            };
            match c.kind(c_in) {
                ConvKind::Depthwise => depthwise::pack(&weight, &bias, c.kernel, c.out, c.keep_input, out),
                _ => channels(graph, &c, c_in).pack(&weight, &bias, c.kernel * c.kernel, out),
            }
        }
        #[cfg(not(feature = "web"))]
        Op::L2Norm { scale } => {
            let scale = weights.values(graph, scale)?;
            out[..scale.len()].copy_from_slice(&scale);
        }
        Op::SqueezeExcite(se) => {
            let values =
                [se.reduce_weight, se.reduce_bias, se.expand_weight, se.expand_bias].map(|p| weights.values(graph, p));
            let [reduce, reduce_bias, expand, expand_bias] = values;
            let (reduce, reduce_bias, expand, expand_bias) = (reduce?, reduce_bias?, expand?, expand_bias?);
            let parts = squeeze_excite::Weights {
                reduce: &reduce,
                reduce_bias: &reduce_bias,
                expand: &expand,
                expand_bias: &expand_bias,
            };
            squeeze_excite::pack(&parts, expand_bias.len(), se.hidden, out);
        }
        _ => {}
    }
    Ok(())
}
