//! Architecture files: a user's own table of stages in TOML or JSON.

use super::Model;
use super::efficientnet::EfficientNet;
use crate::error::{Error, Result};
use std::path::Path;

/// Reads a model from a `.toml` or `.json` file with the fields of [`EfficientNet`]; its name is the file's.
///
/// # Errors
/// [`Error::Io`], or [`Error::Architecture`] pointing at line and field.
pub fn from_file(path: &Path) -> Result<Model> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let name = path.file_stem().map_or_else(|| "custom".into(), |s| s.to_string_lossy().into_owned());
    let fail = |problem: String| Error::Architecture {
        arch: name.clone(),
        place: path.display().to_string(),
        problem: problem.trim_end().replace('\n', " "),
    };
    let arch: EfficientNet = if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
        serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?
    } else {
        // The error's own text quotes the file over several lines.
        let at = |e: &toml::de::Error| {
            e.span().and_then(|s| text.get(..s.start)).map(|before| before.matches('\n').count() + 1)
        };
        let line = |e: &toml::de::Error| at(e).map_or(String::new(), |n| format!("line {n}: "));
        toml::from_str(&text).map_err(|e| fail(format!("{}{}", line(&e), e.message())))?
    };
    let model = Model::custom(&name, arch);
    model.build(&super::Options::default())?;
    Ok(model)
}
