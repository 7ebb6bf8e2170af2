//! Whole networks, built by hand, against PyTorch: logits and every tap.

use super::*;
use crate::graph::{Activation, Builder, ConvArgs, Value};
use crate::tensor::Padding;
use crate::weights::{Checkpoint, Naming, Synthetic, make_input};

/// Width, expansion, kernel, stride, repeats of EfficientNet-B0's stages.
const B0: [(usize, usize, usize, usize, usize); 7] = [
    (16, 1, 3, 1, 1),
    (24, 6, 3, 2, 2),
    (40, 6, 5, 2, 2),
    (80, 6, 3, 2, 3),
    (112, 6, 5, 1, 3),
    (192, 6, 5, 2, 4),
    (320, 6, 3, 1, 1),
];

/// EfficientNet-B0, or Lite0 without squeeze-and-excitation.
fn efficientnet(lite: bool) -> Result<Graph> {
    let (padding, eps, act) =
        if lite { (Padding::Same, 1e-3, Activation::Relu6) } else { (Padding::Symmetric, 1e-5, Activation::Swish) };
    let mut b = Builder::new("net", 3, padding, eps);
    let x = b.conv("conv_stem", b.input(), ConvArgs::dense(32, 3, 2))?;
    let mut x = b.bn_act("bn1", x, act)?;
    for (s, (out, expand, kernel, stride, repeats)) in B0.into_iter().enumerate() {
        x = b.scope(&format!("blocks.{s}"), |b| {
            (0..repeats).try_fold(x, |x, r| {
                b.scope(&r.to_string(), |b| {
                    block(b, x, out, expand, kernel, if r == 0 { stride } else { 1 }, !lite, act)
                })
            })
        })?;
    }
    let x = b.conv("conv_head", x, ConvArgs::pointwise(1280))?;
    let x = b.bn_act("bn2", x, act)?;
    let x = b.global_pool("global_pool", x)?;
    let x = b.linear("classifier", x, 1000)?;
    b.output("logits", x);
    b.finish()
}

#[allow(clippy::too_many_arguments)]
fn block(
    b: &mut Builder,
    x: Value,
    out: usize,
    expand: usize,
    kernel: usize,
    stride: usize,
    se: bool,
    act: Activation,
) -> Result<Value> {
    let names = if expand > 1 { ["bn2", "conv_pwl", "bn3"] } else { ["bn1", "conv_pw", "bn2"] };
    let mut y = x;
    if expand > 1 {
        y = b.conv("conv_pw", y, ConvArgs::pointwise(x.channels * expand))?;
        y = b.bn_act("bn1", y, act)?;
    }
    y = b.conv("conv_dw", y, ConvArgs::depthwise(y.channels, kernel, stride))?;
    y = b.bn_act(names[0], y, act)?;
    if se {
        y = b.squeeze_excite("se", y, x.channels / 4, act, Activation::Sigmoid)?;
    }
    y = b.conv(names[1], y, ConvArgs::pointwise(out))?;
    y = b.bn_act(names[2], y, Activation::Identity)?;
    if stride == 1 && x.channels == out { b.add("add", x, y) } else { Ok(y) }
}

fn relative_l2(got: &[f32], want: &[f32]) -> f64 {
    let square = |v: f64| v * v;
    let error: f64 = got.iter().zip(want).map(|(g, w)| square(f64::from(g - w))).sum();
    (error / want.iter().map(|w| square(f64::from(*w))).sum::<f64>()).sqrt()
}

/// Logits and every tap of a reference case.
fn meets_golden(case: &str, lite: bool) {
    let path = format!("{}/tests/goldens/{case}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let golden = Checkpoint::open(path).unwrap();
    let facts: serde_json::Value = serde_json::from_str(&golden.metadata()["case"]).unwrap();
    let (recipe, tensors) = Synthetic::from_golden(&golden).unwrap();
    let state = recipe.state(&tensors).unwrap();
    let naming = Naming::of(&state).unwrap();
    let graph = efficientnet(lite).unwrap();
    assert_eq!(naming.num_classes(&graph, &state), Some(1000));
    assert_eq!(naming.in_channels(&graph, &state), Some(3));
    let weights = Weights::new(&graph, state, &naming).unwrap();
    let shape = Shape::new(1, 224, 224, 3);
    let input = Tensor::from_nchw(shape, &make_input(&recipe.salt, [1, 3, 224, 224])).unwrap();

    let taps: BTreeMap<NodeId, &str> = facts["taps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tap| {
            let name = tap[0].as_str().unwrap();
            (graph.find(&naming.scheme.canonical_module(&graph, name).unwrap()).unwrap(), name)
        })
        .collect();
    let mut seen = 0;
    let outputs = run_with(&graph, &weights, &input, |id, value| {
        let Some(tap) = taps.get(&id) else { return };
        seen += 1;
        let means: Vec<f32> = pool::means(value).iter().map(|&v| v as f32).collect();
        let error = relative_l2(&means, &golden.read_f32(&format!("{tap}#chan")).unwrap());
        assert!(error < 1e-5, "{case} {tap}: {error:e}");
        let head: Vec<f32> = golden.read_f32(&format!("{tap}#head")).unwrap().to_vec();
        let error = relative_l2(&value.to_nchw()[..64], &head);
        assert!(error < 1e-5, "{case} {tap}#head: {error:e}");
    })
    .unwrap();
    assert_eq!(seen, taps.len());
    let error = relative_l2(&outputs["logits"].data, &golden.read_f32("logits").unwrap());
    println!("{case}: {error:e}");
    assert!(error < 1e-5, "{case}: {error:e}");
}

#[test]
fn whole_networks_meet_pytorch() {
    meets_golden("efficientnet_b0", false);
    meets_golden("tv_efficientnet_b0", false);
    meets_golden("tf_efficientnet_lite0", true);
}
