//! MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381).

use super::blocks::Kind;
use super::network::{Head, Multipliers, Network, Row, Stem};
use super::{Checkpoints, Model, Published, Wiring, percent};
use crate::graph::Activation::Relu6;
use crate::tensor::Padding;

const fn row(repeats: usize, stride: usize, expand: usize, out: usize) -> Row {
    let kind = if expand == 1 { Kind::Linear } else { Kind::InvertedResidual };
    Row { kind, repeats, kernel: 3, stride, expand: expand as f64, out, act: Relu6, se: None, skip: true }
}

/// Table 2 of the paper.
const STAGES: [&[Row]; 7] = [
    &[row(1, 1, 1, 16)],
    &[row(2, 2, 6, 24)],
    &[row(3, 2, 6, 32)],
    &[row(4, 2, 6, 64)],
    &[row(3, 1, 6, 96)],
    &[row(3, 2, 6, 160)],
    &[row(1, 1, 6, 320)],
];

/// Name, multipliers, published parameters and multiply-adds (millions), top-1 (%): of the paper's table 4 for 1.0 and
/// 1.4, of the authors' TensorFlow release for the others; the two deep ones are timm's own.
type Variant = (&'static str, Multipliers, Option<(f64, f64, f64)>);

const VARIANTS: [Variant; 7] = [
    ("mobilenetv2_035", Multipliers::width(0.35), Some((1.66, 59.0, 60.3))),
    ("mobilenetv2_050", Multipliers::width(0.5), Some((1.95, 97.0, 65.4))),
    ("mobilenetv2_075", Multipliers::width(0.75), Some((2.61, 209.0, 69.8))),
    ("mobilenetv2_100", Multipliers::width(1.0), Some((3.4, 300.0, 72.0))),
    ("mobilenetv2_140", Multipliers::width(1.4), Some((6.9, 585.0, 74.7))),
    ("mobilenetv2_110d", deep(1.1, 1.2), None),
    ("mobilenetv2_120d", deep(1.2, 1.4), None),
];

const fn deep(width: f64, depth: f64) -> Multipliers {
    Multipliers { depth, fixed_ends: true, ..Multipliers::width(width) }
}

const PAPER: &str = "Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018, arXiv:1801.04381";

/// MobileNetV2 with these multipliers. The head widens, but never narrows.
pub(super) fn network(by: &Multipliers) -> Network {
    let stem = Stem { out: by.end(32), stride: 2, act: Relu6 };
    Network {
        stem,
        stages: by.stages(stem.out, &STAGES),
        head: Head::Conv(by.end(1280).max(1280), Relu6),
        padding: Padding::Symmetric,
        bn_eps: 1e-5,
    }
}

/// Every registered MobileNetV2; torchvision's `mobilenet_v2` is `mobilenetv2_100`. [`named`] knows further widths.
pub fn models() -> Vec<Model> {
    VARIANTS.iter().map(|(name, by, published)| model(name, by, *published)).collect()
}

/// `mobilenetv2_<width>`, the width in percent.
pub fn named(name: &str) -> Option<Model> {
    let width = percent(name.strip_prefix("mobilenetv2_")?)?;
    Some(model(name, &Multipliers::width(width), None))
}

fn model(name: &str, by: &Multipliers, published: Option<(f64, f64, f64)>) -> Model {
    Model {
        aliases: if name == "mobilenetv2_100" { vec!["mobilenet_v2".into()] } else { Vec::new() },
        published: published.map(Published::from),
        checkpoints: checkpoints(name),
        ..Model::new(name, "MobileNetV2", PAPER, Wiring::Network(network(by)))
    }
}

/// torchvision has no depth multiplier, and weights of width 1 alone.
fn checkpoints(name: &str) -> &'static [Checkpoints] {
    const TIMM: Checkpoints = Checkpoints::TIMM;
    match name {
        "mobilenetv2_100" => &[TIMM, Checkpoints::TORCHVISION],
        "mobilenetv2_050" | "mobilenetv2_140" => &[TIMM, Checkpoints::TORCHVISION_NAMES],
        "mobilenetv2_110d" | "mobilenetv2_120d" => &[TIMM],
        _ => &[Checkpoints::TIMM_NAMES, Checkpoints::TORCHVISION_NAMES],
    }
}
