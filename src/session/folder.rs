//! Models on disk: a checkpoint, or a folder in the Hugging Face / timm form.

use super::Bundle;
use crate::error::{Error, Result};
use crate::weights::Checkpoint;
use std::path::{Path, PathBuf};

impl Bundle {
    /// A `.safetensors` file, or a folder with `config.json` beside `model.safetensors`, see [`Bundle::with_config`].
    ///
    /// # Errors
    /// [`Error::Io`], and those of [`Bundle::with_config`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Self::from_checkpoint(Checkpoint::open(path)?);
        }
        let config = path.join("config.json");
        let text = std::fs::read_to_string(&config).map_err(|e| Error::io(&config, e))?;
        Self::with_config(&config.display().to_string(), &text, Checkpoint::open(weights_file(path)?)?)
    }
}

fn weights_file(folder: &Path) -> Result<PathBuf> {
    let usual = folder.join("model.safetensors");
    if usual.is_file() {
        return Ok(usual);
    }
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let mut files: Vec<_> =
        entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "safetensors")).collect();
    if files.len() == 1 {
        return Ok(files.remove(0));
    }
    let problem = format!("needs model.safetensors, or exactly one other .safetensors file; there are {}", files.len());
    Err(Error::bad(folder.display().to_string(), problem))
}
