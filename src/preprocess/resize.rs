//! Antialiased resize and centre crop, bit for bit those of Pillow and timm.
//!
//! Pillow resamples 8-bit channels in two passes, rows first, each with f64 weights rounded to 22-bit fixed
//! point and its result rounded to 8 bits. Resizers that keep 16-bit weights (Pillow-SIMD and its relatives) get
//! about a fifth of the bytes off by one, which is why this is not left to a crate.
//! Only the part that the crop keeps is ever computed, so that a 1 x 60000 picture costs nothing.

use std::ops::Range;

use super::Pixels;
use crate::error::{Error, Result};
use crate::zoo::{CropMode, Interpolation, Preprocess};

/// Fraction bits of a weight: 8 bits of pixel and 2 of headroom for overshoot leave 22 of 32.
const PRECISION: u32 = 22;

/// Resizes to `width` x `height` (Pillow's `Image.resize`).
///
/// # Errors
/// [`Error::BadInput`] when a side is zero.
pub fn resize(picture: &Pixels, width: usize, height: usize, filter: Interpolation) -> Result<Pixels> {
    if width == 0 || height == 0 {
        return Err(Error::bad("resize", format!("{width} x {height} pixels: both sides must be at least 1")));
    }
    let (w, h) = (width as u64, height as u64);
    resample(picture, (w, h), filter, 0..w, 0..h)
}

/// Resizes and centre-crops to `facts.size`, as timm's `transforms_imagenet_eval` does.
///
/// # Errors
/// [`Error::BadInput`] when `facts` do not validate.
pub fn resize_crop(picture: &Pixels, facts: &Preprocess) -> Result<Pixels> {
    let Resampling { columns, rows } = resampling(picture.width(), picture.height(), facts)?;
    apply(picture, &columns, &rows)
}

/// Where each column and row of the resized and cropped picture comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resampling {
    /// The columns that the crop keeps.
    pub columns: Vec<Taps>,
    /// The rows that the crop keeps.
    pub rows: Vec<Taps>,
}

/// What [`resize_crop`] does to a picture of `width` x `height`, for whoever does it elsewhere.
///
/// # Errors
/// [`Error::BadInput`] when `facts` do not validate, or a side is zero.
pub fn resampling(width: usize, height: usize, facts: &Preprocess) -> Result<Resampling> {
    facts.validate()?;
    if width == 0 || height == 0 {
        return Err(Error::bad("image", format!("{width} x {height} pixels: there is nothing to see")));
    }
    let [h, w] = facts.size.map(|side| side as u64);
    let (rw, rh) = resized_size(width, height, facts);
    let (left, top) = (crop_offset(rw, w), crop_offset(rh, h));
    Ok(Resampling {
        columns: weights(width, rw, facts.interpolation, left..left + w),
        rows: weights(height, rh, facts.interpolation, top..top + h),
    })
}

/// `(width, height)` of the whole picture before the crop; never smaller than `facts.size`.
///
/// u64: a narrow picture's other side may pass 32 bits, though nobody computes it.
fn resized_size(width: usize, height: usize, facts: &Preprocess) -> (u64, u64) {
    let (width, height) = (width as u64, height as u64);
    let [h, w] = facts.size.map(|side| (side as f64 / facts.crop_pct).floor() as u64);
    match facts.crop_mode {
        CropMode::Squash => (w, h),
        // torchvision.transforms.Resize with one number: the longer side is truncated.
        CropMode::Center if h == w && width < height => (w, w * height / width),
        CropMode::Center if h == w => (h * width / height, h),
        // timm's ResizeKeepRatio: the picture just covers the target, both sides rounded half to even.
        CropMode::Center => {
            let ratio = (height as f64 / h as f64).min(width as f64 / w as f64);
            let side = |v: u64| (v as f64 / ratio).round_ties_even() as u64;
            (side(width), side(height))
        }
    }
}

/// First kept row or column; half pixels go to the even one, as Python's `round` has it.
fn crop_offset(resized: u64, crop: u64) -> u64 {
    ((resized - crop) as f64 / 2.0).round_ties_even() as u64
}

/// The columns and rows `xs`, `ys` of `picture` resized to `size`.
fn resample(
    picture: &Pixels,
    size: (u64, u64),
    filter: Interpolation,
    xs: Range<u64>,
    ys: Range<u64>,
) -> Result<Pixels> {
    let columns = weights(picture.width(), size.0, filter, xs);
    let rows = weights(picture.height(), size.1, filter, ys);
    apply(picture, &columns, &rows)
}

fn apply(picture: &Pixels, columns: &[Taps], rows: &[Taps]) -> Result<Pixels> {
    let c = picture.channels();
    let (out_w, out_h) = (columns.len(), rows.len());

    let first = rows.iter().map(|t| t.start).min().unwrap_or(0);
    let last = rows.iter().map(|t| t.start + t.weights.len()).max().unwrap_or(0);
    let stride = picture.width() * c;
    let mut narrow = vec![0u8; (last - first) * out_w * c];
    for (src, dst) in picture.data()[first * stride..].chunks_exact(stride).zip(narrow.chunks_exact_mut(out_w * c)) {
        match c {
            3 => resample_row::<3>(src, dst, columns),
            _ => resample_row::<1>(src, dst, columns),
        }
    }

    let stride = out_w * c;
    let mut out = vec![0u8; out_h * stride];
    let mut sums = vec![0i32; stride];
    for (dst, taps) in out.chunks_exact_mut(stride).zip(rows) {
        sums.fill(HALF);
        for (src, k) in narrow[(taps.start - first) * stride..].chunks_exact(stride).zip(&taps.weights) {
            for (sum, v) in sums.iter_mut().zip(src) {
                *sum += i32::from(*v) * k;
            }
        }
        for (d, sum) in dst.iter_mut().zip(&sums) {
            *d = to_u8(*sum);
        }
    }
    Pixels::new(out_w, out_h, c, out)
}

fn resample_row<const C: usize>(src: &[u8], dst: &mut [u8], columns: &[Taps]) {
    for (pixel, taps) in dst.chunks_exact_mut(C).zip(columns) {
        let mut sums = [HALF; C];
        for (p, k) in src[taps.start * C..].chunks_exact(C).zip(&taps.weights) {
            for (sum, v) in sums.iter_mut().zip(p) {
                *sum += i32::from(*v) * k;
            }
        }
        for (d, sum) in pixel.iter_mut().zip(sums) {
            *d = to_u8(sum);
        }
    }
}

/// One half in fixed point: the shift in [`to_u8`] then rounds.
const HALF: i32 = 1 << (PRECISION - 1);

fn to_u8(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// The source positions that one output position is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taps {
    /// The first of them.
    pub start: usize,
    /// Weights from there on, with 22 fraction bits.
    pub weights: Vec<i32>,
}

/// Weights of the output positions `range` along an axis resized from `input` to `output`.
fn weights(input: usize, output: u64, filter: Interpolation, range: Range<u64>) -> Vec<Taps> {
    if input as u64 == output {
        // Pillow leaves this pass out; the filter would give the same.
        return range.map(|i| Taps { start: i as usize, weights: vec![1 << PRECISION] }).collect();
    }
    let scale = input as f64 / output as f64;
    let stretch = scale.max(1.0); // the filter widens when shrinking, which is the antialiasing
    let support = stretch
        * match filter {
            Interpolation::Bilinear => 1.0,
            Interpolation::Bicubic => 2.0,
        };
    let one_tap = |i: u64| {
        let centre = (i as f64 + 0.5) * scale;
        // `as` truncates towards zero and saturates at zero, as needed at the left edge.
        let start = (centre - support + 0.5) as usize;
        let end = ((centre + support + 0.5) as usize).min(input);
        let raw: Vec<f64> = (start..end).map(|x| kernel(filter, (x as f64 - centre + 0.5) * (1.0 / stretch))).collect();
        let total: f64 = raw.iter().sum();
        let fixed = |v: f64| (v / total * f64::from(1 << PRECISION)).round() as i32;
        Taps { start, weights: raw.into_iter().map(fixed).collect() }
    };
    range.map(one_tap).collect()
}

/// The filter at distance `x` from its centre.
///
/// Cubic: R. Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -0.5.
fn kernel(filter: Interpolation, x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    match filter {
        Interpolation::Bilinear => (1.0 - x).max(0.0),
        Interpolation::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        Interpolation::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        Interpolation::Bicubic => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_offsets_are_timms() {
        let lite = |side, pct| Preprocess::HALF.at(side, pct);
        // Grace Hopper is 512 x 600; the longer side is truncated (318.75).
        assert_eq!(resized_size(512, 600, &lite(240, 0.882)), (272, 318));
        assert_eq!(resized_size(600, 512, &lite(240, 0.882)), (318, 272));
        assert_eq!(resized_size(640, 427, &lite(260, 0.89)), (437, 292));
        assert_eq!(resized_size(3, 3, &lite(224, 0.896)), (250, 250)); // 249 with an f32 crop_pct
        assert_eq!(resized_size(9, 100, &Preprocess { crop_mode: CropMode::Squash, ..lite(224, 0.875) }), (256, 256));
        // From timm.data.transforms.ResizeKeepRatio((256, 341)) for 256 x 341 = floor((224, 299) / 0.875).
        let wide = Preprocess { size: [224, 299], ..lite(224, 0.875) };
        assert_eq!(resized_size(512, 600, &wide), (341, 400));
        assert_eq!(resized_size(640, 427, &wide), (384, 256));
        assert_eq!(
            [(256, 224), (319, 240), (321, 240), (5, 4), (7, 4)].map(|(r, c)| crop_offset(r, c)),
            [16, 40, 40, 0, 2]
        );
    }

    #[test]
    fn every_resized_picture_covers_its_crop() {
        for pct in [0.01, 0.333, 0.875, 0.9999999, 1.0] {
            for size in [[1, 1], [7, 13], [224, 224], [299, 224], [16384, 1]] {
                for (w, h) in [(1, 1), (1, 60000), (60000, 1), (333, 777), (224, 299)] {
                    for crop_mode in [CropMode::Center, CropMode::Squash] {
                        let facts = Preprocess { size, crop_pct: pct, crop_mode, ..Preprocess::HALF };
                        let (rw, rh) = resized_size(w, h, &facts);
                        assert!(rh >= size[0] as u64 && rw >= size[1] as u64, "{w}x{h} to {facts:?}: {rw}x{rh}");
                    }
                }
            }
        }
    }

    #[test]
    fn weights_of_every_position_sum_to_one() {
        for (input, output) in [(1, 9), (9, 1), (512, 256), (256, 512), (1000, 31)] {
            for filter in [Interpolation::Bilinear, Interpolation::Bicubic] {
                for t in weights(input, output, filter, 0..output) {
                    let off = t.weights.iter().sum::<i32>() - (1 << PRECISION);
                    assert!(off.abs() <= t.weights.len() as i32, "{input} to {output}: off by {off}");
                    assert!(t.start + t.weights.len() <= input);
                }
            }
        }
    }

    #[test]
    fn a_crop_equals_the_part_of_the_whole() {
        let data = (0..37 * 23 * 3).map(|i| (i * i % 251) as u8).collect();
        let picture = Pixels::new(37, 23, 3, data).unwrap();
        let whole = resize(&picture, 50, 11, Interpolation::Bicubic).unwrap();
        let part = resample(&picture, (50, 11), Interpolation::Bicubic, 13..40, 2..9).unwrap();
        for (y, x) in (0..7).flat_map(|y| (0..27).map(move |x| (y, x))) {
            assert_eq!(part.at(x, y), whole.at(x + 13, y + 2));
        }
        assert_eq!(resize(&picture, 37, 23, Interpolation::Bilinear).unwrap(), picture);
        assert!(resize(&picture, 0, 5, Interpolation::Bilinear).is_err());
    }
}
