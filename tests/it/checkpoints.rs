//! Checkpoints alone: what a file's tensors say of its model, its classes and its images.

use crate::support::path;
use mbconv::session::Bundle;
use mbconv::weights::{Checkpoint, Synthetic};
use mbconv::zoo;

/// The state of a reference case, with other shapes for some tensors.
fn state(case: &str, shapes: &[(&str, &[usize])]) -> Checkpoint {
    let golden = Checkpoint::open(path(&format!("tests/goldens/{case}.safetensors"))).unwrap();
    let (recipe, mut tensors) = Synthetic::from_golden(&golden).unwrap();
    for (name, shape) in shapes {
        tensors.iter_mut().find(|t| t.0 == *name).unwrap().1 = shape.to_vec();
    }
    recipe.state(&tensors).unwrap()
}

#[test]
fn mobilenexts_are_recognised_from_their_tensors() {
    for case in ["mobilenext_100", "mobilenext_110", "mobilenext_dagger_100", "mobilenext_dagger_110"] {
        assert_eq!(Bundle::from_checkpoint(state(case, &[])).unwrap().model.name, case);
    }
    // How many channels the shortcut takes is not in the tensors.
    let error = Bundle::from_checkpoint(state("mobilenext_100_nested_id50", &[])).unwrap_err().to_string();
    assert!(error.contains("mobilenext_100_nested_id50 and mobilenext_100_nested_id100"), "{error}");
    let nested = zoo::find("mobilenext_100_nested_id25").unwrap();
    assert!(Bundle::new(nested, state("mobilenext_100_nested_id50", &[])).is_ok());
}

#[test]
fn classes_and_channels_are_the_files() {
    for (case, stem, classifier) in [
        ("mobilenext_100", "features.0.0", "classifier.1"),
        ("mobilenext_100_nested_id50", "features.0.0", "classifier.1"),
        ("mobilenext_dagger_100", "_conv_stem", "_fc"),
    ] {
        let [stem, weight, bias] =
            [format!("{stem}.weight"), format!("{classifier}.weight"), format!("{classifier}.bias")];
        let changed = state(case, &[(&stem, &[32, 1, 3, 3]), (&weight, &[7, 1280]), (&bias, &[7])]);
        let bundle = Bundle::new(zoo::find(case).unwrap(), changed).unwrap();
        assert_eq!((bundle.num_classes(), bundle.graph.in_channels), (7, 1), "{case}");
    }
}

#[test]
fn a_wrong_file_is_told_what_it_looks_like() {
    for (asked, file) in [
        ("mobilenetv2_100", "mobilenext_100"),
        ("mobilenext_100", "mobilenext_110"),
        ("mobilenext_110", "mobilenext_dagger_110"),
        ("mobilenext_100_nested_id50", "mobilenext_100"),
        ("mobilenext_dagger_100", "mobilenetv2_100"),
    ] {
        let error = Bundle::new(zoo::find(asked).unwrap(), state(file, &[])).unwrap_err().to_string();
        assert!(error.contains(&format!("looks like {file}")), "{asked}: {error}");
    }
}
