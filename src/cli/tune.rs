//! `mbconv tune`.

use super::common::{
    Align, DeviceArgs, Failure, ModelArgs, Resolution, Table, calibrated, json_with, keep_tuning, note, print_json,
    progress_bar, synthetic_input, write_tuning,
};
use crate::plan::{Target, Tuning};
use crate::session::{Device, Tuned, tune};
use crate::weights::Synthetic;
use std::io::Write;
use std::path::PathBuf;

/// Measures on a GPU which of the kernels that can compute a model's layers are the quickest, and keeps them.
///
/// Every kind of convolution, pooling and gate has a table of rows: tiles, workgroups, loops. For each layer those that
/// the adapter's rates leave (measured once, see `mbconv profile`) take turns with the default. A row counts only if it
/// computes what the default computes, within the bound of `mbconv verify`; the whole network must be faster with the
/// rows that won, or nothing is kept; and it needs at most 16 pipelines. What is kept is for this adapter, driver and
/// program, this model, batch, size and --dtype, in the user's cache directory, where every command finds it
/// (see --tuning).
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  mbconv tune --model efficientnet_b0
  mbconv tune --model efficientnet_b0 --batch 8 --dtype f16
  # For another machine with the same adapter and driver
  mbconv tune --model efficientnet_b0 --export b0.json
  mbconv bench --model efficientnet_b0 --tuning b0.json")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Images per inference
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    batch: u32,
    /// Input size: N for a square, or HEIGHTxWIDTH [default: the model's own]
    #[arg(long, value_name = "N|HxW")]
    resolution: Option<Resolution>,
    /// Inferences to measure of each candidate, after one that is not; times are medians
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    iters: u32,
    /// Write what was found to a file instead of keeping it
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let bundle = args.model.bundle_or_synthetic()?;
    let [h, w] = args.resolution.map_or(bundle.preprocess.size, |r| r.0);
    let input = synthetic_input(&Synthetic::default().salt, [args.batch as usize, h, w], &bundle.graph)?;
    let Device::Gpu(gpu) = args.device.open_gpu("tuning is of a GPU's kernels")? else {
        return Err(Failure::Usage("tuning is of a GPU's kernels".into()));
    };
    if gpu.facts().timestamps {
        calibrated(&gpu, false)?;
    }
    let target = Target { tuning: Tuning::Default, ..args.device.target(&gpu)? };
    let bar = progress_bar(8);
    let progress = |round: usize, rounds: usize| {
        bar.set_length(rounds as u64);
        bar.set_position(round as u64);
    };
    let tuned = pollster::block_on(tune(&gpu, &target, &bundle, &input, args.iters as usize, progress))?;
    bar.finish_and_clear();
    for wrong in &tuned.wrong {
        note("warning", &format!("a kernel that computes wrongly on this adapter is not taken: {wrong}"));
    }
    match &args.export {
        Some(path) => write_tuning(&gpu, &tuned.network, &tuned.rows, path)?,
        None => keep_tuning(&gpu, &tuned.network, &tuned.rows),
    }
    if args.json {
        print_json(out, &json_with(&tuned, &[("adapter", gpu.facts().to_string().into())]))
    } else {
        Ok(write(out, &gpu.facts().to_string(), &tuned)?)
    }
}

fn write(out: &mut dyn Write, adapter: &str, tuned: &Tuned) -> std::io::Result<()> {
    writeln!(out, "adapter  {adapter}")?;
    writeln!(out, "network  {}\n", tuned.network)?;
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("module", left),
        ("default", left),
        ("us", right),
        ("quickest", left),
        ("us", right),
        ("gain", right),
        ("measured", right),
    ]);
    for step in &tuned.steps {
        let same = step.kernel == step.default_kernel && step.us == step.default_us;
        table.row(vec![
            step.module.clone(),
            step.default_kernel.clone(),
            format!("{:.1}", step.default_us),
            if same { "the default".into() } else { step.kernel.clone() },
            format!("{:.1}", step.us),
            format!("{:.0} %", 100.0 * (1.0 - step.us / step.default_us)),
            step.measured.to_string(),
        ]);
    }
    table.write(out)?;
    let [before, after] = tuned.pipelines;
    writeln!(out, "\nnetwork    {:.3} ms, {:.3} ms with these kernels", tuned.default_ms, tuned.tuned_ms)?;
    writeln!(out, "pipelines  {before}, {after} with these kernels")?;
    if tuned.rows.is_empty() {
        return writeln!(out, "nothing is faster than the defaults: they stay");
    }
    writeln!(out, "kept       {} problems with a row that is not the default", tuned.rows.len())
}
