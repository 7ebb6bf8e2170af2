//! Plans without a GPU: exact counters against the budgets, memory invariants, recording on wgpu's noop device.

use mbconv::graph::Graph;
use mbconv::kernels::{AdapterClass, KernelKey};
use mbconv::passes;
use mbconv::plan::{BufferRole, Caps, Plan, Target, Value, WeightLayout};
use mbconv::zoo::{self, Options};
use std::collections::BTreeSet;

fn fused(name: &str) -> Graph {
    passes::run(&zoo::build(name, &Options::default()).unwrap(), &[]).0
}

fn plan(graph: &Graph, shape: [usize; 3], class: AdapterClass) -> Plan {
    // As much as a large GPU allows: B7 in batches is over the web's limits.
    let caps = Caps { max_buffer: 4 << 30, max_binding: 4 << 30, ..Caps::web_default() };
    let layout = WeightLayout::new(graph, &caps).unwrap();
    Plan::new(graph, &layout, &Target { caps, class }, shape, &[]).unwrap()
}

fn square(name: &str, n: usize) -> [usize; 3] {
    let side = zoo::find(name).unwrap().resolution;
    [n, side, side]
}

/// Dispatches, bytes moved by scheme ii's floor (every operand of every dispatch once, f32, unpadded channels, the
/// input as u8, squeeze sums by 14x14 tiles) and its live set, in bytes, batch 1.
const FLOORS: &[(&str, usize, f64, f64)] = &[
    ("efficientnet_b0", 66, 75.67e6, 6.03e6),
    ("efficientnet_b4", 129, 485.34e6, 26.02e6),
    ("efficientnet_b7", 219, 2684.99e6, 86.49e6),
];

#[test]
fn counters_keep_the_budgets() {
    for &(name, dispatches, bytes, live) in FLOORS {
        for class in
            [AdapterClass::Gpu, AdapterClass::Software, AdapterClass::SwiftShader, AdapterClass::SoftwareSubgroup]
        {
            let c = plan(&fused(name), square(name, 1), class).counters;
            let ratios = (c.bytes_moved as f64 / bytes, c.intermediate_bytes as f64 / live);
            println!("{name} {class:?}: {c:?}, bytes {:.3}x the floor, intermediates {:.3}x", ratios.0, ratios.1);
            assert!(c.dispatches <= dispatches, "{name}: {} dispatches, at most {dispatches}", c.dispatches);
            assert!(ratios.0 <= 1.05, "{name}: {:.3}x the floor's bytes, at most 1.05", ratios.0);
            assert!(ratios.1 <= 1.35, "{name}: {:.3}x the floor's live set, at most 1.35", ratios.1);
        }
    }
}

/// The least that any placement of whole values in slots can take: the largest value alive in any step, plus the
/// largest second of any step, and so on (Pisarchyk and Lee 2020, arXiv:2001.03288, section 4.1).
fn positional_maxima(plan: &Plan) -> u64 {
    let mut maxima: Vec<u64> = Vec::new();
    for step in 0..plan.steps.len() {
        let alive = |v: &&Value| v.written.unwrap_or(0) <= step && step <= v.last_read.max(v.written.unwrap_or(0));
        let slots = plan.values.iter().filter(|v| plan.buffers[v.buffer].role == BufferRole::Slot);
        let mut sizes: Vec<u64> = slots.filter(alive).map(|v| v.shape.padded_bytes()).collect();
        sizes.sort_by(|a, b| b.cmp(a));
        maxima.resize(maxima.len().max(sizes.len()), 0);
        maxima.iter_mut().zip(sizes).for_each(|(max, size)| *max = size.max(*max));
    }
    maxima.iter().sum()
}

#[test]
fn intermediates_stay_near_the_live_set() {
    for model in zoo::models() {
        let p = plan(&fused(&model.name), square(&model.name, 1), AdapterClass::Gpu);
        let ratio = |bound: u64| p.counters.intermediate_bytes as f64 / bound as f64;
        let (live, slots) = (ratio(p.counters.live_set_bytes), ratio(positional_maxima(&p)));
        println!("{}: {live:.3}x its live set, {slots:.3}x what slots can reach", model.name);
        assert!(slots <= 1.15, "{}: {slots:.3}x what slots can reach, at most 1.15", model.name);
        let efficientnet = matches!(model.family, "EfficientNet" | "EfficientNet-Lite");
        assert!(!efficientnet || live <= 1.35, "{}: {live:.3}x its live set, at most 1.35", model.name);
    }
}

#[test]
fn no_model_needs_more_than_sixteen_pipelines_at_any_size() {
    for model in zoo::models() {
        let graph = fused(&model.name);
        for class in
            [AdapterClass::Gpu, AdapterClass::Software, AdapterClass::SwiftShader, AdapterClass::SoftwareSubgroup]
        {
            let keys = |shape| {
                plan(&graph, shape, class).steps.iter().map(|s| s.launch.key.clone()).collect::<BTreeSet<KernelKey>>()
            };
            let native = keys([1, model.resolution, model.resolution]);
            assert!(native.len() <= 16, "{} ({class:?}): {} pipelines", model.name, native.len());
            for shape in [[3, 64, 96], [2, 131, 97], [8, model.resolution, model.resolution], [1, 512, 512]] {
                let other = keys(shape);
                let new: Vec<_> = other.difference(&native).map(ToString::to_string).collect();
                assert!(new.is_empty(), "{} ({class:?}) at {shape:?} needs new pipelines: {new:?}", model.name);
            }
        }
    }
}

#[test]
fn counters_equal_an_independent_count() {
    for model in zoo::models() {
        let graph = fused(&model.name);
        let raw = zoo::build(&model.name, &Options::default()).unwrap();
        let shape = [2, 96, 64];
        let p = plan(&graph, shape, AdapterClass::Gpu);
        let madds = raw.counts(shape[1], shape[2]).unwrap().madds * shape[0] as u64;
        assert_eq!(p.counters.madds, madds, "{}: fusion changes no multiply-add", model.name);
        let mut bytes = 0;
        for step in &p.steps {
            let operands = step.reads.iter().chain(&step.writes).map(|o| p.values[o.1].shape);
            bytes += operands.map(|s| (s.n * s.h * s.w * s.c.div_ceil(4) * 16) as u64).sum::<u64>();
            bytes += step.weights.map_or(0, |w| w.bytes);
        }
        assert_eq!(p.counters.bytes_moved, bytes, "{}", model.name);
        let blocks = graph.nodes.len() - 1;
        assert_eq!(p.counters.dispatches, blocks, "{}: one dispatch a fused node", model.name);
    }
}

#[test]
fn no_two_live_values_share_a_buffer_and_no_step_reads_what_it_writes() {
    for model in zoo::models() {
        for shape in [[1, model.resolution, model.resolution], [3, 64, 160]] {
            assert_placed(&plan(&fused(&model.name), shape, AdapterClass::Gpu));
        }
    }
}

pub fn assert_placed(plan: &Plan) {
    // Recomputed from the steps alone, not from the planner's own life spans.
    let span = |id: usize| {
        let touches = |s: &mbconv::plan::Step| s.reads.iter().chain(&s.writes).any(|o| o.1 == id);
        let steps: Vec<usize> = plan.steps.iter().enumerate().filter(|(_, s)| touches(s)).map(|(i, _)| i).collect();
        (steps.first().copied().unwrap_or(0), steps.last().copied().unwrap_or(0))
    };
    for (a, first) in plan.values.iter().enumerate() {
        assert!(
            plan.buffers[first.buffer].bytes >= first.shape.padded_bytes(),
            "{}: value {a} fits its buffer",
            plan.name
        );
        let dedicated = |v: &Value| plan.buffers[v.buffer].role != BufferRole::Slot;
        for (b, second) in plan.values.iter().enumerate().skip(a + 1).filter(|(_, v)| v.buffer == first.buffer) {
            assert!(
                !dedicated(first) && !dedicated(second),
                "{}: {a} and {b} share a buffer of the outside",
                plan.name
            );
            let (x, y) = (span(a), span(b));
            assert!(x.1 < y.0 || y.1 < x.0, "{}: values {a} {x:?} and {b} {y:?} are alive together", plan.name);
        }
    }
    for (i, step) in plan.steps.iter().enumerate() {
        for (_, written) in &step.writes {
            let buffer = plan.values[*written].buffer;
            let clash = step.reads.iter().any(|r| plan.values[r.1].buffer == buffer);
            let twice = step.writes.iter().filter(|w| plan.values[w.1].buffer == buffer).count() > 1;
            assert!(!clash && !twice, "{}: step {i} reads and writes one buffer", plan.name);
        }
    }
}

#[test]
fn what_does_not_fit_says_what_it_needs() {
    let graph = fused("efficientnet_b7");
    let layout = WeightLayout::new(&graph, &Caps::web_default()).unwrap();
    assert!(layout.shards.len() >= 4 && layout.shards.iter().all(|&s| s <= 64 << 20), "{:?}", layout.shards);
    assert!(Plan::new(&graph, &layout, &Target::web(), [1, 600, 600], &[]).is_ok());
    let error = Plan::new(&graph, &layout, &Target::web(), [2, 600, 600], &[]).unwrap_err().to_string();
    assert!(error.contains("needs 138240000 bytes") && error.contains("134217728"), "{error}");
    let tiny = Caps { max_binding: 1 << 20, ..Caps::web_default() };
    let error = WeightLayout::new(&graph, &tiny).unwrap_err().to_string();
    assert!(error.contains("the weights of"), "{error}");
}
