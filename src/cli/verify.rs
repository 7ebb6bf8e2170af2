//! `mbconv verify`.

use super::common::{
    Align, Chosen, DeviceArgs, Failure, ModelArgs, ShapeArgs, Table, adapter_name, architecture, embedded, json_with,
    note, print_json, progress_bar, read_input, synthetic_input,
};
use crate::cpu;
use crate::error::Error;
use crate::preprocess::{DecodeLimits, image};
use crate::session::{Bundle, Check, Device, Golden, Report, verify};
use crate::tensor::Tensor;
use crate::weights::Synthetic;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

/// Relative L2 error that the CPU reference may have against a reference file.
const CPU_BOUND: f64 = 1e-5;

/// Compares the GPU with the CPU reference: every step on the same inputs, then the whole network.
///
/// Each line of the table is one value that one dispatch writes: its largest absolute difference and its relative L2
/// error, and the bound that rounding in f32 explains. Fails, naming the first step over its bound, if there is one.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  # The built-in weights, a synthetic input
  mbconv verify
  # Synthetic weights (salt mbconv-1)
  mbconv verify --arch efficientnet_b0
  mbconv verify --arch efficientnet_b7 --resolution 128 --batch 2
  mbconv verify --arch mine.toml --synthetic some-salt --classes 37
  # Weights and a picture of one's own
  mbconv verify --arch b0 --weights b0.safetensors --input photo.jpg
  # Also against another implementation's logits
  mbconv verify --golden tests/goldens/efficientnet_b0.safetensors
  # The CPU reference alone against those
  mbconv verify --golden tests/goldens/efficientnet_b0.safetensors --device cpu")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Synthetic weights of this salt [default without --weights: mbconv-1]
    #[arg(long, value_name = "SALT", conflicts_with = "weights")]
    synthetic: Option<String>,
    /// A reference file (metadata `case` and `manifest`): architecture, weights and input by its recipe, and its logits
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "weights", "synthetic", "input", "resolution", "batch", "classes", "channels"])]
    golden: Option<PathBuf>,
    /// A .safetensors file with the tensor `input` [N, C, H, W], or a picture [default: synthetic]
    #[arg(long, value_name = "FILE", conflicts_with = "batch")]
    input: Option<PathBuf>,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let golden = args.golden.as_ref().map(Golden::open).transpose()?;
    let (bundle, input) = match &golden {
        Some(golden) => (golden.bundle.clone(), golden.input.clone()),
        None => {
            let bundle = bundle(args)?;
            let input = input(args, &bundle)?;
            (bundle, input)
        }
    };
    let device = match golden {
        Some(_) => args.device.open()?,
        None => args.device.open_gpu(
            "verify compares a GPU with the CPU reference, which alone can only be checked with --golden FILE",
        )?,
    };
    let report = match &device {
        Device::Gpu(gpu) => {
            let bar = progress_bar(bundle.graph.nodes.len());
            let progress = |step: usize, steps: usize| {
                bar.set_length(steps as u64);
                bar.set_position(step as u64);
            };
            let report = pollster::block_on(verify(gpu, &args.device.target(gpu)?, &bundle, &input, progress))?;
            bar.finish_and_clear();
            Some(report)
        }
        Device::Cpu => {
            note("note", "without a GPU only the CPU reference is compared with the file");
            None
        }
    };
    let against_file = match &golden {
        Some(golden) => compare_golden(args, golden, &device, report.as_ref())?,
        None => Vec::new(),
    };

    let checks = || report.iter().flat_map(Report::checks).chain(&against_file);
    let failed = checks().filter(|c| !c.passes()).count();
    let verdict = match checks().find(|c| !c.passes()) {
        None => Ok(()),
        Some(c) => Err(Failure::Verdict(format!(
            "{failed} of {} comparisons are over their bound, the first: {} {} ({}): relative L2 {:.2e}, bound {:.2e}",
            checks().count(),
            place(c, &report),
            c.label,
            c.key,
            c.rel_l2,
            c.bound
        ))),
    };
    let printed = if args.json {
        print_json(out, &to_json(&device, &bundle, &input, report.as_ref(), &against_file))
    } else {
        write_report(out, &device, &bundle, &input, report.as_ref(), &against_file).map_err(Failure::from)
    };
    // The verdict counts, even if nobody reads the table to its end.
    verdict.and(printed)
}

fn bundle(args: &Args) -> Result<Bundle, Failure> {
    let synthetic = |model, salt: &str| {
        let recipe = Synthetic { salt: salt.into(), ..Default::default() };
        let options = args.shape.options(&model);
        Ok(Bundle::synthetic(model, &options, &recipe)?)
    };
    if let Some(salt) = &args.synthetic {
        let model = args.model.name().map_or_else(|| Ok(embedded()?.model), architecture)?;
        return synthetic(model, salt);
    }
    match args.model.choose()? {
        Chosen::Weightless(model) => synthetic(*model, &Synthetic::default().salt),
        Chosen::Bundle(_) if args.shape.classes.or(args.shape.channels).is_some() => Err(Failure::Usage(
            "--classes and --channels come from the weights; they go with synthetic ones (--synthetic SALT)".into(),
        )),
        Chosen::Bundle(bundle) => Ok(*bundle),
    }
}

fn input(args: &Args, bundle: &Bundle) -> Result<Tensor, Failure> {
    let Some(path) = &args.input else {
        let salt = args.synthetic.clone().unwrap_or(Synthetic::default().salt);
        return Ok(synthetic_input(&salt, args.shape.nhw(bundle.preprocess.size), &bundle.graph)?);
    };
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors")) {
        if args.shape.resolution.is_some() {
            return Err(Failure::Usage("--resolution comes from the input tensor".into()));
        }
        return Ok(read_input(path, &bundle.graph)?);
    }
    let mut facts = bundle.preprocess.clone();
    facts.size = args.shape.resolution.map_or(facts.size, |r| r.0);
    Ok(image::load(path, &facts, bundle.graph.in_channels, &DecodeLimits::default())?)
}

/// Both sides against the file's logits.
fn compare_golden(args: &Args, golden: &Golden, device: &Device, report: Option<&Report>) -> Result<Vec<Check>, Error> {
    let reference = cpu::run(&golden.bundle.graph, &golden.bundle.weights, &golden.input)?;
    let logits = reference.get("logits").ok_or_else(|| Error::unknown("value", "logits", []))?;
    let mut checks = vec![golden.compare(logits, "CPU reference", CPU_BOUND)];
    if let Some(report) = report {
        let session = args.device.session(device.clone(), golden.bundle.clone())?;
        let output = pollster::block_on(session.run(&golden.input))?;
        let bound = report.end_to_end.first().map_or(CPU_BOUND, |c| c.bound);
        checks.push(golden.compare(output.get("logits")?, "GPU", bound));
    }
    Ok(checks)
}

/// Where a check belongs: "step 7", or a part of the report.
fn place(check: &Check, report: &Option<Report>) -> String {
    match report {
        Some(report) if report.steps.iter().any(|c| std::ptr::eq(c, check)) => format!("step {}", check.step),
        Some(report) if std::ptr::eq(&report.passes, check) => "the passes,".into(),
        Some(report) if report.end_to_end.iter().any(|c| std::ptr::eq(c, check)) => "end to end,".into(),
        _ => "against the file,".into(),
    }
}

fn to_json(device: &Device, bundle: &Bundle, input: &Tensor, report: Option<&Report>, golden: &[Check]) -> Value {
    let one = |c: &Check| json_with(c, &[("ok", c.passes().into())]);
    let list = |checks: &[Check]| checks.iter().map(one).collect::<Value>();
    let first = report.into_iter().flat_map(Report::checks).chain(golden).find(|c| !c.passes());
    json!({
        "adapter": adapter_name(device),
        "model": bundle.model.name,
        "weights": bundle.weights.checkpoint().path(),
        "input": input.shape.to_string(),
        "steps": report.map(|r| list(&r.steps)),
        "passes": report.map(|r| one(&r.passes)),
        "end_to_end": report.map(|r| list(&r.end_to_end)),
        "golden": list(golden),
        "first_failure": first.map(one),
        "ok": first.is_none(),
    })
}

fn write_report(
    out: &mut dyn Write,
    device: &Device,
    bundle: &Bundle,
    input: &Tensor,
    report: Option<&Report>,
    golden: &[Check],
) -> std::io::Result<()> {
    writeln!(out, "adapter  {}", adapter_name(device))?;
    writeln!(
        out,
        "model    {}, {}, input {} (NHWC)",
        bundle.model.name,
        bundle.weights.checkpoint().path(),
        input.shape
    )?;
    writeln!(out)?;
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("step", right),
        ("module", left),
        ("kernel", left),
        ("shape NHWC", right),
        ("max abs", right),
        ("rel L2", right),
        ("bound", right),
        ("", left),
    ]);
    let mut add = |step: String, c: &Check| {
        table.row(vec![
            step,
            c.label.clone(),
            c.key.clone(),
            c.shape.clone(),
            format!("{:.2e}", c.max_abs),
            format!("{:.2e}", c.rel_l2),
            format!("{:.2e}", c.bound),
            if c.passes() { "ok".into() } else { "FAIL".into() },
        ]);
    };
    if let Some(report) = report {
        report.steps.iter().for_each(|c| add(c.step.to_string(), c));
        add("all".into(), &report.passes);
        report.end_to_end.iter().for_each(|c| add("all".into(), c));
    }
    golden.iter().for_each(|c| add("file".into(), c));
    table.write(out)?;
    let worst = report.iter().flat_map(|r| &r.steps).map(|c| c.rel_l2 / c.bound).fold(0.0, f64::max);
    if report.is_some() {
        writeln!(out, "\nthe worst step is at {:.0} % of its bound", worst * 100.0)?;
    }
    Ok(())
}
