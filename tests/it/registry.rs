//! The facts beside each registered model, against the room that they speak of.

use crate::support::path;
use mbconv::session::Bundle;
use mbconv::weights::{Checkpoint, Naming, Scheme, Synthetic};
use mbconv::zoo;
use std::collections::BTreeSet;

/// Each scheme that a model's checkpoints are said to come in gives every one of its parameters a name.
#[test]
fn checkpoints_come_in_schemes_that_name_every_parameter() {
    let mut used = BTreeSet::new();
    for model in zoo::models() {
        let graph = model.build(&model.options()).unwrap();
        assert!(!model.checkpoints.is_empty(), "{}: nobody's weights fit", model.name);
        for from in model.checkpoints {
            let titled = Scheme::ALL.iter().filter(|scheme| scheme.to_string() == from.naming);
            let names_all = |scheme: &&Scheme| {
                Naming { scheme: **scheme, prefix: String::new() }.map(&graph).values().all(Option::is_some)
            };
            let fitting: Vec<String> = titled.filter(names_all).map(|scheme| format!("{scheme:?}")).collect();
            assert!(!fitting.is_empty(), "{}: no scheme {} names its parameters", model.name, from.naming);
            used.extend(fitting);
        }
    }
    for scheme in Scheme::ALL {
        assert!(used.contains(&format!("{scheme:?}")), "no model's checkpoints come in {scheme:?}");
    }
}

#[test]
fn every_model_says_where_it_is_from() {
    for model in zoo::models() {
        assert!(!model.cite.is_empty() && model.family != "custom", "{} has no source or family", model.name);
        for from in model.checkpoints {
            assert!(from.published || from.licence.is_none(), "{}: a licence of unpublished weights", model.name);
        }
        if let Some(published) = model.published {
            let percent = published.top1.is_none_or(|top1| top1 > 0.0 && top1 < 100.0);
            assert!(published.params > 0.0 && published.madds > 0.0 && percent, "{}: {published:?}", model.name);
            assert_eq!(published.top1.is_none(), model.detector.is_some(), "{}: top-1 is for classifiers", model.name);
        }
    }
}

/// The tensors of a reference case behind a wrapper's prefix, for grey images and seven classes.
fn foreign(case: &str) -> Checkpoint {
    let golden = Checkpoint::open(path(&format!("tests/goldens/{case}.safetensors"))).unwrap();
    let (recipe, mut tensors) = Synthetic::from_golden(&golden).unwrap();
    let last = tensors.len() - 1;
    tensors[0].1[1] = 1;
    tensors[last - 1].1[0] = 7;
    tensors[last].1[0] = 7;
    tensors.iter_mut().for_each(|(name, _)| name.insert_str(0, "module."));
    recipe.state(&tensors).unwrap()
}

/// resnet50 has the tensors of resnet50_v1, too, which no weights are published for.
#[test]
fn a_bare_file_is_recognised_with_its_classes_channels_and_prefix() {
    for (case, model) in [
        ("ghostnet_100", "ghostnet_100"),
        ("igcv3_w1", "igcv3_w1"),
        ("igcv3_w1_4", "igcv3_w1.4"),
        ("tv_resnet18", "resnet18"),
        ("tv_resnet50", "resnet50"),
        ("shufflenet_v2_x1_5", "shufflenet_v2_x1_5"),
    ] {
        let bundle = Bundle::from_checkpoint(foreign(case)).unwrap();
        assert_eq!((bundle.model.name.as_str(), bundle.num_classes(), bundle.graph.in_channels), (model, 7, 1));
        let other = if model == "resnet18" { "ghostnet_050" } else { "resnet18" };
        let error = Bundle::new(zoo::find(other).unwrap(), foreign(case)).unwrap_err().to_string();
        assert!(error.contains(&format!("looks like {model}")), "{error}");
    }
    let named = Bundle::new(zoo::find("resnet50_v1").unwrap(), foreign("tv_resnet50")).unwrap();
    assert_eq!(named.model.name, "resnet50_v1");
}

#[test]
fn a_dot_in_a_name_starts_a_tag_only_before_a_letter() {
    assert_eq!(zoo::find("igcv3_w1.4").unwrap().name, "igcv3_w1.4");
    assert_eq!(zoo::find("IGCV3-w1.4.in1k").unwrap().name, "igcv3_w1.4");
    assert_eq!(zoo::find("resnet50.tv_in1k").unwrap().name, "resnet50");
    assert!(zoo::find("igcv3_w1.5").is_err(), "another width is another network");
}

/// Where the reference implementations, whose counts tests/goldens has, differ from what is published, and what is known
/// of the reason.
const COUNTED_OTHERWISE: &[(&str, &str)] = &[
    ("efficientnet_b4", "4 394 M multiply-adds, published 4.2 G"),
    ("efficientnet_b5", "10 266 M multiply-adds, published 9.9 G"),
    ("efficientnet_lite0", "3 to 6 % fewer multiply-adds than the release states; how it counts is not said"),
    ("efficientnet_lite1", "as Lite0"),
    ("efficientnet_lite2", "as Lite0"),
    ("efficientnet_lite3", "as Lite0"),
    ("efficientnet_lite4", "as Lite0"),
    ("efficientnetv2_s", "8 366 M multiply-adds, published 8.8 G"),
    ("efficientnetv2_l", "56 080 M multiply-adds, published 53 G"),
    ("fbnet_b", "the block list that the authors publish has more than their table"),
    ("igcv3_w1.4", "the only width with the published multiply-adds has fewer parameters; MobileNetV2 1.4 likewise"),
    ("mobilenetv2_100", "3.505 M parameters, published 3.4 M"),
    ("mobilenetv2_140", "6.109 M parameters, published 6.9 M"),
    ("mobilenetv3_small_minimal_100", "52 M multiply-adds, published 65 M"),
    ("mobilenext_035", "the authors' module counts otherwise than their table"),
    ("mobilenext_050", "as 0.35"),
    ("mobilenext_075", "as 0.35"),
    ("mobilenext_100", "as 0.35"),
    ("ssdlite320_mobilenet_v2", "published for COCO's 81 classes, registered with PASCAL VOC's 21"),
    ("ssdlite320_mobilenet_v2_expand", "as ssdlite320_mobilenet_v2"),
    ("ssdlite320_mobilenext", "as ssdlite320_mobilenet_v2"),
];

/// Counted within 3 % of what is published, or within the rounding of one digit, but for the list above; the list has
/// nothing that agrees.
#[test]
fn counts_are_the_published_ones() {
    let near = |counted: f64, published: f64, digit: f64| (counted - published).abs() <= (0.03 * published).max(digit);
    let listed = |name: &str| {
        let name = name.strip_prefix("tf_").unwrap_or(name);
        COUNTED_OTHERWISE.iter().position(|entry| entry.0 == name)
    };
    let mut needed = BTreeSet::new();
    for model in zoo::models() {
        let Some(published) = model.published else { continue };
        let graph = model.build(&model.options()).unwrap();
        let counts = graph.counts(model.resolution, model.resolution).unwrap();
        let (params, madds) = (counts.params as f64 / 1e6, counts.madds as f64 / 1e6);
        let agrees = near(params, published.params, 0.05) && near(madds, published.madds, 0.5);
        let (name, entry) = (&model.name, listed(&model.name));
        let figures = format!("{params:.3} M and {madds:.1} M, published {} and {}", published.params, published.madds);
        assert!(agrees || entry.is_some(), "{name}: {figures}");
        needed.extend(entry.filter(|_| !agrees));
    }
    let unused = (0..COUNTED_OTHERWISE.len()).find(|i| !needed.contains(i)).map(|i| COUNTED_OTHERWISE[i].0);
    assert_eq!(unused, None, "it agrees");
}
