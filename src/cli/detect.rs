//! `mbconv detect`.

use super::common::{DeviceArgs, Failure, ModelArgs, adapter_name, millis, print_json};
use crate::error::{Error, Result};
use crate::preprocess::{self, DecodeLimits, image};
use crate::session::{Bundle, Session};
use crate::vision::{Detection, Labels};
use crate::zoo::CropMode;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Finds objects in pictures: class, probability and box of each.
///
/// A picture is squashed into the model's input; boxes are left, top, right and bottom in its own pixels. The first
/// picture that cannot be read ends the program.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  mbconv detect street.jpg --model ssdlite320_mobilenet_v3_large --weights ssdlite.safetensors
  # Names of the classes, that of the background first
  mbconv detect street.jpg --model ssd300_vgg16 --weights ssd300.safetensors --labels coco.txt --json")]
pub struct Args {
    /// Pictures
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// Names of the classes, the background's first: one per line, or JSON (a list, or an object with "0", "1", ... or id2label)
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Only objects of at least this probability, 0 to 1 [default: the model's own least]
    #[arg(long, value_name = "P", value_parser = probability)]
    score: Option<f32>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print JSON: adapter, model, and for each picture what was found
    #[arg(long)]
    json: bool,
}

fn probability(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|p| (0.0..=1.0).contains(p)).ok_or_else(|| "must be a number from 0 to 1".into())
}

/// A picture and what is in it.
#[derive(serde::Serialize)]
struct Searched {
    path: String,
    detections: Vec<Detection>,
    /// Decoding, resizing, inference and decoding of the boxes.
    ms: f64,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let mut bundle = args.model.bundle()?;
    check(&bundle)?;
    if let Some(file) = &args.labels {
        bundle.labels = Labels::load(file, bundle.num_classes())?;
    }
    let session = args.device.session(args.device.open()?, bundle)?;
    if !args.json {
        writeln!(out, "adapter  {}", adapter_name(session.device()))?;
        let [_, h, w] = session.bundle().native(1);
        writeln!(out, "model    {}, {h}x{w}", session.bundle().model.name)?;
    }
    let mut searched = Vec::new();
    for path in &args.images {
        let found = search(&session, path, args.score.unwrap_or(0.0))?;
        if !args.json {
            write(out, &found, &session.bundle().labels)?;
        }
        searched.push(found);
    }
    if !args.json {
        return Ok(());
    }
    let (adapter, model) = (adapter_name(session.device()), &session.bundle().model.name);
    print_json(out, &serde_json::json!({ "adapter": adapter, "model": model, "images": searched }))
}

/// Before any work: it finds boxes, and in the whole picture.
fn check(bundle: &Bundle) -> Result<()> {
    let facts = &bundle.preprocess;
    if bundle.model.detector.is_none() {
        return Err(Error::bad(&bundle.model.name, "finds no boxes, it classifies (mbconv classify)"));
    }
    if facts.crop_mode != CropMode::Squash || facts.crop_pct != 1.0 {
        return Err(Error::bad(
            &bundle.model.name,
            "its config.json crops: boxes need crop_mode squash and crop_pct 1",
        ));
    }
    Ok(())
}

fn search(session: &Session, path: &Path, score: f32) -> Result<Searched> {
    let start = Instant::now();
    let bundle = session.bundle();
    let picture = image::decode_file(path, &DecodeLimits::default())?;
    let input = preprocess::prepare(&picture, &bundle.preprocess, bundle.graph.in_channels)?;
    let scale = [picture.width() as f32 / input.shape.w as f32, picture.height() as f32 / input.shape.h as f32];
    let found = pollster::block_on(session.detect(&input))?.into_iter().flatten();
    let detections = found.filter(|d| d.score >= score).map(|d| d.scaled(scale)).collect();
    Ok(Searched { path: path.display().to_string(), detections, ms: millis(start.elapsed()) })
}

fn write(out: &mut dyn Write, searched: &Searched, labels: &Labels) -> std::io::Result<()> {
    writeln!(out, "\n{}", searched.path)?;
    for Detection { class, score, bbox: [left, top, right, bottom] } in &searched.detections {
        let name = labels.name(*class);
        writeln!(out, "  {:6.2} %  {name} ({class}) at {left:.1} {top:.1} {right:.1} {bottom:.1}", 100.0 * score)?;
    }
    writeln!(out, "  {} found in {:.1} ms", searched.detections.len(), searched.ms)
}
