//! ResNet (He et al. 2015, arXiv:1512.03385).

use super::{Architecture, Checkpoints, Interpolation, Model, Options, Preprocess, Wiring, classify};
use crate::error::Result;
use crate::graph::Activation::Relu;
use crate::graph::{Builder, ConvArgs, Graph, PoolKind, Value};
use crate::tensor::Padding;
use std::sync::Arc;

/// A column of the paper's table 1.
#[derive(Clone, Copy, Debug)]
struct ResNet {
    /// Blocks of each stage.
    blocks: [usize; 4],
    /// 1x1, 3x3, 1x1 to four times the channels; else two 3x3.
    bottleneck: bool,
    /// A bottleneck's first convolution has the stride, as in the paper; else its 3x3 has it ("v1.5": torchvision, timm).
    stride_first: bool,
}

impl Architecture for ResNet {
    /// The graph, with the names that timm and torchvision share, and timm's for what has no parameters.
    fn build(&self, name: &str, options: &Options) -> Result<Graph> {
        let mut b = Builder::new(name, options.in_channels, Padding::Symmetric, options.bn_eps.unwrap_or(1e-5));
        let x = b.conv_bn(["conv1", "bn1"], b.input(), ConvArgs::dense(64, 7, 2))?;
        let x = b.activation("act1", x, Relu)?;
        let mut x = b.pool("maxpool", x, PoolKind::Max, 3, 2)?;
        for (stage, &blocks) in self.blocks.iter().enumerate() {
            x = b.scope(&format!("layer{}", stage + 1), |b| {
                for block in 0..blocks {
                    let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                    x = b.scope(&block.to_string(), |b| self.block(b, x, 64 << stage, stride))?;
                }
                Ok(x)
            })?;
        }
        let features = b.global_pool("global_pool", x)?;
        classify(b, "fc", features, options)
    }
}

impl ResNet {
    fn layers(&self, width: usize, stride: usize) -> Vec<ConvArgs> {
        if !self.bottleneck {
            return vec![ConvArgs::dense(width, 3, stride), ConvArgs::dense(width, 3, 1)];
        }
        let [first, second] = if self.stride_first { [stride, 1] } else { [1, stride] };
        vec![ConvArgs::dense(width, 1, first), ConvArgs::dense(width, 3, second), ConvArgs::pointwise(4 * width)]
    }

    /// Figure 2 of the paper; where the shape changes, the shortcut is a 1x1 convolution (option B).
    fn block(&self, b: &mut Builder, x: Value, width: usize, stride: usize) -> Result<Value> {
        let layers = self.layers(width, stride);
        let mut y = x;
        for (i, &args) in layers.iter().enumerate() {
            if i > 0 {
                y = b.activation(&format!("act{i}"), y, Relu)?;
            }
            y = b.conv_bn([&format!("conv{}", i + 1), &format!("bn{}", i + 1)], y, args)?;
        }
        let shortcut = if stride == 1 && x.channels == y.channels {
            x
        } else {
            b.scope("downsample", |b| b.conv_bn(["0", "1"], x, ConvArgs::dense(y.channels, 1, stride)))?
        };
        let sum = b.add("residual", y, shortcut)?;
        b.activation(&format!("act{}", layers.len()), sum, Relu)
    }
}

/// Depth, blocks, published multiply-adds (millions) and top-1 (%).
type Variant = (usize, [usize; 4], Option<(f64, f64)>);

/// Published figures are torchvision's (its table of weights `IMAGENET1K_V1`).
const VARIANTS: [Variant; 6] = [
    (18, [2, 2, 2, 2], Some((1814.0, 69.758))),
    (34, [3, 4, 6, 3], Some((3664.0, 73.314))),
    (50, [3, 4, 6, 3], Some((4089.0, 76.13))),
    (101, [3, 4, 23, 3], Some((7801.0, 77.374))),
    (152, [3, 8, 36, 3], Some((11514.0, 78.312))),
    (200, [3, 24, 36, 3], None),
];

/// Published figures: multiply-adds of the paper's table 1, single-crop top-1 of the authors' release
/// (github.com/KaimingHe/deep-residual-networks).
const ORIGINAL: [Variant; 4] = [
    (50, [3, 4, 6, 3], Some((3800.0, 75.3))),
    (101, [3, 4, 23, 3], Some((7600.0, 76.4))),
    (152, [3, 8, 36, 3], Some((11300.0, 77.0))),
    (200, [3, 24, 36, 3], None),
];

/// Parameters in millions of a depth, torchvision's: the strides do not change them.
fn params(depth: usize) -> f64 {
    match depth {
        18 => 11.69,
        34 => 21.8,
        50 => 25.56,
        101 => 44.55,
        _ => 60.19,
    }
}

const PAPER: &str = "He et al., Deep Residual Learning for Image Recognition, 2015, arXiv:1512.03385";

/// The two libraries have the same names.
const SHARED: [Checkpoints; 2] = [Checkpoints::TIMM, Checkpoints::TORCHVISION.named("timm")];

/// Every registered ResNet: `resnet18` to `resnet200`, and the bottleneck ones with the paper's strides, `resnet50_v1` to
/// `resnet200_v1`.
pub fn models() -> Vec<Model> {
    let current = VARIANTS.iter().map(|variant| model(variant, false));
    current.chain(ORIGINAL.iter().map(|variant| model(variant, true))).collect()
}

fn model(&(depth, blocks, published): &Variant, stride_first: bool) -> Model {
    let suffix = if stride_first { "_v1" } else { "" };
    let bottleneck = depth >= 50;
    let mut aliases = vec![format!("resnet_{depth}{suffix}")];
    if bottleneck && !stride_first {
        aliases.push(format!("resnet{depth}_v1.5"));
    }
    Model {
        aliases,
        preprocess: Preprocess::IMAGENET.with(Interpolation::Bilinear),
        published: published.map(|(madds, top1)| (params(depth), madds, top1).into()),
        checkpoints: match depth {
            18..=152 if !stride_first => &SHARED,
            _ => &[Checkpoints::TIMM_NAMES],
        },
        ..Model::new(
            format!("resnet{depth}{suffix}"),
            "ResNet",
            PAPER,
            Wiring::Own(Arc::new(ResNet { blocks, bottleneck, stride_first })),
        )
    }
}
