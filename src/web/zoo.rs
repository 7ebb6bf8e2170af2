//! Architectures and checkpoints, for the module that knows them.

use super::error::js;
use super::values::{list, object};
use crate::error::Result;
use crate::session::Bundle;
use crate::weights::Checkpoint;
use crate::zoo;
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

/// The registered models: name, family, resolution and published figures.
#[wasm_bindgen]
pub fn models() -> JsValue {
    let row = |model: zoo::Model| {
        let published = model.published.map_or(JsValue::NULL, |p| {
            object([("params", p.params.into()), ("madds", p.madds.into()), ("top1", p.top1.into())])
        });
        object([
            ("name", model.name.into()),
            ("family", model.family.into()),
            ("resolution", (model.resolution as u32).into()),
            ("cite", model.cite.into()),
            ("published", published),
        ])
    };
    list(zoo::models().into_iter().map(row))
}

/// What the header of a safetensors file and its `size` in bytes say of a model. Its architecture is `arch`, or what the
/// text of a `config.json` says, or what the file itself says or fits. Returns what there is to know of it, and
/// `network`: the bytes that the module which runs it wants with the file, with the values named in `keep` among its
/// outputs.
///
/// # Errors
/// [`crate::Error::Unknown`] for a name that no model, or no value of it, has, and those of [`Bundle::new`] and [`Bundle::with_config`].
#[wasm_bindgen]
pub fn network(
    name: String,
    head: Vec<u8>,
    size: usize,
    arch: Option<String>,
    config: Option<String>,
    keep: Vec<String>,
) -> Result<JsValue, JsValue> {
    let bundle = Checkpoint::from_header(name, &head, size).and_then(|checkpoint| match (arch, config) {
        (Some(arch), _) => Bundle::new(zoo::find(&arch)?, checkpoint),
        (None, Some(config)) => Bundle::with_config("config.json", &config, checkpoint),
        (None, None) => Bundle::from_checkpoint(checkpoint),
    });
    bundle.and_then(|bundle| describe(&bundle, &keep)).map_err(js)
}

fn describe(bundle: &Bundle, keep: &[String]) -> Result<JsValue> {
    Ok(object([
        ("name", bundle.model.name.as_str().into()),
        ("family", bundle.model.family.into()),
        ("cite", bundle.model.cite.into()),
        ("classes", (bundle.num_classes() as u32).into()),
        ("labels", bundle.labels.own().map(|names| list(names.iter().map(JsValue::from))).into()),
        ("preprocess", preprocess(&bundle.preprocess)),
        ("network", Uint8Array::from(bundle.network(keep)?.as_slice()).into()),
    ]))
}

fn preprocess(facts: &zoo::Preprocess) -> JsValue {
    // As they are written: 0.485, not its neighbour in f32.
    let floats = |values: &[f32]| list(values.iter().map(|&v| ((f64::from(v) * 1e7).round() / 1e7).into()));
    let crop_mode = match facts.crop_mode {
        zoo::CropMode::Center => "center",
        zoo::CropMode::Squash => "squash",
    };
    let interpolation = match facts.interpolation {
        zoo::Interpolation::Bilinear => "bilinear",
        zoo::Interpolation::Bicubic => "bicubic",
    };
    object([
        ("size", list(facts.size.iter().map(|&side| (side as u32).into()))),
        ("crop_pct", facts.crop_pct.into()),
        ("crop_mode", crop_mode.into()),
        ("interpolation", interpolation.into()),
        ("mean", floats(&facts.mean)),
        ("std", floats(&facts.std)),
    ])
}
