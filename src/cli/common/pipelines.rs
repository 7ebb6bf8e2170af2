//! Compiled pipelines, kept between runs.

use super::cache;
use crate::error::Result;
use crate::gpu::Gpu;
use std::path::PathBuf;

/// The environment variable that names a folder in place of the user's cache directory, or is `off`.
pub const PIPELINE_CACHE: &str = "MBCONV_PIPELINE_CACHE";

/// Has the device take pipelines from the file that an earlier run left, and collect for the next.
pub async fn load(gpu: &Gpu) -> Result<()> {
    let Some(path) = path(gpu) else { return Ok(()) };
    let kept = std::fs::read(path).unwrap_or_default();
    // SAFETY: the file is one that `store` wrote, in a folder that belongs to the user, or that the user named.
    unsafe { gpu.use_pipeline_cache(&kept).await }
}

/// Keeps what was compiled, where that is more than before.
pub fn store(gpu: &Gpu) {
    if let Some((path, kept)) = path(gpu).zip(gpu.pipeline_cache()) {
        cache::write(&path, &kept, "pipelines will be compiled again next time");
    }
}

fn path(gpu: &Gpu) -> Option<PathBuf> {
    let folder = match std::env::var_os(PIPELINE_CACHE) {
        Some(off) if off == "off" => return None,
        Some(folder) => PathBuf::from(folder),
        None => cache::folder()?,
    };
    Some(folder.join(cache::file("pipelines", &gpu.facts().to_string(), "bin")))
}
