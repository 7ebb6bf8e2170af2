//! `--model`, `--arch` and `--weights`.

use super::{Failure, note};
use crate::error::{Error, Result};
use crate::session::Bundle;
use crate::weights::{Checkpoint, Synthetic};
use crate::zoo::{self, Model};
use std::path::{Path, PathBuf};

/// The model whose weights are in the program.
const EMBEDDED: &str = "tf_efficientnet_lite0";

/// Which model, with which weights.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// A name (see `mbconv models`), a .safetensors file, a folder with config.json and model.safetensors
    /// (Hugging Face / timm), or a .toml or .json file with an architecture [default: the built-in EfficientNet-Lite0]
    #[arg(long, visible_alias = "arch", value_name = "NAME|DIR|FILE")]
    model: Option<String>,
    /// Weights for --model NAME: a .safetensors file with timm's, torchvision's or EfficientNet-PyTorch's names
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
}

/// What the arguments lead to.
pub enum Chosen {
    /// A model with weights.
    Bundle(Box<Bundle>),
    /// An architecture that nobody gave weights for.
    Weightless(Box<Model>),
}

impl ModelArgs {
    /// What `--model` says.
    pub fn name(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The model and its weights, or the architecture alone where no weights were given.
    pub fn choose(&self) -> Result<Chosen, Failure> {
        let bundle = match (&self.model, &self.weights) {
            (None, None) => embedded()?,
            (None, Some(weights)) => Bundle::open(weights)?,
            (Some(path), weights) if names_weights(path) => {
                if weights.is_some() {
                    return Err(Failure::Usage(format!(
                        "--model {path} has weights of its own: leave --weights out, or name the architecture"
                    )));
                }
                Bundle::open(path)?
            }
            (Some(name), Some(weights)) => Bundle::new(architecture(name)?, Checkpoint::open(weights)?)?,
            (Some(name), None) => {
                let model = architecture(name)?;
                if model.name != EMBEDDED {
                    return Ok(Chosen::Weightless(Box::new(model)));
                }
                embedded()?
            }
        };
        Ok(Chosen::Bundle(Box::new(bundle)))
    }

    /// A model with weights; where none were given with synthetic ones, which take the same time, and says so on stderr.
    pub fn bundle_or_synthetic(&self) -> Result<Bundle, Failure> {
        match self.choose()? {
            Chosen::Bundle(bundle) => Ok(*bundle),
            Chosen::Weightless(model) => {
                note("note", &format!("no weights given for {}: measuring with synthetic ones", model.name));
                let options = model.options();
                Ok(Bundle::synthetic(*model, &options, &Synthetic::default())?)
            }
        }
    }

    /// A model with weights; says where to get them where none were given.
    pub fn bundle(&self) -> Result<Bundle, Failure> {
        let model = match self.choose()? {
            Chosen::Bundle(bundle) => return Ok(*bundle),
            Chosen::Weightless(model) => model,
        };
        let what = format!("--model {}", self.model.as_deref().unwrap_or_default());
        if model.family == "custom" {
            return Err(
                Error::bad(what, "an architecture file holds no weights: add --weights FILE.safetensors").into()
            );
        }
        let problem = format!(
            "its weights are not in the program (only those of {EMBEDDED} are): get model.safetensors, for instance from \
             https://huggingface.co/models?search=timm/{}, and add --weights model.safetensors, or give the downloaded \
             folder with its config.json as --model",
            model.name
        );
        Err(Error::bad(what, problem).into())
    }
}

/// The model in the program.
pub fn embedded() -> Result<Bundle> {
    Bundle::embedded()
}

/// A registered architecture by name, or one from a `.toml` or `.json` file.
pub fn architecture(name: &str) -> Result<Model> {
    match extension(name).as_str() {
        "toml" | "json" => zoo::from_file(Path::new(name)),
        "safetensors" => Err(Error::bad(
            name,
            "a checkpoint, where a model's name is wanted (see `mbconv models`); checkpoints go with --weights",
        )),
        _ => zoo::find(name),
    }
}

/// Whether a `--model` names a checkpoint or a folder rather than an architecture.
fn names_weights(name: &str) -> bool {
    let path = Path::new(name);
    match extension(name).as_str() {
        "toml" | "json" => false,
        "safetensors" => true,
        _ => path.exists() || path.components().count() > 1,
    }
}

fn extension(name: &str) -> String {
    Path::new(name).extension().map_or_else(String::new, |e| e.to_string_lossy().to_lowercase())
}
