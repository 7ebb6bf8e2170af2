//! `mbconv classify`.

use super::common::{DeviceArgs, Failure, ModelArgs, adapter_name, millis, note, ordered, print_json, progress_bar};
use crate::error::{Error, Result};
use crate::preprocess::{DecodeLimits, image};
use crate::session::{Bundle, Output, Session};
use crate::tensor::{Shape, Tensor};
use crate::vision::{self, Labels, Prediction};
use rayon::prelude::*;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What a folder's images are called.
const EXTENSIONS: [&str; 8] = ["bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp"];

/// Classifies pictures: the most probable classes of each, with the time that took.
///
/// Reads PNG, JPEG, GIF, WebP, BMP and TIFF (the first frame of animations, EXIF orientation applied). Of a folder, the
/// pictures in it, in the order of their names. A file that cannot be read does not stop the others; it is reported and
/// the exit code is then 1.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  # The built-in EfficientNet-Lite0, on the best GPU there is
  mbconv classify photo.jpg
  # A folder, eight pictures at a time, for a program to read
  mbconv classify photos/ --batch 8 --json > result.json
  # From a pipe
  curl -s https://example.org/cat.jpg | mbconv classify -
  # Another architecture with weights from a file
  mbconv classify photo.jpg --model efficientnet_b0 --weights b0.safetensors
  # A folder from Hugging Face with config.json and model.safetensors
  mbconv classify photo.jpg --model ./efficientnet_b0.ra_in1k
  # Classes of one's own
  mbconv classify birds/ --model birds.safetensors --labels birds.txt")]
pub struct Args {
    /// Pictures and folders of pictures; - reads one picture from standard input
    #[arg(required = true, value_name = "IMAGE|DIR|-")]
    images: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// Names of the classes: one per line, or JSON (a list, or an object with "0", "1", ... or id2label)
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// How many classes to print for each picture
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    top_k: u32,
    #[command(flatten)]
    device: DeviceArgs,
    /// Pictures per inference
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// Refuse pictures of more megapixels than this
    #[arg(long, value_name = "MEGAPIXELS", default_value_t = 64.0, value_parser = megapixels)]
    max_pixels: f64,
    /// Print JSON: adapter, model, and for each picture predictions and times
    #[arg(long)]
    json: bool,
}

fn megapixels(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|n: &f64| *n > 0.0 && *n <= 4000.0)
        .ok_or_else(|| "must be a number over 0, at most 4000".into())
}

/// A picture ready to run.
struct Prepared {
    path: String,
    tensor: Tensor,
    decode_ms: f64,
}

#[derive(serde::Serialize)]
struct Classified {
    path: String,
    predictions: Vec<Prediction>,
    /// Decoding, resizing and normalising.
    decode_ms: f64,
    /// How many pictures shared the inference.
    batch: usize,
    /// The whole inference, from upload to logits.
    inference_ms: f64,
    /// The part of it on the GPU, where the adapter has timestamps.
    gpu_ms: Option<f64>,
}

#[derive(serde::Serialize)]
struct Failed {
    path: String,
    error: String,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    if args.images.iter().filter(|p| is_stdin(p)).count() > 1 {
        return Err(Failure::Usage("- (standard input) can be given once".into()));
    }
    let start = Instant::now();
    let mut bundle = args.model.bundle()?;
    if bundle.model.detector.is_some() {
        let problem = "a detector: it finds boxes (mbconv detect) and does not classify whole pictures";
        return Err(Error::bad(&bundle.model.name, problem).into());
    }
    if let Some(file) = &args.labels {
        bundle.labels = Labels::load(file, bundle.num_classes())?;
    }
    let (images, failed) = expand(&args.images);
    let batch = (args.batch as usize).min(images.len().max(1));
    let session = load(args, bundle, batch)?;
    let load_ms = millis(start.elapsed());

    let bar = progress_bar(images.len());
    let mut work = Work { args, session: &session, out, bar: bar.clone(), done: Vec::new(), failed: Vec::new() };
    if !args.json {
        work.header(load_ms)?;
    }
    let alone = images.len() + failed.len() == 1;
    failed.into_iter().for_each(|f| work.fail(f.0, f.1));
    let start = Instant::now();
    work.all(&images, batch)?;
    let total_ms = millis(start.elapsed());
    bar.finish_and_clear();

    let Work { out, done, failed, .. } = work;
    if args.json {
        let json = serde_json::json!({
            "adapter": adapter_name(session.device()),
            "model": session.bundle().model.name,
            "classes": session.bundle().num_classes(),
            "load_ms": load_ms,
            "total_ms": total_ms,
            "images": done,
            "failed": failed,
        });
        print_json(out, &json)?;
    } else if !alone {
        summary(out, &done, total_ms)?;
    }
    match failed.len() {
        0 => Ok(()),
        1 if alone => Err(Failure::Reported),
        bad => Err(Failure::Verdict(format!("{bad} of {} pictures could not be classified", done.len() + bad))),
    }
}

fn load(args: &Args, bundle: Bundle, batch: usize) -> Result<Session> {
    let shape = bundle.native(batch);
    let session = args.device.session(args.device.open()?, bundle)?;
    pollster::block_on(session.warm_up(shape))?;
    Ok(session)
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Folders replaced by their pictures; what cannot be listed apart.
fn expand(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<(String, Error)>) {
    let (mut images, mut failed) = (Vec::new(), Vec::new());
    for path in paths {
        match if path.is_dir() { pictures_in(path) } else { Ok(vec![path.clone()]) } {
            Ok(found) => images.extend(found),
            Err(error) => failed.push((path.display().to_string(), error)),
        }
    }
    (images, failed)
}

fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let is_picture = |p: &PathBuf| {
        p.is_file() && p.extension().is_some_and(|e| EXTENSIONS.iter().any(|x| e.eq_ignore_ascii_case(x)))
    };
    let entries = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>());
    let mut found: Vec<PathBuf> = entries.map_err(|e| Error::io(folder, e))?.into_iter().filter(is_picture).collect();
    if found.is_empty() {
        return Err(Error::bad(
            folder.display().to_string(),
            format!("no pictures in this folder (.{})", EXTENSIONS.join(", .")),
        ));
    }
    found.sort();
    Ok(found)
}

/// The run over all pictures.
struct Work<'a> {
    args: &'a Args,
    session: &'a Session,
    out: &'a mut dyn Write,
    bar: indicatif::ProgressBar,
    done: Vec<Classified>,
    failed: Vec<Failed>,
}

impl Work<'_> {
    fn header(&mut self, load_ms: f64) -> std::io::Result<()> {
        let bundle = self.session.bundle();
        let [_, h, w] = bundle.native(1);
        writeln!(self.out, "adapter  {}", adapter_name(self.session.device()))?;
        writeln!(
            self.out,
            "model    {}, {h}x{w}, {} classes, loaded in {load_ms:.0} ms",
            bundle.model.name,
            bundle.num_classes()
        )?;
        self.out.flush()
    }

    /// Decodes pictures on all cores while the device works on those before them, `batch` at a time, two batches under
    /// way: one is uploaded or read back while the other runs.
    fn all(&mut self, images: &[PathBuf], batch: usize) -> Result<(), Failure> {
        let session = self.session;
        let batches = Batches {
            images,
            size: batch,
            bundle: session.bundle(),
            limits: limits(self.args.max_pixels),
            ready: Vec::new(),
        };
        ordered(batches, IN_FLIGHT, |batch| infer(session, batch), |inferred| self.take(inferred?))
    }

    fn take(&mut self, Inferred { pictures, output, failed }: Inferred) -> Result<(), Failure> {
        failed.into_iter().for_each(|(path, error)| self.fail(path, error));
        let Some(output) = output else { return Ok(()) };
        let (batch, labels) = (pictures.len(), &self.session.bundle().labels);
        for (picture, logits) in pictures.into_iter().zip(output.logits()?) {
            let done = Classified {
                path: picture.path,
                predictions: vision::classify(logits, self.args.top_k as usize, labels),
                decode_ms: picture.decode_ms,
                batch,
                inference_ms: millis(output.timing.total),
                gpu_ms: output.timing.gpu.map(millis),
            };
            if !self.args.json {
                let out = &mut *self.out;
                self.bar.suspend(|| write_picture(out, &done))?;
            }
            self.bar.inc(1);
            self.done.push(done);
        }
        Ok(())
    }

    fn fail(&mut self, path: String, error: Error) {
        let error = error.to_string();
        self.bar.suspend(|| note("error", &error));
        self.bar.inc(1);
        self.failed.push(Failed { path, error });
    }
}

/// Batches under way at a time.
const IN_FLIGHT: usize = 2;

/// The pictures in batches of `size`, as far as they can be read; the last one may be smaller.
struct Batches<'a> {
    images: &'a [PathBuf],
    size: usize,
    bundle: &'a Bundle,
    limits: DecodeLimits,
    ready: Vec<Prepared>,
}

/// Pictures that run together, and what could not be read on the way to them.
struct Batch {
    pictures: Vec<Prepared>,
    failed: Vec<(String, Error)>,
}

impl Iterator for Batches<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let mut failed = Vec::new();
        while self.ready.len() < self.size && !self.images.is_empty() {
            let (chunk, rest) = self.images.split_at(self.size.min(self.images.len()));
            self.images = rest;
            let prepared: Vec<_> = chunk.par_iter().map(|path| prepare(path, self.bundle, &self.limits)).collect();
            for (path, result) in chunk.iter().zip(prepared) {
                match result {
                    Ok(picture) => self.ready.push(picture),
                    Err(error) => failed.push((path.display().to_string(), error)),
                }
            }
        }
        let pictures: Vec<_> = self.ready.drain(..self.size.min(self.ready.len())).collect();
        (!pictures.is_empty() || !failed.is_empty()).then_some(Batch { pictures, failed })
    }
}

/// What came of a batch: no output where there was no picture.
struct Inferred {
    pictures: Vec<Prepared>,
    output: Option<Output>,
    failed: Vec<(String, Error)>,
}

fn infer(session: &Session, Batch { pictures, failed }: Batch) -> Result<Inferred> {
    let Some(first) = pictures.first() else {
        return Ok(Inferred { pictures, output: None, failed });
    };
    let data = pictures.iter().flat_map(|p| &p.tensor.data).copied().collect();
    let input = Tensor::new(Shape { n: pictures.len(), ..first.tensor.shape }, data)?;
    let output = pollster::block_on(session.run(&input))?;
    Ok(Inferred { pictures, output: Some(output), failed })
}

/// The limits on a picture: memory is raised together with pixels.
fn limits(megapixels: f64) -> DecodeLimits {
    let defaults = DecodeLimits::default();
    let factor = (megapixels * 1e6 / defaults.max_pixels as f64).max(1.0);
    DecodeLimits { max_pixels: (megapixels * 1e6) as u64, max_bytes: (defaults.max_bytes as f64 * factor) as u64 }
}

fn prepare(path: &Path, bundle: &Bundle, limits: &DecodeLimits) -> Result<Prepared> {
    let start = Instant::now();
    let (facts, channels) = (&bundle.preprocess, bundle.graph.in_channels);
    let (name, tensor) = if is_stdin(path) {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().take(limits.max_bytes.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|e| Error::io("standard input", e))?;
        ("standard input".to_string(), image::load_bytes("standard input", &bytes, facts, channels, limits)?)
    } else {
        (path.display().to_string(), image::load(path, facts, channels, limits)?)
    };
    Ok(Prepared { path: name, tensor, decode_ms: millis(start.elapsed()) })
}

fn write_picture(out: &mut dyn Write, done: &Classified) -> std::io::Result<()> {
    writeln!(out, "\n{}", done.path)?;
    for p in &done.predictions {
        writeln!(out, "  {:6.2} %  {} ({})", p.probability * 100.0, p.label, p.class)?;
    }
    let shared = if done.batch > 1 { format!(" (shared by {})", done.batch) } else { String::new() };
    let gpu = done.gpu_ms.map_or(String::new(), |ms| format!(", of which {ms:.1} on the GPU"));
    let total = done.decode_ms + done.inference_ms;
    writeln!(
        out,
        "  {total:.1} ms: {:.1} decoding and resizing, {:.1} inference{gpu}{shared}",
        done.decode_ms, done.inference_ms
    )?;
    out.flush()
}

fn summary(out: &mut dyn Write, done: &[Classified], total_ms: f64) -> std::io::Result<()> {
    let sum = |part: fn(&Classified) -> f64| done.iter().map(part).sum::<f64>();
    let (decode, inference) = (sum(|d| d.decode_ms), sum(|d| d.inference_ms / d.batch as f64));
    let gpu =
        done.iter().map(|d| d.gpu_ms.map(|ms| ms / d.batch as f64)).sum::<Option<f64>>().filter(|_| !done.is_empty());
    let gpu = gpu.map_or(String::new(), |ms| format!(", of which {ms:.1} on the GPU"));
    let rate = done.len() as f64 / total_ms.max(1e-3) * 1e3;
    writeln!(
        out,
        "\n{} pictures in {total_ms:.1} ms ({rate:.1} a second): {decode:.1} decoding and resizing (all cores), {inference:.1} inference{gpu}",
        done.len()
    )
}
