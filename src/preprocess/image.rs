//! Decoding: PNG, JPEG, GIF, WebP, BMP and TIFF to 8-bit RGB. Feature `images`.
//!
//! | in the file | becomes |
//! |---|---|
//! | grey, 1 to 16 bits | repeated in three channels |
//! | palette | its colours |
//! | alpha | dropped: the stored colour stays, as with `PIL.Image.convert("RGB")` |
//! | 16 bits per channel | `round(v / 257)`; Pillow clips 16-bit grey at 255 instead, which whitens everything |
//! | CMYK JPEG | `(255 - C) * (255 - K) / 255`, ..., values inverted as Adobe stores them |
//! | EXIF orientation | applied (Pillow and timm leave it to the caller) |
//! | animation | the first frame |
//! | colour profile, gamma | ignored, as in training |

use std::io::{Cursor, Read};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use libjpeg_turbo_rs as turbo;

use super::{Pixels, prepare};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::zoo::Preprocess;

/// What a picture may cost. Checked against the header, before pixels are allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most pixels of the (first) frame.
    pub max_pixels: u64,
    /// Most bytes for the file, and for the decoded picture together with its RGB copy.
    /// A decoder's own tables come on top of that.
    pub max_bytes: u64,
}

impl Default for DecodeLimits {
    /// 64 megapixels, 512 MiB.
    fn default() -> Self {
        Self { max_pixels: 64_000_000, max_bytes: 512 << 20 }
    }
}

/// Decodes a file and prepares it: `[1, h, w, in_channels]` (NHWC), see [`prepare`].
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::Image`] when it is not a whole picture or is over a limit,
/// [`Error::BadInput`] as [`prepare`].
pub fn load(path: impl AsRef<Path>, facts: &Preprocess, in_channels: usize, limits: &DecodeLimits) -> Result<Tensor> {
    prepare(&decode_file(path, limits)?, facts, in_channels)
}

/// As [`load`], from the bytes of a file; `name` stands for it in messages.
///
/// # Errors
/// As [`load`], without [`Error::Io`].
pub fn load_bytes(
    name: &str,
    bytes: &[u8],
    facts: &Preprocess,
    in_channels: usize,
    limits: &DecodeLimits,
) -> Result<Tensor> {
    prepare(&decode(name, bytes, limits)?, facts, in_channels)
}

/// Decodes a file to upright 8-bit RGB. The format is told by its content, not its name.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::Image`] when it is not a whole picture or is over a limit.
pub fn decode_file(path: impl AsRef<Path>, limits: &DecodeLimits) -> Result<Pixels> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let mut bytes = Vec::new();
    // Not the length in the metadata: a pipe or a device has none.
    file.take(limits.max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| Error::io(path, e))?;
    decode(&name, &bytes, limits)
}

/// Decodes the bytes of a file to upright 8-bit RGB; `name` stands for it in messages.
///
/// # Errors
/// [`Error::Image`] when it is not a whole picture or is over a limit.
pub fn decode(name: &str, bytes: &[u8], limits: &DecodeLimits) -> Result<Pixels> {
    decode_inner(bytes, limits).map_err(|problem| Error::Image { path: name.into(), problem })
}

fn decode_inner(bytes: &[u8], limits: &DecodeLimits) -> Result<Pixels, String> {
    let DecodeLimits { max_pixels, max_bytes } = *limits;
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    if bytes.len() as u64 > max_bytes {
        return Err(format!(
            "the file is larger than the limit of {max_bytes} bytes; raise the limit (--max-pixels, DecodeLimits::max_bytes) if it is trusted"
        ));
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let format = reader.format().filter(ImageFormat::reading_enabled).ok_or_else(|| not_a_picture(bytes))?;

    let mut decoder = reader.into_decoder().map_err(|e| broken(format, &e))?;
    let (w, h) = decoder.dimensions();
    let pixels = u64::from(w) * u64::from(h);
    if pixels == 0 {
        return Err(format!("{w} x {h} pixels: there is nothing to see"));
    }
    if pixels > max_pixels {
        return Err(format!(
            "{w} x {h} pixels are more than the limit of {max_pixels}; shrink the picture, or raise the limit (--max-pixels, DecodeLimits::max_pixels) if it is trusted"
        ));
    }
    let needed = decoder.total_bytes().saturating_add(3 * pixels);
    if needed > max_bytes {
        return Err(format!(
            "{w} x {h} pixels need {needed} bytes to decode, the limit is {max_bytes}; shrink the picture, or raise the limit (--max-pixels, DecodeLimits::max_bytes) if it is trusted"
        ));
    }
    let mut inside = Limits::default();
    inside.max_alloc = Some(max_bytes);
    decoder.set_limits(inside).map_err(|e| broken(format, &e))?;

    // A picture whose EXIF block is damaged is still a picture.
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let exact = match format {
        ImageFormat::Jpeg => decode_jpeg(bytes, w, h).map_err(|e| broken(format, &e))?,
        _ => None,
    };
    let mut picture = match exact {
        Some(picture) => picture,
        None => DynamicImage::from_decoder(decoder).map_err(|e| broken(format, &e))?,
    };
    if format == ImageFormat::Jpeg && !jpeg_is_whole(bytes) {
        return Err(format!("the JPEG data ends too early ({} bytes): the file is truncated", bytes.len()));
    }
    picture.apply_orientation(orientation);
    let (w, h) = (picture.width() as usize, picture.height() as usize);
    Pixels::new(w, h, 3, picture.into_rgb8().into_raw()).map_err(|e| e.to_string())
}

/// The pixels of libjpeg-turbo and so of Pillow, bit for bit; the decoder of `image` enlarges halved colour planes
/// otherwise and is up to six levels away. `None` for CMYK, of which this decoder has no sure grasp.
fn decode_jpeg(bytes: &[u8], w: u32, h: u32) -> turbo::Result<Option<DynamicImage>> {
    let max_pixels = u64::from(w) * u64::from(h);
    let limits = turbo::DecodeLimits { max_pixels, max_scans: 500, ..Default::default() };
    let mut decoder = turbo::Decoder::new_with_limits(bytes, limits)?;
    if decoder.header().components.len() > 3 {
        return Ok(None);
    }
    decoder.set_output_format(turbo::PixelFormat::Rgb);
    Ok(RgbImage::from_raw(w, h, decoder.decode_image()?.data).map(DynamicImage::ImageRgb8))
}

/// The decoder of `image` fills what is missing of a truncated file with grey and says nothing: look for the
/// end-of-image marker behind the start of the first scan (a thumbnail's own marker lies before it).
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = bytes.get(at..at + 4) {
        match marker {
            0xda => return bytes[at..].windows(2).any(|pair| pair == [0xff, 0xd9]),
            0xff => at += 1, // fill byte
            0x01 | 0xd0..=0xd8 => at += 2,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    // Not the layout this walk knows; the decoder was content with it.
    true
}

fn not_a_picture(bytes: &[u8]) -> String {
    let advice = "give a PNG, JPEG, GIF, WebP, BMP or TIFF file";
    if bytes.get(4..8) == Some(b"ftyp") {
        return format!("HEIC, AVIF and video files cannot be read; {advice}");
    }
    let start: String = bytes.iter().take(8).flat_map(|b| std::ascii::escape_default(*b)).map(char::from).collect();
    format!("not a picture (it starts with \"{start}\"); {advice}")
}

/// One line for an error of the decoders.
fn broken(format: ImageFormat, e: &(dyn std::error::Error + 'static)) -> String {
    let said = match e.downcast_ref::<ImageError>() {
        Some(ImageError::IoError(io)) if io.kind() == std::io::ErrorKind::UnexpectedEof => "it ends too early".into(),
        _ => e.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
    };
    format!("damaged or truncated {format:?} file: {said}")
}
