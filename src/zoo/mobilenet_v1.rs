//! MobileNetV1 (Howard et al. 2017, arXiv:1704.04861).

use super::blocks::Kind;
use super::facts::Preprocess;
use super::network::{Head, Multipliers, Network, Row, Stem};
use super::{Checkpoints, Model, Published, Wiring, percent};
use crate::graph::Activation::{self, Relu, Relu6};
use crate::tensor::Padding;

/// Repeats, stride of the first and channels of the depthwise separable convolutions (table 1 of the paper).
const STAGES: [(usize, usize, usize); 5] = [(1, 1, 64), (2, 2, 128), (2, 2, 256), (6, 2, 512), (2, 2, 1024)];

/// Name, width multiplier, published parameters and multiply-adds (millions), top-1 (%) at 224x224 (tables 6 and 7).
const VARIANTS: [(&str, f64, Published); 4] = [
    ("mobilenetv1_025", 0.25, Published { params: 0.5, madds: 41.0, top1: Some(50.6) }),
    ("mobilenetv1_050", 0.5, Published { params: 1.3, madds: 149.0, top1: Some(63.7) }),
    ("mobilenetv1_075", 0.75, Published { params: 2.6, madds: 325.0, top1: Some(68.4) }),
    ("mobilenetv1_100", 1.0, Published { params: 4.2, madds: 569.0, top1: Some(70.6) }),
];

const PAPER: &str = "Howard et al., MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications, 2017, \
     arXiv:1704.04861";

fn network(width: f64, stem_stride: usize, act: Activation) -> Network {
    let row = |(repeats, stride, out)| {
        let kind = Kind::Separable;
        [Row { kind, repeats, kernel: 3, stride, expand: 1.0, out, act, se: None, skip: false }]
    };
    let rows = STAGES.map(row);
    let by = Multipliers::width(width);
    let stem = Stem { out: by.end(32), stride: stem_stride, act };
    Network {
        stem,
        stages: by.stages(stem.out, &rows.each_ref().map(|r| r.as_slice())),
        head: Head::Pool,
        padding: Padding::Symmetric,
        bn_eps: 1e-5,
    }
}

/// Every registered MobileNetV1, and the form for CIFAR's 32x32 images: a stem of stride 1, and ReLU. [`named`] knows
/// further widths.
///
/// Any resolution runs; the paper's are 224, 192, 160 and 128.
pub fn models() -> Vec<Model> {
    let imagenet = VARIANTS.iter().map(|&(name, width, published)| imagenet(name, width, Some(published)));
    let cifar = Model {
        resolution: 32,
        preprocess: CIFAR10.at(32, 1.0),
        checkpoints: &[Checkpoints::TIMM_NAMES, PYTORCH_CIFAR],
        num_classes: 10,
        ..model("mobilenetv1_cifar", network(1.0, 1, Relu))
    };
    imagenet.chain([cifar]).collect()
}

/// `mobilenetv1_<width>`, the width in percent.
pub fn named(name: &str) -> Option<Model> {
    let width = percent(name.strip_prefix("mobilenetv1_")?)?;
    Some(imagenet(name, width, None))
}

fn imagenet(name: &str, width: f64, published: Option<Published>) -> Model {
    let full = width == 1.0;
    Model {
        aliases: if full { vec!["mobilenet_v1".into()] } else { Vec::new() },
        preprocess: Preprocess::HALF,
        published,
        checkpoints: if full { &[Checkpoints::TIMM] } else { &[Checkpoints::TIMM_NAMES] },
        ..model(name, network(width, 2, Relu6))
    }
}

fn model(name: &str, network: Network) -> Model {
    Model::new(name, "MobileNetV1", PAPER, Wiring::Network(network))
}

const PYTORCH_CIFAR: Checkpoints = Checkpoints::of("kuangliu/pytorch-cifar").named("pytorch-cifar");

/// CIFAR-10's mean and deviation per channel, as its training recipes use them.
const CIFAR10: Preprocess = Preprocess {
    mean: std::borrow::Cow::Borrowed(&[0.4914, 0.4822, 0.4465]),
    std: std::borrow::Cow::Borrowed(&[0.2023, 0.1994, 0.2010]),
    ..Preprocess::IMAGENET
};
