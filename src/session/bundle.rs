//! A model with everything that comes with it: architecture, weights, preprocessing, labels.

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::passes;
use crate::vision::Labels;
use crate::weights::{Checkpoint, Naming, Synthetic, Weights};
use crate::zoo::{self, Model, Options, Preprocess};

/// A model ready to be put on a device. Cheap to clone where the weights are a mapped file.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The architecture.
    pub model: Model,
    /// Its graph, for the checkpoint's class count and input channels.
    pub graph: Graph,
    /// Its weights.
    pub weights: Weights,
    /// What it expects of an image.
    pub preprocess: Preprocess,
    /// Names of its classes.
    pub labels: Labels,
}

impl Bundle {
    /// EfficientNet-Lite0 with its published ImageNet weights (f16), compiled into the program.
    ///
    /// # Errors
    /// None in a sound build.
    #[cfg(feature = "embedded")]
    pub fn embedded() -> Result<Self> {
        const WEIGHTS: &[u8] = include_bytes!("../../assets/efficientnet_lite0.safetensors");
        Self::new(zoo::find("tf_efficientnet_lite0")?, Checkpoint::from_bytes("the embedded weights", WEIGHTS)?)
    }

    /// `model` with the weights of `checkpoint`. Naming scheme, class count and input channels are the checkpoint's.
    ///
    /// # Errors
    /// [`Error::Mismatch`] listing every tensor at fault, and the registered model it looks like where there is one.
    pub fn new(model: Model, checkpoint: Checkpoint) -> Result<Self> {
        let naming = Naming::of(&checkpoint)?;
        let options = options(&model, &checkpoint, &naming)?;
        let graph = model.build(&options)?;
        let checkpoint = std::sync::Arc::new(checkpoint);
        let weights = Weights::new(&graph, std::sync::Arc::clone(&checkpoint), &naming);
        let weights = weights.map_err(|error| match error {
            Error::Mismatch { path, arch, problems, .. } => {
                let looks_like = candidates(&checkpoint).into_iter().map(|m| m.name).find(|name| *name != arch);
                Error::Mismatch { path, arch, problems, looks_like }
            }
            other => other,
        })?;
        Ok(Self {
            preprocess: model.preprocess.clone(),
            labels: Labels::for_classes(options.num_classes),
            model,
            graph,
            weights,
        })
    }

    /// `model` with synthetic weights under its own names (see [`Synthetic`]).
    ///
    /// # Errors
    /// [`Error::Architecture`].
    pub fn synthetic(model: Model, options: &Options, recipe: &Synthetic) -> Result<Self> {
        let graph = model.build(options)?;
        let weights = Weights::synthetic(&graph, recipe)?;
        Ok(Self {
            preprocess: model.preprocess.clone(),
            labels: Labels::for_classes(options.num_classes),
            model,
            graph,
            weights,
        })
    }

    /// A checkpoint alone: the architecture is the one its metadata names (`arch`), else the one its tensors fit.
    ///
    /// # Errors
    /// [`Error::BadInput`] when no registered model, or more than one, fits.
    pub fn from_checkpoint(checkpoint: Checkpoint) -> Result<Self> {
        if let Some(arch) = checkpoint.metadata().get("arch") {
            return Self::new(zoo::find(arch)?, checkpoint);
        }
        let mut fitting = candidates(&checkpoint);
        let problem = match fitting.len() {
            1 => return Self::new(fitting.remove(0), checkpoint),
            0 => "its tensors fit no registered model: name one with --model NAME --weights FILE to see what differs"
                .to_string(),
            _ => {
                let names: Vec<_> = fitting.iter().map(|m| m.name.as_str()).collect();
                format!(
                    "its tensors fit {}, which differ in padding, strides, shortcuts or epsilon: say which with --model NAME --weights FILE",
                    names.join(" and ")
                )
            }
        };
        Err(Error::bad(checkpoint.path(), problem))
    }

    /// Outputs of the classifier, or of each default box of a detector (with the background).
    pub fn num_classes(&self) -> usize {
        let logits = self.graph.outputs.first().map(|o| &self.graph.nodes[o.1].op);
        match logits {
            Some(crate::graph::Op::Conv2d(conv)) => conv.out / boxes(&self.model),
            _ => 0,
        }
    }

    /// Shape of a batch of `n` images at the model's preprocessing size: `[n, h, w]`.
    pub fn native(&self, n: usize) -> [usize; 3] {
        self.preprocess.batch(n)
    }

    /// The graph behind all passes, with the values of these names among its outputs.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name that the network does not have.
    pub(super) fn fused(&self, names: &[String]) -> Result<Graph> {
        Ok(passes::run(&self.graph.with_outputs(names)?, &[]).0)
    }
}

/// How many times a detector's first output has every class; 1 for a classifier.
fn boxes(model: &Model) -> usize {
    model.detector.and_then(|d| d.levels.first()).map_or(1, zoo::Level::boxes)
}

fn options(model: &Model, checkpoint: &Checkpoint, naming: &Naming) -> Result<Options> {
    let defaults = model.options();
    let graph = model.build(&defaults)?;
    Ok(Options {
        in_channels: naming.in_channels(&graph, checkpoint).unwrap_or(defaults.in_channels),
        num_classes: naming.num_classes(&graph, checkpoint).map_or(defaults.num_classes, |rows| rows / boxes(model)),
        bn_eps: model.torchvision_bn_eps.filter(|_| naming.scheme.is_torchvision()),
    })
}

/// The registered models whose tensors are exactly the checkpoint's. Where only padding, strides and epsilon differ, the
/// naming decides as far as it can: each model lists the schemes that its checkpoints come in, and one that weights are
/// published for goes before one that there are none for.
fn candidates(checkpoint: &Checkpoint) -> Vec<Model> {
    let Ok(naming) = Naming::of(checkpoint) else { return Vec::new() };
    let scheme = naming.scheme.to_string();
    let named = |m: &Model| m.checkpoints.iter().any(|c| c.naming == scheme);
    let graph = |m: &Model| m.build(&options(m, checkpoint, &naming)?);
    let fits = |m: &Model| graph(m).is_ok_and(|g| Weights::fit(&g, checkpoint) == 0);
    let mut fitting: Vec<Model> = zoo::models().into_iter().filter(|m| named(m) && fits(m)).collect();
    let published = |m: &Model| m.checkpoints.iter().any(|c| c.naming == scheme && c.published);
    if fitting.iter().any(published) {
        fitting.retain(published);
    }
    fitting
}
