//! Counters that need no weights: parameters and multiply-adds.

use super::{Graph, Op, Param, Source};
use crate::error::Result;
use crate::tensor::Shape;

/// Size of a network for one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Trainable parameters: all but the running statistics of batch norms.
    pub params: u64,
    /// Multiply-adds of convolutions and linear layers (no pooling, normalisation or activation).
    pub madds: u64,
}

impl Graph {
    /// Parameters, and multiply-adds for one image of `h` x `w`.
    ///
    /// # Errors
    /// As [`Graph::shapes`].
    pub fn counts(&self, h: usize, w: usize) -> Result<Counts> {
        let shapes = self.shapes(1, h, w)?;
        let madds = (0..self.nodes.len()).map(|id| self.node_madds(id, &shapes)).sum();
        Ok(Counts { params: self.trainable_params(), madds })
    }

    /// Trainable parameters.
    pub fn trainable_params(&self) -> u64 {
        self.params.iter().filter(|p| p.source == Source::Checkpoint && trainable(p)).map(|p| p.len() as u64).sum()
    }

    /// Trainable parameters that one node reads.
    pub fn node_params(&self, id: usize) -> u64 {
        let params = self.nodes[id].op.params();
        params.iter().map(|&p| &self.params[p]).filter(|p| trainable(p)).map(|p| p.len() as u64).sum()
    }

    /// Multiply-adds of one node, for the whole batch of `shapes`.
    pub fn node_madds(&self, id: usize, shapes: &[Shape]) -> u64 {
        let node = &self.nodes[id];
        let madds = match node.op {
            // A batch norm that stands alone, see the passes.
            Op::Conv2d(conv)
                if matches!(self.params[conv.weight].source, Source::FoldedWeight { weight: None, .. }) =>
            {
                0
            }
            Op::Conv2d(conv) => {
                let x = shapes[node.inputs[0]];
                let positions = conv.output(x).map_or(0, |o| o.n * o.pixels());
                positions * self.params[conv.weight].len()
            }
            Op::SqueezeExcite(se) => {
                let x = shapes[node.inputs[0]];
                2 * x.n * x.c * se.hidden
            }
            _ => 0,
        };
        madds as u64
    }
}

fn trainable(param: &Param) -> bool {
    !param.name.ends_with(".running_mean") && !param.name.ends_with(".running_var")
}
