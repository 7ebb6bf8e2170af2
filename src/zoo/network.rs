//! A network as a list of blocks between a stem and a head, and the tables that its family writes it in.

use super::Options;
use super::blocks::{Block, Kind, Skip, Squeeze, Width, block};
use crate::error::Result;
use crate::graph::{Activation, Builder, ConvArgs, Graph, Value};
use crate::tensor::Padding;

/// A network whose numbers are final.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The first convolution, 3x3 over all channels.
    pub stem: Stem,
    /// Blocks, stage by stage.
    pub stages: Vec<Vec<Block>>,
    /// What follows the blocks.
    pub head: Head,
    /// Padding of every convolution.
    pub padding: Padding,
    /// Epsilon of every batch norm.
    pub bn_eps: f64,
}

/// The first convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stem {
    /// Output channels.
    pub out: usize,
    /// Step.
    pub stride: usize,
    /// Nonlinearity.
    pub act: Activation,
}

/// What lies between the last block and the classifier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Head {
    /// 1x1 convolution to so many channels with batch norm and activation, then the mean over positions.
    Conv(usize, Activation),
    /// The mean over positions, then a 1x1 convolution with a bias and an activation (MobileNetV3).
    PooledConv(usize, Activation),
    /// The mean over positions alone (MobileNetV1).
    Pool,
    /// The same, with a batch norm in the checkpoint that is never applied (MobileNeXt with squeeze-and-excitation).
    PoolUnusedNorm,
}

impl Network {
    /// The graph, with timm's names. Its `embedding` is what the classifier sees.
    ///
    /// # Errors
    /// [`crate::Error::Architecture`] naming stage and block.
    pub fn build(&self, name: &str, options: &Options) -> Result<Graph> {
        let mut b = Builder::new(name, options.in_channels, self.padding, options.bn_eps.unwrap_or(self.bn_eps));
        let Stem { out, stride, act } = self.stem;
        let x = b.conv("conv_stem", b.input(), ConvArgs::dense(out, 3, stride))?;
        let mut x = b.bn_act("bn1", x, act)?;
        for (s, stage) in self.stages.iter().enumerate() {
            x = b.scope(&format!("blocks.{s}"), |b| {
                for (r, args) in stage.iter().enumerate() {
                    x = b.scope(&r.to_string(), |b| block(b, x, args))?;
                }
                Ok(x)
            })?;
        }
        let features = self.head(&mut b, x)?;
        let logits = b.linear("classifier", features, options.num_classes)?;
        b.output("logits", logits);
        b.output("embedding", features);
        b.finish()
    }

    fn head(&self, b: &mut Builder, x: Value) -> Result<Value> {
        match self.head {
            Head::Conv(out, act) => {
                let x = b.conv("conv_head", x, ConvArgs::pointwise(out))?;
                let x = b.bn_act("bn2", x, act)?;
                b.global_pool("global_pool", x)
            }
            Head::PooledConv(out, act) => {
                let x = b.global_pool("global_pool", x)?;
                let x = b.linear("conv_head", x, out)?;
                b.activation("act2", x, act)
            }
            Head::Pool => {
                // timm calls the features of a head without convolution so, too.
                let x = b.scope("bn2", |_| Ok(x))?;
                b.global_pool("global_pool", x)
            }
            Head::PoolUnusedNorm => {
                b.unused_bn("bn2", x.channels);
                b.global_pool("global_pool", x)
            }
        }
    }
}

/// A row of a family's table: `repeats` equal blocks, the first of which has the stride.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// What the blocks consist of.
    pub kind: Kind,
    /// How many there are, before depth scaling.
    pub repeats: usize,
    /// Edge of their window.
    pub kernel: usize,
    /// Step of the first block's window.
    pub stride: usize,
    /// Expanded channels as a multiple of the block's input channels.
    pub expand: f64,
    /// Output channels, before width scaling.
    pub out: usize,
    /// Nonlinearity.
    pub act: Activation,
    /// Squeeze-and-excitation.
    pub se: Option<SqueezeRule>,
    /// Add a block's input where stride and channels allow.
    pub skip: bool,
}

/// How wide a family makes its squeeze-and-excitation, and with which nonlinearities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SqueezeRule {
    /// Width as a share.
    pub ratio: f64,
    /// The share is of the expanded channels, rounded to a multiple of 8; else of the block's input channels.
    pub of_expanded: bool,
    /// Nonlinearity between its two products.
    pub act: Activation,
    /// The gate's own nonlinearity.
    pub gate: Activation,
}

/// Multipliers from a table to a network, and how they round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Multipliers {
    /// Of channels.
    pub width: f64,
    /// Of repeats, rounded up.
    pub depth: f64,
    /// Stem and head keep their channels, first and last stage their repeats.
    pub fixed_ends: bool,
    /// Channels are never rounded below this share of the product.
    pub at_least: f64,
}

impl Multipliers {
    /// A width multiplier alone.
    pub const fn width(width: f64) -> Self {
        Self { width, depth: 1.0, fixed_ends: false, at_least: 0.9 }
    }

    /// Channels inside the network.
    pub fn channels(&self, channels: usize) -> usize {
        to_eight(channels as f64 * self.width, self.at_least)
    }

    /// Channels of stem or head.
    pub fn end(&self, channels: usize) -> usize {
        if self.fixed_ends { channels } else { self.channels(channels) }
    }

    /// The blocks of a table, stage by stage, behind a stem of `input` channels.
    pub fn stages(&self, mut input: usize, table: &[&[Row]]) -> Vec<Vec<Block>> {
        let stage = |(s, rows): (usize, &&[Row])| {
            let fixed = self.fixed_ends && (s == 0 || s + 1 == table.len());
            let mut blocks = Vec::new();
            for row in *rows {
                for r in 0..if fixed { row.repeats } else { round_repeats(row.repeats, self.depth) } {
                    let hidden = to_eight(input as f64 * row.expand, 0.9);
                    let out = self.channels(row.out);
                    blocks.push(Block {
                        kernel: row.kernel,
                        stride: if r == 0 { row.stride } else { 1 },
                        hidden: Width::Channels(hidden),
                        act: row.act,
                        se: row.se.map(|rule| rule.at(input, hidden)),
                        skip: if row.skip { Skip::WherePossible } else { Skip::Never },
                        ..Block::new(row.kind, out)
                    });
                    input = out;
                }
            }
            blocks
        };
        table.iter().enumerate().map(stage).collect()
    }
}

impl SqueezeRule {
    fn at(&self, input: usize, expanded: usize) -> Squeeze {
        let hidden = if self.of_expanded {
            to_eight(expanded as f64 * self.ratio, 0.9)
        } else {
            ((input as f64 * self.ratio) as usize).max(1)
        };
        Squeeze { hidden: Width::Channels(hidden), act: self.act, gate: self.gate }
    }
}

/// Channels times `width`, to the nearest multiple of 8, never below 90 % of the product
/// (the reference implementations' `round_filters`, `make_divisible`).
pub fn round_channels(channels: usize, width: f64) -> usize {
    to_eight(channels as f64 * width, 0.9)
}

/// Repeats times `depth`, rounded up.
pub fn round_repeats(repeats: usize, depth: f64) -> usize {
    (repeats as f64 * depth).ceil() as usize
}

fn to_eight(exact: f64, at_least: f64) -> usize {
    to_multiple(8, exact, at_least)
}

/// The nearest multiple of `divisor`, or the next where that is below `at_least` of the value; never 0.
pub(super) fn to_multiple(divisor: usize, exact: f64, at_least: f64) -> usize {
    let rounded = ((exact + divisor as f64 / 2.0) as usize / divisor * divisor).max(divisor);
    if (rounded as f64) < at_least * exact { rounded + divisor } else { rounded }
}
