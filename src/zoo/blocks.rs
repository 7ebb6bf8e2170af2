//! The blocks that these networks are made of. Each difference between families is a field.

use super::fault::{Fault, MOST, MOST_STEP, fault};
use crate::error::Result;
use crate::graph::{Activation, Builder, ConvArgs, Value};
use crate::tensor::Padding;
use serde::Deserialize;

/// What a block consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Expand 1x1, depthwise, project 1x1 without activation: the inverted residual (MobileNetV2, arXiv:1801.04381,
    /// section 3); MBConv with squeeze-and-excitation.
    InvertedResidual,
    /// Depthwise, project 1x1 without activation: an inverted residual that does not expand.
    Linear,
    /// Depthwise, then 1x1 with an activation: the depthwise separable convolution (MobileNetV1, arXiv:1704.04861,
    /// section 3.1).
    Separable,
    /// Expand k x k over all channels, project 1x1 without activation: Fused-MBConv (EfficientNetV2, arXiv:2104.00298,
    /// section 3.2).
    Fused,
    /// One k x k convolution with an activation.
    Conv,
    /// Depthwise, reduce 1x1 without activation, expand 1x1, depthwise without activation, so that the shortcut joins
    /// the wide ends: the sandglass (MobileNeXt, arXiv:2007.02269, section 3.2). The last window strides.
    Sandglass(Ends),
}

/// The ends of a sandglass that have their depthwise convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ends {
    /// Both, as the paper has it.
    #[default]
    Both,
    /// The last alone: MobileNeXt's blocks that stride.
    Last,
    /// None, so that two 1x1 convolutions are left: MobileNeXt's blocks that only change the channels.
    Neither,
}

/// A number of channels inside a block. Shares are rounded down, to 1 at least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Width {
    /// So many.
    Channels(usize),
    /// The block's input channels times this.
    OfInput(f64),
    /// The channels inside the block ([`Block::hidden`]) times this.
    OfHidden(f64),
    /// The block's output channels times this.
    OfOutput(f64),
}

/// When a block's input is added to its output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Skip {
    /// Where stride and channels allow.
    #[default]
    WherePossible,
    /// In no block.
    Never,
    /// In every block: one that cannot is an error.
    Always,
}

/// A block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    /// What it consists of.
    pub kind: Kind,
    /// Edge of its spatial windows.
    pub kernel: usize,
    /// Step of the window, of a sandglass's last one.
    pub stride: usize,
    /// Channels after the expansion, or after a sandglass's reduction, where the kind has one.
    pub hidden: Width,
    /// Output channels.
    pub out: usize,
    /// Nonlinearity.
    pub act: Activation,
    /// Squeeze-and-excitation: before the projection, or at the end of a sandglass.
    pub se: Option<Squeeze>,
    /// Whether the block's input is added to its output.
    pub skip: Skip,
    /// Share of the channels that this shortcut takes, the first ones (MobileNeXt's identity tensor multiplier).
    pub identity: f64,
    /// Channel groups of the 1x1 convolutions.
    pub groups: usize,
}

/// Squeeze-and-excitation (Hu et al. 2017, arXiv:1709.01507) of a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Squeeze {
    /// Channels between its two products.
    pub hidden: Width,
    /// Nonlinearity between them.
    pub act: Activation,
    /// The gate's own nonlinearity.
    pub gate: Activation,
}

impl Block {
    /// 3x3, stride 1, as wide inside as outside, ReLU6, a shortcut of all channels where possible, no groups.
    pub const fn new(kind: Kind, out: usize) -> Self {
        Self {
            kind,
            kernel: 3,
            stride: 1,
            hidden: Width::OfInput(1.0),
            out,
            act: Activation::Relu6,
            se: None,
            skip: Skip::WherePossible,
            identity: 1.0,
            groups: 1,
        }
    }

    /// [`Kind::InvertedResidual`] that expands its input so many times.
    pub const fn inverted_residual(expand: f64, out: usize) -> Self {
        Self { hidden: Width::OfInput(expand), ..Self::new(Kind::InvertedResidual, out) }
    }

    /// [`Kind::Sandglass`] with both depthwise convolutions, whose bottleneck is so many times narrower than its input.
    pub const fn sandglass(reduce: f64, out: usize) -> Self {
        Self { hidden: Width::OfInput(1.0 / reduce), ..Self::new(Kind::Sandglass(Ends::Both), out) }
    }

    /// [`Kind::Fused`] that expands its input so many times.
    pub const fn fused(expand: f64, out: usize) -> Self {
        Self { hidden: Width::OfInput(expand), ..Self::new(Kind::Fused, out) }
    }

    /// The same with another window.
    pub const fn kernel(self, kernel: usize) -> Self {
        Self { kernel, ..self }
    }

    /// The same with another step.
    pub const fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// The same with so many channels inside.
    pub const fn hidden(self, channels: usize) -> Self {
        Self { hidden: Width::Channels(channels), ..self }
    }

    /// The same with another nonlinearity.
    pub const fn act(self, act: Activation) -> Self {
        Self { act, ..self }
    }

    /// The same with EfficientNet's squeeze-and-excitation: this share of the input channels, the block's nonlinearity
    /// (set it first), a sigmoid.
    pub const fn se(self, ratio: f64) -> Self {
        let se = Squeeze { hidden: Width::OfInput(ratio), act: self.act, gate: Activation::Sigmoid };
        self.squeeze(se)
    }

    /// The same with a squeeze-and-excitation of one's own.
    pub const fn squeeze(self, se: Squeeze) -> Self {
        Self { se: Some(se), ..self }
    }

    /// The same with another rule for its shortcut.
    pub const fn skip(self, skip: Skip) -> Self {
        Self { skip, ..self }
    }

    /// The same with a shortcut of this share of the channels.
    pub const fn identity(self, share: f64) -> Self {
        Self { identity: share, ..self }
    }

    /// The same with groups in its 1x1 convolutions.
    pub const fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// What keeps it from being built on `input` channels.
    pub(super) fn check(&self, input: usize, padding: Padding) -> Result<(), Fault> {
        let Self { kernel, stride, out, groups, .. } = *self;
        fault("out", !(1..=MOST).contains(&out), || format!("{out}: must be 1 to {MOST}"))?;
        fault("kernel", !(1..=MOST_STEP).contains(&kernel), || format!("{kernel}: must be 1 to {MOST_STEP}"))?;
        fault("stride", !(1..=MOST_STEP).contains(&stride), || format!("{stride}: must be 1 to {MOST_STEP}"))?;
        let [first, last] = match self.kind {
            Kind::Sandglass(Ends::Neither) => [false, false],
            Kind::Sandglass(Ends::Both) => [true, true],
            _ => [false, true],
        };
        fault("stride", stride > 1 && !last, || {
            format!("{stride}: a sandglass without depthwise convolutions has no window that strides")
        })?;
        let shrinks = kernel.is_multiple_of(2) && padding == Padding::Symmetric && (first || last && stride == 1);
        fault("kernel", shrinks, || {
            format!(
                "{kernel}: an even window makes the map smaller under symmetric padding; take an odd one, or padding same"
            )
        })?;
        let hidden = self.hidden.of(input, 0, out);
        fault("hidden", matches!(self.hidden, Width::OfHidden(_)), || "cannot be a share of itself".into())?;
        fault("hidden", !self.hidden.is_sound(), || "a share of channels must be positive".into())?;
        fault("hidden", !(1..=MOST).contains(&hidden), || format!("{hidden} channels inside: must be 1 to {MOST}"))?;
        if let Some(se) = self.se {
            let squeezed = se.hidden.of(input, hidden, out);
            fault("se", !se.hidden.is_sound(), || "a share of channels must be positive".into())?;
            fault("se", !(1..=MOST).contains(&squeezed), || {
                format!("{squeezed} channels between its products: must be 1 to {MOST}")
            })?;
        }
        let grouped: &[usize] = match self.kind {
            Kind::Linear | Kind::Separable => &[input, out],
            Kind::Fused => &[hidden, out],
            Kind::InvertedResidual | Kind::Sandglass(_) => &[input, hidden, out],
            Kind::Conv => &[],
        };
        fault("groups", groups == 0, || "0: must be 1 or more".into())?;
        fault("groups", grouped.iter().any(|channels| !channels.is_multiple_of(groups)), || {
            format!("{groups}: must divide the channels of its 1x1 convolutions, which are {grouped:?}")
        })?;
        fault("identity", !(0.0..=1.0).contains(&self.identity), || format!("{}: must be 0 to 1", self.identity))?;
        fault("skip", self.skip == Skip::Always && stride > 1, || {
            format!("the shortcut is wanted always, but stride {stride} makes the output smaller than the input")
        })?;
        fault("skip", self.skip == Skip::Always && out != input, || {
            format!("the shortcut is wanted always, but {input} channels come in and {out} go out")
        })
    }
}

impl Width {
    fn of(self, input: usize, hidden: usize, output: usize) -> usize {
        let (share, channels) = match self {
            Self::Channels(channels) => return channels,
            Self::OfInput(share) => (share, input),
            Self::OfHidden(share) => (share, hidden),
            Self::OfOutput(share) => (share, output),
        };
        // What is a whole number but for f64's rounding counts as one.
        ((share * channels as f64 + 1e-6) as usize).max(1)
    }

    fn is_sound(self) -> bool {
        match self {
            Self::Channels(_) => true,
            Self::OfInput(share) | Self::OfHidden(share) | Self::OfOutput(share) => share > 0.0 && share.is_finite(),
        }
    }
}

/// A part of a block.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// A convolution, its batch norm and an activation; the two modules by timm's names.
    Conv([&'static str; 2], ConvArgs, Activation),
    /// Squeeze-and-excitation with so many channels between its products.
    Squeeze(usize, Squeeze),
}

impl Block {
    /// What it consists of on `input` channels, in order.
    pub(super) fn parts(&self, input: usize) -> Vec<Part> {
        let Self { kind, kernel, stride, out, act, groups, .. } = *self;
        let hidden = self.hidden.of(input, 0, out);
        let linear = Activation::Identity;
        let conv = |names, args, act| Some(Part::Conv(names, args, act));
        let pointwise = |names, out, act| conv(names, ConvArgs { groups, ..ConvArgs::pointwise(out) }, act);
        let depthwise = |names, channels, stride, act| conv(names, ConvArgs::depthwise(channels, kernel, stride), act);
        let se = self.se.map(|se| Part::Squeeze(se.hidden.of(input, hidden, out), se));
        let parts = match kind {
            Kind::InvertedResidual => vec![
                pointwise(["conv_pw", "bn1"], hidden, act),
                depthwise(["conv_dw", "bn2"], hidden, stride, act),
                se,
                pointwise(["conv_pwl", "bn3"], out, linear),
            ],
            Kind::Linear | Kind::Separable => vec![
                depthwise(["conv_dw", "bn1"], input, stride, act),
                se,
                pointwise(["conv_pw", "bn2"], out, if kind == Kind::Linear { linear } else { act }),
            ],
            Kind::Fused => vec![
                conv(["conv_exp", "bn1"], ConvArgs::dense(hidden, kernel, stride), act),
                se,
                pointwise(["conv_pwl", "bn2"], out, linear),
            ],
            Kind::Conv => vec![conv(["conv", "bn1"], ConvArgs::dense(out, kernel, stride), act)],
            Kind::Sandglass(ends) => vec![
                depthwise(["conv_dw1", "bn1"], input, 1, act).filter(|_| ends == Ends::Both),
                pointwise(["conv_reduce", "bn2"], hidden, linear),
                pointwise(["conv_expand", "bn3"], out, act),
                depthwise(["conv_dw2", "bn4"], out, stride, linear).filter(|_| ends != Ends::Neither),
                se,
            ],
        };
        parts.into_iter().flatten().collect()
    }

    /// How many channels its shortcut adds on `input` channels, the first ones; 0 where it has none.
    pub(super) fn shared(&self, input: usize) -> usize {
        let joins = self.skip != Skip::Never && self.stride == 1 && self.out == input;
        if joins { (self.identity * self.out as f64).round() as usize } else { 0 }
    }
}

/// Builds `block` on `x`, with timm's names: `conv_pw bn1 conv_dw bn2 se conv_pwl bn3` of an inverted residual,
/// `conv_dw bn1 se conv_pw bn2` of the two without expansion, `conv_exp bn1 se conv_pwl bn2` of a fused one, `conv bn1`;
/// of a sandglass, which timm does not have, `conv_dw1 bn1 conv_reduce bn2 conv_expand bn3 conv_dw2 bn4 se`.
///
/// # Errors
/// As [`Builder::conv`].
pub fn block(b: &mut Builder, x: Value, block: &Block) -> Result<Value> {
    let mut y = x;
    for part in block.parts(x.channels) {
        y = match part {
            Part::Conv([conv, norm], args, act) => {
                let y = b.conv(conv, y, args)?;
                b.bn_act(norm, y, act)?
            }
            Part::Squeeze(hidden, se) => b.squeeze_excite("se", y, hidden, se.act, se.gate)?,
        };
    }
    match block.shared(x.channels) {
        0 => Ok(y),
        shared => b.add_first("residual", y, x, shared),
    }
}
