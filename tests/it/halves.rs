//! f16 storage: the same networks with half the bytes, against the reference in f32.

use crate::support::{Golden, gpus, kept, path, rel_l2, top5};
use mbconv::gpu::{Executor, Gpu, WeightBuffers};
use mbconv::graph::{Activation, Builder};
use mbconv::kernels::{Words, excite_pointwise, sandglass};
use mbconv::plan::{Fuse, Fusion, Plan, Target, ValueKind, Verdict, WeightLayout};
use mbconv::session::{Bundle, Session, end_to_end_bound, verify};
use mbconv::tensor::{Dtype, Padding};
use mbconv::weights::{Checkpoint, Synthetic, Weights, make_input, serialize};
use mbconv::zoo::{self, Options};
use mbconv::{Shape, Tensor, passes};
use pollster::block_on;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A device's ways to read f16: two in a word, and by what else its shaders have, last what it takes by itself.
pub fn targets(gpu: &Gpu) -> Vec<Target> {
    let target = Target { dtype: Dtype::F16, ..gpu.target() };
    let half = (gpu.facts().f16 && target.words != Words::Half).then_some(Words::Half);
    let other = (target.words != Words::Plain).then_some(target.words);
    [Some(Words::Plain), half, other].into_iter().flatten().map(|words| Target { words, ..target.clone() }).collect()
}

fn session(gpu: &Arc<Gpu>, bundle: &Bundle, target: &Target) -> Session {
    block_on(Session::with_target(gpu.clone(), bundle.clone(), target.clone())).unwrap()
}

/// What rounding can explain, by the number of dispatches.
fn bound(session: &Session, x: &Tensor) -> f64 {
    let executor = block_on(session.executor([x.shape.n, x.shape.h, x.shape.w])).unwrap();
    end_to_end_bound(Dtype::F16, executor.plan().steps.len())
}

fn name(gpu: &Gpu, target: &Target) -> String {
    format!("{}, {:?} words, fuse {:?}", gpu.facts(), target.words, target.fuse)
}

#[test]
fn pytorchs_logits() {
    for arch in ["efficientnet_b0", "mobilenetv2_100", "mobilenetv3_large_100", "mobilenext_100", "tv_resnet18"] {
        let golden = Golden::load(arch);
        for gpu in gpus() {
            let fused = targets(&gpu).into_iter().map(|target| Target { fuse: Fuse::All, ..target });
            let fused = fused.filter(|_| ["efficientnet_b0", "mobilenetv2_100", "mobilenext_100"].contains(&arch));
            for target in targets(&gpu).into_iter().chain(fused) {
                let session = session(&gpu, &golden.bundle, &target);
                let [first, again] = [(); 2].map(|()| block_on(session.run(&golden.input)).unwrap().values);
                let (error, bound) = (rel_l2(&first["logits"].data, &golden.logits()), bound(&session, &golden.input));
                println!("{arch} on {}: {error:.1e} (bound {bound:.0e})", name(&gpu, &target));
                assert!(error <= bound, "{arch} on {}: off by {error:.1e}", name(&gpu, &target));
                assert_eq!(first, again, "{arch} on {}: another run", name(&gpu, &target));
            }
        }
    }
}

#[test]
fn lockstep_verification_passes() {
    for arch in ["efficientnet_b1", "mobilenext_dagger_100", "ghostnet_100", "shufflenet_v2_x1_0"] {
        let model = zoo::find(arch).unwrap();
        let bundle = kept(Bundle::synthetic(model, &Options::default(), &Synthetic::default()).unwrap());
        let x = Tensor::from_nchw(Shape::new(2, 65, 48, 3), &make_input("input", [2, 3, 65, 48])).unwrap();
        for gpu in gpus() {
            for target in targets(&gpu) {
                let report = block_on(verify(&gpu, &target, &bundle, &x, |_, _| {})).unwrap();
                let closest =
                    report.checks().max_by(|a, b| (a.rel_l2 / a.bound).total_cmp(&(b.rel_l2 / b.bound))).unwrap();
                let (label, error, bound) = (&closest.label, closest.rel_l2, closest.bound);
                println!("{arch} on {}: closest {label} {error:.1e} of {bound:.1e}", name(&gpu, &target));
                assert_eq!(report.first_failure(), None, "{arch} on {}", name(&gpu, &target));
            }
        }
    }
}

#[cfg(all(feature = "images", feature = "embedded"))]
#[test]
fn photographs_keep_their_answers() {
    use mbconv::preprocess::{DecodeLimits, load};
    let bundle = Bundle::embedded().unwrap();
    for gpu in gpus() {
        let exact = session(&gpu, &bundle, &gpu.target());
        for target in targets(&gpu) {
            let halves = session(&gpu, &bundle, &target);
            for file in ["chelsea.png", "coffee.png", "china.jpg", "grace_hopper.jpg"] {
                let x = load(path(&format!("assets/{file}")), &bundle.preprocess, 3, &DecodeLimits::default()).unwrap();
                let [want, got] =
                    [&exact, &halves].map(|s| block_on(s.run(&x)).unwrap().get("logits").unwrap().data.clone());
                let error = rel_l2(&got, &want);
                println!("{file} on {}: {error:.1e}", name(&gpu, &target));
                assert_eq!(top5(&got)[0], top5(&want)[0], "{file} on {}", name(&gpu, &target));
            }
        }
    }
}

/// The groups that are fused.
fn fused_groups(plan: &Plan) -> Vec<&Fusion> {
    plan.fusions.iter().filter(|f| f.verdict == Verdict::Fused).collect()
}

#[test]
fn half_the_bytes() {
    for model in zoo::models() {
        let graph = passes::run(&model.build(&model.options()).unwrap(), &[]).0;
        let [exact, halves] = [Dtype::F32, Dtype::F16].map(|dtype| {
            let target = Target { dtype, ..Target::web() };
            let layout = WeightLayout::new(&graph, &target).unwrap();
            Plan::new(&graph, &layout, &target, [1, model.resolution, model.resolution], &[]).unwrap()
        });
        // The kernels of outputs, which write f32, apart from others of their kind.
        let last =
            exact.outputs.iter().filter_map(|o| exact.values[o.1].written).map(|step| &exact.steps[step].launch.key);
        let last = last.collect::<BTreeSet<_>>().len();
        // The sums of squeeze-and-excitation and the last results stay f32; all else is f16.
        let users = graph.users();
        for value in &halves.values {
            let stays = match value.kind {
                ValueKind::Node(node) => users[node].is_empty(),
                ValueKind::Squeeze { .. } | ValueKind::Mean(_) => true,
            };
            assert_eq!(value.dtype == Dtype::F32, stays, "{}: {:?}", model.name, value.kind);
        }
        let (f32, f16) = (exact.counters, halves.counters);
        assert_eq!(2 * f16.weight_bytes, f32.weight_bytes, "{}", model.name);
        // Of layers that all workgroups read more pay with half the bytes. They take the place of what overlaps them, and
        // nothing else changes.
        let values = &halves.values;
        let [exact, halves] = [&exact, &halves].map(fused_groups);
        let among = |groups: &[&Fusion], one: &Fusion| groups.iter().any(|other| other.nodes == one.nodes);
        let new: Vec<&Fusion> = halves.iter().copied().filter(|f| !among(&exact, f)).collect();
        for group in &new {
            assert!(
                [excite_pointwise::NAME, sandglass::NAME].contains(&group.kernel),
                "{}: {}",
                model.name,
                group.label
            );
        }
        for group in exact.iter().filter(|f| !among(&halves, f)) {
            let replaced = |other: &&Fusion| other.nodes.iter().any(|node| group.nodes.contains(node));
            assert!(new.iter().any(replaced), "{}: {}", model.name, group.label);
        }
        let [before, now] = [&exact, &halves].map(|groups| groups.iter().map(|f| f.absorbed().len()).sum::<usize>());
        assert_eq!(f16.dispatches + now, f32.dispatches + before, "{}", model.name);
        assert!(f16.pipelines <= f32.pipelines + last, "{}", model.name);
        // As if the same groups were fused. What a new one begins with and adds at its end it reads once, its parts twice.
        let saved = |groups: &[&Fusion]| groups.iter().map(|f| f.saved_bytes).sum::<u64>();
        let twice = |group: &&Fusion| {
            let (first, last) = (&graph.nodes[group.nodes[0]], &graph.nodes[group.nodes[group.nodes.len() - 1]]);
            let added = values.iter().filter(|v| v.kind == ValueKind::Node(first.inputs[0]));
            added.filter(|_| last.inputs[1..].contains(&first.inputs[0])).map(|v| v.bytes()).sum::<u64>()
        };
        let more = saved(&halves) - saved(&exact) / 2 + new.iter().map(twice).sum::<u64>();
        let ratio = (f16.bytes_moved + more) as f64 / f32.bytes_moved as f64;
        assert!((0.5..0.52).contains(&ratio), "{}: {ratio:.3} of the bytes moved", model.name);
    }
}

#[test]
fn a_weight_that_f16_cannot_hold_is_named() {
    let golden = Golden::load("mobilenetv1_cifar");
    let state = golden.bundle.weights.checkpoint();
    let tensor = |name: &str| {
        let mut values = state.read_f32(name).unwrap().into_owned();
        if state.shape(name).unwrap().len() == 2 {
            values[7] = 1e5;
        }
        (name.to_string(), state.shape(name).unwrap().to_vec(), values)
    };
    let file = serialize("large", &state.names().map(tensor).collect::<Vec<_>>(), &[]).unwrap();
    let checkpoint = Checkpoint::from_bytes("large", file).unwrap();
    let bundle = Bundle::new(zoo::find("mobilenetv1_cifar").unwrap(), checkpoint).unwrap();
    for gpu in gpus() {
        let target = targets(&gpu).remove(0);
        let error = block_on(Session::with_target(gpu.clone(), bundle.clone(), target)).err().unwrap().to_string();
        assert!(error.contains("100000 is too large for f16"), "{error}");
    }
}

#[test]
fn an_activation_that_f16_cannot_hold_becomes_its_largest_value() {
    let mut b = Builder::new("large", 4, Padding::Same, 1e-5);
    let x = b.input();
    let twice = b.add("twice", x, x).unwrap();
    let y = b.activation("y", twice, Activation::Relu).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    let weights = Weights::synthetic(&graph, &Synthetic::default()).unwrap();
    let x = Tensor { shape: Shape::new(1, 1, 2, 4), data: [40_000.0_f32, -40_000.0].repeat(4) };
    for gpu in gpus() {
        for target in targets(&gpu) {
            let layout = WeightLayout::new(&graph, &target).unwrap();
            let plan = Plan::new(&graph, &layout, &target, [1, 1, 2], &[]).unwrap();
            let buffers = block_on(WeightBuffers::new(&gpu, &graph, &layout, &weights)).unwrap();
            let mut executor = block_on(Executor::new(&gpu, &buffers, plan)).unwrap();
            let (got, _) = block_on(executor.run(Some(&x))).unwrap();
            assert_eq!(got[0].data, [65_504.0, 0.0].repeat(4), "{}", name(&gpu, &target));
        }
    }
}
