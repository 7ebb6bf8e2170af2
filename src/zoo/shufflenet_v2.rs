//! ShuffleNetV2 (Ma et al. 2018, arXiv:1807.11164).

use super::{Architecture, Checkpoints, Interpolation, Model, Options, Preprocess, Published, Wiring, classify};
use crate::error::Result;
use crate::graph::Activation::Relu;
use crate::graph::{Builder, ConvArgs, Graph, PoolKind, Value};
use crate::tensor::Padding;
use std::sync::Arc;

/// A column of the paper's table 5.
#[derive(Clone, Copy, Debug)]
struct ShuffleNetV2 {
    /// Channels of stages 2 to 4.
    stages: [usize; 3],
    /// Channels of the last convolution.
    head: usize,
}

/// Units of stages 2 to 4.
const REPEATS: [usize; 3] = [4, 8, 4];

impl Architecture for ShuffleNetV2 {
    /// The graph, with torchvision's names.
    fn build(&self, name: &str, options: &Options) -> Result<Graph> {
        let mut b = Builder::new(name, options.in_channels, Padding::Symmetric, options.bn_eps.unwrap_or(1e-5));
        let x = b.input();
        let x = b.scope("conv1", |b| conv_bn_relu(b, x, 0, ConvArgs::dense(24, 3, 2)))?;
        let mut x = b.pool("maxpool", x, PoolKind::Max, 3, 2)?;
        for (stage, (&channels, repeats)) in self.stages.iter().zip(REPEATS).enumerate() {
            x = b.scope(&format!("stage{}", stage + 2), |b| {
                x = b.scope("0", |b| downsampling(b, x, channels / 2))?;
                for unit in 1..repeats {
                    x = b.scope(&unit.to_string(), |b| basic(b, x))?;
                }
                Ok(x)
            })?;
        }
        let x = b.scope("conv5", |b| conv_bn_relu(b, x, 0, ConvArgs::pointwise(self.head)))?;
        let features = b.global_pool("global_pool", x)?;
        classify(b, "fc", features, options)
    }
}

/// Figure 3 (c) of the paper: half of the channels passes by.
fn basic(b: &mut Builder, x: Value) -> Result<Value> {
    let half = x.channels / 2;
    let passing = b.slice("passing", x, 0, half)?;
    let rest = b.slice("rest", x, half, half)?;
    let y = branch(b, rest, half, 1)?;
    shuffled(b, passing, y)
}

/// Figure 3 (d) of the paper: both branches see all channels.
fn downsampling(b: &mut Builder, x: Value, half: usize) -> Result<Value> {
    let y = b.scope("branch1", |b| {
        let y = b.conv_bn(["0", "1"], x, ConvArgs::depthwise(x.channels, 3, 2))?;
        conv_bn_relu(b, y, 2, ConvArgs::pointwise(half))
    })?;
    let z = branch(b, x, half, 2)?;
    shuffled(b, y, z)
}

fn branch(b: &mut Builder, x: Value, channels: usize, stride: usize) -> Result<Value> {
    b.scope("branch2", |b| {
        let y = conv_bn_relu(b, x, 0, ConvArgs::pointwise(channels))?;
        let y = b.conv_bn(["3", "4"], y, ConvArgs::depthwise(channels, 3, stride))?;
        conv_bn_relu(b, y, 5, ConvArgs::pointwise(channels))
    })
}

fn shuffled(b: &mut Builder, x: Value, y: Value) -> Result<Value> {
    let both = b.concat("concat", x, y)?;
    b.shuffle("shuffle", both, 2)
}

/// Three modules of a sequence, from number `at` on.
fn conv_bn_relu(b: &mut Builder, x: Value, at: usize, args: ConvArgs) -> Result<Value> {
    let y = b.conv_bn([&at.to_string(), &(at + 1).to_string()], x, args)?;
    b.activation(&(at + 2).to_string(), y, Relu)
}

/// Name, channels, the share that torchvision's weights crop, parameters and multiply-adds (millions) and top-1 (%):
/// multiply-adds and top-1 of the paper's table 8, parameters of the authors' release (github.com/megvii-model/ShuffleNet-Series).
type Variant = (&'static str, [usize; 3], usize, f64, (f64, f64, f64));

const VARIANTS: [Variant; 4] = [
    ("0_5", [48, 96, 192], 1024, 224.0 / 256.0, (1.4, 41.0, 60.3)),
    ("1_0", [116, 232, 464], 1024, 224.0 / 256.0, (2.3, 146.0, 69.4)),
    ("1_5", [176, 352, 704], 1024, 224.0 / 232.0, (3.5, 299.0, 72.6)),
    ("2_0", [244, 488, 976], 2048, 224.0 / 232.0, (7.4, 591.0, 74.9)),
];

const PAPER: &str =
    "Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design, 2018, arXiv:1807.11164";

/// Every registered ShuffleNetV2, by torchvision's names.
pub fn models() -> Vec<Model> {
    let model = |&(width, stages, head, crop, published): &Variant| Model {
        aliases: vec![format!("shufflenetv2_x{width}"), format!("shufflenet_v2_x{}", width.replace('_', "."))],
        preprocess: Preprocess::IMAGENET.at(224, crop).with(Interpolation::Bilinear),
        published: Some(Published::from(published)),
        checkpoints: &[Checkpoints::TORCHVISION],
        ..Model::new(
            format!("shufflenet_v2_x{width}"),
            "ShuffleNetV2",
            PAPER,
            Wiring::Own(Arc::new(ShuffleNetV2 { stages, head })),
        )
    };
    VARIANTS.iter().map(model).collect()
}
