//! GhostNet (Han et al. 2019, arXiv:1911.11907).

use super::{Architecture, Checkpoints, Model, Options, Published, Wiring, classify};
use crate::error::Result;
use crate::graph::Activation::{self, HardSigmoid, Identity, Relu};
use crate::graph::{Builder, ConvArgs, Graph, Value};
use crate::tensor::Padding;
use std::sync::Arc;

/// The paper's table 1 under a width multiplier.
#[derive(Clone, Copy, Debug)]
struct GhostNet {
    width: f64,
}

/// A ghost bottleneck, before width scaling.
#[derive(Clone, Copy)]
struct Row {
    kernel: usize,
    stride: usize,
    hidden: usize,
    out: usize,
    se: bool,
}

const fn row(kernel: usize, stride: usize, hidden: usize, out: usize) -> Row {
    Row { kernel, stride, hidden, out, se: false }
}

const fn se(row: Row) -> Row {
    Row { se: true, ..row }
}

/// Table 1 of the paper, in timm's stages.
const STAGES: [&[Row]; 9] = [
    &[row(3, 1, 16, 16)],
    &[row(3, 2, 48, 24)],
    &[row(3, 1, 72, 24)],
    &[se(row(5, 2, 72, 40))],
    &[se(row(5, 1, 120, 40))],
    &[row(3, 2, 240, 80)],
    &[row(3, 1, 200, 80), row(3, 1, 184, 80), row(3, 1, 184, 80), se(row(3, 1, 480, 112)), se(row(3, 1, 672, 112))],
    &[se(row(5, 2, 672, 160))],
    &[row(5, 1, 960, 160), se(row(5, 1, 960, 160)), row(5, 1, 960, 160), se(row(5, 1, 960, 160))],
];

impl Architecture for GhostNet {
    /// The graph, with timm's names.
    fn build(&self, name: &str, options: &Options) -> Result<Graph> {
        let mut b = Builder::new(name, options.in_channels, Padding::Symmetric, options.bn_eps.unwrap_or(1e-5));
        let x = b.conv_bn(["conv_stem", "bn1"], b.input(), ConvArgs::dense(self.channels(16), 3, 2))?;
        let mut x = b.activation("act1", x, Relu)?;
        for (stage, rows) in STAGES.iter().enumerate() {
            x = b.scope(&format!("blocks.{stage}"), |b| {
                for (block, row) in rows.iter().enumerate() {
                    x = b.scope(&block.to_string(), |b| self.bottleneck(b, x, row))?;
                }
                Ok(x)
            })?;
        }
        let x = b.scope(&format!("blocks.{}", STAGES.len()), |b| {
            b.scope("0", |b| {
                let y = b.conv("conv", x, ConvArgs::pointwise(self.channels(960)))?;
                b.bn_act("bn1", y, Relu)
            })
        })?;
        let pooled = b.global_pool("global_pool", x)?;
        let features = b.linear("conv_head", pooled, 1280)?;
        let features = b.activation("act2", features, Relu)?;
        classify(b, "classifier", features, options)
    }
}

impl GhostNet {
    fn channels(&self, channels: usize) -> usize {
        to_four(channels as f64 * self.width)
    }

    /// Figure 3 of the paper; where the shape changes, the shortcut is a depthwise separable convolution.
    fn bottleneck(&self, b: &mut Builder, x: Value, row: &Row) -> Result<Value> {
        let Row { kernel, stride, .. } = *row;
        let (hidden, out) = (self.channels(row.hidden), self.channels(row.out));
        let mut y = ghost(b, "ghost1", x, hidden, Relu)?;
        if stride > 1 {
            y = b.conv_bn(["conv_dw", "bn_dw"], y, ConvArgs::depthwise(hidden, kernel, stride))?;
        }
        if row.se {
            y = b.squeeze_excite("se", y, to_four(hidden as f64 * 0.25), Relu, HardSigmoid)?;
        }
        let y = ghost(b, "ghost2", y, out, Identity)?;
        let shortcut = if stride == 1 && x.channels == out {
            x
        } else {
            b.scope("shortcut", |b| {
                let z = b.conv_bn(["0", "1"], x, ConvArgs::depthwise(x.channels, kernel, stride))?;
                b.conv_bn(["2", "3"], z, ConvArgs::pointwise(out))
            })?
        };
        b.add("residual", y, shortcut)
    }
}

/// The ghost module (section 3.1 of the paper, ratio 2): half of the channels from a 1x1 convolution, and of each of these
/// another from a 3x3 of its own.
fn ghost(b: &mut Builder, name: &str, x: Value, out: usize, act: Activation) -> Result<Value> {
    b.scope(name, |b| {
        let primary = b.scope("primary_conv", |b| part(b, x, ConvArgs::pointwise(out / 2), act))?;
        let cheap = b.scope("cheap_operation", |b| part(b, primary, ConvArgs::depthwise(out / 2, 3, 1), act))?;
        b.concat("concat", primary, cheap)
    })
}

fn part(b: &mut Builder, x: Value, args: ConvArgs, act: Activation) -> Result<Value> {
    let y = b.conv_bn(["0", "1"], x, args)?;
    if act == Identity { Ok(y) } else { b.activation("2", y, act) }
}

/// The nearest multiple of 4, or the next where that is below 90 %.
fn to_four(exact: f64) -> usize {
    let rounded = (((exact + 2.0) as usize) / 4 * 4).max(4);
    if (rounded as f64) < 0.9 * exact { rounded + 4 } else { rounded }
}

/// Name, width, parameters and multiply-adds (millions) and top-1 (%) of the paper's table 7.
const VARIANTS: [(&str, f64, (f64, f64, f64)); 3] = [
    ("ghostnet_050", 0.5, (2.6, 42.0, 66.2)),
    ("ghostnet_100", 1.0, (5.2, 141.0, 73.9)),
    ("ghostnet_130", 1.3, (7.3, 226.0, 75.7)),
];

const PAPER: &str = "Han et al., GhostNet: More Features from Cheap Operations, 2019, arXiv:1911.11907";

/// Every registered GhostNet.
pub fn models() -> Vec<Model> {
    let model = |&(name, width, published): &(&str, f64, (f64, f64, f64))| Model {
        aliases: if width == 1.0 { vec!["ghostnet".into(), "ghostnet_1x".into()] } else { Vec::new() },
        published: Some(Published::from(published)),
        checkpoints: if width == 1.0 { &[Checkpoints::TIMM] } else { &[Checkpoints::TIMM_NAMES] },
        ..Model::new(name, "GhostNet", PAPER, Wiring::Own(Arc::new(GhostNet { width })))
    };
    VARIANTS.iter().map(model).collect()
}
