//! `mbconv detect`, and what the other commands make of a detector.

use super::*;
use mbconv::preprocess::{DecodeLimits, load};
use mbconv::session::{Bundle, Device, Session};

const MODEL: &str = "ssdlite320_mobilenet_v2";
const PICTURE: &str = "assets/coffee.png";

/// Synthetic weights of [`MODEL`] for two kinds of objects.
fn weights(files: &Files) -> String {
    let model = zoo::find(MODEL).unwrap();
    let graph = model.build(&Options { num_classes: 3, ..model.options() }).unwrap();
    save(files.at("ssd.safetensors"), &all_tensors(&Synthetic::default().state_of(&graph).unwrap()), &[]).unwrap();
    files.path("ssd.safetensors")
}

#[test]
fn detect_prints_what_the_library_finds() {
    let files = Files::new();
    let weights = weights(&files);
    let bundle = Bundle::open(&weights).unwrap();
    assert_eq!((bundle.model.name.as_str(), bundle.num_classes()), (MODEL, 3));
    let input = load(path(PICTURE), &bundle.preprocess, 3, &DecodeLimits::default()).unwrap();
    let session = pollster::block_on(Session::new(Device::Cpu, bundle)).unwrap();
    let want = pollster::block_on(session.detect(&input)).unwrap().remove(0);
    assert!(!want.is_empty());
    let pixels = mbconv::preprocess::image::decode_file(path(PICTURE), &DecodeLimits::default()).unwrap();
    let scale = [pixels.width() as f32 / 320.0, pixels.height() as f32 / 320.0];

    let labels = files.write("labels.txt", "nothing\ncup\nspoon");
    let args = ["detect", PICTURE, "--model", MODEL, "--weights", &weights, "--labels", &labels, "--device", "cpu"];
    let json = mbconv(&[&args[..], &["--json"]].concat()).json();
    let found = json["images"][0]["detections"].as_array().unwrap();
    assert_eq!(found.len(), want.len());
    for (found, want) in found.iter().zip(&want) {
        let number = |value: &serde_json::Value| value.as_f64().unwrap() as f32;
        let bbox: Vec<f32> = found["bbox"].as_array().unwrap().iter().map(number).collect();
        assert_eq!((number(&found["score"]), &found["class"]), (want.score, &want.class.into()));
        assert_eq!(bbox, want.scaled(scale).bbox);
    }
    let text = mbconv(&args).quiet();
    let best = want[0].scaled(scale);
    let name = ["nothing", "cup", "spoon"][best.class];
    assert!(text.contains(&format!("{name} ({}) at {:.1} ", best.class, best.bbox[0])), "{text}");
    assert!(text.contains(&format!("{} found in", want.len())), "{text}");
    let most = want[0].score;
    let few = mbconv(&[&args[..], &["--score", &most.to_string()]].concat()).quiet();
    assert!(few.lines().count() < text.lines().count() || want.iter().all(|d| d.score == most), "{few}");
}

#[test]
fn run_writes_a_row_for_each_default_box() {
    let files = Files::new();
    let weights = weights(&files);
    files.input("x.safetensors", [2, 3, 64, 96]);
    let (x, y) = (files.path("x.safetensors"), files.path("y.safetensors"));
    let args = ["run", "--arch", MODEL, "--weights", &weights, "--input", &x, "--output", &y, "--device", "cpu"];
    mbconv(&[&args[..], &["--keep", "cls_logits.1"]].concat()).quiet();
    let file = Checkpoint::open(files.at("y.safetensors")).unwrap();
    // Maps of 4x6, 2x3, 1x2, and three of 1x1.
    let boxes = 6 * (24 + 6 + 2 + 3);
    assert_eq!(file.shape("cls_logits"), Some(&[2, boxes, 3][..]));
    assert_eq!(file.shape("bbox_regression"), Some(&[2, boxes, 4][..]));
    assert_eq!(file.shape("cls_logits.1"), Some(&[2, 18, 2, 3][..]));
    assert_eq!(file.names().count(), 3);
    // The rows of the second map, of which the kept value has a channel for each box and class.
    let (rows, kept) = (file.read_f32("cls_logits").unwrap(), file.read_f32("cls_logits.1").unwrap());
    for (image, position, channel) in [(0, 0, 0), (0, 5, 17), (1, 4, 7)] {
        let row = image * boxes + 6 * (24 + position) + channel / 3;
        assert_eq!(rows[row * 3 + channel % 3], kept[(image * 18 + channel) * 6 + position]);
    }
}

#[test]
fn detectors_and_classifiers_are_told_apart() {
    let files = Files::new();
    let weights = weights(&files);
    let error = mbconv(&["classify", PICTURE, "--model", &weights, "--device", "cpu"]).error();
    assert!(error.contains("mbconv detect"), "{error}");
    let error = mbconv(&["detect", PICTURE, "--device", "cpu"]).error();
    assert!(error.contains("mbconv classify"), "{error}");
    let error =
        mbconv(&["verify", "--golden", &format!("tests/goldens/{MODEL}.safetensors"), "--device", "cpu"]).error();
    assert!(error.contains("not a classifier's"), "{error}");
    let error = mbconv(&["detect", "missing.png", "--model", &weights, "--device", "cpu"]).error();
    assert!(error.starts_with("missing.png: "), "{error}");
    for score in ["2", "NaN", "high"] {
        let output = mbconv(&["detect", PICTURE, "--model", &weights, "--score", score]);
        assert!(output.usage().contains("a number from 0 to 1"), "{score}");
    }
}
