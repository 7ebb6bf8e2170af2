//! What the commands share.

pub mod cache;
mod device;
mod failure;
mod input;
mod model;
mod pipelines;
mod plan;
mod stream;
mod table;
mod time;
mod tuning;

pub use device::{DeviceArgs, adapter_name, calibrated};
pub use failure::{Failure, note};
pub use input::{Resolution, ShapeArgs, read_input, synthetic_input};
pub use model::{Chosen, ModelArgs, architecture, embedded};
pub use pipelines::PIPELINE_CACHE;
pub use plan::{FuseArgs, web_plan};
pub use stream::ordered;
pub use table::{Align, Table};
pub use time::{Start, median, millis, peak_memory, quantile};
pub use tuning::{export as write_tuning, keep as keep_tuning};

use std::io::Write;

/// Writes a value as indented JSON and a line end.
pub fn print_json(out: &mut dyn Write, value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::Output(e.into()))?;
    Ok(writeln!(out, "{text}")?)
}

/// Values of a serializable struct with further entries.
pub fn json_with(value: &impl serde::Serialize, more: &[(&str, serde_json::Value)]) -> serde_json::Value {
    let mut json = serde_json::to_value(value).unwrap_or_default();
    if let Some(map) = json.as_object_mut() {
        map.extend(more.iter().map(|(k, v)| (k.to_string(), v.clone())));
    }
    json
}

/// A progress bar on stderr; hidden where that is not a terminal or there is only one thing to do.
pub fn progress_bar(count: usize) -> indicatif::ProgressBar {
    use std::io::IsTerminal;
    if count < 2 || !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::new(count as u64);
    if let Ok(style) = indicatif::ProgressStyle::with_template("{bar:40} {pos}/{len} {wide_msg} {eta}") {
        bar.set_style(style);
    }
    bar
}
