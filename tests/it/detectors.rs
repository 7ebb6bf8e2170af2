//! Every detector against PyTorch's float64 outputs: raw outputs on the CPU reference and every GPU, and detections.

use crate::goldens::{CPU_BOUND, GPU_BOUND, check_taps, counts_are_pytorchs, run, run_on_cpu};
use crate::support::{Golden, cases, gpus, path, rel_l2};
use mbconv::session::{Bundle, Device, Output, Session};
use mbconv::vision::{self, Detection};
use mbconv::weights::Synthetic;
use mbconv::zoo::{self, Options};
use mbconv::{Error, cpu, passes};
use pollster::block_on;

/// Outputs, stored rows, and detections.
fn check(name: &str, device: &str, golden: &Golden, output: &Output, bound: f64) {
    check_raw(name, device, golden, output, bound);
    check_detections(name, device, golden, output, bound);
}

/// The stored rows, and mean, deviation and norm of all.
fn check_raw(name: &str, device: &str, golden: &Golden, output: &Output, bound: f64) {
    let detector = golden.bundle.model.detector.unwrap();
    let stored = integers(name, "anchor_rows");
    for part in ["cls_logits", "bbox_regression"] {
        let rows = vision::rows(&output.values, part, detector).unwrap();
        assert_eq!(rows.shape.w as u64, golden.case["anchors"].as_u64().unwrap(), "{name}: default boxes");
        let got: Vec<f32> =
            stored.iter().flat_map(|&row| &rows.data[row as usize * rows.shape.c..][..rows.shape.c]).copied().collect();
        let error = rel_l2(&got, &golden.file.read_f32(&format!("{part}_rows")).unwrap());
        let [mean, deviation, norm] = statistics(&rows.data);
        let stats = golden.file.read_f64(&format!("{part}#stats")).unwrap();
        let all = ((mean - stats[0]) / stats[1])
            .abs()
            .max((deviation / stats[1] - 1.0).abs())
            .max((norm / stats[2] - 1.0).abs());
        println!("{name:32} {device:10} {part} {error:.2e}, of all {all:.2e} (bound {bound:.0e})");
        assert!(error <= bound && all <= bound, "{name} on {device}: {part} differ by {error:.2e}, bound {bound:.0e}");
    }
}

/// A tensor of integers, which no checkpoint has.
fn integers(name: &str, tensor: &str) -> Vec<i32> {
    let bytes = std::fs::read(path(&format!("tests/goldens/{name}.safetensors"))).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    file.tensor(tensor).unwrap().data().as_chunks::<4>().0.iter().map(|&b| i32::from_le_bytes(b)).collect()
}

fn statistics(values: &[f32]) -> [f64; 3] {
    let (n, values) = (values.len() as f64, || values.iter().map(|&v| f64::from(v)));
    let mean = values().sum::<f64>() / n;
    let deviation = (values().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    [mean, deviation, values().map(|v| v * v).sum::<f64>().sqrt()]
}

/// The most that a score may be off, so that what is closer may come in another order.
const SCORE_BOUND: f64 = 1e-4;

/// The same boxes, in the same order up to [`SCORE_BOUND`]. A regression may be off by `bound` of its root mean square,
/// and a single one by ten times that; a tenth of it moves a box by its default's side, which is no longer than the
/// picture's, and a fifth of it is what a side grows by.
fn check_detections(name: &str, device: &str, golden: &Golden, output: &Output, bound: f64) {
    let detector = golden.bundle.model.detector.unwrap();
    let (height, width) = (golden.input.shape.h, golden.input.shape.w);
    let found = vision::detect(&output.values, detector, [height, width]).unwrap().remove(0);
    let file = &golden.file;
    let [boxes, scores] = ["det_boxes", "det_scores"].map(|n| file.read_f64(n).unwrap());
    let labels = integers(name, "det_labels");
    assert_eq!(found.len(), scores.len(), "{name} on {device}: detections");
    let rows = vision::rows(&output.values, "bbox_regression", detector).unwrap();
    let typical = statistics(&rows.data)[2] / (rows.data.len() as f64).sqrt();
    let off = 10.0 * bound * typical;
    // How far a box is from a wanted one, in what is allowed.
    let distance = |bbox: &[f32; 4], want: &[f64]| {
        let [own_width, own_height] = [bbox[2] - bbox[0], bbox[3] - bbox[1]];
        let sides = bbox.iter().zip(want).enumerate().map(|(side, (got, want))| {
            let (picture, own) = if side % 2 == 0 { (width, own_width) } else { (height, own_height) };
            let allowed = off * (0.1 * picture as f64 + 0.1 * f64::from(own)) + 1e-4;
            (f64::from(*got) - want).abs() / allowed
        });
        sides.fold(0.0, f64::max)
    };
    let mut left: Vec<usize> = (0..scores.len()).collect();
    let (mut worst, mut worst_score) = (0.0_f64, 0.0_f64);
    for (i, Detection { class, score, bbox }) in found.iter().enumerate() {
        let off = |&j: &usize| (f64::from(*score) - scores[j]).abs();
        let alike = left.iter().copied().filter(|j| *class as i32 == labels[*j] && off(j) <= SCORE_BOUND);
        let ranked = alike.map(|j| (distance(bbox, &boxes[4 * j..4 * j + 4]), j));
        let (far, j) = ranked.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_else(|| {
            panic!("{name} on {device}: detection {i}, class {class}, score {score}: not PyTorch's")
        });
        left.retain(|&other| other != j);
        worst = worst.max(far);
        worst_score = worst_score.max(off(&j));
    }
    println!(
        "{name:32} {device:10} {} detections, boxes at {:.0} % of their bound, scores off by {worst_score:.1e} (bound {SCORE_BOUND:.0e})",
        found.len(),
        100.0 * worst
    );
    assert!(worst <= 1.0, "{name} on {device}: boxes at {worst:.2} of their bound");
}

/// Whether a run takes seconds on a software adapter, not half a minute.
fn is_small(golden: &Golden) -> bool {
    golden.case["madds"].as_u64().unwrap() < 5_000_000_000
}

/// On the reference, as built and (of a small network) after the passes.
fn cpu_meets_pytorch(name: &str) {
    let golden = Golden::load(name);
    let output = run_on_cpu(&golden);
    check(name, "cpu", &golden, &output, CPU_BOUND);
    check_taps(name, "cpu", &golden, &output, CPU_BOUND);
    if is_small(&golden) {
        let (fused, _) = passes::run(&golden.bundle.graph, &[]);
        let values = cpu::run(&fused, &golden.bundle.weights, &golden.input).unwrap();
        check(name, "cpu, fused", &golden, &Output { values, ..Output::default() }, CPU_BOUND);
    }
}

/// On every adapter: the plan as users run it, then (of a small network) once more with all taps kept.
fn gpu_meets_pytorch(name: &str) {
    let golden = Golden::load(name);
    for gpu in gpus() {
        let device = gpu.facts().to_string();
        let session = block_on(Session::new(Device::Gpu(gpu), golden.bundle.clone())).unwrap();
        check(name, &device, &golden, &block_on(session.run(&golden.input)).unwrap(), GPU_BOUND);
        if is_small(&golden) {
            check_taps(name, &device, &golden, &run(&session, &golden), GPU_BOUND);
        }
    }
}

cases! {
    ssd300_vgg16
    ssdlite320_mobilenet_v2 ssdlite320_mobilenet_v2_expand ssdlite320_mobilenet_v3_large ssdlite320_mobilenext
}

/// Published counts for COCO's 80 classes and the background (MobileNeXt's table 7: 4.3 M parameters, 0.8 G
/// multiply-adds), and our reference's for PASCAL VOC.
#[test]
fn classes_are_free() {
    for (name, classes, params, madds) in [
        ("ssd300_vgg16", 21, 26_285_486, 31_374),
        ("ssdlite320_mobilenet_v2", 81, 4_315_000, 748),
        ("ssdlite320_mobilenet_v2_expand", 81, 4_450_000, 848),
        ("ssdlite320_mobilenext", 81, 4_561_000, 844),
    ] {
        let model = zoo::find(name).unwrap();
        let graph = model.build(&Options { num_classes: classes, ..model.options() }).unwrap();
        let counts = graph.counts(model.resolution, model.resolution).unwrap();
        let near = |got: f64, want: f64, unit: f64| (got - want).abs() <= unit;
        assert!(near(counts.params as f64, f64::from(params), 600.0), "{name}: {} parameters", counts.params);
        assert!(near(counts.madds as f64, f64::from(madds) * 1e6, 5.1e5), "{name}: {} multiply-adds", counts.madds);
    }
}

#[test]
fn a_bare_file_is_recognised_with_its_classes() {
    for name in CASES {
        let model = zoo::find(name).unwrap();
        let graph = model.build(&Options { num_classes: 7, ..model.options() }).unwrap();
        let bundle = Bundle::from_checkpoint(Synthetic::default().state_of(&graph).unwrap()).unwrap();
        assert_eq!((bundle.model.name.as_str(), bundle.num_classes()), (*name, 7));
    }
}

#[test]
fn what_only_classifiers_have_is_a_typed_error_and_so_are_boxes_of_one() {
    let session = |name: &str| {
        let model = zoo::find(name).unwrap();
        let options = model.options();
        let bundle = Bundle::synthetic(model, &options, &Synthetic::default()).unwrap();
        block_on(Session::new(Device::Cpu, bundle)).unwrap()
    };
    let x = mbconv::Tensor::zeros(mbconv::Shape::new(2, 32, 40, 3));
    let detector = session("ssdlite320_mobilenet_v2");
    let output = block_on(detector.run(&x)).unwrap();
    assert!(matches!(output.get("cls_logits.9"), Err(Error::Unknown { .. })));
    let errors =
        [output.logits().map(|_| ()), output.get("logits").map(|_| ()), block_on(detector.embed(&x)).map(|_| ())];
    for error in errors {
        let error = error.unwrap_err();
        assert!(matches!(error, Error::BadInput { .. }) && error.to_string().contains("detector"), "{error}");
    }
    assert_eq!(block_on(detector.detect(&x)).unwrap().len(), 2);
    let error = block_on(session("mobilenetv3_small_050").detect(&x)).unwrap_err();
    assert!(error.to_string().contains("classifies"), "{error}");
}
