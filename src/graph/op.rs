//! The closed set of operations. Each one's doc is its contract for the CPU reference and the kernels.

use super::ParamId;
use crate::tensor::Padding;

/// Pointwise nonlinearity. [`Activation::eval`] is the definition; `shaders/common/activation.wgsl` its twin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x
    #[default]
    Identity,
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6)
    Relu6,
    /// x * sigmoid(x), also called SiLU
    #[serde(alias = "silu")]
    Swish,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// x * min(max(x + 3, 0), 6) / 6
    HardSwish,
    /// min(max(x + 3, 0), 6) / 6
    HardSigmoid,
}

impl Activation {
    /// The value at `x`.
    pub fn eval(self, x: f64) -> f64 {
        match self {
            Self::Identity => x,
            Self::Relu => x.max(0.0),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Swish => x / (1.0 + (-x).exp()),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Self::HardSigmoid => (x + 3.0).clamp(0.0, 6.0) / 6.0,
        }
    }

    /// The number that stands for it in uniforms and WGSL.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The name in listings and architecture files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::Swish => "swish",
            Self::Sigmoid => "sigmoid",
            Self::HardSwish => "hard_swish",
            Self::HardSigmoid => "hard_sigmoid",
        }
    }
}

/// The four vectors of a batch norm at inference and its epsilon.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// Scale, `[channels]`.
    pub gamma: ParamId,
    /// Offset, `[channels]`.
    pub beta: ParamId,
    /// Running mean, `[channels]`.
    pub mean: ParamId,
    /// Running variance, `[channels]`.
    pub var: ParamId,
    /// Added to the variance under the root.
    pub eps: f64,
}

/// A convolution with what the passes fuse around it. In this order:
///
/// - `x` is the first input, or its channels from `first` on, times the gate `[N, 1, 1, C_in]` when `gate` (second input);
/// - `r = act(conv(x) + bias)`, its channels shuffled when `shuffle` is over 1 ([`Op::Shuffle`]), and behind those of
///   `x` when `keep_input`: `[x | r]`;
/// - `join` says what the last input does to it, if there is one;
/// - the mean over positions when `pool`.
///
/// A linear layer is a 1x1 convolution whose weight has two dimensions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv2d {
    /// `[out, in / groups, kernel, kernel]`, or `[out, in]` for a linear layer.
    pub weight: ParamId,
    /// `[out]`.
    pub bias: Option<ParamId>,
    /// Output channels.
    pub out: usize,
    /// Edge of the square window.
    pub kernel: usize,
    /// Step of the window, the same on both axes.
    pub stride: usize,
    /// Input positions from one of the window's to the next, the same on both axes.
    pub dilation: usize,
    /// Zeros around the input.
    pub padding: Padding,
    /// Channel groups; equal to the input channels and `out` in a depthwise convolution.
    pub groups: usize,
    /// Applied to the sum.
    pub act: Activation,
    /// The input is multiplied by a gate per image and channel.
    pub gate: bool,
    /// Where the weights are for a part of the input's channels only: its first one.
    pub first: Option<usize>,
    /// The output starts with the input's channels, all of them; its size is the input's.
    pub keep_input: bool,
    /// Groups of [`Op::Shuffle`] of the sums; 1 for none.
    pub shuffle: usize,
    /// How another tensor enters the result.
    pub join: Join,
    /// The output is averaged over all positions.
    pub pool: bool,
}

/// How another tensor enters the result `r` of a [`Conv2d`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Join {
    /// There is none.
    #[default]
    None,
    /// `r + other`, a tensor of the same shape: the residual of a linear bottleneck.
    Add,
    /// The same in so many channels only, the first ones; the others are `r`'s (MobileNeXt's identity multiplier).
    AddFirst(usize),
    /// `act(conv(x) + bias + other)`: ResNet's residual.
    AddThenAct,
    /// `other[0], r[0], other[1], r[1], ...`: [`Op::Concat`], then [`Op::Shuffle`] of two groups (ShuffleNetV2). Of
    /// `other` the first channels count, as many as `r` has.
    Interleave,
}

impl Join {
    /// Whether there is another tensor.
    pub fn is_some(self) -> bool {
        self != Self::None
    }
}

/// The classes of convolution that differ in how they are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvKind {
    /// 1x1, stride 1, one group: a matrix product.
    Pointwise,
    /// As many groups as input and output channels.
    Depthwise,
    /// k x k over all channels.
    Dense,
    /// Anything else.
    Grouped,
}

impl Conv2d {
    /// A convolution with nothing fused around it.
    pub const fn plain(weight: ParamId, bias: Option<ParamId>, args: super::ConvArgs, padding: Padding) -> Self {
        let super::ConvArgs { out, kernel, stride, groups, dilation, .. } = args;
        Self {
            weight,
            bias,
            out,
            kernel,
            stride,
            dilation,
            padding,
            groups,
            act: Activation::Identity,
            gate: false,
            first: None,
            keep_input: false,
            shuffle: 1,
            join: Join::None,
            pool: false,
        }
    }

    /// Edge of the part of the input that a window spans.
    pub const fn extent(&self) -> usize {
        (self.kernel - 1) * self.dilation + 1
    }

    /// Whether its output is `r` itself: no channels rearranged, nothing joined or pooled.
    pub fn is_plain(&self) -> bool {
        !self.keep_input && self.shuffle == 1 && !self.join.is_some() && !self.pool
    }

    /// Its class, given the number of input channels.
    pub fn kind(&self, in_channels: usize) -> ConvKind {
        match self.groups {
            1 if self.kernel == 1 && self.stride == 1 => ConvKind::Pointwise,
            1 => ConvKind::Dense,
            g if g == in_channels && g == self.out => ConvKind::Depthwise,
            _ => ConvKind::Grouped,
        }
    }
}

/// Squeeze-and-excitation's gate (Hu et al. 2017, section 3): mean over positions, 1x1 reduce, `act`,
/// 1x1 expand, `gate`. Input `x` `[N, H, W, C]`, output `[N, 1, 1, C]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SqueezeExcite {
    /// `[hidden, C, 1, 1]`.
    pub reduce_weight: ParamId,
    /// `[hidden]`.
    pub reduce_bias: ParamId,
    /// `[C, hidden, 1, 1]`.
    pub expand_weight: ParamId,
    /// `[C]`.
    pub expand_bias: ParamId,
    /// Width of the bottleneck.
    pub hidden: usize,
    /// Between the two products.
    pub act: Activation,
    /// After the second.
    pub gate: Activation,
}

/// A window that slides over each channel by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    /// What becomes of the values under the window; positions outside the image do not count.
    pub kind: PoolKind,
    /// Edge of the square window.
    pub kernel: usize,
    /// Step of the window, the same on both axes.
    pub stride: usize,
    /// Where the windows lie.
    pub padding: Padding,
}

/// The kinds of [`Pool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// The largest value.
    Max,
    /// The mean of the values inside the image.
    Average,
}

/// What a node computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// The network input `[N, H, W, in_channels]`, normalised.
    Input,
    /// See [`Conv2d`].
    Conv2d(Conv2d),
    /// `(x - mean) / sqrt(var + eps) * gamma + beta` per channel.
    BatchNorm(BatchNorm),
    /// [`Activation::eval`] of each value.
    Activation(Activation),
    /// Each position's channels divided by their L2 norm (by 1e-12 at least), times a factor per channel (ParseNet,
    /// arXiv:1506.04579).
    L2Norm {
        /// The factors, `[channels]`.
        scale: ParamId,
    },
    /// Mean over all positions: `[N, H, W, C]` to `[N, 1, 1, C]`.
    GlobalAvgPool,
    /// See [`Pool`].
    Pool(Pool),
    /// First input times the second, a gate `[N, 1, 1, C]`, plus the third where there is a `residual`.
    Scale {
        /// A tensor of the first input's shape is added.
        residual: bool,
    },
    /// Sum of two tensors of one shape; beyond so many `channels`, the first one alone.
    Add {
        /// The first channels that are added up; `None` for all.
        channels: Option<usize>,
    },
    /// The channels of the first input, then those of the second: `[N, H, W, C1 + C2]`.
    Concat,
    /// Some of the channels: `[N, H, W, channels]`.
    Slice {
        /// The first one.
        first: usize,
        /// How many.
        channels: usize,
    },
    /// Channels as a matrix of so many rows, transposed: `y[c] = x[c % groups * (C / groups) + c / groups]` (ShuffleNet,
    /// arXiv:1707.01083, section 3.1).
    Shuffle {
        /// Rows of the matrix; they divide the channels.
        groups: usize,
    },
    /// See [`SqueezeExcite`].
    SqueezeExcite(SqueezeExcite),
}

/// The channel that [`Op::Shuffle`] puts at place `c` of `channels`.
pub const fn shuffled(c: usize, channels: usize, groups: usize) -> usize {
    c % groups * (channels / groups) + c / groups
}

impl Op {
    /// How many inputs it takes.
    pub fn arity(&self) -> usize {
        match self {
            Self::Input => 0,
            Self::Conv2d(c) => 1 + usize::from(c.gate) + usize::from(c.join.is_some()),
            Self::BatchNorm(_) | Self::Activation(_) | Self::GlobalAvgPool | Self::SqueezeExcite(_) => 1,
            Self::L2Norm { .. } => 1,
            Self::Pool(_) | Self::Slice { .. } | Self::Shuffle { .. } => 1,
            Self::Scale { residual } => 2 + usize::from(*residual),
            Self::Add { .. } | Self::Concat => 2,
        }
    }

    /// The parameters it reads.
    pub fn params(&self) -> Vec<ParamId> {
        match self {
            Self::Conv2d(c) => std::iter::once(c.weight).chain(c.bias).collect(),
            Self::BatchNorm(b) => vec![b.gamma, b.beta, b.mean, b.var],
            Self::L2Norm { scale } => vec![*scale],
            Self::SqueezeExcite(s) => vec![s.reduce_weight, s.reduce_bias, s.expand_weight, s.expand_bias],
            _ => Vec::new(),
        }
    }

    /// The name in listings.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Conv2d(_) => "conv2d",
            Self::BatchNorm(_) => "batch_norm",
            Self::Activation(a) => a.name(),
            Self::L2Norm { .. } => "l2_norm",
            Self::GlobalAvgPool => "global_pool",
            Self::Pool(Pool { kind: PoolKind::Max, .. }) => "max_pool",
            Self::Pool(Pool { kind: PoolKind::Average, .. }) => "avg_pool",
            Self::Scale { .. } => "scale",
            Self::Add { .. } => "add",
            Self::Concat => "concat",
            Self::Slice { .. } => "slice",
            Self::Shuffle { .. } => "shuffle",
            Self::SqueezeExcite(_) => "squeeze_excite",
        }
    }
}
