//! What is kept between runs, in the user's cache directory: a file for each kind, adapter and driver.

use super::note;
use std::path::{Path, PathBuf};

#[derive(serde::Serialize, serde::Deserialize)]
struct Entry<T> {
    adapter: String,
    value: T,
}

/// The value kept under this name for this adapter and driver.
pub fn load<T: serde::de::DeserializeOwned>(name: &str, adapter: &str) -> Option<T> {
    let path = folder()?.join(file(name, adapter, "json"));
    let entry: Entry<T> = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (entry.adapter == adapter).then_some(entry.value)
}

/// Keeps a value; says so on stderr where that is impossible.
pub fn store<T: serde::Serialize>(name: &str, adapter: &str, value: T) {
    let Some(folder) = folder() else { return };
    let entry = serde_json::to_vec_pretty(&Entry { adapter: adapter.into(), value }).unwrap_or_default();
    write(&folder.join(file(name, adapter, "json")), &entry, &format!("{name} will be measured again next time"));
}

/// Replaces a file as a whole, so that another process sees the old or the new one; says so on stderr, with the
/// `consequence`, where that is impossible.
pub fn write(path: &Path, bytes: &[u8], consequence: &str) {
    let fresh = path.with_extension(format!("{}.tmp", std::process::id()));
    let write = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&fresh, bytes)?;
        std::fs::rename(&fresh, path)
    };
    if let Err(error) = write() {
        drop(std::fs::remove_file(&fresh));
        note("warning", &format!("{}: {error}: {consequence}", path.display()));
    }
}

/// Where all of it lies.
pub fn folder() -> Option<PathBuf> {
    Some(dirs::cache_dir()?.join("mbconv"))
}

/// The name of an adapter's file.
pub fn file(name: &str, adapter: &str, extension: &str) -> String {
    let safe: String = adapter.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("{name}-{safe}.{extension}")
}
