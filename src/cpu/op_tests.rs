//! Each operation against a loop as the textbook writes it, and fused operations against their parts.

use super::*;
use crate::graph::{
    Activation, BatchNorm, Builder, Conv2d, ConvArgs, Join, Param, Pool, PoolKind, Source, SqueezeExcite,
};
use crate::tensor::Padding;

/// Reproducible values in [-1, 1).
struct Random(u64);

impl Random {
    fn value(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn tensor(&mut self, n: usize, h: usize, w: usize, c: usize) -> Tensor {
        let shape = Shape::new(n, h, w, c);
        Tensor { shape, data: (0..shape.len()).map(|_| self.value()).collect() }
    }
}

/// A graph of one operation over parameters `p0`, `p1`, ... of these shapes, and random weights for it.
fn single(op: Op, shapes: &[Vec<usize>], random: &mut Random) -> (Graph, Weights) {
    let param = |(i, shape): (usize, &Vec<usize>)| Param {
        name: format!("p{i}"),
        shape: shape.clone(),
        source: Source::Checkpoint,
    };
    let node = |name: &str, op: Op| Node { name: name.into(), inputs: vec![0; op.arity()], op };
    let graph = Graph {
        name: "single".into(),
        in_channels: 3,
        nodes: vec![node("input", Op::Input), node("op", op)],
        params: shapes.iter().enumerate().map(param).collect(),
        outputs: Vec::new(),
        aliases: BTreeMap::new(),
    };
    let values = graph.params.iter().map(|p| (p.name.clone(), (0..p.len()).map(|_| random.value()).collect()));
    let weights = Weights::from_memory(&graph, values.collect()).unwrap();
    (graph, weights)
}

fn at(t: &Tensor, n: usize, y: usize, x: usize, c: usize) -> f64 {
    f64::from(t.data[((n * t.shape.h + y) * t.shape.w + x) * t.shape.c + c])
}

fn close(got: &Tensor, shape: Shape, want: impl Fn(usize, usize, usize, usize) -> f64, place: &str) {
    assert_eq!(got.shape, shape, "{place}");
    for (i, got) in got.data.iter().enumerate() {
        let (p, c) = (i / shape.c, i % shape.c);
        let (n, y, x) = (p / shape.pixels(), p / shape.w % shape.h, p % shape.w);
        let want = want(n, y, x, c);
        let error = (f64::from(*got) - want).abs();
        assert!(error <= 1e-6 * want.abs().max(0.1), "{place} at {n},{y},{x},{c}: {got}, must be {want}");
    }
}

/// Output size and zeros before, as PyTorch and TensorFlow document them.
fn padded(padding: Padding, size: usize, kernel: usize, stride: usize) -> (usize, usize) {
    match padding {
        Padding::Symmetric => ((size + 2 * ((kernel - 1) / 2) - kernel) / stride + 1, (kernel - 1) / 2),
        Padding::Same => {
            let out = size.div_ceil(stride);
            let missing = (out as isize - 1) * stride as isize + kernel as isize - size as isize;
            (out, missing.max(0) as usize / 2)
        }
        Padding::Valid => ((size - kernel) / stride + 1, 0),
        Padding::SameFixed => {
            let zeros = kernel as isize - (stride as isize).min(kernel as isize);
            (((size as isize + zeros - kernel as isize) / stride as isize + 1) as usize, zeros as usize / 2)
        }
    }
}

/// One convolution with everything that can be fused around it, against the definition. `c` counts the channels that
/// the weights are for; the input has `first` more in front of them, and one behind where it has any.
fn check_conv(conv: Conv2d, [n, h, w, c]: [usize; 4], random: &mut Random) {
    let Conv2d { out, kernel: k, stride: s, groups, padding, .. } = conv;
    let first = conv.first.unwrap_or(0);
    let place = format!("{conv:?} on {n}x{h}x{w}x{c}");
    let mut shapes = vec![vec![out, c / groups, k, k]];
    shapes.extend(conv.bias.map(|_| vec![out]));
    let (graph, weights) = single(Op::Conv2d(conv), &shapes, random);
    let x = random.tensor(n, h, w, if first > 0 { first + c + 1 } else { c });
    let gate = random.tensor(n, 1, 1, c);
    let extent = (k - 1) * conv.dilation + 1;
    let ((oh, top), (ow, left)) = (padded(padding, h, extent, s), padded(padding, w, extent, s));
    let kept = if conv.keep_input { c } else { 0 };
    let turns = conv.join == Join::Interleave;
    let other = random.tensor(n, oh, ow, if turns { out + 1 } else { kept + out });
    let mut inputs = vec![&x];
    inputs.extend(conv.gate.then_some(&gate));
    inputs.extend(conv.join.is_some().then_some(&other));
    let y = eval_node(&graph, &weights, 1, &inputs).unwrap();

    let weight = weights.values(&graph, 0).unwrap();
    let bias = conv.bias.map(|b| weights.values(&graph, b).unwrap());
    let inputs_per_group = c / groups;
    let sum = |n: usize, oy: usize, ox: usize, o: usize| {
        let mut sum = bias.as_ref().map_or(0.0, |b| f64::from(b[o]));
        for i in 0..inputs_per_group {
            let channel = o / (out / groups) * inputs_per_group + i;
            for ky in 0..k {
                for kx in 0..k {
                    let iy = (oy * s + ky * conv.dilation) as isize - top as isize;
                    let ix = (ox * s + kx * conv.dilation) as isize - left as isize;
                    if iy < 0 || ix < 0 || iy >= h as isize || ix >= w as isize {
                        continue;
                    }
                    let gate = if conv.gate { at(&gate, n, 0, 0, channel) } else { 1.0 };
                    let weight = f64::from(weight[((o * inputs_per_group + i) * k + ky) * k + kx]);
                    sum += at(&x, n, iy as usize, ix as usize, first + channel) * gate * weight;
                }
            }
        }
        sum
    };
    // Row by row of the definition: shuffled, behind the input, joined.
    let value = |n: usize, oy: usize, ox: usize, o: usize| {
        let joined = |o: usize| at(&other, n, oy, ox, o);
        let r = |o: usize| sum(n, oy, ox, o % conv.shuffle * (out / conv.shuffle) + o / conv.shuffle);
        let y = |o: usize| if o < kept { at(&x, n, oy, ox, o) } else { conv.act.eval(r(o - kept)) };
        match conv.join {
            Join::None => y(o),
            Join::Add => y(o) + joined(o),
            Join::AddFirst(channels) => y(o) + if o < channels { joined(o) } else { 0.0 },
            Join::AddThenAct => conv.act.eval(r(o) + joined(o)),
            Join::Interleave if o.is_multiple_of(2) => joined(o / 2),
            Join::Interleave => y(o / 2),
        }
    };
    let channels = kept + out + if turns { out } else { 0 };
    if !conv.pool {
        return close(&y, Shape::new(n, oh, ow, channels), value, &place);
    }
    let mean = |n, _, _, o| {
        let sum: f64 = (0..oh * ow).map(|p| value(n, p / ow, p % ow, o)).sum();
        sum / (oh * ow) as f64
    };
    close(&y, Shape::new(n, 1, 1, channels), mean, &place);
}

#[test]
fn convolutions_of_every_kind_match_the_definition() {
    let mut random = Random(1);
    // Input channels, output channels, groups: matrix products, one channel in or out, groups, depthwise.
    let widths =
        [(1, 1, 1), (3, 5, 1), (8, 4, 1), (7, 9, 1), (6, 4, 2), (6, 12, 6), (12, 6, 3), (5, 5, 5), (16, 16, 16)];
    let windows: [(usize, usize); 9] = [(1, 1), (1, 2), (2, 1), (3, 1), (3, 2), (5, 1), (5, 2), (7, 2), (4, 3)];
    let sizes = [[1, 7, 5], [2, 6, 9], [1, 4, 1], [3, 1, 1]];
    let mut round = 0u32;
    for (c, out, groups) in widths {
        for (kernel, stride) in windows {
            for [n, h, w] in sizes {
                for padding in [Padding::Symmetric, Padding::Same, Padding::SameFixed] {
                    if padding != Padding::Same
                        && h.min(w) + ((kernel - 1) / 2 * 2).min(kernel.saturating_sub(stride)) < kernel
                    {
                        continue;
                    }
                    round += 1;
                    let joins = [Join::None, Join::Add, Join::AddFirst(out / 2), Join::AddThenAct, Join::None];
                    let conv = Conv2d {
                        act: [Activation::Identity, Activation::Swish, Activation::Relu6][round as usize % 3],
                        gate: round % 5 < 2,
                        join: joins[round as usize % 7 % 5],
                        pool: round % 11 < 3,
                        bias: round.is_multiple_of(2).then_some(1),
                        ..Conv2d::plain(0, None, ConvArgs { groups, ..ConvArgs::dense(out, kernel, stride) }, padding)
                    };
                    check_conv(conv, [n, h, w, c], &mut random);
                }
            }
        }
    }
    assert!(round > 500);
}

#[test]
fn many_pixels_and_channels_cross_every_block() {
    let pointwise = Conv2d {
        act: Activation::Swish,
        gate: true,
        join: Join::Add,
        ..Conv2d::plain(0, Some(1), ConvArgs::pointwise(13), Padding::Same)
    };
    for (n, h, w) in [(1, 31, 33), (3, 17, 19), (2, 1, 1), (1, 2, 5)] {
        check_conv(pointwise, [n, h, w, 21], &mut Random(2));
    }
    check_conv(Conv2d { kernel: 3, stride: 2, ..pointwise }, [2, 40, 37, 5], &mut Random(3));
}

#[test]
fn dilated_and_unpadded_windows_match_the_definition() {
    let mut random = Random(10);
    // All channels, groups, depthwise.
    for (c, out, groups) in [(3, 5, 1), (6, 4, 2), (5, 5, 5)] {
        for (kernel, stride, dilation) in [(3, 1, 1), (3, 1, 2), (3, 2, 3), (5, 1, 2), (1, 1, 4), (2, 1, 3)] {
            for padding in [Padding::Symmetric, Padding::Same, Padding::SameFixed, Padding::Valid] {
                let args = ConvArgs { groups, ..ConvArgs::dense(out, kernel, stride).dilated(dilation) };
                check_conv(Conv2d::plain(0, Some(1), args, padding), [2, 11, 13, c], &mut random);
            }
        }
    }
    let too_large = Conv2d::plain(0, None, ConvArgs::dense(2, 3, 1).dilated(6), Padding::Valid);
    let (graph, weights) = single(Op::Conv2d(too_large), &[vec![2, 3, 3, 3]], &mut random);
    let error = eval_node(&graph, &weights, 1, &[&random.tensor(1, 12, 13, 3)]).unwrap_err().to_string();
    assert!(error.contains("13x13"), "{error}");
}

#[test]
fn l2_norm_matches_the_definition() {
    let mut random = Random(11);
    let (graph, weights) = single(Op::L2Norm { scale: 0 }, &[vec![5]], &mut random);
    let mut x = random.tensor(2, 3, 4, 5);
    x.data[..5].fill(0.0);
    let scale = weights.values(&graph, 0).unwrap();
    let norm = |n, h, w| (0..5).map(|c| at(&x, n, h, w, c).powi(2)).sum::<f64>().sqrt();
    // A position without any value stays so.
    let want = |n, h, w, c| {
        if (n, h, w) == (0, 0, 0) { 0.0 } else { at(&x, n, h, w, c) / norm(n, h, w) * f64::from(scale[c]) }
    };
    close(&eval_node(&graph, &weights, 1, &[&x]).unwrap(), x.shape, want, "l2 norm");
}

#[test]
fn rearranged_channels_match_the_definition() {
    let mut random = Random(8);
    let plain = |args| Conv2d { act: Activation::Relu, ..Conv2d::plain(0, Some(1), args, Padding::Symmetric) };
    let depthwise = plain(ConvArgs::depthwise(6, 3, 1));
    for join in [Join::None, Join::Add] {
        check_conv(Conv2d { keep_input: true, join, ..depthwise }, [2, 5, 7, 6], &mut random);
        check_conv(Conv2d { first: Some(3), join, ..plain(ConvArgs::pointwise(6)) }, [2, 5, 7, 5], &mut random);
        let grouped = ConvArgs { groups: 2, ..ConvArgs::pointwise(12) };
        check_conv(Conv2d { shuffle: 3, join, ..plain(grouped) }, [2, 5, 7, 4], &mut random);
    }
    let turns = Conv2d { join: Join::Interleave, first: Some(2), ..plain(ConvArgs::pointwise(5)) };
    check_conv(turns, [2, 5, 7, 4], &mut random);
    check_conv(Conv2d { pool: true, ..turns }, [2, 5, 7, 4], &mut random);
}

#[test]
fn channel_operations_and_windows_match_the_definition() {
    let mut random = Random(9);
    let (x, y) = (random.tensor(2, 5, 7, 6), random.tensor(2, 5, 7, 3));
    let eval = |op: Op, inputs: &[&Tensor]| {
        let (graph, weights) = single(op, &[], &mut Random(0));
        eval_node(&graph, &weights, 1, inputs).unwrap()
    };
    let shape = |c| Shape::new(2, 5, 7, c);
    let concat = |n, h, w, c| if c < 6 { at(&x, n, h, w, c) } else { at(&y, n, h, w, c - 6) };
    close(&eval(Op::Concat, &[&x, &y]), shape(9), concat, "concat");
    close(&eval(Op::Slice { first: 2, channels: 3 }, &[&x]), shape(3), |n, h, w, c| at(&x, n, h, w, c + 2), "slice");
    // [0 1 | 2 3 | 4 5] by turns.
    let order = [0, 2, 4, 1, 3, 5];
    close(&eval(Op::Shuffle { groups: 3 }, &[&x]), shape(6), |n, h, w, c| at(&x, n, h, w, order[c]), "shuffle");
    let first = |n, h, w, c| at(&x, n, h, w, c) * if c < 4 { 2.0 } else { 1.0 };
    close(&eval(Op::Add { channels: Some(4) }, &[&x, &x]), shape(6), first, "add");
    for (kernel, stride, padding) in [(3, 2, Padding::Symmetric), (2, 2, Padding::Same), (3, 1, Padding::Same)] {
        let ((oh, top), (ow, left)) = (padded(padding, 5, kernel, stride), padded(padding, 7, kernel, stride));
        for kind in [PoolKind::Max, PoolKind::Average] {
            let window = |n, oy: usize, ox: usize, c| {
                let taps = (0..kernel * kernel).filter_map(|tap| {
                    let iy = (oy * stride + tap / kernel) as isize - top as isize;
                    let ix = (ox * stride + tap % kernel) as isize - left as isize;
                    let inside = (0..5).contains(&iy) && (0..7).contains(&ix);
                    inside.then(|| at(&x, n, iy as usize, ix as usize, c))
                });
                let values: Vec<f64> = taps.collect();
                match kind {
                    PoolKind::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    PoolKind::Average => values.iter().sum::<f64>() / values.len() as f64,
                }
            };
            let got = eval(Op::Pool(Pool { kind, kernel, stride, padding }), &[&x]);
            close(&got, Shape::new(2, oh, ow, 6), window, &format!("{kind:?} {kernel} {stride}"));
        }
    }
}

#[test]
fn squeeze_and_excitation_matches_the_definition() {
    let se = SqueezeExcite {
        reduce_weight: 0,
        reduce_bias: 1,
        expand_weight: 2,
        expand_bias: 3,
        hidden: 3,
        act: Activation::Swish,
        gate: Activation::Sigmoid,
    };
    let mut random = Random(4);
    let shapes = [vec![3, 10, 1, 1], vec![3], vec![10, 3, 1, 1], vec![10]];
    let (graph, weights) = single(Op::SqueezeExcite(se), &shapes, &mut random);
    let x = random.tensor(2, 3, 5, 10);
    let y = eval_node(&graph, &weights, 1, &[&x]).unwrap();
    let p: Vec<Vec<f64>> = (0..4).map(|i| weights.values_f64(&graph, i).unwrap()).collect();
    let gate = |n, _, _, c: usize| {
        let mean = |c| (0..15).map(|i| at(&x, n, i / 5, i % 5, c)).sum::<f64>() / 15.0;
        let hidden = |o: usize| {
            let sum = (0..10).map(|i| p[0][o * 10 + i] * mean(i)).sum::<f64>() + p[1][o];
            sum / (1.0 + (-sum).exp())
        };
        let sum = (0..3).map(|o| p[2][c * 3 + o] * hidden(o)).sum::<f64>() + p[3][c];
        1.0 / (1.0 + (-sum).exp())
    };
    close(&y, Shape::new(2, 1, 1, 10), gate, "squeeze and excite");
}

#[test]
fn elementwise_operations_match_the_definition() {
    let mut random = Random(5);
    let shape = Shape::new(2, 37, 41, 11);
    let x = random.tensor(2, 37, 41, 11);
    let other = random.tensor(2, 37, 41, 11);
    let gate = random.tensor(2, 1, 1, 11);
    let eval = |op: Op, inputs: &[&Tensor]| {
        let (graph, weights) = single(op, &[], &mut Random(0));
        eval_node(&graph, &weights, 1, inputs).unwrap()
    };
    close(
        &eval(Op::Add { channels: None }, &[&x, &other]),
        shape,
        |n, h, w, c| at(&x, n, h, w, c) + at(&other, n, h, w, c),
        "add",
    );
    let scaled = |n, h, w, c| at(&x, n, h, w, c) * at(&gate, n, 0, 0, c);
    close(&eval(Op::Scale { residual: false }, &[&x, &gate]), shape, scaled, "scale");
    let summed = |n, h, w, c| scaled(n, h, w, c) + at(&other, n, h, w, c);
    close(&eval(Op::Scale { residual: true }, &[&x, &gate, &other]), shape, summed, "scale and add");
    let mean = |n, _, _, c| (0..37 * 41).map(|i| at(&x, n, i / 41, i % 41, c)).sum::<f64>() / (37.0 * 41.0);
    close(&eval(Op::GlobalAvgPool, &[&x]), Shape::new(2, 1, 1, 11), mean, "pool");
    let wide = Tensor { data: x.data.iter().map(|v| v * 8.0).collect(), ..x.clone() };
    type Function = fn(f64) -> f64;
    let definitions: [(Activation, Function); 7] = [
        (Activation::Identity, |x| x),
        (Activation::Relu, |x| if x > 0.0 { x } else { 0.0 }),
        (Activation::Relu6, |x| if x > 6.0 { 6.0 } else { x.max(0.0) }),
        (Activation::Swish, |x| x / (1.0 + (-x).exp())),
        (Activation::Sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
        (Activation::HardSwish, |x| {
            if x < -3.0 {
                0.0
            } else if x > 3.0 {
                x
            } else {
                x * (x + 3.0) / 6.0
            }
        }),
        (Activation::HardSigmoid, |x| {
            if x < -3.0 {
                0.0
            } else if x > 3.0 {
                1.0
            } else {
                (x + 3.0) / 6.0
            }
        }),
    ];
    for (act, f) in definitions {
        close(&eval(Op::Activation(act), &[&wide]), shape, |n, h, w, c| f(at(&wide, n, h, w, c)), act.name());
    }
}

#[test]
fn batch_norm_matches_the_definition() {
    let mut random = Random(6);
    let (graph, _) = single(
        Op::BatchNorm(BatchNorm { gamma: 0, beta: 1, mean: 2, var: 3, eps: 1e-3 }),
        &[vec![6], vec![6], vec![6], vec![6]],
        &mut Random(7),
    );
    let values =
        |i: usize, random: &mut Random| (0..6).map(|_| random.value() + if i == 3 { 1.5 } else { 0.0 }).collect();
    let tensors: BTreeMap<String, Vec<f32>> = (0..4).map(|i| (format!("p{i}"), values(i, &mut random))).collect();
    let weights = Weights::from_memory(&graph, tensors.clone()).unwrap();
    let x = random.tensor(2, 3, 4, 6);
    let p = |i: usize, c: usize| f64::from(tensors[&format!("p{i}")][c]);
    let want = |n, h, w, c| (at(&x, n, h, w, c) - p(2, c)) / (p(3, c) + 1e-3).sqrt() * p(0, c) + p(1, c);
    close(&eval_node(&graph, &weights, 1, &[&x]).unwrap(), x.shape, want, "batch norm");
}

/// A stem and a block with squeeze-and-excitation and a residual, whose head is pooled.
fn plain_network() -> Graph {
    let mut b = Builder::new("net", 3, Padding::Same, 1e-3);
    let x = b.conv("conv_stem", b.input(), ConvArgs::dense(8, 3, 2)).unwrap();
    let x = b.bn_act("bn1", x, Activation::Swish).unwrap();
    let y = b.conv("dw", x, ConvArgs::depthwise(8, 5, 1)).unwrap();
    let y = b.bn_act("bn2", y, Activation::Relu6).unwrap();
    let y = b.squeeze_excite("se", y, 2, Activation::Swish, Activation::Sigmoid).unwrap();
    let y = b.conv("pwl", y, ConvArgs::pointwise(8)).unwrap();
    let y = b.bn_act("bn3", y, Activation::Identity).unwrap();
    let x = b.add("add", x, y).unwrap();
    let x = b.conv("head", x, ConvArgs::pointwise(20).with_bias()).unwrap();
    let x = b.bn_act("bn4", x, Activation::Swish).unwrap();
    let x = b.global_pool("pool", x).unwrap();
    b.output("embedding", x);
    let x = b.linear("classifier", x, 10).unwrap();
    b.output("logits", x);
    b.finish().unwrap()
}

/// The same network with everything fused that a convolution can hold.
fn fused_network(plain: &Graph) -> Graph {
    let mut params = plain.params.clone();
    let find = |name: &str| plain.nodes.iter().find(|n| n.name == name).unwrap().op;
    let mut fused = |conv: &str, bn: &str, change: &dyn Fn(&mut Conv2d)| {
        let (Op::Conv2d(mut c), Op::BatchNorm(bn)) = (find(conv), find(bn)) else { panic!("{conv} {bn}") };
        let shape = params[c.weight].shape.clone();
        params.push(Param {
            name: format!("{conv}.folded"),
            shape,
            source: Source::FoldedWeight { weight: Some(c.weight), bn },
        });
        let bias = Source::FoldedBias { bias: c.bias, bn };
        params.push(Param { name: format!("{conv}.folded_bias"), shape: vec![c.out], source: bias });
        (c.weight, c.bias) = (params.len() - 2, Some(params.len() - 1));
        change(&mut c);
        Op::Conv2d(c)
    };
    let stem = fused("conv_stem", "bn1.norm", &|c| c.act = Activation::Swish);
    let dw = fused("dw", "bn2.norm", &|c| c.act = Activation::Relu6);
    let pwl = fused("pwl", "bn3", &|c| (c.gate, c.join) = (true, Join::Add));
    let head = fused("head", "bn4.norm", &|c| (c.act, c.pool) = (Activation::Swish, true));
    let id = |name: &str| params.iter().position(|p| p.name == name).unwrap();
    let se = Op::SqueezeExcite(SqueezeExcite {
        reduce_weight: id("se.conv_reduce.weight"),
        reduce_bias: id("se.conv_reduce.bias"),
        expand_weight: id("se.conv_expand.weight"),
        expand_bias: id("se.conv_expand.bias"),
        hidden: 2,
        act: Activation::Swish,
        gate: Activation::Sigmoid,
    });
    let nodes = [
        ("input", Op::Input, vec![]),
        ("stem", stem, vec![0]),
        ("dw", dw, vec![1]),
        ("se", se, vec![2]),
        ("pwl", pwl, vec![2, 3, 1]),
        ("head", head, vec![4]),
        ("classifier", find("classifier"), vec![5]),
    ];
    let nodes = nodes.into_iter().map(|(name, op, inputs)| Node { name: name.into(), op, inputs }).collect();
    let outputs = vec![("embedding".into(), 5), ("logits".into(), 6)];
    Graph { nodes, params, outputs, aliases: BTreeMap::new(), ..plain.clone() }
}

#[test]
fn a_fused_network_computes_what_its_parts_do() {
    let plain = plain_network();
    let fused = fused_network(&plain);
    fused.verify().unwrap();
    let weights = Weights::synthetic(&plain, &Default::default()).unwrap();
    let input = Random(8).tensor(2, 21, 18, 3);
    let want = run(&plain, &weights, &input).unwrap();
    let mut seen = Vec::new();
    let got = run_with(&fused, &weights, &input, |id, value| seen.push((id, value.shape))).unwrap();
    let shapes = fused.shapes(2, 21, 18).unwrap();
    assert_eq!(seen, shapes.into_iter().enumerate().collect::<Vec<_>>());
    for name in ["embedding", "logits"] {
        let w = &want[name];
        close(&got[name], w.shape, |n, h, x, c| at(w, n, h, x, c), name);
    }
}

#[test]
fn operands_that_do_not_fit_are_errors() {
    let plain = plain_network();
    let weights = Weights::synthetic(&plain, &Default::default()).unwrap();
    let x = |h, w, c| Tensor::zeros(Shape::new(1, h, w, c));
    assert!(run(&plain, &weights, &x(8, 8, 4)).unwrap_err().to_string().contains("takes 3 channels"));
    assert!(run(&plain, &weights, &x(0, 8, 3)).is_err());
    assert!(run(&plain, &weights, &Tensor { data: vec![0.0; 5], ..x(8, 8, 3) }).is_err());
    let error = eval_node(&plain, &weights, 1, &[&x(8, 8, 4)]).unwrap_err().to_string();
    assert!(error.contains("conv_stem") && error.contains("weights are for 3 channels"), "{error}");
    assert!(eval_node(&plain, &weights, 1, &[]).is_err());
    assert!(eval_node(&plain, &weights, 1, &[&x(8, 0, 3)]).is_err());
    assert!(eval_node(&plain, &weights, 999, &[&x(8, 8, 3)]).is_err());
    let add = plain.find("add").unwrap();
    assert!(eval_node(&plain, &weights, add, &[&x(4, 4, 8), &x(4, 5, 8)]).is_err());
    let scale = plain.find("se.scale").unwrap();
    assert!(eval_node(&plain, &weights, scale, &[&x(4, 4, 8), &x(4, 4, 8)]).is_err());
    let dw = plain.find("dw").unwrap();
    assert!(eval_node(&plain, &weights, dw, &[&x(4, 4, 12)]).is_err());
}
