//! MnasNet (Tan et al. 2018, arXiv:1807.11626): A1 with squeeze-and-excitation, B1 and Small.

use super::blocks::Kind;
use super::network::{Head, Multipliers, Network, Row, SqueezeRule, Stem};
use super::{Checkpoints, Model, Published, Wiring};
use crate::graph::Activation::{Relu, Sigmoid};
use crate::tensor::Padding;

const fn row(repeats: usize, kernel: usize, stride: usize, expand: usize, out: usize) -> Row {
    let kind = if expand == 1 { Kind::Linear } else { Kind::InvertedResidual };
    Row { kind, repeats, kernel, stride, expand: expand as f64, out, act: Relu, se: None, skip: true }
}

const fn se(row: Row) -> Row {
    let rule = SqueezeRule { ratio: 0.25, of_expanded: false, act: Relu, gate: Sigmoid };
    Row { se: Some(rule), ..row }
}

/// Figure 7 of the paper.
const A1: [&[Row]; 7] = [
    &[row(1, 3, 1, 1, 16)],
    &[row(2, 3, 2, 6, 24)],
    &[se(row(3, 5, 2, 3, 40))],
    &[row(4, 3, 2, 6, 80)],
    &[se(row(2, 3, 1, 6, 112))],
    &[se(row(3, 5, 2, 6, 160))],
    &[row(1, 3, 1, 6, 320)],
];

/// The authors' release, as are the numbers of Small.
const B1: [&[Row]; 7] = [
    &[row(1, 3, 1, 1, 16)],
    &[row(3, 3, 2, 3, 24)],
    &[row(3, 5, 2, 3, 40)],
    &[row(3, 5, 2, 6, 80)],
    &[row(2, 3, 1, 6, 96)],
    &[row(4, 5, 2, 6, 192)],
    &[row(1, 3, 1, 6, 320)],
];

const SMALL: [&[Row]; 7] = [
    &[row(1, 3, 1, 1, 8)],
    &[row(1, 3, 2, 3, 16)],
    &[row(2, 3, 2, 6, 16)],
    &[se(row(4, 5, 2, 6, 32))],
    &[se(row(3, 3, 1, 6, 32))],
    &[se(row(3, 5, 2, 6, 88))],
    &[row(1, 3, 1, 6, 144)],
];

/// Name, timm's where that differs, width, stem, table, published parameters and multiply-adds (millions) and top-1 (%).
type Variant = (&'static str, Option<&'static str>, f64, usize, &'static [&'static [Row]; 7], Option<(f64, f64, f64)>);

const VARIANTS: [Variant; 9] = [
    ("semnasnet_050", None, 0.5, 32, &A1, None),
    ("semnasnet_075", None, 0.75, 32, &A1, None),
    ("mnasnet_a1", Some("semnasnet_100"), 1.0, 32, &A1, Some((3.9, 312.0, 75.2))),
    ("semnasnet_140", None, 1.4, 32, &A1, None),
    ("mnasnet_050", None, 0.5, 32, &B1, None),
    ("mnasnet_075", None, 0.75, 32, &B1, None),
    ("mnasnet_b1", Some("mnasnet_100"), 1.0, 32, &B1, Some((4.4, 315.0, 74.5))),
    ("mnasnet_140", None, 1.4, 32, &B1, None),
    ("mnasnet_small", None, 1.0, 8, &SMALL, None),
];

const PAPER: &str = "Tan et al., MnasNet: Platform-Aware Neural Architecture Search for Mobile, 2018, arXiv:1807.11626";

fn network(width: f64, stem: usize, table: &[&[Row]]) -> Network {
    let by = Multipliers::width(width);
    let stem = Stem { out: by.end(stem), stride: 2, act: Relu };
    Network {
        stem,
        stages: by.stages(stem.out, table),
        head: Head::Conv(1280, Relu),
        padding: Padding::Symmetric,
        bn_eps: 1e-5,
    }
}

/// Every registered MnasNet.
pub fn models() -> Vec<Model> {
    let model = |&(name, timm, width, stem, table, published): &Variant| Model {
        aliases: timm.map(String::from).into_iter().collect(),
        published: published.map(Published::from),
        checkpoints: match name {
            "semnasnet_075" | "mnasnet_a1" | "mnasnet_b1" | "mnasnet_small" => &[Checkpoints::TIMM],
            _ => &[Checkpoints::TIMM_NAMES],
        },
        ..Model::new(name, "MnasNet", PAPER, Wiring::Network(network(width, stem, table)))
    };
    VARIANTS.iter().map(model).collect()
}
