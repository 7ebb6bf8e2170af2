//! Using the engine: shared devices, resident buffers, threads, other shapes, intermediates, a lost device.

use crate::support::{Golden, gpus, kept, path, rel_l2, top5};
use mbconv::gpu::{Gpu, Roofline};
use mbconv::kernels::{AdapterClass, excite_pointwise};
use mbconv::plan::{Fuse, Plan, Rates, Target, WeightLayout};
use mbconv::session::{Bundle, Device, Session, verify};
use mbconv::tensor::Dtype;
use mbconv::weights::{Synthetic, make_input};
use mbconv::zoo::{self, Options};
use mbconv::{Error, Shape, Tensor, cpu, passes};
use pollster::block_on;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Relative L2 error of a whole network on a GPU against our own reference.
const BOUND: f64 = 5e-5;

fn input(shape: Shape) -> Tensor {
    Tensor::from_nchw(shape, &make_input("input", [shape.n, shape.c, shape.h, shape.w])).unwrap()
}

fn synthetic(name: &str, options: Options) -> Bundle {
    kept(Bundle::synthetic(zoo::find(name).unwrap(), &options, &Synthetic::default()).unwrap())
}

fn session(gpu: &Arc<Gpu>, bundle: &Bundle) -> Session {
    block_on(Session::new(Device::Gpu(gpu.clone()), bundle.clone())).unwrap()
}

#[test]
fn any_batch_resolution_channels_and_classes() {
    let cases = [
        ("efficientnet_b0", 3, 1000, Shape::new(3, 224, 224, 3)),
        ("efficientnet_b0", 1, 37, Shape::new(1, 224, 224, 1)),
        ("efficientnet_b1", 3, 37, Shape::new(2, 97, 131, 3)),
        ("tf_efficientnet_b1", 5, 2, Shape::new(1, 151, 64, 5)),
        ("tf_efficientnet_b7", 3, 10, Shape::new(1, 75, 90, 3)),
        ("tf_efficientnet_lite0", 3, 1, Shape::new(4, 33, 47, 3)),
        ("efficientnet_lite4", 4, 1001, Shape::new(1, 65, 64, 4)),
        ("efficientnet_b2", 3, 5, Shape::new(1, 1, 1, 3)),
    ];
    for (name, channels, classes, shape) in cases {
        let shape = Shape { c: channels, ..shape };
        let bundle = synthetic(name, Options { in_channels: channels, num_classes: classes, bn_eps: None });
        let x = input(shape);
        let want = cpu::run(&bundle.graph, &bundle.weights, &x).unwrap();
        for gpu in gpus() {
            let got = block_on(session(&gpu, &bundle).run(&x)).unwrap();
            for output in ["logits", "embedding"] {
                let error = rel_l2(&got.get(output).unwrap().data, &want[output].data);
                println!(
                    "{name} {shape} {classes} classes, {output} on {}: {error:.1e} (bound {BOUND:.0e})",
                    gpu.facts()
                );
                assert!(error <= BOUND);
            }
        }
    }
}

#[test]
fn lockstep_verification_passes() {
    let cases = [
        ("efficientnet_b0", 224),
        ("efficientnet_b1", 64),
        ("efficientnet_b2", 64),
        ("efficientnet_b3", 64),
        ("efficientnet_b4", 64),
        ("efficientnet_b5", 64),
        ("efficientnet_b6", 64),
        ("efficientnet_b7", 64),
        ("efficientnet_b8", 33),
    ];
    let gpus = gpus();
    for (name, side) in cases {
        let bundle = synthetic(name, Options::default());
        for gpu in &gpus {
            let report =
                block_on(verify(gpu, &gpu.target(), &bundle, &input(Shape::new(1, side, side, 3)), |_, _| {})).unwrap();
            let worst =
                report.steps.iter().max_by(|a, b| (a.rel_l2 / a.bound).total_cmp(&(b.rel_l2 / b.bound))).unwrap();
            println!(
                "{name} at {side}: {} values; closest to its bound: {} {:.1e} of {:.1e}",
                report.steps.len(),
                worst.label,
                worst.rel_l2,
                worst.bound
            );
            assert_eq!(report.first_failure(), None, "{name} on {}", gpu.facts());
        }
    }
}

#[test]
fn fused_steps_verify_in_lockstep() {
    for gpu in gpus() {
        let target = Target { fuse: Fuse::All, ..gpu.target() };
        for (name, shape) in [
            ("efficientnet_b0", Shape::new(1, 96, 70, 3)),
            ("mobilenetv1_100", Shape::new(3, 64, 64, 3)),
            ("mobilenext_100", Shape::new(1, 64, 96, 3)),
            ("proxylessnas_mobile", Shape::new(1, 75, 75, 3)),
        ] {
            let bundle = synthetic(name, Options::default());
            let report = block_on(verify(&gpu, &target, &bundle, &input(shape), |_, _| {})).unwrap();
            let fused = report.steps.iter().filter(|c| c.label.contains('+'));
            let worst = fused.clone().map(|c| c.rel_l2 / c.bound).fold(0.0, f64::max);
            println!("{name} {shape}: {} fused values, at most {:.0} % of the bound", fused.count(), 100.0 * worst);
            assert!(worst > 0.0, "{name}: no fused step");
            assert_eq!(report.first_failure(), None, "{name} on {}", gpu.facts());
        }
    }
}

/// Where a gate with its product does not pay, one pipeline computes both, one after the other.
#[test]
fn gates_apart_from_their_products_verify_in_lockstep() {
    let shape = Shape::new(2, 40, 56, 3);
    for (gpu, dtype) in gpus().into_iter().flat_map(|gpu| [Dtype::F32, Dtype::F16].map(|dtype| (gpu.clone(), dtype))) {
        let rates = Rates { gap_s: 0.0, ..Rates::GPU };
        let target = Target { class: AdapterClass::Gpu, rates, dtype, ..gpu.target() };
        let bundle = synthetic("mobilenetv3_small_100", Options::default());
        let graph = passes::run(&bundle.graph, &[]).0;
        let layout = WeightLayout::new(&graph, &target).unwrap();
        let plan = Plan::new(&graph, &layout, &target, [shape.n, shape.h, shape.w], &[]).unwrap();
        let kernels: BTreeSet<_> = plan.steps.iter().map(|s| s.launch.key.shader).collect();
        let other = plan.steps.iter().find(|s| s.launch.key.shader == "squeeze_excite");
        assert!(kernels.contains(excite_pointwise::NAME) && other.is_none(), "{kernels:?}");
        let report = block_on(verify(&gpu, &target, &bundle, &input(shape), |_, _| {})).unwrap();
        assert_eq!(report.first_failure(), None, "on {}", gpu.facts());
    }
}

#[test]
fn the_bound_tells_another_epsilon_apart() {
    // A mistake as small as a batch norm's epsilon of 1e-2 for 1e-5 must lie far outside what rounding may do.
    let golden = Golden::load("efficientnet_b0");
    for gpu in gpus() {
        let other = Bundle {
            graph: zoo::build("efficientnet_b0", &Options { bn_eps: Some(1e-2), ..Options::default() }).unwrap(),
            ..golden.bundle.clone()
        };
        let x = input(Shape::new(1, 64, 64, 3));
        let got = block_on(session(&gpu, &other).run(&x)).unwrap();
        let want = cpu::run(&golden.bundle.graph, &golden.bundle.weights, &x).unwrap();
        let error = rel_l2(&got.get("logits").unwrap().data, &want["logits"].data);
        assert!(error > 20.0 * BOUND, "another epsilon moves the logits by {error:.1e} only");
    }
}

#[test]
fn every_intermediate_by_name() {
    let golden = Golden::load("tf_efficientnet_b0");
    let x = input(Shape::new(2, 64, 64, 3));
    let names: Vec<&str> = golden.bundle.graph.nodes.iter().map(|n| n.name.as_str()).collect();
    let device = Device::Cpu;
    let reference =
        block_on(block_on(Session::new(device, golden.bundle.clone())).unwrap().run_keeping(&x, &names)).unwrap();
    for gpu in gpus() {
        let session = session(&gpu, &golden.bundle);
        let got = block_on(session.run_keeping(&x, &names)).unwrap();
        for name in &names {
            let error = rel_l2(&got.get(name).unwrap().data, &reference.get(name).unwrap().data);
            assert!(error <= BOUND, "{name} differs by {error:.1e}");
        }
        let error = block_on(session.run_keeping(&x, &["blocks.33"])).unwrap_err();
        assert!(error.to_string().contains("did you mean"), "{error}");
    }
}

#[test]
fn threads_share_a_session_and_results_are_bit_identical() {
    let golden = Golden::load("efficientnet_b0");
    for gpu in gpus() {
        let session = session(&gpu, &golden.bundle);
        let x = input(Shape::new(1, 96, 96, 3));
        let first = block_on(session.run(&x)).unwrap().values;
        let compiled = gpu.compiled().pipelines;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        assert_eq!(block_on(session.run(&x)).unwrap().values, first);
                    }
                });
            }
        });
        assert_eq!(gpu.compiled().pipelines, compiled);
    }
}

#[test]
fn nothing_is_created_per_inference_and_another_shape_compiles_nothing() {
    let bundle = synthetic("efficientnet_b0", Options::default());
    for gpu in gpus() {
        let session = session(&gpu, &bundle);
        let x = input(Shape::new(1, 64, 64, 3));
        let alive = || {
            let hal = gpu.device().get_internal_counters().hal;
            [
                hal.bind_groups.read(),
                hal.compute_pipelines.read(),
                hal.pipeline_layouts.read(),
                hal.shader_modules.read(),
            ]
        };
        block_on(session.run(&x)).unwrap();
        let (before, compiled) = (alive(), gpu.compiled().pipelines);
        assert!(before[0] >= 66 && compiled <= 16, "{before:?} bind groups, pipelines..., {compiled} compiled");
        for _ in 0..5 {
            block_on(session.run(&x)).unwrap();
        }
        assert_eq!(alive(), before);
        block_on(session.run(&input(Shape::new(3, 50, 96, 3)))).unwrap();
        assert_eq!(gpu.compiled().pipelines, compiled, "another batch and resolution use the same pipelines");
    }
}

#[test]
fn an_applications_own_device_and_buffers() {
    let bundle = synthetic("efficientnet_b0", Options::default());
    let Some(instance) = (!gpus().is_empty())
        .then(|| wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env()))
    else {
        return;
    };
    let adapter = block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
    let (device, queue) = block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    let gpu = Gpu::from_device(device.clone(), queue.clone());
    let session = session(&gpu, &bundle);
    let x = input(Shape::new(1, 64, 64, 3));
    let want = block_on(session.run(&x)).unwrap();

    let mut executor = block_on(session.executor([1, 64, 64])).unwrap();
    queue.write_buffer(executor.input_buffer(), 0, bytemuck::cast_slice(&x.to_padded()));
    executor.submit().unwrap();
    let source = executor.output_buffer("logits").unwrap().clone();
    let copy = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: source.size(),
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(&source, 0, &copy, 0, source.size());
    queue.submit([encoder.finish()]);
    copy.map_async(wgpu::MapMode::Read, .., |r| r.unwrap());
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let bytes = copy.get_mapped_range(..).unwrap().to_vec();
    let logits: &[f32] = bytemuck::cast_slice(&bytes);
    assert_eq!(logits, want.get("logits").unwrap().data);
}

#[test]
fn measuring_without_timestamps_is_a_typed_error() {
    let bundle = synthetic("mobilenetv3_small_050", Options::default());
    for gpu in gpus() {
        let session = session(&gpu, &bundle);
        let spans = block_on(block_on(session.executor([1, 32, 32])).unwrap().time_steps()).unwrap();
        assert!(
            spans.windows(2).all(|s| s[0].begin <= s[1].begin) && spans.iter().all(|s| s.begin < s.end),
            "{spans:?}"
        );
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let Ok(adapter) = block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())) else { return };
    let (device, queue) = block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    let plain = Gpu::from_device(device, queue);
    let executor = block_on(session(&plain, &bundle).executor([1, 32, 32])).unwrap();
    let waited = block_on(executor.profile()).unwrap();
    assert!(waited.len() == executor.plan().steps.len() && waited.iter().all(|t| !t.gpu_clock));
    for error in [block_on(executor.time_steps()).unwrap_err(), block_on(Roofline::measure(&plain)).unwrap_err()] {
        assert!(matches!(error, Error::MissingFeature { .. }), "{error:?}");
        println!("{error}");
    }
}

#[test]
fn a_lost_device_is_a_typed_error_and_the_session_can_be_built_again() {
    let bundle = synthetic("efficientnet_b0", Options::default());
    for gpu in gpus() {
        let lost = session(&gpu, &bundle);
        let x = input(Shape::new(1, 32, 32, 3));
        let want = block_on(lost.run(&x)).unwrap().values;
        gpu.device().destroy();
        let error = block_on(lost.run(&x)).unwrap_err();
        assert!(matches!(error, Error::DeviceLost { .. }), "{error:?}");
        let again = block_on(Gpu::open(&mbconv::gpu::Select::Index(gpu.facts().index))).unwrap();
        assert_eq!(block_on(session(&again, &bundle).run(&x)).unwrap().values, want);
    }
}

#[test]
fn too_large_a_batch_is_a_typed_error() {
    let bundle = synthetic("efficientnet_b0", Options::default());
    for gpu in gpus() {
        let error = block_on(session(&gpu, &bundle).warm_up([100_000, 224, 224])).unwrap_err();
        assert!(matches!(error, Error::Limit { .. } | Error::OutOfMemory { .. }), "{error:?}");
        println!("{error}");
    }
}

#[cfg(all(feature = "images", feature = "embedded"))]
#[test]
fn real_photographs_have_the_reference_answers() {
    use mbconv::preprocess::{DecodeLimits, load};
    use mbconv::vision::softmax;
    use mbconv::zoo::Preprocess;
    let reference = mbconv::weights::Checkpoint::open(path("tests/goldens/real/lite0.safetensors")).unwrap();
    let bundle = Bundle::embedded().unwrap();
    for device in gpus().into_iter().map(Device::Gpu).chain([Device::Cpu]) {
        let session = block_on(Session::new(device, bundle.clone())).unwrap();
        for (photo, crop) in [("grace_hopper", "jpg"), ("china", "jpg"), ("chelsea", "png"), ("coffee", "png")] {
            let want = reference.read_f32(&format!("{photo}#logits")).unwrap();
            let (p, top) = (softmax(&want), top5(&want));
            let worst = |file: String, facts: &Preprocess| {
                let x = load(path(&file), facts, 3, &DecodeLimits::default()).unwrap();
                let logits = block_on(session.run(&x)).unwrap().values.remove("logits").unwrap().data;
                assert_eq!(top5(&logits)[0], top[0], "{file}: top-1");
                softmax(&logits).iter().zip(&p).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
            };
            let whole = Preprocess { crop_pct: 1.0, ..bundle.preprocess.clone() };
            let of_crop = worst(format!("tests/goldens/real/crops/lite0_{photo}.png"), &whole);
            let of_file = worst(format!("assets/{photo}.{crop}"), &bundle.preprocess);
            println!(
                "{photo}: probabilities off by {of_crop:.4} from the crop (bound 0.02), {of_file:.4} from the file (bound 0.05)"
            );
            assert!(of_crop <= 0.02 && of_file <= 0.05);
        }
    }
}

/// The levels that a picture of `width` x `height` is made of: gradients, edges and noise.
fn picture(width: usize, height: usize) -> Vec<u8> {
    let level = |i: usize| {
        let (x, y, c) = (i / 4 % width, i / 4 / width, i % 4);
        ((x * (3 + c) + y * 5) ^ ((x / 7 + y / 3) * 64) ^ ((i * i) >> 5)) as u8
    };
    (0..width * height * 4).map(level).collect()
}

#[test]
fn pictures_resized_on_the_gpu_equal_those_of_the_cpu() {
    use mbconv::preprocess::{self, Pixels};
    use mbconv::session::GpuSession;
    for gpu in gpus() {
        for in_channels in [3, 1] {
            let model = zoo::find("mobilenetv3_small_050").unwrap();
            let options = Options { in_channels, ..model.options() };
            let mut bundle = Bundle::synthetic(model, &options, &Synthetic::default()).unwrap();
            bundle.preprocess.size = [64, 96];
            if in_channels == 1 {
                bundle.preprocess.interpolation = mbconv::zoo::Interpolation::Bilinear;
                (bundle.preprocess.mean, bundle.preprocess.std) = (vec![0.4].into(), vec![0.3].into());
            }
            let facts = bundle.preprocess.clone();
            let session = block_on(GpuSession::new(Arc::clone(&gpu), bundle)).unwrap();
            let mut executor = block_on(session.executor([2, 64, 96])).unwrap();
            // Smaller and larger than the input, narrow, and one of several tiles.
            for (width, height) in [(96, 64), (31, 23), (640, 427), (5000, 3), (6000, 3000)] {
                let rgba = picture(width, height);
                let pixels = Pixels::from_rgba(width, height, &rgba).unwrap();
                let one = preprocess::prepare(&pixels, &facts, in_channels).unwrap();
                let resizer = block_on(session.resizer(width, height, 2)).unwrap();
                for image in 0..2 {
                    resizer.write_rgba(&rgba, &executor, image).unwrap();
                }
                let got = block_on(executor.read_input()).unwrap();
                assert_eq!(got.data, [&one.data[..], &one.data[..]].concat(), "{width} x {height} on {}", gpu.facts());
                assert!(resizer.write_rgba(&rgba[4..], &executor, 0).is_err());
                assert!(resizer.write_rgba(&rgba, &executor, 2).is_err());
            }
            block_on(executor.run(None)).unwrap();
        }
    }
}

#[test]
fn a_profile_times_every_step() {
    for gpu in gpus() {
        let bundle =
            Bundle::synthetic(zoo::find("mobilenetv3_small_050").unwrap(), &Options::default(), &Synthetic::default());
        let session = Session::new(Device::Gpu(Arc::clone(&gpu)), bundle.unwrap());
        let executor = block_on(block_on(session).unwrap().executor([1, 64, 64])).unwrap();
        let times = block_on(executor.profile()).unwrap();
        assert_eq!(times.len(), executor.plan().steps.len());
        assert!(times.iter().all(|t| t.gpu_clock == gpu.facts().timestamps));
        assert!(times.iter().any(|t| !t.time.is_zero()), "on {}", gpu.facts());
    }
}
