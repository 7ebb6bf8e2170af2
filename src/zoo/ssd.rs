//! Single-shot detectors: SSD (Liu et al. 2015, arXiv:1512.02325) and SSDLite (Sandler et al. 2018, arXiv:1801.04381,
//! section 6.2).
//!
//! The graphs bear the names of the repositories that define them. Outputs are those of each of the six maps that
//! boxes are predicted from: `cls_logits.0` `[N, H, W, boxes * classes]`, class 0 being the background, and
//! `bbox_regression.0` `[N, H, W, boxes * 4]`, so that their rows follow one another by y, then x, then box.

use super::blocks::{Block, Kind, Part};
use super::detector::{Detector, SSD300, SSDLITE, SSDLITE_TORCHVISION};
use super::mobilenext::Form;
use super::network::{Head, Multipliers, Network};
use super::stage::Stage;
use super::{
    Architecture, Checkpoints, CropMode, Interpolation, Model, Options, Preprocess, Published, Wiring, mobilenet_v2,
    mobilenet_v3, mobilenext,
};
use crate::error::Result;
use crate::graph::Activation::{Identity, Relu, Relu6};
use crate::graph::{Builder, ConvArgs, Graph, PoolKind, Value};
use crate::tensor::Padding;
use std::sync::Arc;

/// What computes the maps, and how the repository names it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ssd {
    /// torchvision's SSD300.
    Vgg16,
    /// torchvision's SSDLite.
    MobileNetV3,
    /// Its first map is the output of the last block of stride 16, as MobileNeXt's authors have it.
    MobileNetV2,
    /// Its first map is the expansion inside the block that strides to 32, as in the paper.
    MobileNetV2Expansion,
    /// Its first maps are the expansions before the last depthwise convolutions of strides 32 and of all.
    MobileNext,
}

impl Architecture for Ssd {
    fn build(&self, name: &str, options: &Options) -> Result<Graph> {
        let eps = if *self == Self::MobileNetV3 { 1e-3 } else { 1e-5 };
        let mut b = Builder::new(name, options.in_channels, Padding::Symmetric, options.bn_eps.unwrap_or(eps));
        let maps = match self {
            Self::Vgg16 => vgg16(&mut b),
            Self::MobileNetV3 => mobilenet_v3(&mut b),
            Self::MobileNetV2 => mobilenet_v2(&mut b, ["backbone.features", "backbone.extras"], false),
            Self::MobileNetV2Expansion => mobilenet_v2(&mut b, ["base_net", "extras"], true),
            Self::MobileNext => mobilenext(&mut b),
        }?;
        let [classes, boxes] = match self {
            Self::Vgg16 | Self::MobileNetV3 => {
                ["head.classification_head.module_list", "head.regression_head.module_list"]
            }
            Self::MobileNetV2Expansion => ["classification_headers", "regression_headers"],
            Self::MobileNetV2 | Self::MobileNext => {
                ["box_head.predictor.cls_headers", "box_head.predictor.reg_headers"]
            }
        };
        for (output, head, columns) in [("cls_logits", classes, options.num_classes), ("bbox_regression", boxes, 4)] {
            for (i, (&map, level)) in maps.iter().zip(self.detector().levels).enumerate() {
                let y = self.head(&mut b, &format!("{head}.{i}"), map, level.boxes() * columns, i + 1 == maps.len())?;
                b.output(&format!("{output}.{i}"), y);
            }
        }
        b.finish()
    }
}

impl Ssd {
    const fn detector(self) -> &'static Detector {
        match self {
            Self::Vgg16 => &SSD300,
            Self::MobileNetV3 => &SSDLITE_TORCHVISION,
            _ => &SSDLITE,
        }
    }

    /// What predicts `out` values at each position of a map: a 3x3 convolution, or a depthwise one and a product.
    fn head(self, b: &mut Builder, name: &str, x: Value, out: usize, last: bool) -> Result<Value> {
        let product = ConvArgs::pointwise(out).with_bias();
        let depthwise = ConvArgs::depthwise(x.channels, 3, 1);
        let (numbering, depthwise, number, inner) = match self {
            Self::Vgg16 => return b.conv(name, x, ConvArgs::dense(out, 3, 1).with_bias()),
            Self::MobileNetV3 => (Numbering::Whole, depthwise, "1", ""),
            _ if last => return b.conv(name, x, product),
            Self::MobileNetV2Expansion => (Numbering::Flat, depthwise.with_bias(), "3", ""),
            Self::MobileNetV2 | Self::MobileNext => (Numbering::Flat, depthwise.with_bias(), "3", ".conv"),
        };
        b.scope(&format!("{name}{inner}"), |b| {
            let x = sequence(b, x, numbering, 0, &[Part::Conv([""; 2], depthwise, Relu6)])?[0];
            b.conv(number, x, product)
        })
    }
}

/// How a sequence numbers its convolutions.
#[derive(Clone, Copy, PartialEq)]
enum Numbering {
    /// Convolution, batch norm and activation, each by itself.
    Flat,
    /// The three together, those without an activation as two.
    Nested,
    /// All together, with an activation or without.
    Whole,
}

/// Parts one after another, numbered from `number` on: every one's value.
fn sequence(b: &mut Builder, x: Value, by: Numbering, mut number: usize, parts: &[Part]) -> Result<Vec<Value>> {
    let mut values: Vec<Value> = Vec::new();
    for part in parts {
        let x = values.last().copied().unwrap_or(x);
        values.push(match *part {
            Part::Squeeze(hidden, se) => {
                b.squeeze_excite_named([&number.to_string(), "fc1", "fc2"], x, hidden, se.act, se.gate)?
            }
            Part::Conv(_, args, act) => {
                let together = by == Numbering::Whole || by == Numbering::Nested && act != Identity;
                let (conv, norm) = match together {
                    true => (format!("{number}.0"), format!("{number}.1")),
                    false => (number.to_string(), (number + 1).to_string()),
                };
                number += if together { 0 } else { 1 + usize::from(act != Identity) };
                let y = b.conv(&conv, x, args)?;
                b.bn_act(&norm, y, act)?
            }
        });
        number += 1;
    }
    Ok(values)
}

/// The last value of a sequence in a module of its own.
fn module(b: &mut Builder, name: &str, x: Value, by: Numbering, number: usize, parts: &[Part]) -> Result<Value> {
    b.scope(name, |b| Ok(sequence(b, x, by, number, parts)?.last().copied().unwrap_or(x)))
}

/// A network's stem, blocks and last convolution, all as blocks.
fn features(network: &Network) -> Vec<Block> {
    let conv = |out, kernel, stride, act| Block::new(Kind::Conv, out).kernel(kernel).stride(stride).act(act);
    let mut all = vec![conv(network.stem.out, 3, network.stem.stride, network.stem.act)];
    for stage in &network.stages {
        if let Stage::Blocks(blocks) = stage {
            all.extend(blocks);
        }
    }
    if let Head::Conv(out, act) = network.head {
        all.push(conv(out, 1, 1, act));
    }
    all
}

/// A block, its convolutions in the module `inner`, and the values of its parts.
fn numbered(b: &mut Builder, x: Value, number: usize, block: &Block, inner: &str, by: Numbering) -> Result<Vec<Value>> {
    let (mut values, parts, number) = (Vec::new(), block.parts(x.channels), number.to_string());
    let y = b.scope(&number, |b| {
        if block.kind == Kind::Conv {
            values = sequence(b, x, Numbering::Flat, 0, &parts)?;
        } else {
            b.scope(inner, |b| {
                values = sequence(b, x, by, 0, &parts)?;
                Ok(values.last().copied().unwrap_or(x))
            })?;
        }
        let y = values.last().copied().unwrap_or(x);
        match block.shared(x.channels) {
            0 => Ok(y),
            shared => b.add_first("residual", y, x, shared),
        }
    })?;
    values.push(y);
    Ok(values)
}

/// Blocks numbered through, and the values that `taps` says: of a block, of its part of that number where it says one.
fn tapped(
    b: &mut Builder,
    name: &str,
    network: &Network,
    by: Numbering,
    taps: [(usize, Option<usize>); 2],
) -> Result<(Value, Vec<Value>)> {
    let mut maps = Vec::new();
    let last = b.scope(name, |b| {
        let mut x = b.input();
        for (number, block) in features(network).iter().enumerate() {
            let values = numbered(b, x, number, block, "conv", by)?;
            x = values.last().copied().unwrap_or(x);
            maps.extend(taps.iter().filter(|tap| tap.0 == number).map(|tap| tap.1.map_or(x, |part| values[part])));
        }
        Ok(x)
    })?;
    Ok((last, maps))
}

/// The six maps.
fn mobilenet_v2(b: &mut Builder, [features, extras]: [&str; 2], expansion: bool) -> Result<Vec<Value>> {
    let (by, first, shares) = match expansion {
        true => (Numbering::Flat, (14, Some(0)), [0.2, 0.25, 0.5, 0.25]),
        false => (Numbering::Nested, (13, None), [0.2, 0.5, 0.5, 0.5]),
    };
    let network = mobilenet_v2::network(&Multipliers::width(1.0));
    let (mut x, mut maps) = tapped(b, features, &network, by, [first, (18, None)])?;
    b.scope(extras, |b| {
        for (i, (out, share)) in [512, 256, 256, 64].into_iter().zip(shares).enumerate() {
            let values = numbered(b, x, i, &Block::inverted_residual(share, out).stride(2), "conv", by)?;
            x = values.last().copied().unwrap_or(x);
            maps.push(x);
        }
        Ok(x)
    })?;
    Ok(maps)
}

/// The six maps.
fn mobilenext(b: &mut Builder) -> Result<Vec<Value>> {
    let network = mobilenext::network(1.0, 1.0, Form::Flat);
    let (mut x, mut maps) = tapped(b, "backbone.features", &network, Numbering::Flat, [(13, Some(1)), (20, Some(2))])?;
    for (i, (hidden, out)) in [(256, 512), (128, 256), (128, 256), (128, 128)].into_iter().enumerate() {
        let parts = [
            Part::Conv([""; 2], ConvArgs::depthwise(x.channels, 3, 2), Relu6),
            Part::Conv([""; 2], ConvArgs::pointwise(hidden), Identity),
            Part::Conv([""; 2], ConvArgs::pointwise(out), Relu6),
        ];
        x = module(b, &format!("backbone.extras.{i}"), x, Numbering::Flat, 0, &parts)?;
        maps.push(x);
    }
    Ok(maps)
}

/// The six maps. The block that strides to 32 is cut behind its expansion.
fn mobilenet_v3(b: &mut Builder) -> Result<Vec<Value>> {
    const CUT: usize = 13;
    let blocks = features(&mobilenet_v3::reduced_tail());
    let cut = blocks[CUT].parts(blocks[CUT - 1].out);
    let run = |b: &mut Builder, mut x, first: usize, blocks: &[Block]| {
        for (i, block) in blocks.iter().enumerate() {
            x = numbered(b, x, first + i, block, "block", Numbering::Whole)?.last().copied().unwrap_or(x);
        }
        Ok(x)
    };
    let expanded = b.scope("backbone.features.0", |b| {
        let x = run(b, b.input(), 0, &blocks[..CUT])?;
        module(b, &CUT.to_string(), x, Numbering::Flat, 0, &cut[..1])
    })?;
    let mut x = b.scope("backbone.features.1", |b| {
        let x = module(b, "0", expanded, Numbering::Whole, 1, &cut[1..])?;
        run(b, x, 1, &blocks[CUT + 1..])
    })?;
    let mut maps = vec![expanded, x];
    for (i, out) in [512, 256, 256, 128].into_iter().enumerate() {
        let parts = [
            Part::Conv([""; 2], ConvArgs::pointwise(out / 2), Relu6),
            Part::Conv([""; 2], ConvArgs::depthwise(out / 2, 3, 2), Relu6),
            Part::Conv([""; 2], ConvArgs::pointwise(out), Relu6),
        ];
        x = module(b, &format!("backbone.extra.{i}"), x, Numbering::Whole, 0, &parts)?;
        maps.push(x);
    }
    Ok(maps)
}

/// The six maps: VGG-16 (arXiv:1409.1556, configuration D) to its fourth group, whose map is normalised; its fifth,
/// with the first fully connected layer as a dilated convolution; and the paper's four further pairs.
fn vgg16(b: &mut Builder) -> Result<Vec<Value>> {
    let x = b.scope("backbone.features", |b| {
        let (mut x, mut number) = (b.input(), 0);
        for (group, (channels, convs)) in [(64, 2), (128, 2), (256, 3), (512, 3)].into_iter().enumerate() {
            if group > 0 {
                // The third pooling rounds up.
                let padding = if group == 3 { Padding::Same } else { Padding::Symmetric };
                x = b.padded(padding, |b| b.pool(&number.to_string(), x, PoolKind::Max, 2, 2))?;
                number += 1;
            }
            for _ in 0..convs {
                x = conv_relu(b, x, number, ConvArgs::dense(channels, 3, 1))?;
                number += 2;
            }
        }
        Ok(x)
    })?;
    let mut maps = vec![b.l2_norm("backbone.rescaled", x, "backbone.scale_weight")?];
    let mut x = b.scope("backbone.extra.0", |b| {
        let mut x = b.pool("0", x, PoolKind::Max, 2, 2)?;
        for number in [1, 3, 5] {
            x = conv_relu(b, x, number, ConvArgs::dense(512, 3, 1))?;
        }
        b.scope("7", |b| {
            let x = b.pool("0", x, PoolKind::Max, 3, 1)?;
            let x = conv_relu(b, x, 1, ConvArgs::dense(1024, 3, 1).dilated(6))?;
            conv_relu(b, x, 3, ConvArgs::pointwise(1024))
        })
    })?;
    maps.push(x);
    for (i, (hidden, out, stride)) in
        [(256, 512, 2), (128, 256, 2), (128, 256, 1), (128, 256, 1)].into_iter().enumerate()
    {
        let padding = if stride == 2 { Padding::Symmetric } else { Padding::Valid };
        x = b.scope(&format!("backbone.extra.{}", i + 1), |b| {
            let x = conv_relu(b, x, 0, ConvArgs::pointwise(hidden))?;
            b.padded(padding, |b| conv_relu(b, x, 2, ConvArgs::dense(out, 3, stride)))
        })?;
        maps.push(x);
    }
    Ok(maps)
}

/// A convolution with a bias, and behind it a ReLU.
fn conv_relu(b: &mut Builder, x: Value, number: usize, args: ConvArgs) -> Result<Value> {
    let y = b.conv(&number.to_string(), x, args.with_bias())?;
    b.activation(&(number + 1).to_string(), y, Relu)
}

const SSD: &str = "Liu et al., SSD: Single Shot MultiBox Detector, 2015, arXiv:1512.02325";
const LITE: &str =
    "Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018, arXiv:1801.04381, section 6.2";
const LITE_V3: &str = "Howard et al., Searching for MobileNetV3, 2019, arXiv:1905.02244, section 6.3";
const LITE_NEXT: &str = "Zhou et al., Rethinking Bottleneck Structure for Efficient Mobile Network Design, 2020, \
                         arXiv:2007.02269, section 4.3";

/// The whole picture, whatever its shape.
const WHOLE: Preprocess = Preprocess {
    crop_mode: CropMode::Squash,
    crop_pct: 1.0,
    interpolation: Interpolation::Bilinear,
    ..Preprocess::HALF
};

const LUFFICC: &[Checkpoints] = &[Checkpoints::of("lufficc/SSD")];

/// Every registered detector.
pub fn models() -> Vec<Model> {
    const TORCHVISION: &[Checkpoints] = &[Checkpoints::TORCHVISION];
    const PYTORCH_SSD: &[Checkpoints] = &[Checkpoints::of("qfgaohao/pytorch-ssd")];
    vec![
        model("ssd300_vgg16", Ssd::Vgg16, SSD, TORCHVISION),
        model("ssdlite320_mobilenet_v2", Ssd::MobileNetV2, LITE, LUFFICC),
        model("ssdlite320_mobilenet_v2_expand", Ssd::MobileNetV2Expansion, LITE, PYTORCH_SSD),
        model("ssdlite320_mobilenet_v3_large", Ssd::MobileNetV3, LITE_V3, TORCHVISION),
        model("ssdlite320_mobilenext", Ssd::MobileNext, LITE_NEXT, LUFFICC),
    ]
}

fn model(name: &str, ssd: Ssd, cite: &'static str, checkpoints: &'static [Checkpoints]) -> Model {
    const BYTE: &[f32] = &[1.0 / 255.0];
    let (side, num_classes) = match ssd {
        Ssd::Vgg16 => (300, 91),
        Ssd::MobileNetV3 => (320, 91),
        _ => (320, 21),
    };
    // Means of the levels 0 to 255, whose deviation is not divided out.
    let mean: Option<&[f32]> = match ssd {
        Ssd::Vgg16 => Some(&[0.48235, 0.45882, 0.40784]),
        Ssd::MobileNetV2 | Ssd::MobileNext => Some(&[123.0 / 255.0, 117.0 / 255.0, 104.0 / 255.0]),
        _ => None,
    };
    let preprocess = match mean {
        Some(mean) => Preprocess { mean: mean.into(), std: BYTE.into(), ..WHOLE },
        None => WHOLE,
    };
    // SSD300 and the MobileNetV2s for COCO's 81 classes: Sandler et al., table 6; MobileNeXt's in its own paper's
    // comparison; torchvision's for its own.
    let (params, madds) = match ssd {
        Ssd::Vgg16 => (36.1, 35_200.0),
        Ssd::MobileNetV3 => (3.44, 583.0),
        _ => (4.3, 800.0),
    };
    let model = Model {
        published: Some(Published { params, madds, top1: None }),
        preprocess,
        checkpoints,
        num_classes,
        detector: Some(ssd.detector()),
        ..Model::new(name, "SSD", cite, Wiring::Own(Arc::new(ssd)))
    };
    model.at(side)
}
