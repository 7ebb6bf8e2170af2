//! `mbconv profile`.

mod page;
mod trace;

use super::common::{
    Align, DeviceArgs, Failure, ModelArgs, Resolution, Table, calibrated, median, millis, print_json, progress_bar,
    synthetic_input,
};
use crate::error::Error;
use crate::gpu::{Executor, Roofline, Span};
use crate::session::Device;
use crate::weights::Synthetic;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// Measures the GPU time of every dispatch and compares it with what the adapter can do.
///
/// Each dispatch runs in a pass of its own with timestamps around it, which costs a little: the sum is compared with an
/// ordinary inference. The floor of a dispatch is its bytes at the adapter's bandwidth or its multiply-adds at its rate,
/// whichever takes longer; both are measured once per adapter and driver and kept in the user's cache directory. What
/// stays in the adapter's caches can be quicker than that.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  mbconv profile --model efficientnet_b0
  # A timeline for https://ui.perfetto.dev or chrome://tracing, and a page for any browser
  mbconv profile --model efficientnet_b0 --trace b0.json --html b0.html
  mbconv profile --model mobilenetv2_100 --batch 8 --json | jq .sum_ms")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Images per inference
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    batch: u32,
    /// Input size: N for a square, or HEIGHTxWIDTH [default: the model's own]
    #[arg(long, value_name = "N|HxW")]
    resolution: Option<Resolution>,
    /// Inferences to measure, after one that is not; times are medians
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    iters: u32,
    /// Write a trace of the inference with the median sum (Chrome's trace event format)
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write a page with a bar for each dispatch against its floor
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Measure the adapter again
    #[arg(long)]
    recalibrate: bool,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A measured dispatch.
#[derive(serde::Serialize)]
struct Row {
    module: String,
    kernel: String,
    /// Median.
    us: f64,
    floor_us: f64,
    bytes: u64,
    madds: u64,
    /// In the inference with the median sum.
    #[serde(skip)]
    span: Span,
}

#[derive(serde::Serialize)]
struct Profile {
    adapter: String,
    model: String,
    /// Batch, height, width.
    input: [usize; 3],
    roofline: Roofline,
    dispatches: Vec<Row>,
    /// All dispatches' medians.
    sum_ms: f64,
    /// All dispatches' floors.
    floor_ms: f64,
    /// The GPU time of an ordinary inference, in one pass.
    one_pass_ms: f64,
    /// From the input on the host to the output on the host.
    end_to_end_ms: f64,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let bundle = args.model.bundle_or_synthetic()?;
    let [h, w] = args.resolution.map_or(bundle.preprocess.size, |r| r.0);
    let shape = [args.batch as usize, h, w];
    let input = synthetic_input(&Synthetic::default().salt, shape, &bundle.graph)?;
    let device = args.device.open_gpu("a profile is of a GPU's dispatches")?;
    let Device::Gpu(gpu) = &device else {
        return Err(Failure::Usage("a profile is of a GPU's dispatches".into()));
    };
    let (gpu, roofline) = (Arc::clone(gpu), calibrated(gpu, args.recalibrate)?);
    let session = args.device.session(device, bundle)?;
    let mut executor = pollster::block_on(session.executor(shape))?;
    executor.write_input(&input)?;

    let (mut rounds, mut one_pass, mut total) = (Vec::new(), Vec::new(), Vec::new());
    let bar = progress_bar(args.iters as usize);
    for round in 0..=args.iters {
        // Turn about, so that a slow moment of the machine does not fall on one of the two.
        let spans = pollster::block_on(executor.time_steps())?;
        let (_, timing) = pollster::block_on(executor.run(Some(&input)))?;
        if round > 0 {
            rounds.push(spans);
            one_pass.extend(timing.gpu.map(millis));
            total.push(millis(timing.total));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let dispatches = rows(&executor, &roofline, rounds);
    let profile = Profile {
        adapter: gpu.facts().to_string(),
        model: session.bundle().model.name.clone(),
        input: shape,
        roofline,
        sum_ms: dispatches.iter().map(|r| r.us).sum::<f64>() / 1e3,
        floor_ms: dispatches.iter().map(|r| r.floor_us).sum::<f64>() / 1e3,
        dispatches,
        one_pass_ms: median(&mut one_pass),
        end_to_end_ms: median(&mut total),
    };
    if let Some(path) = &args.trace {
        write_file(path, &trace::trace(&profile).to_string())?;
    }
    if let Some(path) = &args.html {
        write_file(path, &page::page(&profile))?;
    }
    if args.json { print_json(out, &profile) } else { Ok(write(out, &profile)?) }
}

fn rows(executor: &Executor, roofline: &Roofline, mut rounds: Vec<Vec<Span>>) -> Vec<Row> {
    let micros = |span: &Span| span.duration().as_secs_f64() * 1e6;
    let plan = executor.plan();
    rounds.sort_by_key(|spans| spans.iter().map(Span::duration).sum::<std::time::Duration>());
    let typical = &rounds[rounds.len() / 2];
    let row = |(i, (step, label)): (usize, (&crate::plan::Step, &String))| Row {
        module: label.clone(),
        kernel: step.launch.key.to_string(),
        us: median(&mut rounds.iter().map(|spans| micros(&spans[i])).collect::<Vec<_>>()),
        floor_us: roofline.floor(step) * 1e6,
        bytes: step.bytes,
        madds: step.madds,
        span: typical[i],
    };
    plan.steps.iter().zip(&plan.labels).enumerate().map(row).collect()
}

fn write_file(path: &std::path::Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|e| Error::io(path, e).into())
}

fn write(out: &mut dyn Write, p: &Profile) -> std::io::Result<()> {
    let [n, h, w] = p.input;
    writeln!(out, "adapter  {}", p.adapter)?;
    writeln!(out, "model    {}, batch {n}, {h}x{w}", p.model)?;
    writeln!(out, "at best  {}\n", at_best(&p.roofline))?;
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("step", right),
        ("module", left),
        ("kernel", left),
        ("us", right),
        ("share", right),
        ("MB", right),
        ("MMAdds", right),
        ("floor us", right),
        ("of the floor's speed", right),
    ]);
    for (i, row) in p.dispatches.iter().enumerate() {
        table.row(vec![
            i.to_string(),
            row.module.clone(),
            row.kernel.clone(),
            format!("{:.1}", row.us),
            format!("{:.1} %", row.us / p.sum_ms / 10.0),
            format!("{:.2}", row.bytes as f64 / 1e6),
            format!("{:.1}", row.madds as f64 / 1e6),
            format!("{:.1}", row.floor_us),
            format!("{:.0} %", 100.0 * row.floor_us / row.us),
        ]);
    }
    table.write(out)?;
    writeln!(out)?;
    for line in totals(p) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// The roofline in words.
fn at_best(r: &Roofline) -> String {
    format!(
        "{:.1} GB/s copied, {:.1} G multiply-adds/s, {:.1} us from a dispatch to one that depends on it",
        r.bytes_per_s / 1e9,
        r.madds_per_s / 1e9,
        r.gap_s * 1e6
    )
}

/// How the parts relate to the whole.
fn totals(p: &Profile) -> [String; 4] {
    let difference = p.sum_ms - p.one_pass_ms;
    [
        format!("dispatches  {:.3} ms, the sum of {}", p.sum_ms, p.dispatches.len()),
        format!(
            "one pass    {:.3} ms for all of them together: {:.3} ms ({:.0} %) {}",
            p.one_pass_ms,
            difference.abs(),
            100.0 * difference.abs() / p.one_pass_ms,
            if difference > 0.0 { "less" } else { "more" }
        ),
        format!(
            "end to end  {:.3} ms: upload, submission and readback are {:.3} ms",
            p.end_to_end_ms,
            p.end_to_end_ms - p.one_pass_ms
        ),
        format!("floor       {:.3} ms: {:.0} % of the sum", p.floor_ms, 100.0 * p.floor_ms / p.sum_ms),
    ]
}
