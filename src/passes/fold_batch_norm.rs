//! Folds a batch norm into the convolution before it (Jacob et al. 2017, arXiv:1712.05877, equation 14).
//! One that must stand alone becomes a depthwise 1x1 convolution, so that no other operation is needed for it.

use super::Rewrite;
use crate::graph::{Activation, BatchNorm, Conv2d, ConvArgs, Op, Param, ParamId, Source};
use crate::tensor::Padding;

pub(super) fn run(r: &mut Rewrite) {
    for id in 0..r.graph.nodes.len() {
        let Op::BatchNorm(bn) = r.graph.nodes[id].op else { continue };
        let producer = r.graph.nodes[id].inputs[0];
        let producer_op = r.graph.nodes[producer].op;
        match producer_op {
            Op::Conv2d(conv) if conv.act == Activation::Identity && conv.is_plain() && r.may_absorb(producer, id) => {
                let weight = &r.graph.params[conv.weight];
                let (name, shape) = (module(&weight.name), weight.shape.clone());
                let (weight, bias) = folded_params(r, &name, shape, Some(conv.weight), conv.bias, bn);
                r.graph.nodes[id].op = Op::Conv2d(Conv2d { weight, bias: Some(bias), ..conv });
                let inputs = r.graph.nodes[producer].inputs.clone();
                r.absorbed(&[producer], id, inputs);
            }
            _ => stand_alone(r, id, bn),
        }
    }
}

fn stand_alone(r: &mut Rewrite, id: usize, bn: BatchNorm) {
    let channels = r.graph.params[bn.gamma].len();
    let name = module(&r.graph.params[bn.gamma].name);
    let (weight, bias) = folded_params(r, &name, vec![channels, 1, 1, 1], None, None, bn);
    let args = ConvArgs::depthwise(channels, 1, 1);
    r.graph.nodes[id].op = Op::Conv2d(Conv2d::plain(weight, Some(bias), args, Padding::Symmetric));
}

fn folded_params(
    r: &mut Rewrite,
    name: &str,
    shape: Vec<usize>,
    weight: Option<ParamId>,
    bias: Option<ParamId>,
    bn: BatchNorm,
) -> (ParamId, ParamId) {
    let params = &mut r.graph.params;
    let channels = shape[0];
    params.push(Param { name: format!("{name}.folded_weight"), shape, source: Source::FoldedWeight { weight, bn } });
    params.push(Param {
        name: format!("{name}.folded_bias"),
        shape: vec![channels],
        source: Source::FoldedBias { bias, bn },
    });
    (params.len() - 2, params.len() - 1)
}

/// The module of a weight.
fn module(weight: &str) -> String {
    weight.strip_suffix(".weight").unwrap_or(weight).to_string()
}
