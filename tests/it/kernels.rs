//! The op grid: every row of every kernel family, forced, at odd sizes and with every flag, against the reference.

use crate::support::{gpus, rel_l2};
use mbconv::gpu::{Executor, Gpu, WeightBuffers};
use mbconv::graph::{
    Activation, Conv2d, ConvArgs, Graph, Join, Node, NodeId, Op, Param, ParamId, Source, SqueezeExcite,
};
use mbconv::kernels::{
    Channels, KernelKey, Launch, QUAD_LANES, Role, SUBGROUP_LANES, Window, conv, depthwise, elementwise, global_pool,
    head_pool, l2_norm, pointwise, squeeze_excite,
};
use mbconv::plan::{Buffer, BufferRole, Fuse, Plan, Target, Value, ValueKind, WeightLayout};
use mbconv::tensor::{Dtype, Padding};
use mbconv::weights::{Synthetic, Weights, make_input};
use mbconv::{Shape, Tensor, cpu};
use pollster::block_on;
use std::sync::Arc;

mod channels;
mod fused;

/// An f32 sum of n products is off by about u * sqrt(n) of its size, u = 2^-24; the largest n here is 2,000.
const BOUND: f64 = 4e-6;

const ACTIVATIONS: [Activation; 7] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Relu6,
    Activation::Swish,
    Activation::Sigmoid,
    Activation::HardSwish,
    Activation::HardSigmoid,
];

/// A graph of a few nodes, the last of which is under test.
struct Bench {
    graph: Graph,
    input: Tensor,
    fuse: Fuse,
    /// The result takes the place of the tensor that joins it.
    in_place: bool,
}

impl Bench {
    fn new(input: Shape) -> Self {
        let node = Node { name: "input".into(), op: Op::Input, inputs: Vec::new() };
        let graph = Graph {
            name: "grid".into(),
            in_channels: input.c,
            nodes: vec![node],
            params: Vec::new(),
            outputs: Vec::new(),
            aliases: Default::default(),
        };
        let values = make_input("grid", [input.n, input.c, input.h, input.w]);
        Self { graph, input: Tensor::from_nchw(input, &values).unwrap(), fuse: Fuse::None, in_place: false }
    }

    fn param(&mut self, name: &str, shape: &[usize]) -> ParamId {
        let name = format!("{}.{name}", self.graph.nodes.len());
        self.graph.params.push(Param { name, shape: shape.to_vec(), source: Source::Checkpoint });
        self.graph.params.len() - 1
    }

    fn push(&mut self, op: Op, inputs: &[NodeId]) -> NodeId {
        let name = format!("node{}", self.graph.nodes.len());
        self.graph.nodes.push(Node { name, op, inputs: inputs.to_vec() });
        self.graph.nodes.len() - 1
    }

    fn conv(&mut self, inputs: &[NodeId], c_in: usize, groups: usize, shape: Conv2d) -> NodeId {
        let weight = self.param("weight", &[shape.out, c_in / groups, shape.kernel, shape.kernel]);
        let bias = Some(self.param("bias", &[shape.out]));
        self.push(Op::Conv2d(Conv2d { weight, bias, groups, ..shape }), inputs)
    }

    /// The gate of a node of `c` channels.
    fn squeeze_excite(&mut self, x: NodeId, c: usize, hidden: usize, act: Activation, gate: Activation) -> NodeId {
        let reduce_weight = self.param("r.weight", &[hidden, c, 1, 1]);
        let reduce_bias = self.param("r.bias", &[hidden]);
        let expand_weight = self.param("e.weight", &[c, hidden, 1, 1]);
        let expand_bias = self.param("e.bias", &[c]);
        let op = SqueezeExcite { reduce_weight, reduce_bias, expand_weight, expand_bias, hidden, act, gate };
        self.push(Op::SqueezeExcite(op), &[x])
    }

    /// Plans, replaces the last node's launch by `row`'s, runs, and compares with the reference.
    fn check(mut self, gpu: &Arc<Gpu>, what: &str, row: impl Fn(&[Shape]) -> (Launch, Option<depthwise::Tiles>)) {
        let last = self.graph.nodes.len() - 1;
        self.graph.outputs = vec![("y".into(), last)];
        let Shape { n, h, w, .. } = self.input.shape;
        let weights = Weights::synthetic(&self.graph, &Synthetic::default()).unwrap();
        let target = Target { fuse: self.fuse, ..gpu.target() };
        let layout = WeightLayout::new(&self.graph, &target).unwrap();
        let mut plan = Plan::new(&self.graph, &layout, &target, [n, h, w], &[]).unwrap();
        let shapes = self.graph.shapes(n, h, w).unwrap();
        let (launch, tiles) = row(&shapes);
        let step = plan.value_of(last).and_then(|v| plan.values[v].written).unwrap();
        let storage = plan.steps[step].launch.key.storage;
        plan.steps[step].launch = Launch { key: KernelKey { storage, ..launch.key }, ..launch };
        if self.in_place {
            let written = plan.steps[step].writes[0].1;
            let (_, other) = *plan.steps[step].reads.iter().find(|r| r.0 == Role::Residual).unwrap();
            (plan.values[other].buffer, plan.values[other].offset) = (plan.values[written].buffer, 0);
            plan.values[written].over = Some(other);
            pointwise::in_place(&mut plan.steps[step].launch);
        }
        if let Some(tiles) = tiles {
            add_sums(&mut plan, step, last, shapes[last], tiles);
        }
        let key = plan.steps[step].launch.key.to_string();
        let buffers = block_on(WeightBuffers::new(gpu, &self.graph, &layout, &weights)).unwrap();
        let mut executor = block_on(Executor::new(gpu, &buffers, plan)).unwrap_or_else(|e| panic!("{key}: {e}"));
        let (got, _) = block_on(executor.run(Some(&self.input))).unwrap();
        let want = &cpu::run(&self.graph, &weights, &self.input).unwrap()["y"];
        let error = rel_l2(&got[0].data, &want.data);
        assert!(error <= BOUND, "{what}, {key} on {}: off by {error:.1e}, bound {BOUND:.0e}", gpu.facts());
        if let Some(tiles) = tiles {
            let sums = sums(want, tiles);
            let error = rel_l2(&got[1].data, &sums);
            assert!(error <= BOUND, "{what}, {key}, squeeze sums on {}: off by {error:.1e}", gpu.facts());
        }
    }
}

/// Gives a depthwise step the squeeze sums of another row's tiles, as an output.
fn add_sums(plan: &mut Plan, step: usize, node: NodeId, y: Shape, tiles: depthwise::Tiles) {
    let shape = Shape { h: tiles.tiles_y, w: tiles.tiles_x, ..y };
    let kind = ValueKind::Squeeze { node, tile: [tiles.height, tiles.width] };
    let value = plan.values.len();
    plan.values.push(Value {
        kind,
        shape,
        dtype: Dtype::F32,
        buffer: plan.buffers.len(),
        offset: 0,
        written: Some(step),
        last_read: step,
        over: None,
    });
    plan.buffers.push(Buffer { role: BufferRole::Output, bytes: shape.padded_bytes(Dtype::F32) });
    plan.steps[step].writes.retain(|w| w.0 != Role::Squeeze);
    plan.steps[step].writes.push((Role::Squeeze, value));
    plan.outputs.push(("sums".into(), value));
}

fn sums(y: &Tensor, tiles: depthwise::Tiles) -> Vec<f32> {
    let mut sums = vec![0.0_f64; y.shape.n * tiles.tiles_y * tiles.tiles_x * y.shape.c];
    for (at, pixel) in y.data.chunks_exact(y.shape.c).enumerate() {
        let (n, row, column) = (at / y.shape.pixels(), at / y.shape.w % y.shape.h, at % y.shape.w);
        let tile = (n * tiles.tiles_y + row / tiles.height) * tiles.tiles_x + column / tiles.width;
        for (c, &v) in pixel.iter().enumerate() {
            sums[tile * y.shape.c + c] += f64::from(v);
        }
    }
    sums.iter().map(|&s| s as f32).collect()
}

fn plain(out: usize, kernel: usize, stride: usize, padding: Padding, act: Activation) -> Conv2d {
    Conv2d { act, ..Conv2d::plain(0, None, ConvArgs::dense(out, kernel, stride), padding) }
}

fn slide(padding: Padding, x: Shape, kernel: usize, stride: usize) -> Window {
    Window::over(x, padding, kernel, stride).unwrap()
}

/// Whether the adapter can run a row that wants so many lanes in a subgroup; says so where not.
fn runs(gpu: &Gpu, variant: &impl std::fmt::Debug, wanted: u32) -> bool {
    let runs = gpu.facts().subgroup_lanes >= wanted;
    if !runs {
        eprintln!("SKIPPED: {} has no subgroups of {wanted} lanes: {variant:?}", gpu.facts());
    }
    runs
}

/// Lanes that a row wants, whose weights are shared by subgroup broadcasts or by quad swaps.
fn lanes(subgroup: bool, swap: bool) -> u32 {
    match (subgroup, swap) {
        (true, _) => SUBGROUP_LANES,
        (_, true) => QUAD_LANES,
        _ => 0,
    }
}

#[test]
fn pointwise_rows() {
    for gpu in gpus() {
        for variant in pointwise::VARIANTS {
            if !runs(&gpu, variant, lanes(variant.subgroup, variant.swap)) {
                continue;
            }
            for (i, &act) in ACTIVATIONS.iter().enumerate() {
                let joins = [Join::None, Join::Add, Join::AddThenAct, Join::AddFirst(5)];
                let cases =
                    joins.map(|join| (join, false)).into_iter().chain([(Join::Add, true), (Join::AddThenAct, true)]);
                for (gate, (join, in_place)) in
                    [false, true].into_iter().flat_map(|gate| cases.clone().map(move |c| (gate, c)))
                {
                    let x = Shape::new(1 + i % 3, 5 + i, 3 + 2 * i, 6 + 31 * i);
                    let out = 9 + 20 * i;
                    let mut b = Bench { in_place, ..Bench::new(x) };
                    let mut inputs = vec![0];
                    if gate {
                        inputs.push(b.push(Op::GlobalAvgPool, &[0]));
                    }
                    if join.is_some() {
                        inputs.push(b.conv(&[0], x.c, 1, plain(out, 1, 1, Padding::Same, Activation::Identity)));
                    }
                    b.conv(&inputs, x.c, 1, Conv2d { gate, join, ..plain(out, 1, 1, Padding::Same, act) });
                    b.check(&gpu, &format!("pointwise {join:?}, in place {in_place}"), |_| {
                        let channels = Channels::dense(x.c, out);
                        let (n, pixels, other) = (x.n, x.pixels(), out);
                        let args = pointwise::Args { n, pixels, channels, act, gate, join, other, vector: false };
                        (pointwise::launch_with(&args, variant).unwrap(), None)
                    });
                }
            }
        }
    }
}

#[test]
fn depthwise_rows() {
    for gpu in gpus() {
        for (row, variant) in depthwise::VARIANTS.iter().enumerate() {
            for kernel in [1, 3, 5, 7] {
                for stride in [1, 2] {
                    for (i, padding) in [Padding::Same, Padding::Symmetric].into_iter().enumerate() {
                        for (squeeze, join) in [
                            (false, Join::None),
                            (true, Join::None),
                            (false, Join::Add),
                            (false, Join::AddThenAct),
                            (false, Join::AddFirst(5)),
                        ] {
                            // A join is a pipeline more, seconds to compile: with steps at one window of each row.
                            if join.is_some() && stride == 2 && kernel != [3, 5, 7, 1][row % 4] {
                                continue;
                            }
                            let x = Shape::new(2, 16 + kernel + i, 29 + stride, 10);
                            let act = ACTIVATIONS[(kernel + stride + i) % 7];
                            let mut b = Bench::new(x);
                            let shape = plain(x.c, kernel, stride, padding, act);
                            let mut inputs = vec![0];
                            if join.is_some() {
                                inputs.push(b.conv(&[0], x.c, x.c, shape));
                            }
                            b.conv(&inputs, x.c, x.c, Conv2d { join, ..shape });
                            b.check(&gpu, &format!("depthwise {padding:?} {squeeze} {join:?}"), |_| {
                                let window = slide(padding, x, kernel, stride);
                                let args = depthwise::Args { window, c: x.c, act, join, keep_input: false, squeeze };
                                let (launch, tiles) = depthwise::launch_with(&args, variant).unwrap();
                                (launch, squeeze.then_some(tiles))
                            });
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn conv_rows() {
    for gpu in gpus() {
        for variant in conv::VARIANTS {
            if !runs(&gpu, variant, lanes(variant.subgroup, variant.swap)) {
                continue;
            }
            for (i, (kernel, stride)) in [(3, 2), (3, 1), (1, 2), (5, 3), (7, 2), (2, 2)].into_iter().enumerate() {
                for join in [Join::None, Join::Add, Join::AddThenAct, Join::AddFirst(5)] {
                    let (padding, act) = ([Padding::Same, Padding::Symmetric][i % 2], ACTIVATIONS[i]);
                    let x = Shape::new(1 + i % 2, 17 + i, 23 - i, 1 + 3 * i);
                    let out = 7 + 8 * i;
                    let mut b = Bench::new(x);
                    let shape = plain(out, kernel, stride, padding, act);
                    let mut inputs = vec![0];
                    if join.is_some() {
                        inputs.push(b.conv(&[0], x.c, 1, shape));
                    }
                    b.conv(&inputs, x.c, 1, Conv2d { join, ..shape });
                    b.check(&gpu, &format!("conv {join:?}"), |_| {
                        let window = slide(padding, x, kernel, stride);
                        let args = conv::Args { window, channels: Channels::dense(x.c, out), act, join };
                        (conv::launch_with(&args, variant).unwrap(), None)
                    });
                }
            }
        }
    }
}

#[test]
fn dilated_and_unpadded_windows() {
    for gpu in gpus() {
        for variant in conv::VARIANTS {
            if !runs(&gpu, variant, lanes(variant.subgroup, variant.swap)) {
                continue;
            }
            for (kernel, stride, dilation) in [(3, 1, 6), (3, 2, 2), (5, 1, 3), (3, 1, 1)] {
                for (i, padding) in [Padding::Symmetric, Padding::Same, Padding::Valid].into_iter().enumerate() {
                    let (x, out, act) = (Shape::new(2, 17, 19 + i, 7), 9, ACTIVATIONS[i]);
                    let mut b = Bench::new(x);
                    b.conv(&[0], x.c, 1, Conv2d { dilation, ..plain(out, kernel, stride, padding, act) });
                    b.check(&gpu, &format!("{kernel}x{kernel} dilated {dilation}, {padding:?}"), |_| {
                        let window = Window::dilated(x, padding, kernel, stride, dilation).unwrap();
                        let channels = Channels::dense(x.c, out);
                        let args = conv::Args { window, channels, act, join: Join::None };
                        (conv::launch_with(&args, variant).unwrap(), None)
                    });
                }
            }
        }
    }
}

#[test]
fn l2_norm_rows() {
    for gpu in gpus() {
        for variant in l2_norm::VARIANTS {
            for x in [Shape::new(2, 9, 11, 13), Shape::new(1, 1, 1, 4), Shape::new(3, 5, 7, 130)] {
                let mut b = Bench::new(x);
                // Behind a sigmoid, whose padded channels are one half.
                let positive = b.push(Op::Activation(Activation::Sigmoid), &[0]);
                let scale = b.param("scale", &[x.c]);
                b.push(Op::L2Norm { scale }, &[positive]);
                b.check(&gpu, "l2_norm", |_| {
                    let args = l2_norm::Args { n: x.n, pixels: x.pixels(), c: x.c };
                    (l2_norm::launch_with(&args, variant).unwrap(), None)
                });
            }
        }
    }
}

#[test]
fn squeeze_excite_rows() {
    for gpu in gpus() {
        for variant in squeeze_excite::VARIANTS {
            if !runs(&gpu, variant, lanes(false, variant.subgroup)) {
                continue;
            }
            for (c, hidden) in [(1, 1), (10, 3), (96, 4), (672, 28), (1152, 48), (3000, 130)] {
                let x = Shape::new(2, 3, 5, c);
                let mut b = Bench::new(x);
                let (act, gate) = (Activation::Swish, Activation::Sigmoid);
                b.squeeze_excite(0, c, hidden, act, gate);
                b.check(&gpu, "squeeze_excite", |_| {
                    // No depthwise convolution sums the input here: the plan averages it first.
                    let args = squeeze_excite::Args { n: x.n, c, hidden, tiles: 1, pixels: 1, act, gate };
                    (squeeze_excite::launch_with(&args, variant).unwrap(), None)
                });
            }
        }
    }
}

#[test]
fn head_pool_rows() {
    for gpu in gpus() {
        for variant in head_pool::VARIANTS {
            if !runs(&gpu, variant, lanes(variant.subgroup, variant.swap)) {
                continue;
            }
            // The largest maps have more positions than a subgroup's tile.
            for (i, &act) in ACTIVATIONS.iter().enumerate() {
                let x = Shape::new(1 + i % 3, 1 + 2 * i, 7, 5 + 40 * i);
                let out = 3 + 30 * i;
                let mut b = Bench::new(x);
                b.conv(&[0], x.c, 1, Conv2d { pool: true, ..plain(out, 1, 1, Padding::Same, act) });
                b.check(&gpu, "head_pool", |_| {
                    let args =
                        head_pool::Args { n: x.n, pixels: x.pixels(), c_in: x.c, c_out: out, act, vector: false };
                    (head_pool::launch_with(&args, variant).unwrap(), None)
                });
            }
        }
    }
}

#[test]
fn global_pool_rows() {
    for gpu in gpus() {
        for variant in global_pool::VARIANTS {
            for x in [Shape::new(3, 7, 9, 13), Shape::new(1, 1, 1, 4), Shape::new(2, 40, 31, 130)] {
                let mut b = Bench::new(x);
                b.push(Op::GlobalAvgPool, &[0]);
                b.check(&gpu, "global_pool", |_| {
                    let args = global_pool::Args { n: x.n, pixels: x.pixels(), c: x.c };
                    (global_pool::launch_with(&args, variant).unwrap(), None)
                });
            }
        }
    }
}

#[test]
fn elementwise_rows() {
    for gpu in gpus() {
        for variant in elementwise::VARIANTS {
            let x = Shape::new(2, 5, 7, 11);
            for &act in &ACTIVATIONS {
                let mut b = Bench::new(x);
                b.push(Op::Activation(act), &[0]);
                b.check(&gpu, "activation", |_| (launch(x, act, false, None, variant), None));
            }
            let scale = |residual| Op::Scale { residual };
            let add = |channels| Op::Add { channels };
            for op in [scale(false), scale(true), add(None), add(Some(6))] {
                let mut b = Bench::new(x);
                let other = b.conv(&[0], x.c, 1, plain(x.c, 1, 1, Padding::Same, Activation::Swish));
                let gate = b.push(Op::GlobalAvgPool, &[0]);
                let inputs = if matches!(op, Op::Scale { .. }) { [0, gate, other] } else { [0, other, other] };
                b.push(op, &inputs[..op.arity()]);
                let (gate, residual) = match op {
                    Op::Scale { residual } => (true, residual.then_some(x.c)),
                    Op::Add { channels } => (false, Some(channels.unwrap_or(x.c))),
                    _ => unreachable!(),
                };
                b.check(&gpu, op.name(), |_| (launch(x, Activation::Identity, gate, residual, variant), None));
            }
        }
    }
    fn launch(
        x: Shape,
        act: Activation,
        gate: bool,
        residual: Option<usize>,
        variant: &elementwise::Variant,
    ) -> Launch {
        let args = elementwise::Args { n: x.n, pixels: x.pixels(), c: x.c, act, gate, residual };
        elementwise::launch_with(&args, variant).unwrap()
    }
}
