//! The blocks that these networks are made of. Each difference between families is a field.

use crate::error::Result;
use crate::graph::{Activation, Builder, ConvArgs, Value};

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ends {
    /// Both, as the paper has it.
    #[default]
    Both,
    /// The last alone: MobileNeXt's blocks that stride.
    Last,
    /// None, so that two 1x1 convolutions are left: MobileNeXt's blocks that only change the channels.
    Neither,
}

/// A number of channels inside a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Width {
    /// So many.
    Channels(usize),
    /// The block's input channels times this, rounded to the nearest number.
    OfInput(f64),
    /// The channels inside the block ([`Block::hidden`]) times this, rounded to the nearest number.
    OfHidden(f64),
    /// The block's output channels times this, rounded to the nearest number.
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
}

impl Width {
    fn of(self, input: usize, hidden: usize, output: usize) -> usize {
        let (share, channels) = match self {
            Self::Channels(channels) => return channels,
            Self::OfInput(share) => (share, input),
            Self::OfHidden(share) => (share, hidden),
            Self::OfOutput(share) => (share, output),
        };
        (share * channels as f64).round() as usize
    }
}

/// Builds `block` on `x`, with timm's names: `conv_pw bn1 conv_dw bn2 se conv_pwl bn3` of an inverted residual,
/// `conv_dw bn1 se conv_pw bn2` of the two without expansion, `conv_exp bn1 se conv_pwl bn2` of a fused one, `conv bn1`;
/// of a sandglass, which timm does not have, `conv_dw1 bn1 conv_reduce bn2 conv_expand bn3 conv_dw2 bn4 se`.
///
/// # Errors
/// As [`Builder::conv`].
pub fn block(b: &mut Builder, x: Value, block: &Block) -> Result<Value> {
    let Block { kind, kernel, stride, out, act, groups, .. } = *block;
    let hidden = block.hidden.of(x.channels, 0, out);
    let se = |b: &mut Builder, y| squeeze(b, y, block.se, [x.channels, hidden, out]);
    let pointwise = |out| ConvArgs { groups, ..ConvArgs::pointwise(out) };
    let linear = Activation::Identity;
    let y = match kind {
        Kind::InvertedResidual => {
            let y = conv_bn(b, x, ["conv_pw", "bn1"], pointwise(hidden), act)?;
            let y = conv_bn(b, y, ["conv_dw", "bn2"], ConvArgs::depthwise(hidden, kernel, stride), act)?;
            let y = se(b, y)?;
            conv_bn(b, y, ["conv_pwl", "bn3"], pointwise(out), linear)
        }
        Kind::Linear | Kind::Separable => {
            let y = conv_bn(b, x, ["conv_dw", "bn1"], ConvArgs::depthwise(x.channels, kernel, stride), act)?;
            let y = se(b, y)?;
            let last = if kind == Kind::Linear { linear } else { act };
            conv_bn(b, y, ["conv_pw", "bn2"], pointwise(out), last)
        }
        Kind::Fused => {
            let y = conv_bn(b, x, ["conv_exp", "bn1"], ConvArgs::dense(hidden, kernel, stride), act)?;
            let y = se(b, y)?;
            conv_bn(b, y, ["conv_pwl", "bn2"], pointwise(out), linear)
        }
        Kind::Conv => conv_bn(b, x, ["conv", "bn1"], ConvArgs::dense(out, kernel, stride), act),
        Kind::Sandglass(ends) => {
            let y = match ends {
                Ends::Both => conv_bn(b, x, ["conv_dw1", "bn1"], ConvArgs::depthwise(x.channels, kernel, 1), act)?,
                Ends::Last | Ends::Neither => x,
            };
            let y = conv_bn(b, y, ["conv_reduce", "bn2"], pointwise(hidden), linear)?;
            let y = conv_bn(b, y, ["conv_expand", "bn3"], pointwise(out), act)?;
            let y = match ends {
                Ends::Neither => y,
                Ends::Both | Ends::Last => {
                    conv_bn(b, y, ["conv_dw2", "bn4"], ConvArgs::depthwise(out, kernel, stride), linear)?
                }
            };
            se(b, y)
        }
    }?;
    let joins = block.skip != Skip::Never && stride == 1 && out == x.channels;
    match (block.identity * out as f64).round() as usize {
        0 => Ok(y),
        shared if joins => b.add_first("residual", y, x, shared),
        _ => Ok(y),
    }
}

fn conv_bn(b: &mut Builder, x: Value, names: [&str; 2], args: ConvArgs, act: Activation) -> Result<Value> {
    let y = b.conv(names[0], x, args)?;
    b.bn_act(names[1], y, act)
}

fn squeeze(b: &mut Builder, x: Value, se: Option<Squeeze>, [input, hidden, output]: [usize; 3]) -> Result<Value> {
    match se {
        Some(se) => b.squeeze_excite("se", x, se.hidden.of(input, hidden, output), se.act, se.gate),
        None => Ok(x),
    }
}
