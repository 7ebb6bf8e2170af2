//! Properties of shapes and plans over random networks.

use crate::plans::assert_placed;
use mbconv::graph::{Builder, ConvArgs};
use mbconv::kernels::AdapterClass;
use mbconv::passes;
use mbconv::plan::{Plan, Target, WeightLayout};
use mbconv::tensor::{Padding, window};
use mbconv::zoo::efficientnet::{BlockArgs, EfficientNet, Scaling};
use mbconv::zoo::{Model, Options};
use proptest::prelude::*;

fn stages() -> impl Strategy<Value = Vec<BlockArgs>> {
    let one =
        (0..3_usize, 1..4_usize, 1..9_usize, 1..5_usize, 1..3_usize, any::<bool>(), prop::option::of(0.05..1.0_f64));
    prop::collection::vec(one, 1..5).prop_map(|list| {
        let mut input = 16;
        let stage = |(kernel, repeats, width, expand, stride, skip, se): (
            usize,
            usize,
            usize,
            usize,
            usize,
            bool,
            Option<f64>,
        )| {
            let out = width * 8;
            let args = BlockArgs { kernel: 3 + 2 * kernel, repeats, input, out, expand, skip, stride, se };
            input = out;
            args
        };
        list.into_iter().map(stage).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// torch.nn.Conv2d's rule, stated as PyTorch states it, with its padding argument `(k - 1) // 2`.
    #[test]
    fn symmetric_shapes_follow_pytorchs_rule(size in 1..300_usize, k in 1..12_usize, s in 1..7_usize) {
        let (size, k, s) = (size as i64, k as i64, s as i64);
        let padding = (k - 1) / 2;
        let out = (size + 2 * padding - (k - 1) - 1).div_euclid(s) + 1;
        let got = window(Padding::Symmetric, size as usize, k as usize, s as usize);
        prop_assert_eq!(got.map(|w| w.out as i64), (out > 0).then_some(out));
    }

    /// timm's pad_same: ceil(size / s) outputs, `max((out - 1) * s + k - size, 0)` zeros, the odd one at the end.
    #[test]
    fn same_shapes_follow_timms_rule(size in 1..300_usize, k in 1..12_usize, s in 1..7_usize) {
        let w = window(Padding::Same, size, k, s).unwrap();
        let out = (size as f64 / s as f64).ceil() as i64;
        let zeros = ((out - 1) * s as i64 + k as i64 - size as i64).max(0);
        prop_assert_eq!(w.out as i64, out);
        prop_assert_eq!((w.before as i64, w.after as i64), (zeros / 2, zeros - zeros / 2));
        // An unpadded convolution over the padded axis gives exactly that many outputs.
        let padded = (size + w.before + w.after) as i64;
        prop_assert_eq!((padded - k as i64).div_euclid(s as i64) + 1, out);
    }

    /// A chain of convolutions has the shapes of the rule applied layer by layer, on both axes.
    #[test]
    fn graphs_infer_what_the_rule_says(layers in prop::collection::vec((1..4_usize, 1..4_usize), 1..6), h in 1..80_usize, w in 1..80_usize, same: bool) {
        let padding = if same { Padding::Same } else { Padding::Symmetric };
        let mut b = Builder::new("chain", 3, padding, 1e-5);
        let (mut x, mut want) = (b.input(), Some((h, w)));
        for (i, &(k, s)) in layers.iter().enumerate() {
            x = b.conv(&format!("c{i}"), x, ConvArgs::dense(8, k, s)).unwrap();
            want = want.and_then(|(h, w)| Some((window(padding, h, k, s)?.out, window(padding, w, k, s)?.out)));
        }
        b.output("y", x);
        let graph = b.finish().unwrap();
        let got = graph.shapes(2, h, w).ok().map(|s| (s[layers.len()].h, s[layers.len()].w));
        prop_assert_eq!(got, want);
    }

    /// Whatever the blocks: no two live values share memory, counters equal a count of their own, fusion loses nothing.
    #[test]
    fn random_networks_are_planned_soundly(stages in stages(), n in 1..4_usize, h in 8..70_usize, w in 8..70_usize, class in 0..4_usize, kept in prop::collection::vec(any::<prop::sample::Index>(), 0..4)) {
        let model = Model::custom("random", EfficientNet { stages, ..EfficientNet::scaled(Scaling::new(1.0, 1.0, 64)) });
        let raw = model.build(&Options::default()).unwrap();
        let keep: Vec<String> = kept.iter().map(|i| raw.nodes[i.index(raw.nodes.len())].name.clone()).collect();
        let (graph, _) = passes::run(&raw, &keep);
        graph.verify().unwrap();
        let class = [AdapterClass::Gpu, AdapterClass::Software, AdapterClass::SwiftShader, AdapterClass::SoftwareSubgroup][class];
        let target = Target { class, ..Target::web() };
        let layout = WeightLayout::new(&graph, &target).unwrap();
        let plan = Plan::new(&graph, &layout, &target, [n, h, w], &keep).unwrap();
        assert_placed(&plan);
        prop_assert_eq!(plan.counters.madds, n as u64 * raw.counts(h, w).unwrap().madds);
        prop_assert!(plan.counters.intermediate_bytes >= plan.counters.live_set_bytes);
        let shapes = raw.shapes(n, h, w).unwrap();
        for name in keep.iter().map(String::as_str).chain(["logits", "embedding"]) {
            prop_assert_eq!(plan.values[plan.output(name).unwrap()].shape, shapes[raw.find(name).unwrap()]);
        }
    }
}
