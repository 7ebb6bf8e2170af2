//! Folds a batch norm into the convolution before it (Jacob et al. 2017, arXiv:1712.05877, equation 14).

use super::Rewrite;
use crate::graph::{Activation, BatchNorm, Conv2d, Graph, Op, Param, ParamId, Source};

pub(super) fn run(r: &mut Rewrite) {
    for id in 0..r.graph.nodes.len() {
        let Op::BatchNorm(bn) = r.graph.nodes[id].op else { continue };
        let producer = r.graph.nodes[id].inputs[0];
        let Op::Conv2d(conv) = r.graph.nodes[producer].op else { continue };
        if conv.act != Activation::Identity || conv.residual || conv.pool || !r.may_absorb(producer, id) {
            continue;
        }
        let (weight, bias) = folded_params(r.graph, &conv, bn);
        r.graph.nodes[id].op = Op::Conv2d(Conv2d { weight, bias: Some(bias), ..conv });
        let inputs = r.graph.nodes[producer].inputs.clone();
        r.absorbed(&[producer], id, inputs);
    }
}

fn folded_params(graph: &mut Graph, conv: &Conv2d, bn: BatchNorm) -> (ParamId, ParamId) {
    let stem = graph.params[conv.weight].name.trim_end_matches(".weight").to_string();
    let shape = graph.params[conv.weight].shape.clone();
    let weight = graph.params.len();
    graph.params.push(Param {
        name: format!("{stem}.folded_weight"),
        shape,
        source: Source::FoldedWeight { weight: conv.weight, bn },
    });
    graph.params.push(Param {
        name: format!("{stem}.folded_bias"),
        shape: vec![conv.out],
        source: Source::FoldedBias { bias: conv.bias, bn },
    });
    (weight, weight + 1)
}
