//! EfficientNetV2 (Tan and Le 2021, arXiv:2104.00298): Fused-MBConv in the early stages.

use super::blocks::Kind;
use super::facts::{CropMode, Preprocess};
use super::network::{Head, Multipliers, Network, Row, SqueezeRule, Stem};
use super::{Checkpoints, Model, Wiring};
use crate::graph::Activation::{Sigmoid, Swish};
use crate::tensor::Padding;

/// One 3x3 convolution a block: what Fused-MBConv is without expansion.
const fn conv(repeats: usize, stride: usize, out: usize) -> Row {
    Row { kind: Kind::Conv, repeats, kernel: 3, stride, expand: 1.0, out, act: Swish, se: None, skip: true }
}

const fn fused(repeats: usize, stride: usize, expand: usize, out: usize) -> Row {
    Row { kind: Kind::Fused, expand: expand as f64, ..conv(repeats, stride, out) }
}

const fn mbconv(repeats: usize, stride: usize, expand: usize, out: usize) -> Row {
    let se = SqueezeRule { ratio: 0.25, of_expanded: false, act: Swish, gate: Sigmoid };
    Row { kind: Kind::InvertedResidual, expand: expand as f64, se: Some(se), ..conv(repeats, stride, out) }
}

const BASE: [&[Row]; 6] = [
    &[conv(1, 1, 16)],
    &[fused(2, 2, 4, 32)],
    &[fused(2, 2, 4, 48)],
    &[mbconv(3, 2, 4, 96)],
    &[mbconv(5, 1, 6, 112)],
    &[mbconv(8, 2, 6, 192)],
];

/// Table 4 of the paper.
const S: [&[Row]; 6] = [
    &[conv(2, 1, 24)],
    &[fused(4, 2, 4, 48)],
    &[fused(4, 2, 4, 64)],
    &[mbconv(6, 2, 4, 128)],
    &[mbconv(9, 1, 6, 160)],
    &[mbconv(15, 2, 6, 256)],
];

const M: [&[Row]; 7] = [
    &[conv(3, 1, 24)],
    &[fused(5, 2, 4, 48)],
    &[fused(5, 2, 4, 80)],
    &[mbconv(7, 2, 4, 160)],
    &[mbconv(14, 1, 6, 176)],
    &[mbconv(18, 2, 6, 304)],
    &[mbconv(5, 1, 6, 512)],
];

const L: [&[Row]; 7] = [
    &[conv(4, 1, 32)],
    &[fused(7, 2, 4, 64)],
    &[fused(7, 2, 4, 96)],
    &[mbconv(10, 2, 4, 192)],
    &[mbconv(19, 1, 6, 224)],
    &[mbconv(25, 2, 6, 384)],
    &[mbconv(7, 1, 6, 640)],
];

/// Its table, stem and multipliers, and what images its weights are evaluated on.
struct Variant {
    suffix: &'static str,
    table: &'static [&'static [Row]],
    stem: usize,
    by: Multipliers,
    resolution: usize,
    crop_pct: f64,
    /// Parameters and multiply-adds in millions, top-1 in percent: table 7 of the paper (ImageNet alone) for S, M and L,
    /// the authors' release for B0 to B3.
    published: (f64, f64, f64),
}

const fn base(
    suffix: &'static str,
    width: f64,
    depth: f64,
    image: (usize, f64),
    published: (f64, f64, f64),
) -> Variant {
    // Unlike elsewhere, channels round to the nearest multiple of 8, however far below.
    let by = Multipliers { width, depth, fixed_ends: false, at_least: 0.0 };
    let (resolution, crop_pct) = image;
    Variant { suffix, table: &BASE, stem: 32, by, resolution, crop_pct, published }
}

const fn large(
    suffix: &'static str,
    table: &'static [&'static [Row]],
    stem: usize,
    resolution: usize,
    published: (f64, f64, f64),
) -> Variant {
    Variant { suffix, table, stem, by: Multipliers::width(1.0), resolution, crop_pct: 1.0, published }
}

const VARIANTS: [Variant; 7] = [
    base("b0", 1.0, 1.0, (224, 0.875), (7.1, 720.0, 78.7)),
    base("b1", 1.0, 1.1, (240, 0.882), (8.1, 1200.0, 79.8)),
    base("b2", 1.1, 1.2, (260, 0.890), (10.1, 1700.0, 80.5)),
    base("b3", 1.2, 1.4, (300, 0.900), (14.4, 3000.0, 82.1)),
    large("s", &S, 24, 384, (22.0, 8800.0, 83.9)),
    large("m", &M, 24, 480, (54.0, 24000.0, 85.1)),
    large("l", &L, 32, 480, (120.0, 53000.0, 85.7)),
];

const PAPER: &str = "Tan and Le, EfficientNetV2: Smaller Models and Faster Training, 2021, arXiv:2104.00298";

fn network(v: &Variant, tf: bool) -> Network {
    let stem = Stem { out: v.by.end(v.stem), stride: 2, act: Swish };
    Network {
        stem,
        stages: v.by.stages(stem.out, v.table),
        head: Head::Conv(v.by.end(1280), Swish),
        padding: if tf { Padding::Same } else { Padding::Symmetric },
        bn_eps: if tf { 1e-3 } else { 1e-5 },
    }
}

/// Every registered EfficientNetV2: `efficientnetv2_b0`-`b3`, `s`, `m`, `l` and their `tf_` forms; torchvision's
/// `efficientnet_v2_s` is `efficientnetv2_s`.
pub fn models() -> Vec<Model> {
    let all = [false, true].into_iter().flat_map(|tf| VARIANTS.iter().map(move |v| (tf, v)));
    all.map(|(tf, variant)| model(variant, tf)).collect()
}

/// The resolution is that of the published accuracy; training used smaller images.
fn model(v: &Variant, tf: bool) -> Model {
    let base = v.suffix.starts_with('b');
    // timm's facts for the weights that each name stands for: the large ones in -1 to 1, the widest not cropped.
    let facts = if tf && (!base || v.suffix == "b3") { Preprocess::HALF } else { Preprocess::IMAGENET };
    let crop_mode = if tf && matches!(v.suffix, "b3" | "m" | "l") { CropMode::Squash } else { CropMode::Center };
    Model {
        aliases: if base || tf { Vec::new() } else { vec![format!("efficientnet_v2_{}", v.suffix)] },
        resolution: v.resolution,
        preprocess: Preprocess { crop_mode, ..facts.at(v.resolution, v.crop_pct) },
        published: Some(v.published.into()),
        checkpoints: match (tf, base) {
            (true, _) => &[Checkpoints::TIMM],
            (false, true) => &[Checkpoints::TIMM_NAMES],
            (false, false) => &[Checkpoints::TIMM_NAMES, Checkpoints::TORCHVISION],
        },
        torchvision_bn_eps: Some(1e-3),
        ..Model::new(
            format!("{}efficientnetv2_{}", if tf { "tf_" } else { "" }, v.suffix),
            "EfficientNetV2",
            PAPER,
            Wiring::Network(network(v, tf)),
        )
    }
}
