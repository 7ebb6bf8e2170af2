//! What was measured once on an adapter, in the user's cache directory.

use super::note;
use std::path::PathBuf;

#[derive(serde::Serialize, serde::Deserialize)]
struct Entry<T> {
    adapter: String,
    value: T,
}

/// The value kept under this name for this adapter and driver.
pub fn load<T: serde::de::DeserializeOwned>(name: &str, adapter: &str) -> Option<T> {
    let entry: Entry<T> = serde_json::from_slice(&std::fs::read(path(name, adapter)?).ok()?).ok()?;
    (entry.adapter == adapter).then_some(entry.value)
}

/// Keeps a value; says so on stderr where that is impossible.
pub fn store<T: serde::Serialize>(name: &str, adapter: &str, value: T) {
    let Some(path) = path(name, adapter) else { return };
    let write = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, serde_json::to_vec_pretty(&Entry { adapter: adapter.into(), value })?)
    };
    if let Err(error) = write() {
        note("warning", &format!("{}: {error}: {name} will be measured again next time", path.display()));
    }
}

/// A file for each name, adapter and driver.
fn path(name: &str, adapter: &str) -> Option<PathBuf> {
    let safe: String = adapter.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Some(dirs::cache_dir()?.join("mbconv").join(format!("{name}-{safe}.json")))
}
