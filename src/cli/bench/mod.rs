//! `mbconv bench`.

mod start;

use super::common::{
    DeviceArgs, Failure, ModelArgs, Resolution, Start, adapter_name, millis, ordered, peak_memory, print_json,
    progress_bar, quantile, synthetic_input,
};
use crate::cpu;
use crate::error::Result;
use crate::gpu::{Executor, Timing};
use crate::session::{Bundle, Device, Session};
use crate::tensor::Tensor;
use crate::weights::Synthetic;
use start::{Once, Stages};
use std::io::Write;
use std::time::Instant;

/// Measures the time of an inference: from an input on the host to the logits on the host.
///
/// The input is uploaded and the logits are read back every time. Compilation and warm-up are measured apart. Without
/// weights the model gets synthetic ones, which take the same time.
///
/// With --cold only starts are measured, from nothing to the first result: each in a new process, once with empty caches
/// of compiled shaders and once with what that one left in them (this program's own, see MBCONV_PIPELINE_CACHE below, and
/// those of Mesa's and NVIDIA's drivers on Linux; others keep what they have).
///
/// What a driver compiled is kept in the user's cache directory for the next run, where the backend allows it (Vulkan).
/// The environment variable MBCONV_PIPELINE_CACHE names another folder, or is off.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  mbconv bench
  mbconv bench --model efficientnet_b0 --batch 8 --iters 50
  mbconv bench --model b7 --resolution 300 --device cpu --iters 3 --warmup 0
  mbconv bench --model efficientnet_b0 --json | jq .median_ms
  mbconv bench --model efficientnet_b0 --cold

In JSON:
  median_ms ...  input on the host to logits on the host
  gpu_ms         median from the first to the last dispatch (null: not measured)
  throughput_per_s  images a second with --in-flight inferences under way (null: with one)
  start          how long this process took to its first result, by stages
  peak_rss_mb    peak memory in MiB, without --check (null: the system does not say)")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Images per inference
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    batch: u32,
    /// Input size: N for a square, or HEIGHTxWIDTH [default: the model's own]
    #[arg(long, value_name = "N|HxW")]
    resolution: Option<Resolution>,
    /// Inferences before measuring, the first not counted
    #[arg(long, value_name = "N", default_value_t = 3)]
    warmup: u32,
    /// Inferences to measure [default: 20], or starts of either kind with --cold [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    iters: Option<u32>,
    /// Inferences under way at a time: over 1, throughput is measured as well
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    in_flight: u32,
    /// Afterwards compare the logits with the CPU reference's (rel_err, relative L2)
    #[arg(long)]
    check: bool,
    /// Measure starts instead, each in a process of its own
    #[arg(long, conflicts_with_all = ["in_flight", "check", "warmup"])]
    cold: bool,
    /// One such start
    #[arg(long, hide = true, requires = "cold")]
    once: bool,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Measured {
    version: &'static str,
    adapter: String,
    model: String,
    weights: String,
    batch: usize,
    /// Height and width.
    resolution: [usize; 2],
    warmup: u32,
    iters: u32,
    median_ms: f64,
    p5_ms: f64,
    p95_ms: f64,
    min_ms: f64,
    max_ms: f64,
    images_per_s: f64,
    in_flight: u32,
    throughput_per_s: Option<f64>,
    gpu_ms: Option<f64>,
    start: Stages,
    peak_rss_mb: Option<f64>,
    dispatches: Option<usize>,
    pipelines: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rel_err: Option<f64>,
}

/// What is measured.
enum Engine<'a> {
    Cpu(&'a Session),
    Gpu(Box<Executor>),
}

impl Engine<'_> {
    /// One inference: the network's first output, a classifier's logits, and the time.
    fn run(&mut self, input: &Tensor) -> Result<(Tensor, Timing)> {
        match self {
            Self::Cpu(session) => {
                let output = pollster::block_on(session.run(input))?;
                Ok((output.get(first_output(session.bundle()))?.clone(), output.timing))
            }
            Self::Gpu(executor) => {
                let (mut outputs, timing) = pollster::block_on(executor.run(Some(input)))?;
                Ok((outputs.swap_remove(0), timing))
            }
        }
    }
}

/// Its name.
fn first_output(bundle: &Bundle) -> &str {
    bundle.graph.outputs.first().map_or("", |o| o.0.as_str())
}

pub fn run(args: &Args, out: &mut dyn Write, start: Start) -> Result<(), Failure> {
    if args.cold && !args.once {
        return start::run(args, args.iters.unwrap_or(3), out);
    }
    let iters = args.iters.unwrap_or(20);
    let begin = Instant::now();
    let bundle = args.model.bundle_or_synthetic()?;
    let weights = begin.elapsed();
    let [h, w] = args.resolution.map_or(bundle.preprocess.size, |r| r.0);
    let batch = args.batch as usize;
    let input = synthetic_input(&Synthetic::default().salt, [batch, h, w], &bundle.graph)?;
    let input_made = begin.elapsed() - weights;
    let clock = Instant::now();
    let device = args.device.open()?;
    let opened = clock.elapsed();
    let session = args.device.session(device, bundle)?;
    let clock = Instant::now();
    let mut engine = match session.device() {
        Device::Cpu => Engine::Cpu(&session),
        Device::Gpu(_) => Engine::Gpu(Box::new(pollster::block_on(session.executor([batch, h, w]))?)),
    };
    let prepared = clock.elapsed();
    let (logits, _) = engine.run(&input)?;
    let (first, ready) = (clock.elapsed() - prepared, begin.elapsed() - input_made);
    let stages = Stages::new(&session, [weights, opened, prepared, first, ready, start.elapsed() - input_made]);
    if args.once {
        let adapter = adapter_name(session.device());
        let model = session.bundle().model.name.clone();
        return print_json(out, &Once { adapter, model, batch, resolution: [h, w], start: stages });
    }

    let (times, gpu) = measure(args.warmup, iters, &mut engine, &input)?;
    let throughput_per_s = (args.in_flight > 1).then(|| throughput(args, iters, &session, &input)).transpose()?;
    let counters = match &engine {
        Engine::Gpu(executor) => Some(executor.plan().counters),
        Engine::Cpu(_) => None,
    };
    let at = |share: f64| quantile(&times, share);
    let mut result = Measured {
        version: env!("CARGO_PKG_VERSION"),
        adapter: adapter_name(session.device()),
        model: session.bundle().model.name.clone(),
        weights: session.bundle().weights.checkpoint().path().into(),
        batch,
        resolution: [h, w],
        warmup: args.warmup,
        iters,
        median_ms: at(0.5),
        p5_ms: at(0.05),
        p95_ms: at(0.95),
        min_ms: at(0.0),
        max_ms: at(1.0),
        images_per_s: batch as f64 / at(0.5).max(1e-6) * 1e3,
        in_flight: args.in_flight,
        throughput_per_s,
        gpu_ms: (gpu.len() == times.len()).then(|| quantile(&gpu, 0.5)),
        start: stages,
        peak_rss_mb: peak_memory(),
        dispatches: counters.map(|c| c.dispatches),
        pipelines: counters.map(|c| c.pipelines),
        rel_err: None,
    };
    if args.check {
        let reference = cpu::run(&session.bundle().graph, &session.bundle().weights, &input)?;
        result.rel_err =
            reference.get(first_output(session.bundle())).map(|want| relative_error(&logits.data, &want.data));
    }
    if args.json { print_json(out, &result) } else { Ok(write(out, &result)?) }
}

/// Sorted milliseconds of whole inferences, and of their GPU parts.
fn measure(warmup: u32, iters: u32, engine: &mut Engine, input: &Tensor) -> Result<(Vec<f64>, Vec<f64>)> {
    for _ in 0..warmup {
        engine.run(input)?;
    }
    let (mut times, mut gpu) = (Vec::new(), Vec::new());
    let bar = progress_bar(iters as usize);
    for _ in 0..iters {
        let (_, timing) = engine.run(input)?;
        times.push(millis(timing.total));
        gpu.extend(timing.gpu.map(millis));
        bar.inc(1);
    }
    bar.finish_and_clear();
    times.sort_by(f64::total_cmp);
    gpu.sort_by(f64::total_cmp);
    Ok((times, gpu))
}

/// Images a second with several inferences under way, each with buffers of its own.
fn throughput(args: &Args, iters: u32, session: &Session, input: &Tensor) -> Result<f64> {
    let run = |_: u32| pollster::block_on(session.run(input)).map(drop);
    let workers = args.in_flight as usize;
    // The first ones make their buffers.
    ordered(0..2 * args.in_flight, workers, run, |done| done)?;
    let start = Instant::now();
    ordered(0..iters, workers, run, |done| done)?;
    Ok(f64::from(iters * args.batch) / start.elapsed().as_secs_f64())
}

/// Relative L2 difference.
fn relative_error(got: &[f32], want: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut got.iter().zip(want).map(|(g, w)| f64::from(*g) - f64::from(*w)));
    difference / norm(&mut want.iter().map(|w| f64::from(*w)))
}

fn write(out: &mut dyn Write, r: &Measured) -> std::io::Result<()> {
    let [h, w] = r.resolution;
    writeln!(out, "adapter     {}", r.adapter)?;
    writeln!(out, "model       {}, batch {}, {h}x{w}, {}", r.model, r.batch, r.weights)?;
    writeln!(out, "median      {:.2} ms, {:.1} images a second", r.median_ms, r.images_per_s)?;
    writeln!(
        out,
        "p5, p95     {:.2}, {:.2} ms (min {:.2}, max {:.2}; {} inferences)",
        r.p5_ms, r.p95_ms, r.min_ms, r.max_ms, r.iters
    )?;
    if let Some(rate) = r.throughput_per_s {
        writeln!(out, "throughput  {rate:.1} images a second, {} inferences under way", r.in_flight)?;
    }
    match r.gpu_ms {
        Some(ms) => writeln!(out, "GPU         {ms:.2} ms")?,
        None => writeln!(out, "GPU         not measured: the adapter has no timestamps")?,
    }
    writeln!(out, "start       {}", r.start)?;
    if let (Some(dispatches), Some(pipelines)) = (r.dispatches, r.pipelines) {
        writeln!(out, "dispatches  {dispatches}, from {pipelines} pipelines")?;
    }
    if let Some(mb) = r.peak_rss_mb {
        writeln!(out, "memory      {mb:.0} MiB at its peak")?;
    }
    if let Some(error) = r.rel_err {
        writeln!(out, "rel. error  {error:.2e} against the CPU reference")?;
    }
    Ok(())
}
