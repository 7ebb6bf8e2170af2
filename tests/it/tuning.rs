//! Rows of the kernel tables other than the defaults, in whole networks.

use crate::support::{Golden, gpus, rel_l2};
use mbconv::gpu::Gpu;
use mbconv::kernels::most_rows;
use mbconv::passes;
use mbconv::plan::tuning::{MAX_PIPELINES, network};
use mbconv::plan::{Plan, Target, Tuning, WeightLayout};
use mbconv::session::{Session, tune};
use mbconv::tensor::Dtype;
use pollster::block_on;
use std::sync::Arc;

const BOUND: f64 = 5e-5;

/// Relative L2 error of the logits with these rows, and how many steps had a choice.
fn error(gpu: &Arc<Gpu>, golden: &Golden, tuning: Tuning) -> (f64, usize) {
    let target = Target { tuning, ..gpu.target() };
    let session = block_on(Session::with_target(gpu.clone(), golden.bundle.clone(), target)).unwrap();
    let shape = golden.input.shape;
    let choices = block_on(session.executor([shape.n, shape.h, shape.w])).unwrap().plan().choices.len();
    let output = block_on(session.run(&golden.input)).unwrap();
    (rel_l2(&output.get("logits").unwrap().data, &golden.logits()), choices)
}

#[test]
fn every_row_in_a_whole_network_meets_pytorch() {
    for name in ["mobilenetv3_small_100", "resnet18_odd"] {
        let golden = Golden::load(name);
        for gpu in gpus() {
            let subgroup_lanes = gpu.facts().subgroup_lanes;
            for place in 0..most_rows() {
                let (error, choices) = error(&gpu, &golden, Tuning::Row { place, subgroup_lanes });
                println!("{name} on {}, row {place} for {choices} steps: off by {error:.1e}", gpu.facts());
                assert!(error <= BOUND && choices > 10, "{name}, row {place} on {}: {error:.1e}", gpu.facts());
            }
        }
    }
}

#[test]
fn a_tuned_network_meets_pytorch_with_few_pipelines() {
    let golden = Golden::load("mobilenetv3_small_100");
    for gpu in gpus() {
        let tuned = block_on(tune(&gpu, &gpu.target(), &golden.bundle, &golden.input, 3, |_, _| {})).unwrap();
        println!("{}: {:?}, pipelines {:?}", gpu.facts(), tuned.rows, tuned.pipelines);
        assert_eq!(tuned.wrong, [""; 0]);
        assert!(tuned.pipelines[1] <= MAX_PIPELINES && tuned.steps.iter().any(|s| s.measured > 0), "{tuned:?}");
        assert!(tuned.rows.is_empty() || tuned.tuned_ms < tuned.default_ms, "{tuned:?}");
        let rows = Tuning::Measured([(tuned.network.clone(), tuned.rows)].into());
        let (error, choices) = error(&gpu, &golden, rows);
        assert!(error <= BOUND && choices == tuned.steps.len(), "{}: {error:.1e}, bound {BOUND:.0e}", gpu.facts());
    }
}

#[test]
fn measurements_are_of_one_network_at_one_shape_and_storage() {
    let golden = Golden::load("mobilenetv3_small_100");
    let (graph, _) = passes::run(&golden.bundle.graph, &[]);
    let keys = |tuning: Tuning, n: usize, dtype: Dtype| {
        let target = Target { tuning, dtype, ..Target::web() };
        let layout = WeightLayout::new(&graph, &target).unwrap();
        let plan = Plan::new(&graph, &layout, &target, [n, 224, 224], &[]).unwrap();
        (plan.keys().into_iter().cloned().collect::<Vec<_>>(), plan)
    };
    let (usual, _) = keys(Tuning::Default, 1, Dtype::F32);
    // The other row of every table, as a tuner would name it.
    let (_, forced) = keys(Tuning::Row { place: 0, subgroup_lanes: 0 }, 1, Dtype::F32);
    let rows = forced.choices.iter().map(|c| (c.problem.clone(), c.row.clone())).collect();
    let network = network(&graph.name, forced.input, Dtype::F32);
    let measured = Tuning::Measured([(network, rows)].into());
    let (tuned, _) = keys(measured.clone(), 1, Dtype::F32);
    assert_ne!(tuned, usual);
    assert_eq!(keys(measured.clone(), 2, Dtype::F32).0, keys(Tuning::Default, 2, Dtype::F32).0);
    assert_eq!(keys(measured, 1, Dtype::F16).0, keys(Tuning::Default, 1, Dtype::F16).0);
}
