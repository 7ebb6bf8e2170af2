//! MobileNetV3 (Howard et al. 2019, arXiv:1905.02244).

use super::blocks::Kind;
use super::facts::{Interpolation, Preprocess};
use super::network::{Head, Multipliers, Network, Row, SqueezeRule, Stem};
use super::{Checkpoints, Model, Published, Wiring};
use crate::graph::Activation::{self, HardSigmoid, HardSwish, Relu};
use crate::tensor::Padding;

/// A quarter of the expanded channels.
const SE: Option<SqueezeRule> = Some(SqueezeRule { ratio: 0.25, of_expanded: true, act: Relu, gate: HardSigmoid });

/// The last 1x1 convolution before the pooling.
const fn last(out: usize) -> Row {
    Row { kind: Kind::Conv, expand: 1.0, skip: false, ..row(1, 1, 1, 1.0, out, HardSwish, None) }
}

const fn row(
    repeats: usize,
    kernel: usize,
    stride: usize,
    expand: f64,
    out: usize,
    act: Activation,
    se: Option<SqueezeRule>,
) -> Row {
    let kind = if expand == 1.0 { Kind::Linear } else { Kind::InvertedResidual };
    Row { kind, repeats, kernel, stride, expand, out, act, se, skip: true }
}

/// Table 1 of the paper; its expanded widths as ratios.
const LARGE: [&[Row]; 7] = [
    &[row(1, 3, 1, 1.0, 16, Relu, None)],
    &[row(1, 3, 2, 4.0, 24, Relu, None), row(1, 3, 1, 3.0, 24, Relu, None)],
    &[row(3, 5, 2, 3.0, 40, Relu, SE)],
    &[
        row(1, 3, 2, 6.0, 80, HardSwish, None),
        row(1, 3, 1, 2.5, 80, HardSwish, None),
        row(2, 3, 1, 2.3, 80, HardSwish, None),
    ],
    &[row(2, 3, 1, 6.0, 112, HardSwish, SE)],
    &[row(3, 5, 2, 6.0, 160, HardSwish, SE)],
    &[last(960)],
];

/// Table 2 of the paper.
const SMALL: [&[Row]; 6] = [
    &[row(1, 3, 2, 1.0, 16, Relu, SE)],
    &[row(1, 3, 2, 4.5, 24, Relu, None), row(1, 3, 1, 3.67, 24, Relu, None)],
    &[row(1, 5, 2, 4.0, 40, HardSwish, SE), row(2, 5, 1, 6.0, 40, HardSwish, SE)],
    &[row(2, 5, 1, 3.0, 48, HardSwish, SE)],
    &[row(3, 5, 2, 6.0, 96, HardSwish, SE)],
    &[last(576)],
];

/// Size, width multiplier, minimalistic, published parameters and multiply-adds (millions), top-1 (%): of the paper's
/// tables 3 and 4, and of the authors' TensorFlow release for the minimalistic ones.
type Variant = (&'static str, f64, bool, Option<(f64, f64, f64)>);

const VARIANTS: [Variant; 7] = [
    ("large_075", 0.75, false, Some((4.0, 155.0, 73.3))),
    ("large_100", 1.0, false, Some((5.4, 219.0, 75.2))),
    ("large_minimal_100", 1.0, true, Some((3.9, 209.0, 72.3))),
    ("small_050", 0.5, false, None),
    ("small_075", 0.75, false, Some((2.0, 44.0, 65.4))),
    ("small_100", 1.0, false, Some((2.5, 56.0, 67.4))),
    ("small_minimal_100", 1.0, true, Some((2.0, 65.0, 61.9))),
];

const PAPER: &str = "Howard et al., Searching for MobileNetV3, 2019, arXiv:1905.02244";

/// Minimalistic: no squeeze-and-excitation, no hard swish, no 5x5 window.
fn minimal(row: &Row) -> Row {
    Row { kernel: row.kernel.min(3), act: Relu, se: None, ..*row }
}

fn network(large: bool, width: f64, minimalistic: bool, tf: bool) -> Network {
    let table: &[&[Row]] = if large { &LARGE } else { &SMALL };
    let change = |row: &Row| if minimalistic { minimal(row) } else { *row };
    let rows: Vec<Vec<Row>> = table.iter().map(|stage| stage.iter().map(change).collect()).collect();
    let by = Multipliers::width(width);
    let act = if minimalistic { Relu } else { HardSwish };
    // Narrow networks keep the stem.
    let stem = Stem { out: if width < 0.75 { 16 } else { by.end(16) }, stride: 2, act };
    Network {
        stem,
        stages: by.stages(stem.out, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>()),
        head: Head::PooledConv(if large { 1280 } else { 1024 }, act),
        padding: if tf { Padding::Same } else { Padding::Symmetric },
        bn_eps: if tf { 1e-3 } else { 1e-5 },
    }
}

/// The large network with half the channels from stride 32 on (the paper's section 6.3), torchvision's for detectors.
#[cfg_attr(feature = "web", allow(dead_code))]
pub(super) fn reduced_tail() -> Network {
    let mut network = network(true, 1.0, false, false);
    let by = Multipliers::width(1.0);
    let halved = LARGE[5..].iter().map(|stage| stage.iter().map(|row| Row { out: row.out / 2, ..*row }).collect());
    let rows: Vec<Vec<Row>> = halved.collect();
    network.stages.truncate(5);
    network.stages.extend(by.stages(112, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    Network { bn_eps: 1e-3, ..network }
}

/// Every registered MobileNetV3, each also as `tf_`; torchvision's `mobilenet_v3_large` is `mobilenetv3_large_100`.
pub fn models() -> Vec<Model> {
    let all = [false, true].into_iter().flat_map(|tf| VARIANTS.iter().map(move |v| (tf, v)));
    all.map(|(tf, variant)| model(variant, tf)).collect()
}

fn model(&(suffix, width, minimalistic, published): &Variant, tf: bool) -> Model {
    let large = suffix.starts_with("large");
    let torchvision = match suffix {
        "large_100" | "small_100" if !tf => vec![format!("mobilenet_v3_{}", &suffix[..5])],
        _ => Vec::new(),
    };
    let base = if tf { Preprocess::HALF } else { Preprocess::IMAGENET };
    let bilinear = tf || suffix == "large_075";
    Model {
        aliases: torchvision,
        preprocess: base.with(if bilinear { Interpolation::Bilinear } else { Interpolation::Bicubic }),
        published: published.map(Published::from),
        checkpoints: checkpoints(suffix, tf),
        torchvision_bn_eps: Some(1e-3),
        ..Model::new(
            format!("{}mobilenetv3_{suffix}", if tf { "tf_" } else { "" }),
            "MobileNetV3",
            PAPER,
            Wiring::Network(network(large, width, minimalistic, tf)),
        )
    }
}

/// torchvision's other widths are other networks: its heads narrow, too.
fn checkpoints(suffix: &str, tf: bool) -> &'static [Checkpoints] {
    match (tf, suffix) {
        (false, "large_100" | "small_100") => &[Checkpoints::TIMM, Checkpoints::TORCHVISION],
        (false, "small_050" | "small_075") => &[Checkpoints::TIMM],
        (true, suffix) if suffix != "small_050" => &[Checkpoints::TIMM],
        _ => &[Checkpoints::TIMM_NAMES],
    }
}
