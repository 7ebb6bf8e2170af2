//! Networks of random building blocks, of every operation there is: fusing them changes no value, planning them is
//! sound, and every adapter computes them.

use crate::plans::assert_placed;
use crate::support::{gpus, rel_l2};
use mbconv::gpu::{Executor, WeightBuffers};
use mbconv::graph::{Activation, Builder, ConvArgs, Graph, Op, PoolKind, Value};
use mbconv::kernels::AdapterClass;
use mbconv::plan::{Plan, Target, WeightLayout};
use mbconv::tensor::Padding;
use mbconv::weights::{Synthetic, Weights, make_input};
use mbconv::{Result, Shape, Tensor, cpu, passes};
use pollster::block_on;
use proptest::prelude::*;

/// Rounding of a few layers, between one order of operations and another.
const BOUND: f64 = 1e-5;

#[derive(Clone, Copy, Debug)]
enum Unit {
    /// 1x1, then `[x | depthwise(x)]`.
    Ghost,
    /// The second half of the channels through 1x1, depthwise, 1x1; by turns with the first half.
    Shuffle,
    /// Two 3x3, their input added before the last activation.
    Basic,
    /// Depthwise, reduce, expand, depthwise, and so many hundredths of the channels added.
    Sandglass(usize),
    /// Grouped 1x1, shuffle, depthwise, grouped 1x1.
    Grouped(usize),
    /// Squeeze-and-excitation, then the input added.
    Excite,
    /// A window with step 2.
    Pool(PoolKind),
    /// Slices, concatenation and shuffle that nothing can take over.
    Loose,
    /// A depthwise convolution with a bias and no batch norm, added to before its activation.
    Biased,
}

fn units() -> impl Strategy<Value = Vec<Unit>> {
    let one = prop_oneof![
        Just(Unit::Ghost),
        Just(Unit::Shuffle),
        Just(Unit::Basic),
        (1..100_usize).prop_map(Unit::Sandglass),
        prop::sample::select(vec![1, 2, 3, 4]).prop_map(Unit::Grouped),
        Just(Unit::Excite),
        Just(Unit::Pool(PoolKind::Max)),
        Just(Unit::Pool(PoolKind::Average)),
        Just(Unit::Loose),
        Just(Unit::Biased),
    ];
    prop::collection::vec(one, 1..5)
}

fn conv(b: &mut Builder, name: &str, x: Value, args: ConvArgs, act: Activation) -> Result<Value> {
    let y = b.conv(name, x, args)?;
    b.bn_act(&format!("{name}_bn"), y, act)
}

fn unit(b: &mut Builder, x: Value, unit: Unit) -> Result<Value> {
    use Activation::{HardSigmoid, HardSwish, Identity, Relu, Relu6, Swish};
    let c = x.channels;
    let pointwise = ConvArgs::pointwise;
    match unit {
        Unit::Ghost => {
            let half = conv(b, "primary", x, pointwise(c.div_ceil(2)), Relu)?;
            let cheap = conv(b, "cheap", half, ConvArgs::depthwise(half.channels, 3, 1), Relu)?;
            let y = b.concat("concat", half, cheap)?;
            if y.channels == c { b.add("residual", y, x) } else { Ok(y) }
        }
        Unit::Shuffle => {
            let half = c / 2;
            let rest = b.slice("rest", x, 0, half)?;
            let y = b.slice("part", x, half, half)?;
            let y = conv(b, "first", y, pointwise(half), Relu)?;
            let y = conv(b, "dw", y, ConvArgs::depthwise(half, 3, 1), Identity)?;
            let y = conv(b, "last", y, pointwise(half), Relu)?;
            let y = b.concat("concat", rest, y)?;
            b.shuffle("shuffle", y, 2)
        }
        Unit::Basic => {
            let y = conv(b, "first", x, ConvArgs::dense(c, 3, 1), Relu)?;
            let y = conv(b, "last", y, ConvArgs::dense(c, 3, 1), Identity)?;
            let y = b.add("add", y, x)?;
            b.activation("act", y, Relu)
        }
        Unit::Sandglass(percent) => {
            let y = conv(b, "dw1", x, ConvArgs::depthwise(c, 3, 1), Relu6)?;
            let y = conv(b, "reduce", y, pointwise(c.div_ceil(6)), Identity)?;
            let y = conv(b, "expand", y, pointwise(c), Relu6)?;
            let y = conv(b, "dw2", y, ConvArgs::depthwise(c, 5, 1), Identity)?;
            b.add_first("add", y, x, (c * percent).div_ceil(100))
        }
        Unit::Grouped(groups) => {
            // Channels that the groups divide.
            let hidden = 12 * groups.max(c / 12);
            let x = conv(b, "entry", x, pointwise(hidden), Identity)?;
            let y = conv(b, "expand", x, ConvArgs { groups, ..pointwise(hidden) }, HardSwish)?;
            let y = b.shuffle("shuffle", y, groups)?;
            let y = conv(b, "dw", y, ConvArgs::depthwise(hidden, 3, 1), Relu)?;
            let y = conv(b, "project", y, ConvArgs { groups, ..pointwise(hidden) }, Identity)?;
            b.add("add", y, x)
        }
        Unit::Excite => {
            let y = conv(b, "dw", x, ConvArgs::depthwise(c, 5, 1), Swish)?;
            let y = b.squeeze_excite("se", y, c.div_ceil(4), Relu, HardSigmoid)?;
            b.add("add", y, x)
        }
        Unit::Pool(kind) => b.pool("pool", x, kind, 3, 2),
        Unit::Loose => {
            let y = b.slice("slice", x, c / 3, c - c / 3)?;
            let y = b.concat("concat", y, x)?;
            let y = b.concat("again", y, y)?;
            b.shuffle("shuffle", y, 2)
        }
        Unit::Biased => {
            let y = b.conv("dw", x, ConvArgs::depthwise(c, 3, 1).with_bias())?;
            let y = b.add("add", y, x)?;
            b.activation("act", y, Relu)
        }
    }
}

fn network(units: &[Unit], width: usize) -> Graph {
    let mut b = Builder::new("units", 3, Padding::Symmetric, 1e-5);
    let image = b.input();
    let mut x = conv(&mut b, "stem", image, ConvArgs::dense(width, 3, 2), Activation::Relu).unwrap();
    for (i, &kind) in units.iter().enumerate() {
        x = b.scope(&format!("unit{i}"), |b| unit(b, x, kind)).unwrap();
        // Loose units widen.
        if x.channels > 64 {
            x = conv(&mut b, &format!("narrow{i}"), x, ConvArgs::pointwise(width), Activation::Identity).unwrap();
        }
    }
    b.output("y", x);
    b.finish().unwrap()
}

fn input([n, h, w]: [usize; 3]) -> Tensor {
    Tensor::from_nchw(Shape::new(n, h, w, 3), &make_input("units", [n, 3, h, w])).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn fusing_changes_no_value(units in units(), width in 2..15_usize, n in 1..3_usize, h in 9..24_usize, w in 9..24_usize, class in 0..3_usize, kept in prop::collection::vec(any::<prop::sample::Index>(), 0..3)) {
        let raw = network(&units, 2 * width);
        let keep: Vec<String> = kept.iter().map(|i| raw.nodes[i.index(raw.nodes.len())].name.clone()).collect();
        let (fused, _) = passes::run(&raw, &keep);
        fused.verify().unwrap();
        prop_assert_eq!(&raw.channels(), &raw.shapes(n, h, w).unwrap().iter().map(|s| s.c).collect::<Vec<_>>());
        prop_assert_eq!(&fused.channels(), &fused.shapes(n, h, w).unwrap().iter().map(|s| s.c).collect::<Vec<_>>());

        let weights = Weights::synthetic(&raw, &Synthetic::default()).unwrap();
        let x = input([n, h, w]);
        let mut values = std::collections::BTreeMap::new();
        cpu::run_with(&raw, &weights, &x, |id, v| drop(values.insert(raw.nodes[id].name.clone(), v.clone()))).unwrap();
        let mut worst = 0.0_f64;
        cpu::run_with(&fused, &weights, &x, |id, v| {
            let want = &values[&fused.nodes[id].name];
            // A gate is not the scaled value that carries its name before.
            if want.shape == v.shape && want.data.iter().any(|&v| v != 0.0) {
                worst = worst.max(rel_l2(&v.data, &want.data));
            }
        }).unwrap();
        prop_assert!(worst <= BOUND, "a value changed by {worst:.1e}, bound {BOUND:.0e}");

        let class = [AdapterClass::Gpu, AdapterClass::Software, AdapterClass::SoftwareSubgroup][class];
        let target = Target { class, ..Target::web() };
        let layout = WeightLayout::new(&fused, &target).unwrap();
        let plan = Plan::new(&fused, &layout, &target, [n, h, w], &keep).unwrap();
        assert_placed(&plan);
        prop_assert_eq!(plan.counters.madds, n as u64 * raw.counts(h, w).unwrap().madds);
    }
}

/// One network with every unit, at channels that end within a quad and at a quad.
#[test]
fn every_unit_on_every_adapter() {
    let all = [
        Unit::Ghost,
        Unit::Shuffle,
        Unit::Basic,
        Unit::Sandglass(30),
        Unit::Grouped(2),
        Unit::Excite,
        Unit::Pool(PoolKind::Max),
        Unit::Ghost,
        Unit::Grouped(3),
        Unit::Shuffle,
        Unit::Loose,
        Unit::Pool(PoolKind::Average),
        Unit::Biased,
    ];
    for width in [20, 32] {
        let raw = network(&all, width);
        let weights = Weights::synthetic(&raw, &Synthetic::default()).unwrap();
        let x = input([2, 50, 39]);
        let want = &cpu::run(&raw, &weights, &x).unwrap()["y"];
        let (fused, _) = passes::run(&raw, &[]);
        let loose = fused.nodes.iter().filter(|n| matches!(n.op, Op::Concat | Op::Shuffle { .. } | Op::Slice { .. }));
        assert_eq!(loose.count(), 4, "only those that nothing can take over");
        assert!(!fused.nodes.iter().any(|n| matches!(n.op, Op::Activation(_) | Op::Add { .. } | Op::BatchNorm(_))));
        for gpu in gpus() {
            let layout = WeightLayout::new(&fused, &gpu.target()).unwrap();
            let plan = Plan::new(&fused, &layout, &gpu.target(), [2, 50, 39], &[]).unwrap();
            let buffers = block_on(WeightBuffers::new(&gpu, &fused, &layout, &weights)).unwrap();
            let mut executor = block_on(Executor::new(&gpu, &buffers, plan)).unwrap();
            let (got, _) = block_on(executor.run(Some(&x))).unwrap();
            let error = rel_l2(&got[0].data, &want.data);
            println!("{width} channels on {}: {error:.1e} (bound {BOUND:.0e})", gpu.facts());
            assert!(error <= BOUND, "{width} channels on {}: off by {error:.1e}", gpu.facts());
        }
    }
}
