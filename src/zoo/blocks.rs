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
}

/// A block; every number of channels is final.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    /// What it consists of.
    pub kind: Kind,
    /// Edge of its spatial window.
    pub kernel: usize,
    /// Step of that window.
    pub stride: usize,
    /// Channels after the expansion, where there is one.
    pub hidden: usize,
    /// Output channels.
    pub out: usize,
    /// Nonlinearity.
    pub act: Activation,
    /// Squeeze-and-excitation before the projection.
    pub se: Option<Squeeze>,
    /// Add the block's input where stride and channels allow.
    pub skip: bool,
}

/// Squeeze-and-excitation (Hu et al. 2017, arXiv:1709.01507) of a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Squeeze {
    /// Channels between its two products.
    pub hidden: usize,
    /// Nonlinearity between them.
    pub act: Activation,
    /// The gate's own nonlinearity.
    pub gate: Activation,
}

/// Builds `block` on `x`, with timm's names: `conv_pw bn1 conv_dw bn2 se conv_pwl bn3` of an inverted residual,
/// `conv_dw bn1 se conv_pw bn2` of the two without expansion, `conv_exp bn1 se conv_pwl bn2` of a fused one, `conv bn1`.
///
/// # Errors
/// As [`Builder::conv`].
pub fn block(b: &mut Builder, x: Value, block: &Block) -> Result<Value> {
    let Block { kind, kernel, stride, hidden, out, act, .. } = *block;
    let linear = Activation::Identity;
    let y = match kind {
        Kind::InvertedResidual => {
            let y = conv_bn(b, x, ["conv_pw", "bn1"], ConvArgs::pointwise(hidden), act)?;
            let y = conv_bn(b, y, ["conv_dw", "bn2"], ConvArgs::depthwise(hidden, kernel, stride), act)?;
            let y = squeeze(b, y, block.se)?;
            conv_bn(b, y, ["conv_pwl", "bn3"], ConvArgs::pointwise(out), linear)
        }
        Kind::Linear | Kind::Separable => {
            let y = conv_bn(b, x, ["conv_dw", "bn1"], ConvArgs::depthwise(x.channels, kernel, stride), act)?;
            let y = squeeze(b, y, block.se)?;
            let last = if kind == Kind::Linear { linear } else { act };
            conv_bn(b, y, ["conv_pw", "bn2"], ConvArgs::pointwise(out), last)
        }
        Kind::Fused => {
            let y = conv_bn(b, x, ["conv_exp", "bn1"], ConvArgs::dense(hidden, kernel, stride), act)?;
            let y = squeeze(b, y, block.se)?;
            conv_bn(b, y, ["conv_pwl", "bn2"], ConvArgs::pointwise(out), linear)
        }
        Kind::Conv => conv_bn(b, x, ["conv", "bn1"], ConvArgs::dense(out, kernel, stride), act),
    }?;
    if block.skip && stride == 1 && out == x.channels { b.add("residual", y, x) } else { Ok(y) }
}

fn conv_bn(b: &mut Builder, x: Value, names: [&str; 2], args: ConvArgs, act: Activation) -> Result<Value> {
    let y = b.conv(names[0], x, args)?;
    b.bn_act(names[1], y, act)
}

fn squeeze(b: &mut Builder, x: Value, se: Option<Squeeze>) -> Result<Value> {
    match se {
        Some(Squeeze { hidden, act, gate }) => b.squeeze_excite("se", x, hidden, act, gate),
        None => Ok(x),
    }
}
