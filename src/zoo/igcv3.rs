//! IGCV3 (Sun et al. 2018, arXiv:1806.00178), the network that the paper calls IGCV3-D.

use super::{Architecture, Checkpoints, Model, Options, Published, Wiring, classify};
use crate::error::Result;
use crate::graph::Activation::Relu6;
use crate::graph::{Builder, ConvArgs, Graph, Value};
use crate::tensor::Padding;
use std::sync::Arc;

/// Table 3 of the paper under a width multiplier.
#[derive(Clone, Copy, Debug)]
struct Igcv3 {
    width: f64,
}

/// Channels and number of a stage's units; the first unit of every stage but the first has stride 2.
const STAGES: [&[(usize, usize)]; 5] = [&[(16, 1)], &[(24, 4)], &[(32, 6)], &[(64, 8), (96, 6)], &[(160, 6), (320, 1)]];

impl Architecture for Igcv3 {
    /// The graph, with pytorchcv's names.
    fn build(&self, name: &str, options: &Options) -> Result<Graph> {
        let mut b = Builder::new(name, options.in_channels, Padding::Symmetric, options.bn_eps.unwrap_or(1e-5));
        let x = b.input();
        let mut x = conv_block(&mut b, "features.init_block", x, ConvArgs::dense(self.channels(32), 3, 2), true)?;
        for (stage, rows) in STAGES.iter().enumerate() {
            x = b.scope(&format!("features.stage{}", stage + 1), |b| {
                let units = rows.iter().flat_map(|&(channels, units)| std::iter::repeat_n(channels, units));
                for (unit, channels) in units.enumerate() {
                    let stride = if stage > 0 && unit == 0 { 2 } else { 1 };
                    let expand = if stage == 0 && unit == 0 { 1 } else { 6 };
                    let out = self.channels(channels);
                    x = b.scope(&format!("unit{}", unit + 1), |b| block(b, x, expand * x.channels, out, stride))?;
                }
                Ok(x)
            })?;
        }
        let head = if self.width > 1.0 { self.channels(1280) } else { 1280 };
        let x = conv_block(&mut b, "features.final_block", x, ConvArgs::pointwise(head), true)?;
        let features = b.global_pool("features.final_pool", x)?;
        classify(b, "output", features, options)
    }
}

impl Igcv3 {
    /// Channels times the width, rounded down, and up to an even number.
    fn channels(&self, channels: usize) -> usize {
        ((channels as f64 * self.width) as usize).next_multiple_of(2)
    }
}

/// Figure 1 of the paper: an inverted residual with two groups in its 1x1 convolutions, shuffled after the first.
fn block(b: &mut Builder, x: Value, hidden: usize, out: usize, stride: usize) -> Result<Value> {
    let halves = |out| ConvArgs { groups: 2, ..ConvArgs::pointwise(out) };
    let y = conv_block(b, "conv1", x, halves(hidden), false)?;
    let y = b.shuffle("c_shuffle", y, 2)?;
    let y = conv_block(b, "conv2", y, ConvArgs::depthwise(hidden, 3, stride), true)?;
    let y = conv_block(b, "conv3", y, halves(out), false)?;
    if stride == 1 && x.channels == out { b.add("residual", y, x) } else { Ok(y) }
}

/// Convolution and batch norm, and the activation where there is one.
fn conv_block(b: &mut Builder, name: &str, x: Value, args: ConvArgs, activated: bool) -> Result<Value> {
    b.scope(name, |b| {
        let y = b.conv_bn(["conv", "bn"], x, args)?;
        if activated { b.activation("activ", y, Relu6) } else { Ok(y) }
    })
}

/// Name, further ones, width, parameters and multiply-adds (millions) and top-1 (%) of the paper's table 6.
type Variant = (&'static str, &'static [&'static str], f64, Option<(f64, f64, f64)>);

const VARIANTS: [Variant; 5] = [
    ("igcv3_w1.4", &["igcv3_w1_4"], 1.4, Some((7.2, 610.0, 74.55))),
    ("igcv3_w1", &["igcv3", "igcv3_d"], 1.0, Some((3.5, 318.0, 72.2))),
    ("igcv3_w3d4", &["igcv3_w0.75"], 0.75, None),
    ("igcv3_wd2", &["igcv3_w0.5"], 0.5, None),
    ("igcv3_wd4", &["igcv3_w0.25"], 0.25, None),
];

const PAPER: &str = "Sun et al., IGCV3: Interleaved Low-Rank Group Convolutions for Efficient Deep Neural Networks, 2018, \
                     arXiv:1806.00178";

/// pytorchcv's names, without weights from there.
const PYTORCHCV_NAMES: Checkpoints = Checkpoints::of("pytorchcv");
/// Published with the library, which states no licence of the weights.
const PYTORCHCV: Checkpoints = Checkpoints { published: true, ..Checkpoints::of("pytorchcv") };

/// Every registered IGCV3, by pytorchcv's names.
pub fn models() -> Vec<Model> {
    let model = |&(name, aliases, width, published): &Variant| Model {
        aliases: aliases.iter().map(ToString::to_string).collect(),
        published: published.map(Published::from),
        checkpoints: if width > 1.0 { &[PYTORCHCV_NAMES] } else { &[PYTORCHCV] },
        ..Model::new(name, "IGCV3", PAPER, Wiring::Own(Arc::new(Igcv3 { width })))
    };
    VARIANTS.iter().map(model).collect()
}
