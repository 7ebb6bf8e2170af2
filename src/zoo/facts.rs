//! What a model's weights expect of a picture: facts that belong beside each registry entry.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::json::number;

/// Filter of the antialiased resize, by Pillow's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// Triangle filter, radius 1 (`PIL.Image.BILINEAR`).
    Bilinear,
    /// Keys' cubic with a = -0.5, radius 2 (`PIL.Image.BICUBIC`).
    #[default]
    Bicubic,
}

/// How a picture's shape is fitted to the input size, by timm's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CropMode {
    /// Keep the aspect ratio, cut off what sticks out.
    #[default]
    Center,
    /// Resize each side by itself (the aspect ratio is lost), then cut.
    Squash,
}

/// Preprocessing of one model: resize, centre crop, `(x / 255 - mean) / std`.
///
/// With equal sides the shorter side of the picture becomes `floor(size / crop_pct)` pixels; with unequal
/// sides the picture is scaled until it just covers `floor(h / crop_pct) x floor(w / crop_pct)`, as in timm's
/// `transforms_imagenet_eval`. All fields may be left out of a file; they default to [`Preprocess::IMAGENET`].
///
/// `crop_pct` is f64 because the floor must agree with Python's: 224 / 0.896 is 250 in f64 but 249.99 with 0.896 as f32.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preprocess {
    /// Height and width of the network's input, pixels.
    pub size: [usize; 2],
    /// Share of the resized picture's side that the crop keeps, 0.01 to 1.
    pub crop_pct: f64,
    /// How the picture is fitted to `size`.
    pub crop_mode: CropMode,
    /// Filter of the resize.
    pub interpolation: Interpolation,
    /// Mean per channel on the scale 0 to 1; one value stands for all channels.
    pub mean: Cow<'static, [f32]>,
    /// Deviation per channel on the scale 0 to 1; one value stands for all channels.
    pub std: Cow<'static, [f32]>,
}

impl Preprocess {
    /// Shape of a batch of `n` images: `[n, h, w]`.
    pub(crate) const fn batch(&self, n: usize) -> [usize; 3] {
        let [h, w] = self.size;
        [n, h, w]
    }

    /// 224 x 224, 87.5 % crop, bicubic, ImageNet's mean and deviation per channel (PyTorch-trained models).
    pub const IMAGENET: Self = Self {
        size: [224, 224],
        crop_pct: 0.875,
        crop_mode: CropMode::Center,
        interpolation: Interpolation::Bicubic,
        mean: Cow::Borrowed(&[0.485, 0.456, 0.406]),
        std: Cow::Borrowed(&[0.229, 0.224, 0.225]),
    };

    /// As [`Preprocess::IMAGENET`] with mean and deviation 0.5, so that inputs lie in -1 to 1 (EfficientNet-Lite,
    /// MobileNets and others that come from TensorFlow).
    pub const HALF: Self =
        Self { mean: Cow::Borrowed(&[0.5, 0.5, 0.5]), std: Cow::Borrowed(&[0.5, 0.5, 0.5]), ..Self::IMAGENET };

    /// The same with a square input of `side` pixels and another crop share, for const tables.
    pub const fn at(mut self, side: usize, crop_pct: f64) -> Self {
        self.size = [side, side];
        self.crop_pct = crop_pct;
        self
    }

    /// The same with another filter, for const tables.
    pub const fn with(mut self, interpolation: Interpolation) -> Self {
        self.interpolation = interpolation;
        self
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::BadInput`] naming the first field that makes no sense.
    pub fn validate(&self) -> Result<()> {
        let [h, w] = self.size;
        if !(1..=16384).contains(&h) || !(1..=16384).contains(&w) {
            return Err(Error::bad(
                "preprocess.size",
                format!("{h} x {w} pixels (height x width): each side must be 1 to 16384"),
            ));
        }
        if !(0.01..=1.0).contains(&self.crop_pct) {
            return Err(Error::bad("preprocess.crop_pct", format!("{}: must be 0.01 to 1", number(self.crop_pct))));
        }
        if self.mean.is_empty() || self.mean.iter().any(|v| !v.is_finite()) {
            return Err(Error::bad(
                "preprocess.mean",
                format!("{}: needs one finite value per channel", list(&self.mean)),
            ));
        }
        if self.std.is_empty() || self.std.iter().any(|v| !v.is_finite() || *v <= 0.0) {
            return Err(Error::bad(
                "preprocess.std",
                format!("{}: needs one positive value per channel", list(&self.std)),
            ));
        }
        let (m, s) = (self.mean.len(), self.std.len());
        if m != s && m != 1 && s != 1 {
            return Err(Error::bad("preprocess.std", format!("{s} values, but preprocess.mean has {m}")));
        }
        Ok(())
    }

    /// `(mean, std)` of each of `channels` channels.
    ///
    /// # Errors
    /// [`Error::BadInput`] when [`Preprocess::validate`] fails or mean or std has neither one value nor `channels`.
    pub fn channel_stats(&self, channels: usize) -> Result<Vec<(f32, f32)>> {
        self.validate()?;
        let spread = |name: &str, v: &[f32]| match v.len() {
            1 => Ok(vec![v[0]; channels]),
            n if n == channels => Ok(v.to_vec()),
            n => Err(Error::bad(
                format!("preprocess.{name}"),
                format!("{n} values for a model with {channels} input channels: give {channels}, or one for all"),
            )),
        };
        Ok(spread("mean", &self.mean)?.into_iter().zip(spread("std", &self.std)?).collect())
    }
}

fn list(values: &[f32]) -> String {
    format!("[{}]", values.iter().copied().map(number).collect::<Vec<_>>().join(", "))
}

impl Default for Preprocess {
    fn default() -> Self {
        Self::IMAGENET
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn const_tables_can_hold_facts() {
        const LITE1: Preprocess = Preprocess::HALF.at(240, 0.882).with(Interpolation::Bilinear);
        let (size, pct) = (LITE1.size, LITE1.crop_pct);
        assert_eq!((size, pct, LITE1.mean[2]), ([240, 240], 0.882, 0.5));
        assert_eq!(LITE1.interpolation, Interpolation::Bilinear);
        LITE1.validate().unwrap();
    }

    #[test]
    fn json_round_trips_and_fills_in_defaults() {
        let p: Preprocess = serde_json::from_str(r#"{"size":[192,256],"interpolation":"bilinear"}"#).unwrap();
        let want = Preprocess { size: [192, 256], interpolation: Interpolation::Bilinear, ..Preprocess::IMAGENET };
        assert_eq!(p, want);
        let again: Preprocess = serde_json::from_str(&serde_json::to_string(&p).unwrap()).unwrap();
        assert_eq!(again, want);
        let typo = serde_json::from_str::<Preprocess>(r#"{"interpolatoin":"bilinear"}"#).unwrap_err();
        assert!(typo.to_string().contains("interpolatoin"), "{typo}");
    }

    #[test]
    fn senseless_values_are_refused_by_name() {
        let p = Preprocess::IMAGENET;
        let mean = |v: &[f32]| Preprocess { mean: v.to_vec().into(), ..p.clone() };
        let std = |v: &[f32]| Preprocess { std: v.to_vec().into(), ..p.clone() };
        for (facts, field) in [
            (Preprocess { size: [0, 224], ..p.clone() }, "size"),
            (Preprocess { size: [224, usize::MAX], ..p.clone() }, "size"),
            (p.clone().at(224, 0.0), "crop_pct"),
            (p.clone().at(224, 1.01), "crop_pct"),
            (p.clone().at(224, f64::NAN), "crop_pct"),
            (mean(&[]), "mean"),
            (mean(&[f32::NAN, 0.0, 0.0]), "mean"),
            (std(&[0.2, 0.0, 0.2]), "std"),
            (std(&[0.2, 0.2]), "std"),
        ] {
            let e = facts.validate().unwrap_err().to_string();
            assert!(e.starts_with(&format!("preprocess.{field}: ")), "{e}");
        }
    }

    #[test]
    fn one_value_stands_for_all_channels_and_a_wrong_count_is_named() {
        let p = Preprocess { std: vec![0.25].into(), ..Preprocess::IMAGENET };
        assert_eq!(p.channel_stats(3).unwrap()[2], (0.406, 0.25));
        let e = p.channel_stats(1).unwrap_err().to_string();
        assert_eq!(e, "preprocess.mean: 3 values for a model with 1 input channels: give 1, or one for all");
    }
}
