//! The facts beside each registered model, against the room that they speak of.

use mbconv::weights::{Naming, Scheme};
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
            let figures = [published.params, published.madds, published.top1];
            assert!(figures.iter().all(|f| *f > 0.0) && published.top1 < 100.0, "{}: {published:?}", model.name);
        }
    }
}
