//! Errors as JavaScript has them: an `Error` whose `name` says which kind.

use crate::error::Error;
use wasm_bindgen::JsValue;

/// The message stays; `name` is what programs compare.
pub fn js(error: Error) -> JsValue {
    let name = match &error {
        Error::Io { .. } => "IoError",
        Error::BadInput { .. } | Error::Architecture { .. } | Error::NodeShape { .. } => "BadInputError",
        Error::Unknown { .. } => "UnknownNameError",
        Error::Checkpoint { .. } => "CheckpointError",
        Error::Mismatch { .. } => "MismatchError",
        Error::Image { .. } => "ImageError",
        Error::Unsupported { .. } => "UnsupportedError",
        Error::NoAdapter { .. } => "NoAdapterError",
        Error::MissingFeature { .. } => "MissingFeatureError",
        Error::Limit { .. } => "LimitError",
        Error::OutOfMemory { .. } => "OutOfMemoryError",
        Error::DeviceLost { .. } => "DeviceLostError",
        Error::Gpu { .. } => "GpuError",
    };
    let thrown = js_sys::Error::new(&error.to_string());
    thrown.set_name(name);
    thrown.into()
}
