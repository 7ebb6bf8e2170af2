//! The model zoo: one file per family with its tables and wiring, and the registry of names.

mod blocks;
mod checkpoints;
// Browsers have no detectors, see ALL.
#[cfg_attr(feature = "web", allow(dead_code))]
mod detector;
pub mod efficientnet;
mod efficientnet_v2;
mod facts;
mod fault;
mod fbnet;
#[cfg(feature = "cli")]
mod file;
mod ghostnet;
mod igcv3;
mod mnasnet;
mod mobilenet_v1;
mod mobilenet_v2;
mod mobilenet_v3;
mod mobilenext;
mod network;
#[cfg(feature = "cli")]
mod position;
mod proxylessnas;
mod resnet;
mod shufflenet_v2;
#[cfg_attr(feature = "web", allow(dead_code))]
mod ssd;
mod stage;

pub use blocks::{Block, Ends, Kind, Skip, Squeeze, Width, block};
pub use checkpoints::Checkpoints;
pub use detector::{Detector, Level};
pub use facts::{CropMode, Interpolation, Preprocess};
#[cfg(feature = "cli")]
pub use file::from_file;
pub use network::{Head, Multipliers, Network, Row, SqueezeRule, Stem};
pub use stage::{OwnBlocks, Stage};

use crate::error::{Error, Result};
use crate::graph::{Builder, Graph, Value};
use serde::Serialize;
use std::sync::Arc;

/// The families, each a function that lists its models. A new family is one line here.
pub const ALL: &[fn() -> Vec<Model>] = &[
    efficientnet::models,
    efficientnet_v2::models,
    fbnet::models,
    ghostnet::models,
    igcv3::models,
    mnasnet::models,
    mobilenet_v1::models,
    mobilenet_v2::models,
    mobilenet_v3::models,
    mobilenext::models,
    proxylessnas::models,
    resnet::models,
    shufflenet_v2::models,
    // The package for browsers has no detectors, to be small.
    #[cfg(not(feature = "web"))]
    ssd::models,
];

/// The families with a width multiplier, each a function that makes a model of any width from its name.
pub const OF_ANY_WIDTH: &[fn(&str) -> Option<Model>] = &[mobilenet_v1::named, mobilenet_v2::named, mobilenext::named];

/// What a checkpoint may change in a model: read from its tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Channels of the input image.
    pub in_channels: usize,
    /// Outputs of the classifier, or of each default box of a detector.
    pub num_classes: usize,
    /// Batch-norm epsilon where the checkpoint's origin implies another than the model's.
    pub bn_eps: Option<f64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { in_channels: 3, num_classes: 1000, bn_eps: None }
    }
}

/// Figures as published.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Published {
    /// Parameters in millions.
    pub params: f64,
    /// Multiply-adds in millions at the model's resolution.
    pub madds: f64,
    /// ImageNet top-1 in percent; detectors have none.
    pub top1: Option<f64>,
}

/// Parameters and multiply-adds in millions and top-1 in percent, as the families' tables have them.
impl From<(f64, f64, f64)> for Published {
    fn from((params, madds, top1): (f64, f64, f64)) -> Self {
        Self { params, madds, top1: Some(top1) }
    }
}

/// Tables and wiring of a family that is no list of blocks.
pub trait Architecture: std::fmt::Debug + Send + Sync {
    /// The graph, named `name`.
    ///
    /// # Errors
    /// [`Error::Architecture`] when the tables are inconsistent.
    fn build(&self, name: &str, options: &Options) -> Result<Graph>;
}

/// How a model becomes a graph.
#[derive(Clone, Debug)]
pub enum Wiring {
    /// EfficientNet's table, which users write, too.
    EfficientNet(efficientnet::EfficientNet),
    /// A list of blocks.
    Network(Network),
    /// A family's own.
    Own(Arc<dyn Architecture>),
}

/// A registered model, or one from an architecture file.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its name, timm's where timm has the model.
    pub name: String,
    /// Further names it is found by.
    pub aliases: Vec<String>,
    /// Name of the family.
    pub family: &'static str,
    /// Native edge of the square input.
    pub resolution: usize,
    /// What its published weights expect of an image.
    pub preprocess: Preprocess,
    /// Published figures, where there are any.
    pub published: Option<Published>,
    /// Where it was published.
    pub cite: &'static str,
    /// Whose weights it takes: origin, naming scheme, licence.
    pub checkpoints: &'static [Checkpoints],
    /// Classes of its published weights; a detector's with the background.
    pub num_classes: usize,
    /// Batch-norm epsilon of torchvision's version where that differs.
    pub torchvision_bn_eps: Option<f64>,
    /// What a detector's outputs mean; `None` of a classifier.
    pub detector: Option<&'static Detector>,
    /// Tables and wiring.
    pub wiring: Wiring,
}

impl Model {
    /// A model for ImageNet at 224x224 with timm's names and no published figures: what families start from.
    pub fn new(name: impl Into<String>, family: &'static str, cite: &'static str, wiring: Wiring) -> Self {
        Self {
            name: name.into(),
            aliases: Vec::new(),
            family,
            resolution: 224,
            preprocess: Preprocess::IMAGENET,
            published: None,
            cite,
            checkpoints: &[Checkpoints::TIMM_NAMES],
            num_classes: 1000,
            torchvision_bn_eps: None,
            detector: None,
            wiring,
        }
    }

    /// Images of three channels and the classes of the published weights.
    pub fn options(&self) -> Options {
        Options { num_classes: self.num_classes, ..Options::default() }
    }

    /// The graph for the given class count and input channels.
    ///
    /// # Errors
    /// [`Error::Architecture`] when the tables are inconsistent.
    pub fn build(&self, options: &Options) -> Result<Graph> {
        match &self.wiring {
            Wiring::EfficientNet(arch) => arch.build(&self.name, options),
            Wiring::Network(network) => network.build(&self.name, options),
            Wiring::Own(family) => family.build(&self.name, options),
        }
    }

    /// A model of one's own: a [`Network`] at 224x224, or an [`efficientnet::EfficientNet`] at its own size.
    pub fn custom(name: &str, wiring: impl Into<Wiring>) -> Self {
        let wiring = wiring.into();
        let resolution = match &wiring {
            Wiring::EfficientNet(arch) => arch.scaling.resolution,
            _ => 224,
        };
        Self::new(name, "custom", "", wiring).at(resolution)
    }

    /// The same for square images of another edge.
    pub fn at(self, resolution: usize) -> Self {
        let crop = self.preprocess.crop_pct;
        Self { resolution, preprocess: self.preprocess.at(resolution, crop), ..self }
    }
}

impl From<efficientnet::EfficientNet> for Wiring {
    fn from(arch: efficientnet::EfficientNet) -> Self {
        Self::EfficientNet(arch)
    }
}

impl From<Network> for Wiring {
    fn from(network: Network) -> Self {
        Self::Network(network)
    }
}

/// Ends a network in a linear classifier of that name; what it sees is the network's `embedding`.
fn classify(mut b: Builder, name: &str, features: Value, options: &Options) -> Result<Graph> {
    let logits = b.linear(name, features, options.num_classes)?;
    b.output("logits", logits);
    b.output("embedding", features);
    b.finish()
}

/// Every registered model.
pub fn models() -> Vec<Model> {
    ALL.iter().flat_map(|family| family()).collect()
}

/// The model of that name or alias: registered, or of a family in [`OF_ANY_WIDTH`] (`mobilenetv2_060`, the width in
/// percent). Case does not matter, nor does `-` for `_`; a timm tag, behind a dot and starting with a letter, is dropped.
///
/// # Errors
/// [`Error::Unknown`] with the nearest names.
pub fn find(name: &str) -> Result<Model> {
    let normal = |n: &str| n.to_lowercase().replace('-', "_");
    let tag = name.match_indices('.').find(|dot| name[dot.0 + 1..].starts_with(|c: char| c.is_ascii_alphabetic()));
    let wanted = normal(&name[..tag.map_or(name.len(), |dot| dot.0)]);
    let mut models = models();
    let at = models.iter().position(|m| m.name == wanted || m.aliases.iter().any(|a| normal(a) == wanted));
    match at {
        Some(at) => Ok(models.swap_remove(at)),
        None => (OF_ANY_WIDTH.iter().find_map(|named| named(&wanted)))
            .ok_or_else(|| Error::unknown("model", name, models.iter().map(|m| m.name.as_str()))),
    }
}

/// A multiplier from three digits that state it in percent.
fn percent(digits: &str) -> Option<f64> {
    let three = digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit());
    let percent: u32 = digits.parse().ok().filter(|&p| three && p > 0)?;
    Some(f64::from(percent) / 100.0)
}

/// The graph of a registered model: [`find`], then [`Model::build`].
///
/// # Errors
/// As those.
pub fn build(name: &str, options: &Options) -> Result<Graph> {
    find(name)?.build(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counted on timm's models and on the reference definitions, where there is no reference file: other widths and
    /// depths, at each model's size.
    #[test]
    fn other_widths_and_depths_count_as_the_references() {
        for (name, params, madds) in [
            ("mobilenetv2_035", 1_677_128, 59_285_808),
            ("mobilenetv2_140", 6_108_776, 582_195_824),
            ("mobilenetv2_110d", 4_516_520, 430_516_080),
            ("mobilenetv2_120d", 5_831_144, 668_857_568),
            ("mobilenetv3_small_050", 1_593_224, 24_188_688),
            ("mobilenetv3_small_075", 2_041_872, 43_399_344),
            ("tf_mobilenetv3_large_minimal_100", 3_924_288, 209_136_704),
            ("tf_mobilenetv3_small_minimal_100", 2_044_736, 52_288_448),
            ("semnasnet_050", 2_082_006, 103_162_992),
            ("semnasnet_140", 6_105_992, 586_317_952),
            ("mnasnet_075", 3_170_208, 215_493_104),
            ("mnasnet_small", 2_030_264, 68_339_184),
            ("tf_efficientnetv2_b1", 8_141_052, 1_196_819_360),
            ("tf_efficientnetv2_b2", 10_096_086, 1_697_542_832),
            ("tf_efficientnetv2_b3", 14_358_406, 3_011_458_816),
            ("tf_efficientnetv2_m", 54_139_356, 24_582_460_384),
            ("efficientnetv2_l", 118_515_272, 56_079_699_008),
            ("mobilenetv2_060", 2_217_000, 150_958_928),
            ("mobilenetv1_060", 1_778_296, 217_021_560),
            ("mobilenext_035", 1_913_976, 75_141_032),
            ("mobilenext_050", 2_152_304, 103_256_448),
            ("mobilenext_075", 2_766_168, 207_926_720),
            ("mobilenext_140", 6_126_168, 588_319_256),
            ("mobilenext_140_nested_id25", 5_491_352, 557_630_360),
            ("mobilenext_025_nested_id100", 1_739_296, 46_857_056),
            ("ghostnet_050", 2_587_292, 42_328_152),
            ("igcv3_w3d4", 2_638_084, 189_889_232),
            ("igcv3_wd2", 1_985_528, 96_913_888),
            ("igcv3_wd4", 1_534_020, 34_044_144),
            ("resnet34", 21_797_672, 3_663_761_408),
            ("resnet101", 44_549_160, 7_801_405_440),
            ("resnet50_v1", 25_557_032, 3_857_973_248),
            ("resnet101_v1", 44_549_160, 7_570_194_432),
            ("resnet152_v1", 60_192_808, 11_282_415_616),
            ("resnet200_v1", 64_673_832, 14_776_270_848),
            ("shufflenet_v2_x0_5", 1_366_792, 40_476_448),
            ("shufflenet_v2_x1_0", 2_278_604, 144_907_992),
            ("shufflenet_v2_x2_0", 7_393_996, 583_253_464),
        ] {
            let model = find(name).unwrap();
            let counts = model.build(&model.options()).unwrap().counts(model.resolution, model.resolution).unwrap();
            assert_eq!((counts.params, counts.madds), (params, madds), "{name}");
        }
    }

    #[test]
    fn names_say_any_width_and_share() {
        for name in ["mobilenetv1_033", "MobileNetV2-130", "mobilenext_060", "mobilenext_140_nested_id25"] {
            assert_eq!(find(name).unwrap().name, name.to_lowercase().replace('-', "_"));
        }
        for share in 1..=100 {
            find(&format!("mobilenext_100_nested_id{share}")).unwrap();
        }
        for name in
            ["mobilenetv2_000", "mobilenetv2_35", "mobilenetv2_+10", "mobilenetv1_1000", "mobilenext_100_nested"]
        {
            assert!(find(name).is_err(), "{name}");
        }
        for share in ["0", "101", "05", "+5", "", "-1"] {
            assert!(find(&format!("mobilenext_100_nested_id{share}")).is_err(), "{share}");
        }
    }

    #[test]
    fn no_name_stands_for_two_models() {
        let mut owners = std::collections::BTreeMap::new();
        for model in models() {
            for name in model.aliases.iter().chain([&model.name]) {
                let owner = owners.insert(name.replace('-', "_"), model.name.clone());
                assert!(owner.is_none_or(|owner| owner == model.name), "{name}");
            }
        }
    }
}
