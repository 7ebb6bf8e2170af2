//! timm's `config.json`: what a checkpoint's file does not say.

use super::Bundle;
use crate::error::{Error, Result};
use crate::json::Json;
use crate::vision::Labels;
use crate::weights::Checkpoint;
use crate::zoo::{self, CropMode, Interpolation, Preprocess};
use serde::de::value::StrDeserializer;

impl Bundle {
    /// A checkpoint described by the text of a `config.json`; `path` names it in errors. Architecture, class count,
    /// size, crop, interpolation, mean, deviation and labels come from it (`pretrained_cfg`, or the older flat keys).
    ///
    /// # Errors
    /// [`Error::BadInput`] naming the key, and those of [`Bundle::new`].
    pub fn with_config(path: &str, text: &str, checkpoint: Checkpoint) -> Result<Self> {
        let json = Json::parse(text).map_err(|e| Error::bad(path, format!("not JSON: {e}")))?;
        let config = Config { path: path.to_string(), json };
        let model = zoo::find(&config.architecture()?)?;
        let mut bundle = Self::new(model, checkpoint)?;
        let classes = bundle.num_classes();
        if let Some(stated) = config.number("num_classes")?.filter(|&n| n as usize != classes) {
            return Err(config
                .bad("num_classes", format!("says {stated}, but the checkpoint's classifier has {classes} outputs")));
        }
        bundle.preprocess = config.preprocess(bundle.preprocess, bundle.graph.in_channels)?;
        if let Some(labels) = config.labels(classes)? {
            bundle.labels = labels;
        }
        Ok(bundle)
    }
}

/// A timm `config.json`.
struct Config {
    path: String,
    json: Json,
}

impl Config {
    /// A key of `pretrained_cfg`, else of the top level.
    fn get(&self, key: &str) -> Option<&Json> {
        let nested = self.json.get("pretrained_cfg").and_then(|c| c.get(key));
        nested.or_else(|| self.json.get(key)).filter(|v| !matches!(v, Json::Null))
    }

    fn bad(&self, key: &str, problem: String) -> Error {
        Error::bad(&self.path, format!("{key}: {problem}"))
    }

    fn architecture(&self) -> Result<String> {
        let name = self.json.get("architecture").or_else(|| self.get("architecture")).and_then(Json::as_str);
        name.map(str::to_string)
            .ok_or_else(|| self.bad("architecture", "missing: it names the model, such as \"efficientnet_b0\"".into()))
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        // The top level counts first: a fine-tuned model keeps the pretrained one's facts below it.
        let Some(value) = self.json.get(key).filter(|v| !matches!(v, Json::Null)).or_else(|| self.get(key)) else {
            return Ok(None);
        };
        value.as_f64().map(Some).ok_or_else(|| self.bad(key, format!("must be a number, is {value}")))
    }

    fn list<const N: usize>(&self, key: &str) -> Result<Option<[f64; N]>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let numbers: Option<Vec<f64>> = value.as_list().and_then(|a| a.iter().map(Json::as_f64).collect());
        let array = numbers.and_then(|n| <[f64; N]>::try_from(n).ok());
        array.map(Some).ok_or_else(|| self.bad(key, format!("must be a list of {N} numbers, is {value}")))
    }

    /// Facts per channel: three numbers, or one for each channel of the model.
    fn per_channel(&self, key: &str, channels: usize) -> Result<Option<Vec<f32>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let numbers: Option<Vec<f32>> =
            value.as_list().and_then(|a| a.iter().map(|v| v.as_f64().map(|v| v as f32)).collect());
        match numbers.filter(|n| n.len() == channels || n.len() == 1) {
            Some(numbers) => Ok(Some(numbers)),
            None => Err(self.bad(key, format!("must be a list of {channels} numbers, one a channel, is {value}"))),
        }
    }

    /// One of serde's names for the variants of an enum.
    fn text<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let Some(name) = value.as_str() else { return Err(self.bad(key, format!("must be a text, is {value}"))) };
        let name = StrDeserializer::<serde::de::value::Error>::new(name);
        T::deserialize(name).map(Some).map_err(|e| self.bad(key, e.to_string()))
    }

    fn preprocess(&self, defaults: Preprocess, channels: usize) -> Result<Preprocess> {
        let mut facts = defaults;
        if let Some([stated, h, w]) = self.list::<3>("input_size")? {
            if stated as usize != channels {
                return Err(
                    self.bad("input_size", format!("says {stated} channels, but the checkpoint's stem has {channels}"))
                );
            }
            facts.size = [h as usize, w as usize];
        }
        facts.crop_pct = self.get("crop_pct").map_or(Ok(facts.crop_pct), |v| {
            v.as_f64().ok_or_else(|| self.bad("crop_pct", format!("must be a number, is {v}")))
        })?;
        facts.crop_mode = self.text::<CropMode>("crop_mode")?.unwrap_or(facts.crop_mode);
        facts.interpolation = self.text::<Interpolation>("interpolation")?.unwrap_or(facts.interpolation);
        facts.mean = self.per_channel("mean", channels)?.map_or(facts.mean, Into::into);
        facts.std = self.per_channel("std", channels)?.map_or(facts.std, Into::into);
        facts.validate()?;
        Ok(facts)
    }

    /// `label_names` (a list, or one name for all of ImageNet's), described by `label_descriptions`; or `id2label`.
    fn labels(&self, classes: usize) -> Result<Option<Labels>> {
        let descriptions = self.get("label_descriptions");
        let described = |name: &Json| match descriptions.and_then(|d| d.get(name.as_str()?)) {
            Some(text) => Some(text.clone()),
            None => Some(name.clone()),
        };
        let list = match (self.get("label_names"), self.get("id2label")) {
            (Some(Json::List(names)), _) => Json::List(names.iter().filter_map(described).collect()),
            (_, Some(map)) => map.clone(),
            _ => return Ok(None),
        };
        Labels::from_json(&self.path, &list, classes).map(Some)
    }
}
