//! `mbconv run`.

use super::common::{DeviceArgs, Failure, adapter_name, architecture, millis, print_json, read_input};
use crate::error::{Error, Result};
use crate::session::{Bundle, Output};
use crate::vision;
use crate::weights::{Checkpoint, NamedTensor, save};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Runs a network on a raw tensor: a safetensors file in, a safetensors file out.
///
/// The input file holds the tensor `input` [N, C, H, W] (F32, F16, BF16 or F64), already normalised: any batch, any
/// resolution that the network takes. The output file gets `logits` [N, classes] in F32 (of a detector
/// `cls_logits` [N, boxes, classes] and `bbox_regression` [N, boxes, 4]), and every value named by --keep as
/// [N, C, H, W]. Class count, input channels and the naming scheme (timm, torchvision,
/// EfficientNet-PyTorch) are read from the weights.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  mbconv run --arch efficientnet_b0 --weights b0.safetensors \\
      --input x.safetensors --output y.safetensors
  # Also the pooled features, and what the fourth stage computes
  mbconv run --arch efficientnet_b0 --weights b0.safetensors \\
      --input x.safetensors --output y.safetensors --keep embedding blocks.3
  # An architecture of one's own, on the CPU reference
  mbconv run --arch mine.toml --weights mine.safetensors \\
      --input x.safetensors --output y.safetensors --device cpu

The input from Python:
  safetensors.numpy.save_file({\"input\": x.astype(\"float32\")}, \"x.safetensors\")")]
pub struct Args {
    /// Architecture: a name (see `mbconv models`), or a .toml or .json file
    #[arg(long, value_name = "NAME|FILE")]
    arch: String,
    /// Weights, a .safetensors file
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Input, a .safetensors file with the tensor `input` [N, C, H, W]
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where the result goes; replaced whole or not at all
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Further values to write: embedding, modules (blocks.3) and layers (see `mbconv describe`)
    #[arg(long, value_name = "NAME", num_args = 1..)]
    keep: Vec<String>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print JSON: adapter, times and what was written
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    writable(&args.output)?;
    let bundle = Bundle::new(architecture(&args.arch)?, Checkpoint::open(&args.weights)?)?;
    for name in &args.keep {
        bundle.graph.find(name)?;
    }
    let input = read_input(&args.input, &bundle.graph)?;
    let session = args.device.session(args.device.open()?, bundle)?;
    let names: Vec<&str> =
        args.keep.iter().map(String::as_str).filter(|n| *n != "logits" && *n != "embedding").collect();
    let output = pollster::block_on(session.run_keeping(&input, &names))?;
    let tensors = tensors(&output, session.bundle(), args)?;
    save(&args.output, &tensors, &[("arch", session.bundle().model.name.clone())])?;

    let (total, gpu) = (millis(output.timing.total), output.timing.gpu.map(millis));
    if args.json {
        let written: serde_json::Map<_, _> = tensors.iter().map(|t| (t.0.clone(), t.1.clone().into())).collect();
        return print_json(
            out,
            &serde_json::json!({
                "adapter": adapter_name(session.device()),
                "arch": session.bundle().model.name,
                "input": input.shape.to_string(),
                "total_ms": total,
                "gpu_ms": gpu,
                "output": args.output.display().to_string(),
                "tensors": written,
            }),
        );
    }
    writeln!(out, "adapter  {}", adapter_name(session.device()))?;
    writeln!(out, "model    {}, input {} (NHWC)", session.bundle().model.name, input.shape)?;
    let gpu = gpu.map_or(String::new(), |ms| format!(", {ms:.1} of it on the GPU"));
    writeln!(out, "time     {total:.1} ms{gpu}; what is compiled for the first run is not in it")?;
    for (name, shape, _) in &tensors {
        writeln!(out, "wrote    {name} {shape:?} to {}", args.output.display())?;
    }
    Ok(())
}

/// Before any work: the output's folder is there.
fn writable(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.is_dir() {
        return Err(Error::io(path, std::io::ErrorKind::IsADirectory.into()));
    }
    if !folder.is_dir() {
        return Err(Error::bad(
            path.display().to_string(),
            format!("there is no folder {} to write it to", folder.display()),
        ));
    }
    Ok(())
}

/// Logits as `[N, classes]`, a detector's outputs as `[N, default boxes, classes or 4]`; then what was asked for as
/// NCHW, the embedding as `[N, features]`.
fn tensors(output: &Output, bundle: &Bundle, args: &Args) -> Result<Vec<NamedTensor>> {
    let mut names: Vec<&str> = args.keep.iter().map(String::as_str).collect();
    let mut tensors = Vec::new();
    match bundle.model.detector {
        None => names.push("logits"),
        Some(detector) => {
            for name in ["bbox_regression", "cls_logits"] {
                let rows = vision::rows(&output.values, name, detector)?;
                tensors.push((name.to_string(), vec![rows.shape.n, rows.shape.w, rows.shape.c], rows.data));
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    let tensor = |name: &str| {
        let value = output.get(name)?;
        let s = value.shape;
        let shape = if ["logits", "embedding"].contains(&name) { vec![s.n, s.c] } else { vec![s.n, s.c, s.h, s.w] };
        Ok((name.to_string(), shape, value.to_nchw()))
    };
    for name in names {
        tensors.push(tensor(name)?);
    }
    Ok(tensors)
}
