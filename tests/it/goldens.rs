//! Every network against PyTorch's float64 outputs: the CPU reference and every GPU.

use crate::detectors;
use crate::support::{Golden, cases, gpus, path, rel_l2, top5};
use mbconv::graph::Graph;
use mbconv::plan::{Fuse, Target};
use mbconv::session::{Device, Output, Session};
use mbconv::weights::Naming;
use mbconv::{Tensor, cpu, passes};

pub const CPU_BOUND: f64 = 1e-5;
pub const GPU_BOUND: f64 = 5e-5;

/// On the reference, as built and (where that takes seconds, not minutes) after the passes.
fn cpu_meets_pytorch(name: &str) {
    let golden = Golden::load(name);
    check(name, "cpu", &golden, &run_on_cpu(&golden), CPU_BOUND);
    let small = golden.case["madds"].as_u64().unwrap() < 5_000_000_000;
    if small {
        let (fused, _) = passes::run(&golden.bundle.graph, &[]);
        let logits = &cpu::run(&fused, &golden.bundle.weights, &golden.input).unwrap()["logits"];
        let error = rel_l2(&logits.data, &golden.logits());
        assert!(error <= CPU_BOUND, "{name} after the passes: logits differ by {error:.2e}, bound {CPU_BOUND:.0e}");
    }
}

/// On every adapter: the plan as users run it, then once more with all taps kept.
fn gpu_meets_pytorch(name: &str) {
    let golden = Golden::load(name);
    for gpu in gpus() {
        let session = pollster::block_on(Session::new(Device::Gpu(gpu.clone()), golden.bundle.clone())).unwrap();
        let logits = pollster::block_on(session.run(&golden.input)).unwrap().values.remove("logits").unwrap();
        let error = rel_l2(&logits.data, &golden.logits());
        assert!(error <= GPU_BOUND, "{name} on {}: logits differ by {error:.2e}, bound {GPU_BOUND:.0e}", gpu.facts());
        check(name, &gpu.facts().to_string(), &golden, &run(&session, &golden), GPU_BOUND);
    }
}

/// With all convolutions that have a kernel together in one dispatch, whatever the adapter prefers.
fn fused_meets_pytorch(name: &str) {
    let golden = Golden::load(name);
    for gpu in gpus() {
        let target = Target { fuse: Fuse::All, ..gpu.target() };
        let session = Session::with_target(gpu.clone(), golden.bundle.clone(), target);
        let session = pollster::block_on(session).unwrap();
        check(name, &format!("{}, fused", gpu.facts()), &golden, &run(&session, &golden), GPU_BOUND);
        let alone = pollster::block_on(session.run(&golden.input)).unwrap();
        let again = pollster::block_on(session.run(&golden.input)).unwrap();
        assert_eq!(alone.values, again.values, "{name}: the same bits from run to run");
        let error = rel_l2(&alone.get("logits").unwrap().data, &golden.logits());
        assert!(error <= GPU_BOUND, "{name} fused on {}: off by {error:.2e}, bound {GPU_BOUND:.0e}", gpu.facts());
    }
}

macro_rules! fused_cases {
    ($($name:ident)*) => {
        mod fused {
            $(#[test]
            fn $name() {
                super::fused_meets_pytorch(stringify!($name));
            })*
        }
    };
}

fused_cases! {
    efficientnet_b0 tf_efficientnet_b0 tf_efficientnet_lite0 mobilenetv1_100 mobilenetv1_cifar mobilenetv2_100
    mobilenetv3_large_100 mobilenetv3_small_100 mobilenext_100 mobilenext_dagger_100 mnasnet_a1 proxylessnas_mobile
}

pub fn counts_are_pytorchs(name: &str) {
    let golden = Golden::load(name);
    let size = |key: &str| golden.case[key].as_u64().unwrap() as usize;
    let counts = golden.bundle.graph.counts(size("height"), size("width")).unwrap();
    assert_eq!(counts.params, golden.case["params"].as_u64().unwrap(), "{name}: parameters");
    assert_eq!(counts.madds, golden.case["madds"].as_u64().unwrap(), "{name}: multiply-adds");
}

cases! {
    efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4
    efficientnet_b5 efficientnet_b5_128 efficientnet_b6 efficientnet_b6_128 efficientnet_b7 efficientnet_b7_128
    tf_efficientnet_b0 tf_efficientnet_b3
    tf_efficientnet_lite0 tf_efficientnet_lite1 tf_efficientnet_lite2 tf_efficientnet_lite3 tf_efficientnet_lite4
    tv_efficientnet_b0
    tf_efficientnetv2_b0 tv_efficientnet_v2_s
    mobilenetv1_100 mobilenetv1_cifar
    mobilenetv2_100 tv_mobilenet_v2
    mobilenetv3_large_075 mobilenetv3_large_100 mobilenetv3_small_100 tv_mobilenet_v3_large
    mobilenext_100 mobilenext_110 mobilenext_100_nested_id50 mobilenext_dagger_100 mobilenext_dagger_110
    mnasnet_a1 mnasnet_b1
    fbnet_b fbnetc_100
    proxylessnas_mobile
    ghostnet_100 ghostnet_130
    igcv3_w1 igcv3_w1_4
    shufflenet_v2_x1_5
    tv_resnet18 tv_resnet50 tv_resnet152 resnet200
    resnet18_odd resnet50_v1_odd shufflenet_v2_x0_5_odd ghostnet_050_odd igcv3_wd2_odd
}

#[test]
fn every_golden_file_is_a_case() {
    for entry in std::fs::read_dir(path("tests/goldens")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|e| e == "safetensors") {
            let name = file.file_stem().unwrap().to_str().unwrap();
            assert!(CASES.contains(&name) || detectors::CASES.contains(&name), "{name} is not tested");
        }
    }
}

/// With every tap kept.
pub fn run(session: &Session, golden: &Golden) -> Output {
    let taps = canonical_taps(golden);
    let names: Vec<&str> = taps.iter().map(String::as_str).collect();
    pollster::block_on(session.run_keeping(&golden.input, &names)).unwrap()
}

/// The same on the CPU reference.
pub fn run_on_cpu(golden: &Golden) -> Output {
    run(&pollster::block_on(Session::new(Device::Cpu, golden.bundle.clone())).unwrap(), golden)
}

/// The golden's taps in the graph's own names.
fn canonical_taps(golden: &Golden) -> Vec<String> {
    let naming = Naming::of(golden.bundle.weights.checkpoint()).unwrap();
    let graph: &Graph = &golden.bundle.graph;
    golden.taps().iter().map(|tap| naming.scheme.canonical_module(graph, tap).unwrap()).collect()
}

fn check(name: &str, device: &str, golden: &Golden, output: &Output, bound: f64) {
    let (got, want) = (&output.get("logits").unwrap().data, golden.logits());
    let error = rel_l2(got, &want);
    println!("{name:24} {device:10} logits {error:.2e} (bound {bound:.0e})");
    assert!(error <= bound, "{name} on {device}: logits differ by {error:.2e}, bound {bound:.0e}");
    assert_eq!(top5(got), top5(&want), "{name} on {device}: top-5");
    check_taps(name, device, golden, output, bound);
}

/// Every recorded module.
pub fn check_taps(name: &str, device: &str, golden: &Golden, output: &Output, bound: f64) {
    for (tap, module) in golden.taps().iter().zip(canonical_taps(golden)) {
        check_tap(&format!("{name} on {device}, {tap}"), golden, tap, output.get(&module).unwrap(), bound);
    }
}

/// A module's recorded statistics, first values and channel means.
fn check_tap(place: &str, golden: &Golden, tap: &str, got: &Tensor, bound: f64) {
    let nchw = got.to_nchw();
    let [stats, head, means] =
        ["stats", "head", "chan"].map(|part| golden.file.read_f64(&format!("{tap}#{part}")).unwrap());
    // Where three quarters of the first values are a ReLU's zeros, the error is measured against the tensor's own scale.
    let sparse = head.iter().filter(|&&v| v == 0.0).count() * 4 >= head.len() * 3;
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let typical = stats[2] * (64.0 / nchw.len() as f64).sqrt();
    let difference = squares(&mut nchw.iter().zip(&head).map(|(got, want)| f64::from(*got) - want)).sqrt();
    let of_head = squares(&mut head.iter().copied()).sqrt();
    let head_error = difference / if sparse { of_head.max(typical) } else { of_head };
    let norm = squares(&mut nchw.iter().map(|&v| f64::from(v))).sqrt();
    let norm_error = (norm / stats[2] - 1.0).abs();
    // A channel's mean is the sum of its values over their number: its error is measured against the tensor's own scale.
    let per_image = got.shape.pixels();
    let scale = stats[2] / (nchw.len() as f64).sqrt();
    let mean_error = means.iter().enumerate().map(|(c, want)| {
        let images = (0..got.shape.n).map(|n| &nchw[(n * got.shape.c + c) * per_image..][..per_image]);
        let mean = images.flatten().map(|&v| f64::from(v)).sum::<f64>() / (got.shape.n * per_image) as f64;
        ((mean - want) / scale).abs()
    });
    // The largest of many errors is some four times the typical one; a mean over P positions divides it by sqrt(P). The
    // last maps of detectors have one position.
    let positions = (got.shape.n * per_image) as f64;
    let few = if golden.case["kind"] == "ssd" { (4.0 / positions.sqrt()).max(1.0) } else { 1.0 };
    let mean_error = mean_error.fold(0.0, f64::max) / few;
    println!("    {place}: first values {head_error:.1e}, norm {norm_error:.1e}, channel means {mean_error:.1e}");
    assert!(head_error <= bound && norm_error <= bound && mean_error <= bound, "{place} is off (bound {bound:.0e})");
}
