//! EfficientNet (Tan and Le 2019, arXiv:1905.11946) and EfficientNet-Lite: the tables, the scaling and the wiring.

use super::blocks::Kind;
use super::facts::{Interpolation, Preprocess};
use super::fault::{Fault, MOST, MOST_BLOCKS, MOST_STEP, fault};
use super::network::{Head, Multipliers, Network, Row, SqueezeRule, Stem};
pub use super::network::{round_channels, round_repeats};
use super::{Checkpoints, Model, Options, Published, Wiring};
use crate::error::Result;
use crate::graph::{Activation, Graph};
use crate::tensor::Padding;
use serde::{Deserialize, Serialize};

/// One stage of the paper's table 1: `repeats` inverted residual blocks, the first of which changes
/// channels and resolution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockArgs {
    /// Edge of the depthwise window.
    pub kernel: usize,
    /// Blocks in the stage, before depth scaling.
    pub repeats: usize,
    /// Input channels, before width scaling; the first stage's are the stem's.
    #[serde(rename = "in")]
    pub input: usize,
    /// Output channels, before width scaling.
    pub out: usize,
    /// Expansion ratio; 1 leaves the expansion out.
    pub expand: usize,
    /// Add the block's input where the shapes allow it.
    #[serde(default = "yes")]
    pub skip: bool,
    /// Stride of the first block.
    pub stride: usize,
    /// Squeeze-and-excitation width as a share of the block's input channels; absent for none.
    #[serde(default)]
    pub se: Option<f64>,
}

fn yes() -> bool {
    true
}

impl BlockArgs {
    /// What keeps it from following a stage of `before` output channels.
    fn check(&self, before: Option<usize>, width: f64, depth: f64) -> Result<(), Fault> {
        let Self { kernel, repeats, input, out, expand, stride, .. } = *self;
        let channels = |channels: usize| channels as f64 * width.max(1.0);
        for (field, value, most) in [
            ("kernel", kernel as f64, MOST_STEP),
            ("stride", stride as f64, MOST_STEP),
            ("repeats", repeats as f64 * depth, MOST_BLOCKS),
            ("in", channels(input), MOST),
            ("out", channels(out), MOST),
            ("expand", channels(input.max(out)) * expand as f64, MOST),
        ] {
            fault(field, value == 0.0, || "0: must be positive".into())?;
            fault(field, value > most as f64, || format!("comes to {value} after scaling, may be at most {most}"))?;
        }
        fault("kernel", kernel.is_multiple_of(2), || format!("kernel {kernel} must be odd"))?;
        if let Some(before) = before.filter(|&before| before != input) {
            fault("in", true, || format!("in = {input} but the stage before has out = {before}"))?;
        }
        fault("se", self.se.is_some_and(|r| !(r > 0.0 && r <= 1.0)), || {
            "must be over 0 and at most 1, or absent".into()
        })
    }

    fn row(&self, act: Activation) -> Row {
        let Self { kernel, repeats, out, expand, skip, stride, .. } = *self;
        let kind = if expand == 1 { Kind::Linear } else { Kind::InvertedResidual };
        let gate = Activation::Sigmoid;
        let se = self.se.map(|ratio| SqueezeRule { ratio, of_expanded: false, act, gate });
        Row { kind, repeats, kernel, stride, expand: expand as f64, out, act, se, skip }
    }
}

const fn stage(repeats: usize, kernel: usize, stride: usize, expand: usize, input: usize, out: usize) -> BlockArgs {
    BlockArgs { kernel, repeats, input, out, expand, skip: true, stride, se: Some(0.25) }
}

/// EfficientNet-B0's stages (table 1 of the paper).
pub const B0_STAGES: [BlockArgs; 7] = [
    stage(1, 3, 1, 1, 32, 16),
    stage(2, 3, 2, 6, 16, 24),
    stage(2, 5, 2, 6, 24, 40),
    stage(3, 3, 2, 6, 40, 80),
    stage(3, 5, 1, 6, 80, 112),
    stage(4, 5, 2, 6, 112, 192),
    stage(1, 3, 1, 6, 192, 320),
];

/// Multipliers that turn a table of stages into a network.
///
/// In an architecture file each may be left out (1, 1, 224), and `phi` stands for [`Scaling::compound`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "ScalingForm")]
pub struct Scaling {
    /// Channels are multiplied by this and rounded ([`round_channels`]).
    pub width: f64,
    /// Repeats are multiplied by this and rounded up.
    pub depth: f64,
    /// Edge of the square input in pixels.
    pub resolution: usize,
}

/// What a file may say of a [`Scaling`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScalingForm {
    phi: Option<f64>,
    width: Option<f64>,
    depth: Option<f64>,
    resolution: Option<usize>,
}

impl From<ScalingForm> for Scaling {
    fn from(form: ScalingForm) -> Self {
        let base = form.phi.map_or(Self::new(1.0, 1.0, 224), Self::compound);
        Self {
            width: form.width.unwrap_or(base.width),
            depth: form.depth.unwrap_or(base.depth),
            resolution: form.resolution.unwrap_or(base.resolution),
        }
    }
}

impl Scaling {
    /// Multipliers given one by one.
    pub const fn new(width: f64, depth: f64, resolution: usize) -> Self {
        Self { width, depth, resolution }
    }

    /// What keeps it from being applied.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let Self { width, depth, resolution } = *self;
        let positive = |v: f64| v > 0.0 && v.is_finite();
        fault("scaling.width", !positive(width), || format!("{width}: must be positive"))?;
        fault("scaling.depth", !positive(depth), || format!("{depth}: must be positive"))?;
        fault("scaling.resolution", !(1..=MOST).contains(&resolution), || format!("{resolution}: must be 1 to {MOST}"))
    }

    /// Compound scaling (equation 3 of the paper): depth `1.2^phi`, width `1.1^phi`, resolution
    /// `224 * 1.15^phi` rounded to the nearest multiple of 8, which the five stride-2 layers divide well.
    ///
    /// The published B1 to B7 use rounded multipliers of their own: see the registry.
    pub fn compound(phi: f64) -> Self {
        const ALPHA: f64 = 1.2;
        const BETA: f64 = 1.1;
        const GAMMA: f64 = 1.15;
        let resolution = (224.0 * GAMMA.powf(phi) / 8.0).round() * 8.0;
        Self { width: BETA.powf(phi), depth: ALPHA.powf(phi), resolution: resolution.max(8.0) as usize }
    }
}

/// A network of the EfficientNet family: stages, scaling and what else the variants differ in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EfficientNet {
    /// Stages before scaling.
    pub stages: Vec<BlockArgs>,
    /// Multipliers.
    pub scaling: Scaling,
    /// Channels of the last 1x1 convolution, before width scaling.
    #[serde(default = "head")]
    pub head: usize,
    /// Lite: stem, head and the depth of the first and last stage are not scaled.
    #[serde(default)]
    pub fixed_ends: bool,
    /// Nonlinearity of every block.
    #[serde(default = "swish")]
    pub activation: Activation,
    /// Padding of every convolution.
    #[serde(default = "symmetric")]
    pub padding: Padding,
    /// Epsilon of every batch norm.
    #[serde(default = "eps")]
    pub bn_eps: f64,
}

fn head() -> usize {
    1280
}

fn swish() -> Activation {
    Activation::Swish
}

fn symmetric() -> Padding {
    Padding::Symmetric
}

fn eps() -> f64 {
    1e-5
}

impl EfficientNet {
    /// EfficientNet-B0's stages under a scaling of one's own.
    pub fn scaled(scaling: Scaling) -> Self {
        Self {
            stages: B0_STAGES.to_vec(),
            scaling,
            head: head(),
            fixed_ends: false,
            activation: swish(),
            padding: symmetric(),
            bn_eps: eps(),
        }
    }

    /// EfficientNet-Lite: no squeeze-and-excitation, ReLU6, unscaled stem and head.
    pub fn lite(scaling: Scaling) -> Self {
        let stages = B0_STAGES.iter().map(|s| BlockArgs { se: None, ..*s }).collect();
        Self { stages, fixed_ends: true, activation: Activation::Relu6, ..Self::scaled(scaling) }
    }

    /// TensorFlow's form: SAME padding and batch-norm epsilon 1e-3.
    pub fn tensorflow(self) -> Self {
        Self { padding: Padding::Same, bn_eps: 1e-3, ..self }
    }

    /// The graph, with timm's names.
    ///
    /// # Errors
    /// [`Error::Architecture`] naming stage and block when the table is inconsistent.
    pub fn build(&self, name: &str, options: &Options) -> Result<Graph> {
        self.check().map_err(|fault| fault.error(name))?;
        let act = self.activation;
        let rows: Vec<Row> = self.stages.iter().map(|stage| stage.row(act)).collect();
        let rows: Vec<&[Row]> = rows.iter().map(std::slice::from_ref).collect();
        let Scaling { width, depth, .. } = self.scaling;
        let by = Multipliers { depth, fixed_ends: self.fixed_ends, ..Multipliers::width(width) };
        let stem = Stem { out: by.end(self.stages[0].input), stride: 2, act };
        let network = Network {
            stem,
            stages: by.stages(stem.out, &rows),
            head: Head::Conv(by.end(self.head), act),
            padding: self.padding,
            bn_eps: self.bn_eps,
        };
        network.build(name, options)
    }

    /// What keeps it from being built.
    pub(super) fn check(&self) -> Result<(), Fault> {
        self.scaling.check()?;
        let Scaling { width, depth, .. } = self.scaling;
        fault("head", self.head == 0 || self.head as f64 * width > MOST as f64, || {
            format!("{} channels: must be 1 to {MOST}, after scaling", self.head)
        })?;
        fault("bn_eps", !(self.bn_eps > 0.0 && self.bn_eps.is_finite()), || {
            format!("{}: must be positive", self.bn_eps)
        })?;
        fault("stages", self.stages.is_empty(), || "there is none: needs at least one".into())?;
        let mut before: Option<usize> = None;
        for (s, stage) in self.stages.iter().enumerate() {
            stage.check(before, width, depth).map_err(|fault| fault.in_stage(s))?;
            before = Some(stage.out);
        }
        Ok(())
    }
}

/// Name, scaling, crop, published parameters and multiply-adds (millions), top-1 (%) of the paper's table 2.
type Variant = (&'static str, Scaling, f64, Option<(f64, f64, f64)>);

const SCALED: [Variant; 9] = [
    ("b0", Scaling::new(1.0, 1.0, 224), 0.875, Some((5.3, 390.0, 77.1))),
    ("b1", Scaling::new(1.0, 1.1, 240), 0.882, Some((7.8, 700.0, 79.1))),
    ("b2", Scaling::new(1.1, 1.2, 260), 0.890, Some((9.2, 1000.0, 80.1))),
    ("b3", Scaling::new(1.2, 1.4, 300), 0.904, Some((12.0, 1800.0, 81.6))),
    ("b4", Scaling::new(1.4, 1.8, 380), 0.922, Some((19.0, 4200.0, 82.9))),
    ("b5", Scaling::new(1.6, 2.2, 456), 0.934, Some((30.0, 9900.0, 83.6))),
    ("b6", Scaling::new(1.8, 2.6, 528), 0.942, Some((43.0, 19000.0, 84.0))),
    ("b7", Scaling::new(2.0, 3.1, 600), 0.949, Some((66.0, 37000.0, 84.3))),
    ("b8", Scaling::new(2.2, 3.6, 672), 0.954, None),
];

const LITE: [Variant; 5] = [
    ("lite0", Scaling::new(1.0, 1.0, 224), 0.875, Some((4.7, 407.0, 75.1))),
    ("lite1", Scaling::new(1.0, 1.1, 240), 0.882, Some((5.4, 631.0, 76.7))),
    ("lite2", Scaling::new(1.1, 1.2, 260), 0.890, Some((6.1, 899.0, 77.6))),
    ("lite3", Scaling::new(1.2, 1.4, 280), 0.897, Some((8.2, 1440.0, 79.8))),
    ("lite4", Scaling::new(1.4, 1.8, 300), 0.904, Some((13.0, 2640.0, 81.5))),
];

const PAPER: &str =
    "Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, 2019, arXiv:1905.11946";
const LITE_POST: &str = "Liu, Higher accuracy on vision models with EfficientNet-Lite, TensorFlow blog, 2020";

/// Every registered EfficientNet: `efficientnet_b0`-`b8`, `efficientnet_lite0`-`4` and their `tf_` forms.
pub fn models() -> Vec<Model> {
    let mut models = Vec::new();
    for tf in [false, true] {
        for (rows, lite) in [(&SCALED[..], false), (&LITE[..], true)] {
            models.extend(rows.iter().map(|row| model(row, lite, tf)));
        }
    }
    models
}

fn model(&(suffix, scaling, crop_pct, published): &Variant, lite: bool, tf: bool) -> Model {
    let arch = if lite { EfficientNet::lite(scaling) } else { EfficientNet::scaled(scaling) };
    let arch = if tf { arch.tensorflow() } else { arch };
    // timm's facts: the Lite weights of the original release expect [-1, 1]; its two large ones are bilinear.
    let bilinear = tf && matches!(suffix, "lite3" | "lite4");
    let interpolation = if bilinear { Interpolation::Bilinear } else { Interpolation::Bicubic };
    let base = if lite && tf { Preprocess::HALF } else { Preprocess::IMAGENET };
    let (family, cite) = if lite { ("EfficientNet-Lite", LITE_POST) } else { ("EfficientNet", PAPER) };
    let name = format!("{}efficientnet_{suffix}", if tf { "tf_" } else { "" });
    Model {
        aliases: if tf { Vec::new() } else { vec![format!("efficientnet-{suffix}"), suffix.to_string()] },
        resolution: scaling.resolution,
        preprocess: base.at(scaling.resolution, crop_pct).with(interpolation),
        published: published.map(Published::from),
        checkpoints: checkpoints(suffix, tf),
        // torchvision builds its B5, B6 and B7 with the epsilon of the TensorFlow weights.
        torchvision_bn_eps: (matches!(suffix, "b5" | "b6" | "b7") && !tf).then_some(1e-3),
        ..Model::new(name, family, cite, Wiring::EfficientNet(arch))
    }
}

/// EfficientNet-PyTorch's weights are ported from TensorFlow, as are those of its sibling for the three smallest Lites.
fn checkpoints(suffix: &str, tf: bool) -> &'static [Checkpoints] {
    const TIMM: Checkpoints = Checkpoints::TIMM;
    const LUKEMELAS: Checkpoints =
        Checkpoints::of("lukemelas/EfficientNet-PyTorch").named("EfficientNet-PyTorch").published("Apache-2.0");
    const LITE_NAMES: Checkpoints = Checkpoints::of("efficientnet_lite_pytorch").named("EfficientNet-PyTorch");
    const LITE: Checkpoints = LITE_NAMES.published("Apache-2.0");
    match (tf, suffix) {
        (true, "lite0" | "lite1" | "lite2") => &[TIMM, LITE],
        (true, "lite3" | "lite4") => &[TIMM, LITE_NAMES],
        (true, _) => &[TIMM, LUKEMELAS],
        (false, "lite0") => &[TIMM],
        (false, "b0" | "b1" | "b2" | "b3" | "b4" | "b5") => &[TIMM, Checkpoints::TORCHVISION],
        (false, "b6" | "b7") => &[Checkpoints::TIMM_NAMES, Checkpoints::TORCHVISION],
        _ => &[Checkpoints::TIMM_NAMES],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_round_to_eight_and_never_below_ninety_percent() {
        assert_eq!(round_channels(32, 1.0), 32);
        assert_eq!(round_channels(16, 1.1), 16);
        assert_eq!(round_channels(40, 1.1), 48);
        assert_eq!(round_channels(10, 1.0), 16); // 8 is below 90 % of 10
        assert_eq!(round_channels(1, 1.0), 8);
        assert_eq!(round_channels(320, 2.2), 704);
    }

    #[test]
    fn compound_scaling_follows_the_paper() {
        let s = Scaling::compound(1.0);
        assert!((s.width - 1.1).abs() < 1e-12 && (s.depth - 1.2).abs() < 1e-12);
        assert_eq!(s.resolution, 256);
        assert_eq!(Scaling::compound(0.0), Scaling::new(1.0, 1.0, 224));
    }

    #[test]
    fn a_file_may_give_phi_or_the_multipliers_or_leave_them_out() {
        let read = |text: &str| serde_json::from_str::<Scaling>(text);
        assert_eq!(read("{}").unwrap(), Scaling::new(1.0, 1.0, 224));
        assert_eq!(read(r#"{"phi": 1}"#).unwrap(), Scaling::compound(1.0));
        assert_eq!(read(r#"{"phi": 1, "resolution": 240}"#).unwrap().resolution, 240);
        assert!(read(r#"{"widht": 1}"#).is_err());
    }

    #[test]
    fn an_inconsistent_table_names_the_stage() {
        let mut arch = EfficientNet::scaled(Scaling::new(1.0, 1.0, 224));
        arch.stages[3].input = 41;
        let error = arch.build("x", &Options::default()).unwrap_err().to_string();
        assert!(error.contains("stage 3") && error.contains("out = 40"), "{error}");
    }
}
