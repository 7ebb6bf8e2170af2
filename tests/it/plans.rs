//! Plans without a GPU: exact counters against the budgets, memory invariants, recording on wgpu's noop device.

use crate::support::fitting;
use mbconv::Padding;
use mbconv::graph::{Builder, ConvArgs, ConvKind, Graph, Node, Op};
use mbconv::kernels::{AdapterClass, KernelKey, Role, excite_pointwise};
use mbconv::passes;
use mbconv::plan::{BINDING_ALIGNMENT, BufferRole, Caps, Fuse, Plan, Rates, Target, Value, Verdict, WeightLayout};
use mbconv::tensor::Dtype;
use mbconv::zoo::{self, Options};
use std::collections::BTreeSet;

fn fused(name: &str) -> Graph {
    passes::run(&zoo::build(name, &Options::default()).unwrap(), &[]).0
}

/// As much as a large GPU allows: B7 in batches is over the web's limits.
fn roomy(class: AdapterClass) -> Target {
    let caps = Caps { max_buffer: 4 << 30, max_binding: 4 << 30, ..Caps::web_default() };
    Target { caps, class, ..Target::web() }
}

fn plan(graph: &Graph, shape: [usize; 3], class: AdapterClass) -> Plan {
    let target = roomy(class);
    let layout = WeightLayout::new(graph, &target).unwrap();
    Plan::new(graph, &layout, &target, shape, &[]).unwrap()
}

fn square(name: &str, n: usize) -> [usize; 3] {
    let side = zoo::find(name).unwrap().resolution;
    [n, side, side]
}

/// Dispatches, bytes moved by a scheme's floor (what every dispatch reads and writes, each tensor once, f32, unpadded channels,
/// the input as u8, squeeze sums by 14x14 tiles), its live set in bytes, batch 1, and how much of it intermediates may take.
type Floor = (&'static str, usize, f64, f64, f64);

/// A dispatch a convolution.
const FLOORS: &[Floor] = &[
    ("efficientnet_b0", 66, 75.67e6, 6.03e6, 1.15),
    ("efficientnet_b4", 129, 485.34e6, 26.02e6, 1.15),
    ("efficientnet_b7", 219, 2684.99e6, 86.49e6, 1.15),
    ("mobilenext_100", 76, 81.98e6, 6.02e6, 1.17),
];

/// A dispatch a sandglass where that pays or an inverted residual without squeeze-and-excitation (the stem's and each block's
/// output written and read once, and the weights), a squeeze-and-excitation with its 1x1 convolution where that pays, an
/// expansion with its depthwise convolution, or a depthwise with its 1x1 convolution.
const FUSED_FLOORS: &[Floor] = &[
    ("efficientnet_b0", 36, 48.58e6, 3.22e6, 1.07),
    ("efficientnet_b4", 93, 300.27e6, 13.90e6, 1.02),
    ("efficientnet_b7", 168, 1646.74e6, 46.20e6, 1.07),
    ("mobilenetv1_100", 15, 41.53e6, 4.82e6, 1.15),
    ("mobilenetv2_100", 20, 21.91e6, 2.41e6, 1.01),
    ("mobilenetv3_large_100", 29, 33.52e6, 1.61e6, 1.01),
    ("mobilenext_100", 34, 35.39e6, 3.01e6, 1.02),
];

#[test]
fn counters_keep_the_budgets() {
    let keep = |&(name, dispatches, bytes, live, placed): &Floor, class: AdapterClass| {
        let c = plan(&fused(name), square(name, 1), class).counters;
        let ratios = (c.bytes_moved as f64 / bytes, c.intermediate_bytes as f64 / live);
        println!("{name} {class:?}: {c:?}, bytes {:.3}x the floor, intermediates {:.3}x", ratios.0, ratios.1);
        assert!(c.dispatches <= dispatches, "{name}: {} dispatches, at most {dispatches}", c.dispatches);
        assert!(ratios.0 <= 1.05, "{name}: {:.3}x the floor's bytes, at most 1.05", ratios.0);
        assert!(ratios.1 <= placed, "{name}: {:.3}x the floor's live set, at most {placed}", ratios.1);
    };
    for floor in FLOORS {
        for class in [AdapterClass::Software, AdapterClass::SwiftShader, AdapterClass::SoftwareSubgroup] {
            keep(floor, class);
        }
    }
    for floor in FUSED_FLOORS {
        keep(floor, AdapterClass::Gpu);
    }
}

/// What a step reads and what it writes lie in different buffers. So values of which each two meet like that in some
/// step need as many buffers, and the k-th largest buffer is at least as large as the k-th largest of any such group:
/// no placement takes less than these together. (Groups of two and three are looked at; a value that takes another's place
/// counts as that one.)
fn least_in_whole_buffers(plan: &Plan) -> u64 {
    let arena = |id: usize| plan.buffers[plan.values[id].buffer].role == BufferRole::Arena;
    let mut places: Vec<usize> = Vec::new();
    for (id, value) in plan.values.iter().enumerate() {
        places.push(value.over.map_or(id, |other| places[other]));
    }
    let mut apart = BTreeSet::new();
    for step in &plan.steps {
        for (r, w) in step.reads.iter().flat_map(|r| step.writes.iter().map(|w| (places[r.1], places[w.1]))) {
            if arena(r) && arena(w) && r != w {
                apart.extend([(r, w), (w, r)]);
            }
        }
    }
    let bytes = |id: usize| plan.values[id].bytes();
    let mut maxima = [0; 3];
    for &(a, b) in &apart {
        let thirds = (0..plan.values.len()).filter(|&c| apart.contains(&(a, c)) && apart.contains(&(b, c)));
        for third in thirds.map(bytes).chain([0]) {
            let mut group = [bytes(a), bytes(b), third];
            group.sort_unstable_by_key(|&size| std::cmp::Reverse(size));
            maxima = std::array::from_fn(|k| maxima[k].max(group[k]));
        }
    }
    maxima.iter().sum()
}

#[test]
fn intermediates_stay_near_the_live_set() {
    for (model, fuse) in zoo::models().iter().flat_map(|m| [(m, Fuse::Auto), (m, Fuse::None)]) {
        let graph = fused(&model.name);
        let caps = Caps { max_buffer: 4 << 30, max_binding: 4 << 30, ..Caps::web_default() };
        let target = Target { fuse, caps, ..Target::web() };
        let layout = WeightLayout::new(&graph, &target).unwrap();
        let p = Plan::new(&graph, &layout, &target, square(&model.name, 1), &[]).unwrap();
        let ratio = |bound: u64| p.counters.intermediate_bytes as f64 / bound as f64;
        let (live, least) = (p.counters.live_set_bytes, least_in_whole_buffers(&p));
        println!(
            "{} {fuse:?}: {:.3}x its live set, {:.3}x what any placement takes",
            model.name,
            ratio(live),
            ratio(live.max(least))
        );
        // In these two families values of different steps both need the largest buffer, which groups do not see.
        let hidden = ["mobilenetv3_small", "shufflenet_v2"].iter().any(|family| model.name.contains(family));
        let at_most = match (hidden, fuse) {
            (false, _) => 1.12,
            (true, Fuse::None) => 1.18,
            (true, _) => 1.20,
        };
        assert!(ratio(live.max(least)) <= at_most, "{}: {:.3}x, at most {at_most}", model.name, ratio(live.max(least)));
        let near = ["efficientnet_b0", "efficientnet_lite0", "mobilenetv1_100", "mobilenetv2_100"];
        assert!(
            ratio(live) <= 1.15 || fuse == Fuse::Auto || !near.contains(&model.name.as_str()),
            "{}: {:.3}x",
            model.name,
            ratio(live)
        );
    }
}

#[test]
fn no_node_is_fused_twice() {
    for (model, fuse) in zoo::models().iter().flat_map(|m| [(m, Fuse::Auto), (m, Fuse::All)]) {
        let graph = fused(&model.name);
        let target = Target { fuse, ..roomy(AdapterClass::Gpu) };
        let layout = WeightLayout::new(&graph, &target).unwrap();
        let plan = Plan::new(&graph, &layout, &target, square(&model.name, 1), &[]).unwrap();
        let mut seen = BTreeSet::new();
        for group in plan.fusions.iter().filter(|f| f.verdict == Verdict::Fused) {
            for &node in &group.nodes {
                assert!(seen.insert(node), "{} {fuse:?}: {} stands in another group", model.name, group.label);
            }
        }
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
                let other = keys(fitting(&model.name, shape));
                let new: Vec<_> = other.difference(&native).map(ToString::to_string).collect();
                assert!(new.is_empty(), "{} ({class:?}) at {shape:?} needs new pipelines: {new:?}", model.name);
            }
        }
    }
}

/// SwiftShader compiles one pipeline at a time, for longer than an inference takes: each counts until the first result.
#[test]
fn swiftshader_compiles_few_pipelines() {
    for (name, pipelines) in
        [("mobilenetv1_100", 5), ("mobilenetv2_100", 5), ("mobilenetv3_large_100", 9), ("efficientnet_b0", 9)]
    {
        let plan = plan(&fused(name), [1, 224, 224], AdapterClass::SwiftShader);
        let keys: BTreeSet<_> = plan.steps.iter().map(|s| s.launch.key.to_string()).collect();
        assert_eq!(keys.len(), pipelines, "{name}: {keys:#?}");
        let hard = |key: &&String| key.contains(":EXP=0") && !key.contains(":HARD=0");
        let curved = keys.iter().filter(hard).count();
        assert_eq!(curved > 0, name.contains("v3"), "{name}: hard curves where the network has some: {keys:#?}");
    }
}

/// What browsers compile before they know the network is of use to every classifier.
#[test]
fn every_classifier_needs_the_foreseen_pipeline() {
    for model in zoo::models().into_iter().filter(|model| model.detector.is_none()) {
        let graph = fused(&model.name);
        for dtype in [Dtype::F32, Dtype::F16] {
            let target = Target { dtype, ..roomy(AdapterClass::SwiftShader) };
            let layout = WeightLayout::new(&graph, &target).unwrap();
            let plan = Plan::new(&graph, &layout, &target, square(&model.name, 1), &[]).unwrap();
            let foreseen = target.foreseen().unwrap();
            assert!(plan.keys().contains(&&foreseen), "{}, {dtype:?}: {foreseen}", model.name);
        }
    }
    assert_eq!(Target::web().foreseen(), None, "GPUs compile several at a time");
}

#[test]
fn counters_equal_an_independent_count() {
    for model in zoo::models() {
        let graph = fused(&model.name);
        let raw = zoo::build(&model.name, &Options::default()).unwrap();
        let shape = fitting(&model.name, [2, 96, 64]);
        let p = plan(&graph, shape, AdapterClass::Gpu);
        let madds = raw.counts(shape[1], shape[2]).unwrap().madds * shape[0] as u64;
        assert_eq!(p.counters.madds, madds, "{}: fusion changes no multiply-add", model.name);
        let mut bytes = 0;
        for step in &p.steps {
            let operands: BTreeSet<usize> = step.reads.iter().chain(&step.writes).map(|o| o.1).collect();
            let operands = operands.into_iter().map(|value| p.values[value].shape);
            bytes += operands.map(|s| (s.n * s.h * s.w * s.c.div_ceil(4) * 16) as u64).sum::<u64>();
            bytes += step.weights.iter().map(|w| w.1.bytes).sum::<u64>();
        }
        assert_eq!(p.counters.bytes_moved, bytes, "{}", model.name);
        let fused = p.fusions.iter().filter(|f| f.verdict == Verdict::Fused);
        let absorbed: usize = fused.map(|f| f.absorbed().len()).sum();
        let dispatches = graph.nodes.len() - 1 + lone_squeezes(&graph) - absorbed;
        assert_eq!(p.counters.dispatches, dispatches, "{}: one dispatch a node or group of nodes", model.name);
    }
}

/// Squeeze-and-excitations of a value that no depthwise convolution could sum on the way: their mean is a dispatch.
fn lone_squeezes(graph: &Graph) -> usize {
    let channels = graph.channels();
    let depthwise = |id: usize| {
        let node = &graph.nodes[id];
        matches!(node.op, Op::Conv2d(c) if c.kind(channels[node.inputs[0]]) == ConvKind::Depthwise)
    };
    let lone = |n: &&Node| matches!(n.op, Op::SqueezeExcite(_)) && !depthwise(n.inputs[0]);
    graph.nodes.iter().filter(lone).count()
}

/// Dispatches of the families whose blocks move channels or activate a sum, by their tables: what is left is convolutions,
/// squeeze-and-excitation, and one pooling each of ShuffleNetV2's and ResNet's stem and ResNet's head.
const CHANNEL_MOVERS: &[(&str, usize)] = &[
    // Stem, two each of 16 ghost bottlenecks' two modules, 4 strided ones, 5 shortcuts of two, 7 gates, the last three.
    ("ghostnet_100", 1 + 16 * 4 + 4 + 5 * 2 + 7 + 3),
    // Stem, 32 units of three, the last convolution with the mean, classifier.
    ("igcv3_w1", 1 + 32 * 3 + 2),
    ("igcv3_w1.4", 1 + 32 * 3 + 2),
    // Stem and its pooling, convolutions of the blocks, shortcuts, pooling and classifier.
    ("resnet18", 2 + 8 * 2 + 3 + 2),
    ("resnet50", 2 + 16 * 3 + 4 + 2),
    ("resnet50_v1", 2 + 16 * 3 + 4 + 2),
    ("resnet200", 2 + 66 * 3 + 4 + 2),
    // Stem and its pooling, 13 units of three and 3 of five, the last convolution with the mean, classifier.
    ("shufflenet_v2_x0_5", 2 + 13 * 3 + 3 * 5 + 2),
    ("shufflenet_v2_x1_5", 2 + 13 * 3 + 3 * 5 + 2),
];

#[test]
fn channel_moves_and_sums_are_no_dispatches() {
    for &(name, dispatches) in CHANNEL_MOVERS {
        let graph = fused(name);
        let fused_away = |op: &Op| {
            matches!(
                op,
                Op::Concat
                    | Op::Slice { .. }
                    | Op::Shuffle { .. }
                    | Op::Add { .. }
                    | Op::Scale { .. }
                    | Op::Activation(_)
                    | Op::BatchNorm(_)
            )
        };
        let left: Vec<_> = graph.nodes.iter().filter(|n| fused_away(&n.op)).map(|n| &n.name).collect();
        assert!(left.is_empty(), "{name}: {left:?} stand alone");
        let counters = plan(&graph, square(name, 1), AdapterClass::Software).counters;
        assert_eq!(counters.dispatches, dispatches + lone_squeezes(&graph), "{name}");
    }
}

/// Which tensors are fused away is a choice: all or none, by what an adapter can do, and never one that is asked for.
#[test]
fn fusion_follows_the_target() {
    let graph = fused("mobilenetv2_100");
    let layout = WeightLayout::new(&graph, &Target::web()).unwrap();
    let plan = |target: &Target, keep: &[&str]| {
        let keep: Vec<String> = keep.iter().map(ToString::to_string).collect();
        Plan::new(&graph, &layout, target, [1, 224, 224], &keep).unwrap()
    };
    let verdicts = |p: &Plan| p.fusions.iter().map(|f| f.verdict).collect::<Vec<_>>();
    let web = Target::web();
    // An expansion and its depthwise convolution, a depthwise and its 1x1 convolution, all three: 16 blocks have each, one
    // only the second.
    let all = plan(&Target { fuse: Fuse::All, class: AdapterClass::Software, ..web.clone() }, &[]);
    assert_eq!((all.fusions.len(), all.counters.dispatches), (49, 20));
    assert_eq!(verdicts(&all).iter().filter(|&&v| v == Verdict::Taken).count(), 32);
    let none = plan(&Target { fuse: Fuse::None, ..web.clone() }, &[]);
    assert_eq!((none.counters.dispatches, &verdicts(&none)[..]), (53, &[Verdict::Off; 49][..]));
    let software = plan(&Target { class: AdapterClass::SwiftShader, ..web.clone() }, &[]);
    assert_eq!((software.counters.dispatches, &verdicts(&software)[..]), (53, &[Verdict::Software; 49][..]));
    // Where arithmetic is dear and memory quick, what would be repeated decides.
    let slow = Rates { bytes_per_s: 1e12, madds_per_s: 1e12, gap_s: 0.0 };
    let weighed = plan(&Target { rates: slow, ..web.clone() }, &[]);
    for f in &weighed.fusions {
        let gain = f.saved_bytes as f64 / 1e12 - f.repeated_madds as f64 / 1e12;
        assert!((f.gain_s - gain).abs() < 1e-12, "{f}");
        assert!((f.verdict == Verdict::Dearer) == (gain <= 0.0), "{f}");
    }
    assert!(verdicts(&weighed).contains(&Verdict::Dearer) && weighed.counters.dispatches < 53);
    for p in [&all, &none, &software, &weighed] {
        assert_placed(p);
    }
    // Whatever of a block is asked for is stored, and what remains is fused as it can be.
    let block = all.fusions.iter().find(|f| f.nodes.len() == 3 && f.verdict == Verdict::Fused).unwrap();
    for (asked, fused) in block.absorbed().iter().zip([&block.nodes[1..], &block.nodes[..2]]) {
        let kept = plan(&web, &[&graph.nodes[*asked].name]);
        assert!(kept.value_of(*asked).is_some());
        for f in kept.fusions.iter().filter(|f| f.nodes.iter().any(|n| block.nodes.contains(n))) {
            let want = if f.nodes == fused { Verdict::Fused } else { Verdict::Kept };
            assert_eq!(f.verdict, want, "{f}");
        }
        assert_eq!(kept.counters.dispatches, all.counters.dispatches + 1);
        assert_placed(&kept);
    }
}

/// A gate is computed with the product that it scales where reading its layers in every workgroup takes less than a
/// dispatch apart. Where it takes more, the same pipeline computes both, one after the other.
#[test]
fn gates_join_their_products_where_that_pays() {
    let of = |p: &Plan| p.fusions.iter().filter(|f| f.kernel == excite_pointwise::NAME).cloned().collect::<Vec<_>>();
    let graph = fused("efficientnet_b0");
    let layout = WeightLayout::new(&graph, &Target::web()).unwrap();
    let plan =
        |target: &Target, n: usize, keep: &[String]| Plan::new(&graph, &layout, target, [n, 224, 224], keep).unwrap();
    let web = Target::web();
    let gates = |p: &Plan| p.steps.iter().filter(|s| matches!(graph.nodes[s.node].op, Op::SqueezeExcite(_))).count();
    let one = plan(&web, 1, &[]);
    assert_eq!((of(&one).len(), gates(&one)), (16, 1));
    // In batches every image's gates are repeated: then fewer pay.
    let many = plan(&web, 8, &[]);
    assert!(gates(&many) > gates(&one), "{}", gates(&many));
    assert!(many.keys().iter().all(|key| one.keys().contains(key)), "{:?}", many.keys());
    for (p, n) in [(&one, 1.0), (&many, 8.0)] {
        for f in of(p) {
            let step = p.steps.iter().find(|s| Some(&s.node) == f.nodes.last()).unwrap();
            assert_eq!(step.absorbed == f.absorbed(), f.verdict == Verdict::Fused, "{f}");
            assert_eq!((f.gain_s > 0.0, f.nodes.len()), (f.verdict == Verdict::Fused, 2), "{f}");
            // No more than the dispatch, and the gates written and read.
            assert!(f.gain_s <= web.rates.gap_s + f.saved_bytes as f64 / web.rates.bytes_per_s, "{f}");
            let workgroups = f64::from(step.launch.grid[0]) * n;
            let madds = graph.node_madds(f.nodes[0], &graph.shapes(1, 224, 224).unwrap()) as f64;
            assert_eq!(f.repeated_madds as f64, (workgroups - n) * madds, "{f}");
        }
        assert_placed(p);
    }
    // A gate that is asked for is stored, and one that scales two tensors has no product of its own.
    let fusion = of(&one).into_iter().find(|f| f.verdict == Verdict::Fused).unwrap();
    let kept = plan(&web, 1, &[graph.nodes[fusion.nodes[0]].name.clone()]);
    assert!(kept.value_of(fusion.nodes[0]).is_some() && kept.counters.dispatches == one.counters.dispatches + 1);
    assert_eq!(of(&kept).iter().find(|f| f.nodes == fusion.nodes).unwrap().verdict, Verdict::Kept);
    for class in [AdapterClass::Software, AdapterClass::SwiftShader, AdapterClass::SoftwareSubgroup] {
        assert_eq!(gates(&plan(&Target { class, ..web.clone() }, 1, &[])), 16);
    }
    let twice = {
        let mut graph = graph.clone();
        let mut again = graph.nodes[fusion.nodes[1]].clone();
        again.name += "_again";
        graph.nodes.push(again);
        graph.outputs.push(("again".into(), graph.nodes.len() - 1));
        graph
    };
    let target = Target { fuse: Fuse::All, ..web.clone() };
    let layout = WeightLayout::new(&twice, &target).unwrap();
    let shared = Plan::new(&twice, &layout, &target, [1, 224, 224], &[]).unwrap();
    assert!(of(&shared).iter().all(|f| f.nodes != fusion.nodes) && of(&shared).len() == 15);
}

/// No kernel dilates a depthwise convolution: an error, not a pair that computes something else.
#[test]
fn a_dilated_depthwise_convolution_is_not_fused() {
    let mut b = Builder::new("dilated", 4, Padding::Same, 1e-5);
    let x = b.input();
    let x = b.conv("conv_pw", x, ConvArgs::pointwise(8)).unwrap();
    let x = b.conv("conv_dw", x, ConvArgs { dilation: 2, ..ConvArgs::depthwise(8, 3, 1) }).unwrap();
    let x = b.conv("conv_pwl", x, ConvArgs::pointwise(4)).unwrap();
    b.output("y", x);
    let (graph, _) = passes::run(&b.finish().unwrap(), &[]);
    let target = Target { fuse: Fuse::All, ..Target::web() };
    let layout = WeightLayout::new(&graph, &target).unwrap();
    let error = Plan::new(&graph, &layout, &target, [1, 9, 9], &[]).unwrap_err().to_string();
    assert!(error.contains("a dilated depthwise convolution has no kernel"), "{error}");
}

#[test]
fn no_two_live_values_share_bytes_and_no_step_reads_the_buffer_it_writes() {
    for model in zoo::models() {
        for shape in [[1, model.resolution, model.resolution], [3, 64, 160]] {
            assert_placed(&plan(&fused(&model.name), fitting(&model.name, shape), AdapterClass::Gpu));
        }
    }
}

#[test]
fn arenas_keep_the_devices_limit() {
    let graph = fused("efficientnet_b0");
    let largest = 112 * 112 * 96 * 4;
    let layout = WeightLayout::new(&graph, &Target::web()).unwrap();
    for max_buffer in [largest, largest + 100_000, 3 * largest / 2] {
        let caps = Caps { max_buffer, ..Caps::web_default() };
        let target = Target { caps, ..Target::web() };
        let p = Plan::new(&graph, &layout, &target, [1, 224, 224], &[]).unwrap();
        assert_placed(&p);
        assert!(p.buffers.iter().all(|b| b.bytes <= max_buffer), "at most {max_buffer}: {:?}", p.buffers);
    }
    // Many values alive at once, no two of which fit one buffer.
    let mut b = Builder::new("star", 4, Padding::Same, 1e-5);
    let input = b.input();
    let branches: Vec<_> = (0..6).map(|i| b.conv(&format!("c{i}"), input, ConvArgs::dense(4, 1, 1)).unwrap()).collect();
    let sum = branches[1..]
        .iter()
        .enumerate()
        .fold(branches[0], |sum, (i, &branch)| b.add(&format!("s{i}"), sum, branch).unwrap());
    b.output("y", sum);
    let (graph, _) = passes::run(&b.finish().unwrap(), &[]);
    let caps = Caps { max_buffer: 32 * 32 * 16, ..Caps::web_default() };
    let target = Target { caps, ..Target::web() };
    let layout = WeightLayout::new(&graph, &target).unwrap();
    let p = Plan::new(&graph, &layout, &target, [1, 32, 32], &[]).unwrap();
    assert_placed(&p);
    assert!(p.buffers.iter().all(|b| b.bytes <= caps.max_buffer), "{:?}", p.buffers);
}

pub fn assert_placed(plan: &Plan) {
    // Recomputed from the steps alone, not from the planner's own life spans.
    let mut spans = vec![None; plan.values.len()];
    for (i, step) in plan.steps.iter().enumerate() {
        for operand in step.reads.iter().chain(&step.writes) {
            spans[operand.1].get_or_insert((i, i)).1 = i;
        }
    }
    let span = |id: usize| spans[id].unwrap_or((0, 0));
    let bytes = |v: &Value| v.offset..v.offset + v.bytes();
    for (a, first) in plan.values.iter().enumerate() {
        assert!(plan.buffers[first.buffer].bytes >= bytes(first).end, "{}: value {a} fits its buffer", plan.name);
        assert_eq!(first.offset % BINDING_ALIGNMENT, 0, "{}: value {a} can be bound", plan.name);
        let dedicated = |v: &Value| plan.buffers[v.buffer].role != BufferRole::Arena;
        for (b, second) in plan.values.iter().enumerate().skip(a + 1).filter(|(_, v)| v.buffer == first.buffer) {
            assert!(
                !dedicated(first) && !dedicated(second),
                "{}: {a} and {b} share a buffer of the outside",
                plan.name
            );
            let (x, y, at, to) = (span(a), span(b), bytes(first), bytes(second));
            let apart = at.end <= to.start || to.end <= at.start;
            let name = &plan.name;
            if second.over == Some(a) {
                assert_eq!((at, x.1), (to, y.0), "{name}: {b} takes the whole place of {a} when that is read last");
                continue;
            }
            assert!(apart || x.1 < y.0 || y.1 < x.0, "{name}: {a} {x:?} at {at:?} and {b} {y:?} at {to:?}");
        }
    }
    for (i, step) in plan.steps.iter().enumerate() {
        for (_, written) in &step.writes {
            let buffer = plan.values[*written].buffer;
            let clashes: Vec<_> = step.reads.iter().filter(|r| plan.values[r.1].buffer == buffer).collect();
            match plan.values[*written].over {
                None => assert!(clashes.is_empty(), "{}: step {i} reads and writes one buffer", plan.name),
                Some(other) => assert_eq!(clashes, [&(Role::Residual, other)], "{}: step {i}", plan.name),
            }
        }
    }
}

#[test]
fn what_does_not_fit_says_what_it_needs() {
    let graph = fused("efficientnet_b7");
    let layout = WeightLayout::new(&graph, &Target::web()).unwrap();
    assert!(layout.shards.len() >= 4 && layout.shards.iter().all(|&s| s <= 64 << 20), "{:?}", layout.shards);
    assert!(Plan::new(&graph, &layout, &Target::web(), [5, 600, 600], &[]).is_ok());
    let error = Plan::new(&graph, &layout, &Target::web(), [6, 600, 600], &[]).unwrap_err().to_string();
    assert!(error.contains("needs 138240000 bytes") && error.contains("134217728"), "{error}");
    let tiny = Caps { max_binding: 1 << 20, ..Caps::web_default() };
    let tiny = Target { caps: tiny, ..Target::web() };
    let error = WeightLayout::new(&graph, &tiny).unwrap_err().to_string();
    assert!(error.contains("the weights of"), "{error}");
}
