//! `--tuning`, and what `mbconv tune` keeps.

use super::cache;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::plan::Tuning;
use crate::plan::tuning::TuningFile;
use std::collections::BTreeMap;
use std::path::Path;

/// Which rows of the kernel tables to take.
#[derive(clap::Args)]
pub struct TuningArgs {
    /// Kernels measured with `mbconv tune`: auto (what it kept for this adapter, else the defaults), off (the defaults), or a
    /// file of its --export
    #[arg(long, value_name = "auto|off|FILE", default_value = "auto")]
    tuning: String,
}

impl TuningArgs {
    /// As the planner has it. A file that was asked for must be of this adapter, driver and kernel set; one that was kept
    /// and is not counts as none.
    pub fn tuning(&self, gpu: &Gpu) -> Result<Tuning> {
        match self.tuning.as_str() {
            "off" => Ok(Tuning::Default),
            "auto" => Ok(kept(gpu).map_or(Tuning::Default, |file| Tuning::Measured(file.networks))),
            path => {
                let text = std::fs::read(path).map_err(|e| Error::io(path, e))?;
                let problem = |e: serde_json::Error| Error::bad(path, format!("not a tuning file: {e}"));
                let file: TuningFile = serde_json::from_slice(&text).map_err(problem)?;
                file.check(path, &gpu.facts().to_string(), gpu.facts().caps)?;
                Ok(Tuning::Measured(file.networks))
            }
        }
    }
}

/// Keeps the rows of a network beside those of others on this adapter.
pub fn keep(gpu: &Gpu, network: &str, rows: &BTreeMap<String, String>) {
    let mut file = kept(gpu).unwrap_or_else(|| new(gpu));
    file.networks.insert(network.into(), rows.clone());
    if let Some(folder) = cache::folder() {
        let text = serde_json::to_vec_pretty(&file).unwrap_or_default();
        cache::write(&folder.join(name(gpu)), &text, "the defaults stay in use; --export writes elsewhere");
    }
}

/// Writes the rows of one network to a file that --tuning takes.
pub fn export(gpu: &Gpu, network: &str, rows: &BTreeMap<String, String>, path: &Path) -> Result<()> {
    let mut file = new(gpu);
    file.networks.insert(network.into(), rows.clone());
    let text = serde_json::to_vec_pretty(&file).unwrap_or_default();
    std::fs::write(path, [&text[..], b"\n"].concat()).map_err(|e| Error::io(path, e))
}

fn new(gpu: &Gpu) -> TuningFile {
    TuningFile::new(&gpu.facts().to_string(), gpu.facts().caps)
}

fn kept(gpu: &Gpu) -> Option<TuningFile> {
    let file: TuningFile = serde_json::from_slice(&std::fs::read(cache::folder()?.join(name(gpu))).ok()?).ok()?;
    file.check("", &gpu.facts().to_string(), gpu.facts().caps).is_ok().then_some(file)
}

fn name(gpu: &Gpu) -> String {
    cache::file("tuning", &gpu.facts().to_string(), "json")
}
