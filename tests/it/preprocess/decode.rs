//! Files in every odd form (`scripts/make_image_fixtures.py`): they work, or say in one line why not.

use std::time::{Duration, Instant};

use mbconv::error::Error;
use mbconv::preprocess::{DecodeLimits, Pixels, image};

use super::{path, picture};

const R: [u8; 3] = [220, 40, 30];
const G: [u8; 3] = [30, 180, 60];
const B: [u8; 3] = [40, 60, 200];
const PALE: [u8; 3] = [240, 235, 225];
const QUARTERS: [[u8; 3]; 4] = [R, G, B, PALE];
const GREYS: [[u8; 3]; 4] = [[10; 3], [100; 3], [180; 3], [250; 3]];

fn fixture(name: &str) -> Pixels {
    picture(&format!("tests/fixtures/{name}"))
}

fn failure(name: &str, limits: &DecodeLimits) -> String {
    let file = path(&format!("tests/fixtures/{name}"));
    let e = image::decode_file(&file, limits)
        .map(|p| format!("{name} was accepted: {} x {}", p.width(), p.height()))
        .unwrap_err();
    assert!(matches!(e, Error::Image { .. }), "{name}: {e:?}");
    let text = e.to_string();
    assert!(!text.contains('\n'), "{text}");
    let said = text.strip_prefix(&format!("{}: ", file.display())).expect("starts with the path").to_string();
    println!("{name}: {said}");
    said
}

/// Every pixel of the four quarters, within `tolerance` levels.
fn expect(name: &str, quarters: [[u8; 3]; 4], tolerance: u8) {
    let p = fixture(name);
    assert_eq!((p.width(), p.height(), p.channels()), (24, 16, 3), "{name}");
    for (y, x) in (0..16).flat_map(|y| (0..24).map(move |x| (y, x))) {
        // Lossy files ring in the blocks where the left and right quarters meet, and smear colour over the borders.
        if tolerance > 0 && ((8..16).contains(&x) || (6..10).contains(&y)) {
            continue;
        }
        let want = quarters[y / 8 * 2 + x / 12];
        let off = p.at(x, y).iter().zip(want).map(|(a, b)| a.abs_diff(b)).max().unwrap();
        assert!(off <= tolerance, "{name} at ({x}, {y}): {:?}, expected {want:?}", p.at(x, y));
    }
}

#[test]
fn plain_files_of_every_format() {
    for name in ["rgb.png", "rgb.bmp", "rgb.tiff", "rgb.webp"] {
        expect(name, QUARTERS, 0);
    }
    expect("rgb.jpg", QUARTERS, 4);
    expect("progressive.jpg", QUARTERS, 4);
    expect("lossy.webp", QUARTERS, 8);
}

#[test]
fn grey_files() {
    expect("grey.png", GREYS, 0);
    expect("grey_alpha.png", GREYS, 0);
    expect("grey.jpg", GREYS, 3);
    expect("one_bit.png", [[0; 3], [255; 3], [255; 3], [0; 3]], 0);
}

#[test]
fn palettes_and_alpha_keep_the_stored_colour() {
    expect("palette.png", QUARTERS, 0); // red is marked transparent
    expect("alpha.png", QUARTERS, 0);
}

#[test]
fn sixteen_bits_are_scaled_not_clipped() {
    expect("grey16.png", GREYS, 0);
    expect("rgb16.png", QUARTERS, 0);
}

#[test]
fn cmyk_jpegs_are_not_inverted() {
    expect("cmyk.jpg", QUARTERS, 4);
    expect("cmyk_black.jpg", [[191, 95, 0]; 4], 4);
}

#[test]
fn exif_orientation_is_applied() {
    for tag in 2..=8 {
        expect(&format!("exif{tag}.jpg"), QUARTERS, 4);
    }
    expect("exif6.png", QUARTERS, 0);
    expect("exif6.webp", QUARTERS, 0);
}

#[test]
fn a_damaged_exif_block_is_no_reason_to_refuse_a_picture() {
    let p = fixture("exif_damaged.jpg");
    assert_eq!((p.width(), p.height()), (16, 24)); // as stored
}

#[test]
fn animations_give_their_first_frame() {
    expect("animated.gif", QUARTERS, 0);
    expect("animated.webp", QUARTERS, 0);
}

#[test]
fn the_content_tells_the_format_not_the_name() {
    let dir = tempfile::tempdir().unwrap();
    let misnamed = dir.path().join("picture.jpg");
    std::fs::copy(path("tests/fixtures/rgb.png"), &misnamed).unwrap();
    let p = image::decode_file(&misnamed, &DecodeLimits::default()).unwrap();
    assert_eq!(p, fixture("rgb.png"));
}

#[test]
fn small_and_narrow_files() {
    assert_eq!(fixture("one_pixel.png").data(), R);
    let p = fixture("narrow.png");
    assert_eq!((p.width(), p.height(), p.at(0, 4999)), (1, 5000, &G[..]));
}

#[test]
fn truncated_files_are_refused() {
    for end in ["png", "jpg", "gif", "webp", "bmp", "tiff"] {
        let said = failure(&format!("truncated.{end}"), &DecodeLimits::default());
        assert!(said.contains("truncated"), "{said}");
    }
    failure("truncated_thumbnail.jpg", &DecodeLimits::default());
}

/// Cut anywhere, a file is refused or (where only trailing bytes are gone) decoded, but nothing panics.
#[test]
fn no_prefix_of_a_file_panics() {
    for name in [
        "rgb.png",
        "rgb.jpg",
        "progressive.jpg",
        "cmyk.jpg",
        "exif6.jpg",
        "animated.gif",
        "rgb.webp",
        "lossy.webp",
        "rgb.tiff",
        "rgb.bmp",
    ] {
        let bytes = std::fs::read(path(&format!("tests/fixtures/{name}"))).unwrap();
        for end in 0..bytes.len() {
            let result = image::decode(name, &bytes[..end], &DecodeLimits::default());
            if end < bytes.len() / 2 {
                assert!(result.is_err(), "{name} was accepted with {end} of {} bytes", bytes.len());
            }
        }
    }
}

#[test]
fn what_is_no_picture_is_refused() {
    let decode = |bytes: &[u8]| image::decode("x.jpg", bytes, &DecodeLimits::default()).unwrap_err().to_string();
    assert_eq!(decode(b""), "x.jpg: the file is empty");
    let advice = "give a PNG, JPEG, GIF, WebP, BMP or TIFF file";
    assert_eq!(decode(b"<html>\n<body>"), format!("x.jpg: not a picture (it starts with \"<html>\\n<\"); {advice}"));
    assert_eq!(
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1"),
        format!("x.jpg: HEIC, AVIF and video files cannot be read; {advice}")
    );
    assert_eq!(
        decode(b"\0\0\0\x20ftypavif\0\0\0\0avif"),
        format!("x.jpg: HEIC, AVIF and video files cannot be read; {advice}")
    );
    assert!(decode(b"qoif\0\0\0\x01\0\0\0\x01\x03\0").contains("not a picture"));
    assert!(decode(&[0xff, 0xd8, 0xff]).contains("Jpeg"));
}

#[test]
fn paths_that_cannot_be_read_are_named() {
    for name in ["tests/fixtures/absent.png", "tests/fixtures"] {
        let e = image::decode_file(path(name), &DecodeLimits::default()).unwrap_err();
        assert!(matches!(e, Error::Io { .. }), "{e:?}");
        assert!(e.to_string().contains(name), "{e}");
    }
}

#[test]
fn decompression_bombs_are_refused_from_the_header() {
    for (name, pixels) in [
        ("bomb.png", "60000 x 60000"),
        ("bomb.jpg", "65000 x 65000"),
        ("bomb.gif", "65000 x 65000"),
        ("bomb.bmp", "60000 x 60000"),
        ("bomb.webp", "16383 x 16383"),
    ] {
        let start = Instant::now();
        let said = failure(name, &DecodeLimits::default());
        assert!(said.starts_with(&format!("{pixels} pixels are more than the limit of 64000000;")), "{said}");
        assert!(said.contains("DecodeLimits::max_pixels"), "{said}");
        assert!(start.elapsed() < Duration::from_secs(1), "{name} took {:?}", start.elapsed());
    }
}

#[test]
fn limits_can_be_lowered_and_raised() {
    let tight = DecodeLimits { max_pixels: 24 * 16 - 1, ..DecodeLimits::default() };
    assert!(failure("rgb.png", &tight).starts_with("24 x 16 pixels are more than the limit of 383;"));
    let enough = DecodeLimits { max_pixels: 24 * 16, max_bytes: 24 * 16 * 6 };
    assert!(image::decode_file(path("tests/fixtures/rgb.webp"), &enough).is_ok());

    // 8 bytes per RGBA16 pixel would be more: the header's depth counts.
    let bytes = DecodeLimits { max_bytes: 24 * 16 * 6, ..DecodeLimits::default() };
    let said = failure("rgb16.png", &bytes);
    assert!(said.starts_with("24 x 16 pixels need 3456 bytes to decode, the limit is 2304;"), "{said}");
    assert!(said.contains("DecodeLimits::max_bytes"), "{said}");

    let file = DecodeLimits { max_bytes: 50, ..DecodeLimits::default() };
    assert!(failure("rgb.png", &file).starts_with("the file is larger than the limit of 50 bytes;"));

    // With all limits raised a bomb is decoded until its data ends: it is small data, so this is quick.
    let all = DecodeLimits { max_pixels: u64::MAX, max_bytes: 1 << 20 };
    assert!(failure("bomb.png", &all).contains("bytes to decode"));
}
