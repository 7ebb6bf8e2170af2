//! A network as a list of blocks between a stem and a head, and the tables that its family writes it in.

use super::Options;
use super::blocks::{Block, Kind, Skip, Squeeze, Width};
use super::fault::{Fault, MOST, MOST_STEP, fault};
use super::stage::Stage;
use crate::error::Result;
use crate::graph::{Activation, Builder, ConvArgs, Graph, Value};
use crate::tensor::Padding;

/// A network, built part by part: `Network::new(stem).stage(2, block).stage(..).head(head)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The first convolution, 3x3 over all channels.
    pub stem: Stem,
    /// What follows it.
    pub stages: Vec<Stage>,
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
    /// A stem, no stage yet, the pooling head, symmetric padding and epsilon 1e-5.
    pub const fn new(stem: Stem) -> Self {
        Self { stem, stages: Vec::new(), head: Head::Pool, padding: Padding::Symmetric, bn_eps: 1e-5 }
    }

    /// The same with a stage more: `repeats` of a block, of which the first alone has the stride.
    pub fn stage(self, repeats: usize, block: Block) -> Self {
        self.then(Stage::repeat(repeats, block))
    }

    /// The same with a stage more, of `repeats` blocks that a function builds: it gets the builder, the block's input
    /// and the number of the block in the stage, from 0, and returns the block's output. Names are the block's own:
    /// `conv_dw` in the second stage's first block becomes `blocks.1.0.conv_dw`.
    pub fn own_stage(
        self,
        repeats: usize,
        build: impl Fn(&mut Builder, Value, usize) -> Result<Value> + Send + Sync + 'static,
    ) -> Self {
        self.then(Stage::own(repeats, build))
    }

    fn then(mut self, stage: Stage) -> Self {
        self.stages.push(stage);
        self
    }

    /// The same with another head.
    pub fn head(self, head: Head) -> Self {
        Self { head, ..self }
    }

    /// The same with another padding.
    pub fn padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    /// The same with another epsilon in its batch norms.
    pub fn bn_eps(self, bn_eps: f64) -> Self {
        Self { bn_eps, ..self }
    }

    /// The graph, with timm's names. Its `embedding` is what the classifier sees.
    ///
    /// # Errors
    /// [`crate::Error::Architecture`] naming stage, block and field.
    pub fn build(&self, name: &str, options: &Options) -> Result<Graph> {
        self.check_ends().map_err(|fault| fault.error(name))?;
        let mut b = Builder::new(name, options.in_channels, self.padding, options.bn_eps.unwrap_or(self.bn_eps));
        let Stem { out, stride, act } = self.stem;
        let x = b.conv("conv_stem", b.input(), ConvArgs::dense(out, 3, stride))?;
        let mut x = b.bn_act("bn1", x, act)?;
        for (s, stage) in self.stages.iter().enumerate() {
            x = b.scope(&format!("blocks.{s}"), |b| stage.build(b, x, s, self.padding, name))?;
        }
        let features = self.build_head(&mut b, x)?;
        let logits = b.linear("classifier", features, options.num_classes)?;
        b.output("logits", logits);
        b.output("embedding", features);
        b.finish()
    }

    /// What keeps a network of plain blocks from being built; a stage of one's own ends the search.
    pub(super) fn check(&self) -> Result<(), Fault> {
        self.check_ends()?;
        let mut channels = self.stem.out;
        for (s, stage) in self.stages.iter().enumerate() {
            let Stage::Blocks(blocks) = stage else { return Ok(()) };
            stage.check_repeats().map_err(|fault| fault.in_stage(s))?;
            for (r, block) in blocks.iter().enumerate() {
                block.check(channels, self.padding).map_err(|fault| fault.in_block(s, r))?;
                channels = block.out;
            }
        }
        Ok(())
    }

    fn check_ends(&self) -> Result<(), Fault> {
        let Stem { out, stride, .. } = self.stem;
        let head = match self.head {
            Head::Conv(out, _) | Head::PooledConv(out, _) => out,
            Head::Pool | Head::PoolUnusedNorm => 1,
        };
        fault("stem.out", !(1..=MOST).contains(&out), || format!("{out}: must be 1 to {MOST}"))?;
        fault("stem.stride", !(1..=MOST_STEP).contains(&stride), || format!("{stride}: must be 1 to {MOST_STEP}"))?;
        fault("head.out", !(1..=MOST).contains(&head), || format!("{head}: must be 1 to {MOST}"))?;
        fault("bn_eps", !(self.bn_eps > 0.0 && self.bn_eps.is_finite()), || {
            format!("{}: must be positive", self.bn_eps)
        })
    }

    fn build_head(&self, b: &mut Builder, x: Value) -> Result<Value> {
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
    pub fn stages(&self, mut input: usize, table: &[&[Row]]) -> Vec<Stage> {
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
            Stage::Blocks(blocks)
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
