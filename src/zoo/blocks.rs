//! Blocks that several families share.

use super::efficientnet::BlockArgs;
use crate::error::Result;
use crate::graph::{Activation, Builder, ConvArgs, Value};

/// Inverted residual (MobileNetV2, arXiv:1801.04381, section 3) with squeeze-and-excitation (MBConv):
/// expand 1x1, depthwise, squeeze-excite, project 1x1, and the block's input added where `skip`, stride
/// and channels allow. Names are timm's: `conv_pw bn1 conv_dw bn2 se conv_pwl bn3`, and without an
/// expansion `conv_dw bn1 se conv_pw bn2`.
///
/// `args.out` is final (scaled); the input's channels are `x`'s own.
///
/// # Errors
/// As [`Builder::conv`].
pub fn inverted_residual(b: &mut Builder, x: Value, args: &BlockArgs, act: Activation) -> Result<Value> {
    let mut y = x;
    let expands = args.expand != 1;
    if expands {
        y = b.conv("conv_pw", y, ConvArgs::pointwise(x.channels * args.expand))?;
        y = b.bn_act("bn1", y, act)?;
    }
    y = b.conv("conv_dw", y, ConvArgs::depthwise(y.channels, args.kernel, args.stride))?;
    y = b.bn_act(if expands { "bn2" } else { "bn1" }, y, act)?;
    if let Some(ratio) = args.se {
        let hidden = ((x.channels as f64 * ratio) as usize).max(1);
        y = b.squeeze_excite("se", y, hidden, act, Activation::Sigmoid)?;
    }
    let (project, norm) = if expands { ("conv_pwl", "bn3") } else { ("conv_pw", "bn2") };
    y = b.conv(project, y, ConvArgs::pointwise(args.out))?;
    y = b.bn_act(norm, y, Activation::Identity)?;
    if args.skip && args.stride == 1 && args.out == x.channels {
        y = b.add("residual", y, x)?;
    }
    Ok(y)
}
