//! ProxylessNAS (Cai et al. 2018, arXiv:1812.00332).

use super::blocks::Kind;
use super::network::{Head, Multipliers, Network, Row, Stem};
use super::{Checkpoints, Model, Published, Wiring};
use crate::graph::Activation::Relu6;
use crate::tensor::Padding;

const fn row(repeats: usize, kernel: usize, stride: usize, expand: usize, out: usize) -> Row {
    let kind = if expand == 1 { Kind::Linear } else { Kind::InvertedResidual };
    Row { kind, repeats, kernel, stride, expand: expand as f64, out, act: Relu6, se: None, skip: true }
}

/// Figure 4 of the paper, the network found for a phone.
const MOBILE: [&[Row]; 5] = [
    &[row(1, 3, 1, 1, 16)],
    &[row(1, 5, 2, 3, 32), row(1, 3, 1, 3, 32)],
    &[row(1, 7, 2, 3, 40), row(1, 3, 1, 3, 40), row(2, 5, 1, 3, 40)],
    &[row(1, 7, 2, 6, 80), row(3, 5, 1, 3, 80), row(1, 5, 1, 6, 96), row(3, 5, 1, 3, 96)],
    &[row(1, 7, 2, 6, 192), row(1, 7, 1, 6, 192), row(2, 7, 1, 3, 192), row(1, 7, 1, 6, 320)],
];

const PAPER: &str =
    "Cai et al., ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware, 2018, arXiv:1812.00332";

/// Published with the library, which states no licence of the weights.
const PYTORCHCV: Checkpoints = Checkpoints { published: true, ..Checkpoints::of("pytorchcv") };

/// Every registered ProxylessNAS.
pub fn models() -> Vec<Model> {
    let stem = Stem { out: 32, stride: 2, act: Relu6 };
    let network = Network {
        stem,
        stages: Multipliers::width(1.0).stages(stem.out, &MOBILE),
        head: Head::Conv(1280, Relu6),
        padding: Padding::Symmetric,
        bn_eps: 1e-3,
    };
    vec![Model {
        aliases: vec!["proxyless_mobile".into()],
        published: Some(Published { params: 4.1, madds: 320.0, top1: Some(74.6) }),
        checkpoints: &[Checkpoints::TIMM_NAMES, PYTORCHCV],
        ..Model::new("proxylessnas_mobile", "ProxylessNAS", PAPER, Wiring::Network(network))
    }]
}
