//! From a picture to the network's input: decode, orient, resize, crop, normalise.
//!
//! The numbers are those of Pillow and of timm's evaluation transform, so that published accuracies carry over.
//! Decoding ([`image`]) needs the feature `images`; everything from [`Pixels`] on is always there.

#[cfg(feature = "images")]
pub mod image;
mod pixels;
mod resize;

#[cfg(feature = "images")]
pub use image::{DecodeLimits, load, load_bytes};
pub use pixels::Pixels;
pub use resize::{Resampling, Taps, resampling, resize, resize_crop};

use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use crate::zoo::Preprocess;

/// Resizes, crops and normalises an RGB or grey picture: `[1, h, w, in_channels]` (NHWC).
///
/// A model with one input channel gets the luma, taken before the resize as `PIL.Image.convert("L")` would;
/// a model with three gets a grey picture repeated.
///
/// # Errors
/// [`Error::BadInput`] when `in_channels` is neither 1 nor 3, or `facts` do not make sense for it.
pub fn prepare(picture: &Pixels, facts: &Preprocess, in_channels: usize) -> Result<Tensor> {
    if in_channels != 1 && in_channels != 3 {
        return Err(Error::bad(
            "image",
            format!(
                "the model has {in_channels} input channels; a picture gives 3 (RGB) or 1 (grey): build the input tensor yourself"
            ),
        ));
    }
    facts.channel_stats(in_channels)?;
    let converted = match (picture.channels(), in_channels) {
        (3, 1) => Some(picture.to_luma()),
        (1, 3) => Some(picture.to_rgb()),
        _ => None,
    };
    normalise(&resize_crop(converted.as_ref().unwrap_or(picture), facts)?, facts)
}

/// `(x / 255 - mean) / std` in f32, each step rounded: `[1, height, width, channels]` (NHWC).
///
/// # Errors
/// [`Error::BadInput`] when `facts` have neither one mean and deviation nor one per channel of the picture.
pub fn normalise(picture: &Pixels, facts: &Preprocess) -> Result<Tensor> {
    let c = picture.channels();
    let table = levels(facts, c)?;
    let data =
        picture.data().chunks_exact(c).flat_map(|p| p.iter().zip(&table).map(|(v, t)| t[usize::from(*v)])).collect();
    Tensor::new(Shape::new(1, picture.height(), picture.width(), c), data)
}

/// The normalised value of each level of each of `channels` channels: only 256 occur.
///
/// # Errors
/// As [`normalise`].
pub fn levels(facts: &Preprocess, channels: usize) -> Result<Vec<[f32; 256]>> {
    let stats = facts.channel_stats(channels)?.into_iter();
    Ok(stats.map(|(mean, std)| std::array::from_fn(|v| (v as f32 / 255.0 - mean) / std)).collect())
}
