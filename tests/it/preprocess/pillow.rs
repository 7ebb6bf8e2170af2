//! Resize, crop and normalisation equal Pillow's, timm's and numpy's to the last bit.

use mbconv::error::Error;
use mbconv::preprocess::{DecodeLimits, Pixels, load, load_bytes, normalise, prepare, resize, resize_crop};
use mbconv::tensor::Shape;
use mbconv::zoo::{CropMode::*, Interpolation, Interpolation::*, Preprocess};
use serde_json::Value;

use super::{fnv1a64, path, picture};

/// A deterministic picture; the checksums of its resizes came from Pillow 13 on the same bytes.
fn synthetic(width: usize, height: usize, channels: usize) -> Pixels {
    let data = (0..width * height * channels).map(|i| ((i * i + 7 * i) % 251) as u8).collect();
    Pixels::new(width, height, channels, data).unwrap()
}

/// The metadata of `tests/goldens/real/lite{k}.safetensors`, and the preprocessing it describes.
fn golden(k: usize) -> (Value, Preprocess) {
    let bytes = std::fs::read(path(&format!("tests/goldens/real/lite{k}.safetensors"))).unwrap();
    let (_, meta) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let case: Value = serde_json::from_str(&meta.metadata().as_ref().unwrap()["case"]).unwrap();
    let facts = serde_json::from_value(serde_json::json!({
        "size": [case["size"], case["size"]],
        "crop_pct": case["crop_pct"],
        "interpolation": case["interpolation"],
        "mean": case["mean"],
        "std": case["std"],
    }));
    (case, facts.unwrap())
}

fn hex(v: &Value) -> u64 {
    u64::from_str_radix(v.as_str().unwrap(), 16).unwrap()
}

fn le_bytes(values: &[f32]) -> impl Iterator<Item = u8> + '_ {
    values.iter().flat_map(|v| v.to_le_bytes())
}

#[test]
fn crops_of_photographs_equal_pillows_bit_for_bit() {
    for k in 0..3 {
        let (case, facts) = golden(k);
        // China has whole colour planes, Hopper halved ones.
        for file in ["chelsea.png", "coffee.png", "china.jpg", "grace_hopper.jpg"] {
            let crop = resize_crop(&picture(&format!("assets/{file}")), &facts).unwrap();
            let (name, _) = file.split_once('.').unwrap();
            assert_eq!(
                fnv1a64(crop.data().iter().copied()),
                hex(&case["images"][name]["crop_fnv1a64"]),
                "lite{k} {file}"
            );
        }
    }
}

#[test]
fn inputs_of_the_network_equal_numpys_bit_for_bit() {
    let (case, facts) = golden(0);
    for (name, v) in case["images"].as_object().unwrap() {
        let crop = picture(&format!("tests/goldens/real/crops/lite0_{name}.png"));
        assert_eq!(fnv1a64(crop.data().iter().copied()), hex(&v["crop_fnv1a64"]));
        let input = normalise(&crop, &facts).unwrap();
        assert_eq!(input.shape, Shape::new(1, 224, 224, 3));
        assert_eq!(fnv1a64(le_bytes(&input.to_nchw())), hex(&v["input_fnv1a64"]), "{name}");
        for sample in v["input_samples"].as_array().unwrap() {
            let (at, want) = (sample[0].as_u64().unwrap() as usize, sample[1].as_f64().unwrap() as f32);
            assert_eq!(input.to_nchw()[at], want, "{name} at {at}");
        }
    }
}

#[test]
fn the_whole_path_gives_the_published_input() {
    for k in 0..3 {
        let (case, facts) = golden(k);
        for name in ["chelsea.png", "coffee.png", "china.jpg", "grace_hopper.jpg"] {
            let file = path(&format!("assets/{name}"));
            let (name, _) = name.split_once('.').unwrap();
            let want = hex(&case["images"][name]["input_fnv1a64"]);
            let limits = DecodeLimits::default();
            let input = load(&file, &facts, 3, &limits).unwrap();
            assert_eq!(fnv1a64(le_bytes(&input.to_nchw())), want, "lite{k} {name}");
            let again = load_bytes(name, &std::fs::read(&file).unwrap(), &facts, 3, &limits).unwrap();
            assert_eq!(again, input);
        }
    }
}

#[test]
fn resizes_equal_pillows_bit_for_bit() {
    for ((w, h, c), (nw, nh), filter, want) in [
        ((61, 47, 3), (9, 8), Bicubic, 0xbcae4e7badc00253),
        ((61, 47, 3), (9, 8), Bilinear, 0x1d9e7e5475512e38),
        ((7, 5, 3), (64, 48), Bicubic, 0x3fd5c200aa088300),
        ((7, 5, 3), (64, 48), Bilinear, 0x2f7d457119be399b),
        ((61, 47, 1), (30, 94), Bicubic, 0x7b3305dbbff379d9),
        ((200, 3, 3), (50, 3), Bilinear, 0xf7ee83b88ef87269),
        ((1, 1, 3), (5, 5), Bicubic, 0x80ec574501fb06a5),
        ((640, 2, 1), (3, 1), Bicubic, 0xc731d91983d8dfca),
    ] {
        let out = resize(&synthetic(w, h, c), nw, nh, filter).unwrap();
        assert_eq!(fnv1a64(out.data().iter().copied()), want, "{w}x{h}x{c} to {nw}x{nh} {filter:?}");
    }
}

/// Checksums of timm 1.0.31's `transforms_imagenet_eval`.
#[test]
fn every_crop_mode_and_shape_equals_timms_bit_for_bit() {
    for (name, size, crop_pct, crop_mode, interpolation, want) in [
        ("chelsea.png", [224, 224], 0.875, Center, Bilinear, 0x4ef080039560ed28),
        ("chelsea.png", [160, 320], 0.875, Center, Bicubic, 0xf3cbef9b3c0ad3a6),
        ("chelsea.png", [320, 160], 1.0, Center, Bilinear, 0x808f52f6512d6691),
        ("chelsea.png", [299, 224], 0.9, Center, Bicubic, 0xe52c45170194b256),
        ("chelsea.png", [224, 224], 0.95, Squash, Bicubic, 0x2a8a679571423570),
        ("chelsea.png", [128, 192], 0.8, Squash, Bilinear, 0x59462deee1207387),
        ("chelsea.png", [512, 512], 1.0, Center, Bicubic, 0x97c7cd12f100ff0f), // larger than the picture
        ("coffee.png", [160, 320], 0.875, Center, Bicubic, 0x651f589fd9148fae),
        ("coffee.png", [320, 160], 1.0, Center, Bilinear, 0xf16e47da32ca33f7),
        ("coffee.png", [299, 224], 0.9, Center, Bicubic, 0x12db141c7df0a9f2),
        ("coffee.png", [128, 192], 0.8, Squash, Bilinear, 0x51a074a16a9d095e),
        ("coffee.png", [512, 512], 1.0, Center, Bicubic, 0xb21af78c69aed130),
    ] {
        let facts = Preprocess { size, crop_pct, crop_mode, interpolation, ..Preprocess::IMAGENET };
        let crop = resize_crop(&picture(&format!("assets/{name}")), &facts).unwrap();
        assert_eq!((crop.height(), crop.width()), (size[0], size[1]));
        assert_eq!(fnv1a64(crop.data().iter().copied()), want, "{name} {facts:?}");
    }
}

#[test]
fn one_channel_models_get_pillows_luma() {
    let facts = Preprocess { mean: vec![0.0].into(), std: vec![1.0].into(), ..Preprocess::IMAGENET };
    let input = prepare(&picture("assets/chelsea.png"), &facts, 1).unwrap();
    assert_eq!(input.shape, Shape::new(1, 224, 224, 1));
    let levels = input.data.iter().map(|v| (v * 255.0).round() as u8);
    assert_eq!(fnv1a64(levels), 0x507c_4a76_ef18_44e1); // convert("L") and timm's transform
}

#[test]
fn grey_pictures_fill_three_channels() {
    let grey = synthetic(40, 30, 1);
    let input = prepare(&grey, &Preprocess::HALF, 3).unwrap();
    assert_eq!(input, prepare(&grey.to_rgb(), &Preprocess::HALF, 3).unwrap());
    assert!(input.data.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]));
}

#[test]
fn imagenets_statistics_go_to_their_own_channels() {
    let picture = Pixels::new(1, 1, 3, vec![0, 128, 255]).unwrap();
    let input = prepare(&picture, &Preprocess::IMAGENET, 3).unwrap();
    for (got, want) in input.data.iter().zip([-2.117_904, 0.205_182, 2.64]) {
        assert!((got - want).abs() < 1e-5, "{got} {want}");
    }
}

#[test]
fn tiny_and_narrow_pictures_are_prepared() {
    for (w, h) in [(1, 1), (1, 5000), (5000, 1), (3, 2), (223, 224)] {
        for interpolation in [Interpolation::Bicubic, Interpolation::Bilinear] {
            let flat = Pixels::new(w, h, 3, [9, 90, 200].repeat(w * h)).unwrap();
            let crop = resize_crop(&flat, &Preprocess { interpolation, ..Preprocess::HALF }).unwrap();
            assert_eq!((crop.width(), crop.height()), (224, 224));
            assert!(crop.data().chunks_exact(3).all(|p| p == [9, 90, 200]), "{w}x{h}: a flat colour must stay");
        }
    }
}

#[test]
fn channel_counts_that_no_picture_has_are_explained() {
    for channels in [0, 2, 4] {
        let e = prepare(&synthetic(4, 4, 3), &Preprocess::HALF, channels).unwrap_err();
        assert!(matches!(e, Error::BadInput { .. }));
        let want = format!("image: the model has {channels} input channels; a picture gives 3 (RGB) or 1 (grey)");
        assert!(e.to_string().starts_with(&want), "{e}");
    }
    let e = prepare(&synthetic(4, 4, 3), &Preprocess::HALF, 1).unwrap_err().to_string();
    assert!(e.starts_with("preprocess.mean: 3 values for a model with 1 input channels"), "{e}");
    let e = prepare(&synthetic(4, 4, 3), &Preprocess::HALF.at(0, 1.0), 3).unwrap_err().to_string();
    assert!(e.starts_with("preprocess.size: 0 x 0"), "{e}");
}
