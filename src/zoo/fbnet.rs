//! FBNet (Wu et al. 2018, arXiv:1812.03443).

use super::blocks::Kind;
use super::facts::{Interpolation, Preprocess};
use super::network::{Head, Multipliers, Network, Row, Stem};
use super::{Checkpoints, Model, Published, Wiring};
use crate::graph::Activation::Relu;
use crate::tensor::Padding;

/// Blocks expand even where the ratio is 1.
const fn row(repeats: usize, kernel: usize, stride: usize, expand: usize, out: usize) -> Row {
    let kind = Kind::InvertedResidual;
    Row { kind, repeats, kernel, stride, expand: expand as f64, out, act: Relu, se: None, skip: true }
}

/// Figure 4 of the paper: the blocks that the search chose; where it chose a skip, there is none.
const B: [&[Row]; 7] = [
    &[row(1, 3, 1, 1, 16)],
    &[row(1, 3, 2, 6, 24), row(1, 5, 1, 1, 24), row(2, 3, 1, 1, 24)],
    &[row(1, 5, 2, 6, 32), row(1, 5, 1, 3, 32), row(1, 3, 1, 6, 32), row(1, 5, 1, 6, 32)],
    &[row(1, 5, 2, 6, 64), row(1, 5, 1, 6, 64), row(1, 5, 1, 3, 64)],
    &[row(1, 5, 1, 6, 112), row(1, 3, 1, 1, 112), row(1, 5, 1, 1, 112), row(1, 5, 1, 3, 112)],
    &[row(1, 5, 2, 6, 184), row(1, 5, 1, 1, 184), row(2, 5, 1, 6, 184)],
    &[row(1, 3, 1, 6, 352)],
];

const C: [&[Row]; 7] = [
    &[row(1, 3, 1, 1, 16)],
    &[row(1, 3, 2, 6, 24), row(2, 3, 1, 1, 24)],
    &[row(1, 5, 2, 6, 32), row(1, 5, 1, 3, 32), row(1, 5, 1, 6, 32), row(1, 3, 1, 6, 32)],
    &[row(1, 5, 2, 6, 64), row(1, 5, 1, 3, 64), row(2, 5, 1, 6, 64)],
    &[row(3, 5, 1, 6, 112), row(1, 5, 1, 3, 112)],
    &[row(4, 5, 2, 6, 184)],
    &[row(1, 3, 1, 6, 352)],
];

const PAPER: &str = "Wu et al., FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural Architecture Search, 2018, \
     arXiv:1812.03443";

fn network(table: &[&[Row]]) -> Network {
    let stem = Stem { out: 16, stride: 2, act: Relu };
    Network {
        stem,
        stages: Multipliers::width(1.0).stages(stem.out, table),
        head: Head::Conv(1984, Relu),
        padding: Padding::Symmetric,
        bn_eps: 1e-5,
    }
}

/// Every registered FBNet. The figures are the paper's table 2; B's differ from the network that its authors publish.
pub fn models() -> Vec<Model> {
    let model = |name: &str, alias: &str, table: &[&[Row]], published| Model {
        aliases: vec![alias.into()],
        preprocess: Preprocess::IMAGENET.with(Interpolation::Bilinear),
        published: Some(published),
        ..Model::new(name, "FBNet", PAPER, Wiring::Network(network(table)))
    };
    let c = model("fbnetc_100", "fbnet_c", &C, Published { params: 5.5, madds: 375.0, top1: Some(74.9) });
    vec![
        model("fbnet_b", "fbnetb_100", &B, Published { params: 4.5, madds: 295.0, top1: Some(74.1) }),
        Model { checkpoints: &[Checkpoints::TIMM], ..c },
    ]
}
