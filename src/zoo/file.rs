//! Architecture files: a user's own network in TOML or JSON.

use super::blocks::{Block, Ends, Kind, Skip, Squeeze, Width};
use super::efficientnet::{EfficientNet, Scaling};
use super::fault::Fault;
use super::network::{Head, Multipliers, Network, Stem, round_repeats};
use super::stage::Stage;
use super::{Model, Wiring, position};
use crate::error::{Error, Result};
use crate::graph::Activation;
use crate::tensor::Padding;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::path::Path;

/// Reads a model from a `.toml` or `.json` file; its name is the file's.
///
/// Two forms: a network of blocks, with a `stem`, `stages` of a `kind` each and a `head` (`examples/hybrid.toml` shows
/// every field), or an [`EfficientNet`] with that type's fields (`examples/custom.toml`).
///
/// # Errors
/// [`Error::Io`], or [`Error::Architecture`] pointing at line and field, and at stage and block where these cannot be
/// built.
pub fn from_file(path: &Path) -> Result<Model> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let name = path.file_stem().map_or_else(|| "custom".into(), |s| s.to_string_lossy().into_owned());
    let file = File { text: &text, json: path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) };
    let wiring = file.wiring().map_err(|problem| Error::Architecture {
        arch: name.clone(),
        place: path.display().to_string(),
        problem,
    })?;
    let resolution = wiring.1;
    let model = Model::custom(&name, wiring.0).at(resolution);
    model.build(&super::Options::default())?;
    Ok(model)
}

struct File<'a> {
    text: &'a str,
    json: bool,
}

impl File<'_> {
    /// The network and its resolution, or what is wrong, and where in the file.
    fn wiring(&self) -> Result<(Wiring, usize), String> {
        if self.is_network() {
            let form: NetworkForm = self.read()?;
            let network = form.network().and_then(|network| network.check().map(|()| network));
            return Ok((network.map_err(|fault| self.locate(&fault))?.into(), form.scaling.resolution));
        }
        let arch: EfficientNet = self.read()?;
        arch.check().map_err(|fault| self.locate(&fault))?;
        let resolution = arch.scaling.resolution;
        Ok((arch.into(), resolution))
    }

    /// Whether it is meant as a network of blocks: EfficientNet's tables have neither a stem nor kinds.
    fn is_network(&self) -> bool {
        #[derive(Deserialize)]
        struct Form {
            stem: Option<IgnoredAny>,
            #[serde(default)]
            stages: Vec<Kinds>,
        }
        #[derive(Deserialize)]
        struct Kinds {
            kind: Option<IgnoredAny>,
        }
        let form = if self.json {
            Form::deserialize(&mut serde_json::Deserializer::from_str(self.text)).ok()
        } else {
            toml::from_str(self.text).ok()
        };
        form.is_some_and(|form| form.stem.is_some() || form.stages.iter().any(|stage| stage.kind.is_some()))
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        if self.json {
            let read = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(self.text));
            let value = read.map_err(|e| {
                let (line, column, message) = (e.inner().line(), e.inner().column(), e.inner().to_string());
                let message = message.trim_end_matches(&format!(" at line {line} column {column}"));
                format!("line {line}, column {column}: {}{message}", field(e.path()))
            })?;
            // What follows the object.
            return serde_json::from_str::<IgnoredAny>(self.text).map(|_| value).map_err(|e| e.to_string());
        }
        let at = |e: &toml::de::Error| {
            let line = e.span().map(|span| position::line(self.text, span.start));
            line.map_or_else(String::new, |line| format!("line {line}: "))
        };
        // The error's own text quotes the file over several lines.
        let message = |e: &toml::de::Error| e.message().trim_end().replace('\n', " ");
        let document = toml::de::Deserializer::parse(self.text).map_err(|e| format!("{}{}", at(&e), message(&e)))?;
        serde_path_to_error::deserialize(document)
            .map_err(|e| format!("{}{}{}", at(e.inner()), field(e.path()), message(e.inner())))
    }

    /// A fault with its line and field.
    fn locate(&self, fault: &Fault) -> String {
        let at = position::find(self.text, self.json, fault);
        format!("{at}: {}: {}", fault.place(), fault.problem)
    }
}

/// `stages[1].kernel: `, or nothing for the whole file.
fn field(path: &serde_path_to_error::Path) -> String {
    let path = path.to_string();
    if path == "." { String::new() } else { format!("{path}: ") }
}

/// A network in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkForm {
    stem: StemForm,
    stages: Vec<StageForm>,
    #[serde(default)]
    head: HeadForm,
    /// Of every stage that has none of its own, of stem and head.
    #[serde(default = "relu6")]
    act: Activation,
    #[serde(default = "symmetric")]
    padding: Padding,
    #[serde(default = "eps")]
    bn_eps: f64,
    #[serde(default = "unscaled")]
    scaling: Scaling,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StemForm {
    out: usize,
    #[serde(default = "two")]
    stride: usize,
    act: Option<Activation>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadForm {
    #[serde(default)]
    kind: HeadKind,
    out: Option<usize>,
    act: Option<Activation>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum HeadKind {
    #[default]
    Pool,
    Conv,
    PooledConv,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StageForm {
    kind: KindForm,
    #[serde(default = "one")]
    repeats: usize,
    #[serde(default = "three")]
    kernel: usize,
    #[serde(default = "one")]
    stride: usize,
    expand: Option<f64>,
    reduce: Option<f64>,
    hidden: Option<usize>,
    out: usize,
    act: Option<Activation>,
    se: Option<SqueezeForm>,
    #[serde(default)]
    skip: SkipForm,
    #[serde(default = "whole")]
    identity: f64,
    #[serde(default = "one")]
    groups: usize,
    ends: Option<Ends>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindForm {
    InvertedResidual,
    Linear,
    Separable,
    Fused,
    Conv,
    Sandglass,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "must be a share such as 0.25, or a table { ratio, base, act, gate }")]
enum SqueezeForm {
    Ratio(f64),
    Table(SqueezeTable),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct SqueezeTable {
    ratio: f64,
    #[serde(default)]
    base: Base,
    act: Option<Activation>,
    #[serde(default = "sigmoid")]
    gate: Activation,
}

/// The channels that a squeeze's ratio is of.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Base {
    #[default]
    Input,
    Hidden,
    Output,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(untagged, expecting = "must be true (where possible), false or \"always\"")]
enum SkipForm {
    #[default]
    Unsaid,
    Flag(bool),
    Word(Always),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Always {
    Always,
}

impl NetworkForm {
    fn network(&self) -> Result<Network, Fault> {
        self.scaling.check()?;
        let by = Multipliers { depth: self.scaling.depth, ..Multipliers::width(self.scaling.width) };
        let act = self.act;
        let stem =
            Stem { out: scaled(&by, self.stem.out), stride: self.stem.stride, act: self.stem.act.unwrap_or(act) };
        let stages = self.stages.iter().enumerate();
        let stages = stages.map(|(s, stage)| stage.stage(act, &by).map_err(|fault| fault.in_stage(s)));
        Ok(Network {
            stages: stages.collect::<Result<_, _>>()?,
            head: self.head.head(act, &by)?,
            padding: self.padding,
            bn_eps: self.bn_eps,
            ..Network::new(stem)
        })
    }
}

impl HeadForm {
    fn head(&self, act: Activation, by: &Multipliers) -> Result<Head, Fault> {
        let act = self.act.unwrap_or(act);
        match (self.kind, self.out) {
            (HeadKind::Pool, None) => Ok(Head::Pool),
            (HeadKind::Conv, Some(out)) => Ok(Head::Conv(scaled(by, out), act)),
            (HeadKind::PooledConv, Some(out)) => Ok(Head::PooledConv(scaled(by, out), act)),
            (HeadKind::Pool, Some(_)) => Err(outside("head.out", "a head of kind pool has no channels of its own")),
            (_, None) => Err(outside("head", "needs out, the channels of its convolution")),
        }
    }
}

impl StageForm {
    fn stage(&self, act: Activation, by: &Multipliers) -> Result<Stage, Fault> {
        let act = self.act.unwrap_or(act);
        let block = Block {
            kernel: self.kernel,
            stride: self.stride,
            hidden: self.width(by)?,
            act,
            se: self.se.map(|se| se.squeeze(act)),
            skip: self.skip.skip(),
            identity: self.identity,
            groups: self.groups,
            ..Block::new(self.kind()?, scaled(by, self.out))
        };
        Ok(Stage::repeat(round_repeats(self.repeats, by.depth), block))
    }

    fn kind(&self) -> Result<Kind, Fault> {
        if self.ends.is_some() && self.kind != KindForm::Sandglass {
            return Err(outside("ends", "only a sandglass has ends"));
        }
        Ok(match self.kind {
            KindForm::InvertedResidual => Kind::InvertedResidual,
            KindForm::Linear => Kind::Linear,
            KindForm::Separable => Kind::Separable,
            KindForm::Fused => Kind::Fused,
            KindForm::Conv => Kind::Conv,
            KindForm::Sandglass => Kind::Sandglass(self.ends.unwrap_or_default()),
        })
    }

    /// The channels inside, which a stage must state in one way where its kind has any.
    fn width(&self, by: &Multipliers) -> Result<Width, Fault> {
        let inside = matches!(self.kind, KindForm::InvertedResidual | KindForm::Fused | KindForm::Sandglass);
        match (self.expand, self.reduce, self.hidden) {
            (None, None, None) if !inside => Ok(Width::OfInput(1.0)),
            (None, None, None) => Err(outside("hidden", "needs expand, reduce or hidden, the channels inside")),
            _ if !inside => Err(outside("hidden", "expand, reduce and hidden mean nothing in this kind of block")),
            (Some(expand), None, None) => Ok(Width::OfInput(expand)),
            (None, Some(reduce), None) => Ok(Width::OfInput(1.0 / reduce)),
            (None, None, Some(hidden)) => Ok(Width::Channels(scaled(by, hidden))),
            _ => Err(outside("hidden", "expand, reduce and hidden say the same thing: keep one")),
        }
    }
}

impl SqueezeForm {
    fn squeeze(self, act: Activation) -> Squeeze {
        let SqueezeTable { ratio, base, act: own, gate } = match self {
            Self::Table(table) => table,
            Self::Ratio(ratio) => SqueezeTable { ratio, base: Base::Input, act: None, gate: Activation::Sigmoid },
        };
        let hidden = match base {
            Base::Input => Width::OfInput(ratio),
            Base::Hidden => Width::OfHidden(ratio),
            Base::Output => Width::OfOutput(ratio),
        };
        Squeeze { hidden, act: own.unwrap_or(act), gate }
    }
}

impl SkipForm {
    fn skip(self) -> Skip {
        match self {
            Self::Unsaid | Self::Flag(true) => Skip::WherePossible,
            Self::Flag(false) => Skip::Never,
            Self::Word(Always::Always) => Skip::Always,
        }
    }
}

fn outside(field: &'static str, problem: &str) -> Fault {
    Fault { stage: None, block: None, field, problem: problem.into() }
}

/// Channels as written, unless there is a multiplier, whose products are rounded as everywhere.
fn scaled(by: &Multipliers, channels: usize) -> usize {
    if by.width == 1.0 || channels == 0 { channels } else { by.channels(channels) }
}

fn relu6() -> Activation {
    Activation::Relu6
}

fn sigmoid() -> Activation {
    Activation::Sigmoid
}

fn symmetric() -> Padding {
    Padding::Symmetric
}

fn eps() -> f64 {
    1e-5
}

fn unscaled() -> Scaling {
    Scaling::new(1.0, 1.0, 224)
}

fn one() -> usize {
    1
}

fn two() -> usize {
    2
}

fn three() -> usize {
    3
}

fn whole() -> f64 {
    1.0
}
