//! From nothing to the first result: the stages of a start, and `--cold`, which measures starts in processes of their own.

use super::super::common::{Align, Failure, PIPELINE_CACHE, Table, millis, note, print_json};
use super::Args;
use crate::error::Error;
use crate::session::{Device, Loading, Session};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The stages of a start, in milliseconds.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub struct Stages {
    /// Opening (mapping) the weights, or making synthetic ones.
    weights_ms: f64,
    /// Opening the device.
    device_ms: f64,
    /// Fusing the graph, planning.
    plan_ms: f64,
    /// Packing and uploading the weights.
    upload_ms: f64,
    /// Compiling pipelines, which goes on at the same time.
    compile_ms: f64,
    /// Buffers, bind groups and the recorded inference.
    prepare_ms: f64,
    /// The first inference.
    first_ms: f64,
    /// From the first stage's beginning to the first result.
    ready_ms: f64,
    /// The same from the start of the process.
    total_ms: f64,
    /// Pipelines compiled.
    pipelines: usize,
    /// Those of them that came from the pipeline cache.
    from_cache: usize,
}

impl Stages {
    /// What a session knows of its own start, with the stages around it.
    pub fn new(session: &Session, [weights, device, prepare, first, ready, total]: [Duration; 6]) -> Self {
        let Loading { plan, upload, compile } = session.loading().unwrap_or_default();
        let compiled = match session.device() {
            Device::Gpu(gpu) => gpu.compiled(),
            Device::Cpu => Default::default(),
        };
        Self {
            weights_ms: millis(weights),
            device_ms: millis(device),
            plan_ms: millis(plan),
            upload_ms: millis(upload),
            compile_ms: millis(compile),
            prepare_ms: millis(prepare),
            first_ms: millis(first),
            ready_ms: millis(ready),
            total_ms: millis(total),
            pipelines: compiled.pipelines,
            from_cache: compiled.from_cache,
        }
    }

    fn rows(&self) -> [(&'static str, f64); 9] {
        [
            ("weights opened", self.weights_ms),
            ("device opened", self.device_ms),
            ("planned", self.plan_ms),
            ("weights packed and uploaded", self.upload_ms),
            ("pipelines compiled meanwhile", self.compile_ms),
            ("buffers made", self.prepare_ms),
            ("first inference", self.first_ms),
            ("to the first result", self.ready_ms),
            ("from the start of the process", self.total_ms),
        ]
    }
}

impl std::fmt::Display for Stages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { weights_ms, device_ms, plan_ms, upload_ms, compile_ms, prepare_ms, first_ms, .. } = self;
        write!(f, "{:.0} ms: weights {weights_ms:.1}, device {device_ms:.1}", self.total_ms)?;
        if self.pipelines > 0 {
            write!(
                f,
                ", plan {plan_ms:.1}, upload {upload_ms:.1} beside {compile_ms:.1} compiling {} pipelines ({} from the \
                 cache), buffers {prepare_ms:.1}",
                self.pipelines, self.from_cache
            )?;
        }
        write!(f, ", first inference {first_ms:.1}")
    }
}

/// One start, as its process reports it.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Once {
    pub adapter: String,
    pub model: String,
    pub batch: usize,
    /// Height and width.
    pub resolution: [usize; 2],
    pub start: Stages,
}

#[derive(serde::Serialize)]
struct Cold {
    adapter: String,
    model: String,
    batch: usize,
    resolution: [usize; 2],
    starts: u32,
    /// With empty caches of compiled shaders.
    empty: Stages,
    /// With what such a start left in them.
    filled: Stages,
}

/// Starts this program `starts` times with empty caches and as often with filled ones; of each kind the start with the
/// median time counts.
pub fn run(args: &Args, starts: u32, out: &mut dyn Write) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("mbconv-cold-{}", std::process::id()));
    let result = measure(starts, &folder);
    // Nothing of it is wanted any more; where it cannot be removed the system will.
    drop(std::fs::remove_dir_all(&folder));
    let (first, empty, filled) = result?;
    let Once { adapter, model, batch, resolution, .. } = first;
    let cold = Cold { adapter, model, batch, resolution, starts, empty: median(empty), filled: median(filled) };
    if args.json { print_json(out, &cold) } else { Ok(write(out, &cold)?) }
}

fn measure(starts: u32, folder: &Path) -> Result<(Once, Vec<Stages>, Vec<Stages>), Failure> {
    let (mut first, mut empty, mut filled) = (None, Vec::new(), Vec::new());
    for _ in 0..starts {
        drop(std::fs::remove_dir_all(folder));
        for stages in [&mut empty, &mut filled] {
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
            let once = once(folder, first.is_none())?;
            stages.push(once.start);
            first.get_or_insert(once);
        }
    }
    let first = first.ok_or_else(|| Failure::Usage("--iters 0 starts nothing".into()))?;
    Ok((first, empty, filled))
}

/// This command in a process of its own, with its caches in `folder`.
fn once(folder: &Path, aloud: bool) -> Result<Once, Failure> {
    let program = std::env::current_exe().map_err(|e| Error::io("this program", e))?;
    let ended = Command::new(&program)
        .args(std::env::args_os().skip(1))
        .arg("--once")
        .env(PIPELINE_CACHE, folder)
        // Where Mesa's and NVIDIA's drivers keep what they compile.
        .env("MESA_SHADER_CACHE_DIR", folder)
        .env("__GL_SHADER_DISK_CACHE_PATH", folder)
        .output()
        .map_err(|e| Error::io(&program, e))?;
    if aloud || !ended.status.success() {
        drop(std::io::stderr().write_all(&ended.stderr));
    }
    match serde_json::from_slice(&ended.stdout) {
        Ok(once) => Ok(once),
        Err(_) if !ended.stderr.is_empty() => Err(Failure::Reported),
        Err(_) => {
            note("error", &format!("a start of {} ended with {}", program.display(), ended.status));
            Err(Failure::Reported)
        }
    }
}

fn median(mut starts: Vec<Stages>) -> Stages {
    starts.sort_by(|a, b| a.total_ms.total_cmp(&b.total_ms));
    starts[starts.len() / 2]
}

fn write(out: &mut dyn Write, cold: &Cold) -> std::io::Result<()> {
    let [h, w] = cold.resolution;
    writeln!(out, "adapter  {}", cold.adapter)?;
    writeln!(out, "model    {}, batch {}, {h}x{w}", cold.model, cold.batch)?;
    writeln!(
        out,
        "starts   {} with empty caches of compiled shaders, {} with filled ones\n",
        cold.starts, cold.starts
    )?;
    let mut table = Table::new(&[("ms", Align::Left), ("empty", Align::Right), ("filled", Align::Right)]);
    for ((stage, empty), (_, filled)) in cold.empty.rows().into_iter().zip(cold.filled.rows()) {
        table.row(vec![stage.into(), format!("{empty:.1}"), format!("{filled:.1}")]);
    }
    table.write(out)?;
    let Stages { pipelines, from_cache, .. } = cold.filled;
    writeln!(out, "\n{pipelines} pipelines, with filled caches {from_cache} of them from the pipeline cache")
}
