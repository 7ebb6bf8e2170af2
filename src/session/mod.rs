//! The facade: load a model onto a device once, run it many times, verify it.

mod bundle;
#[cfg(not(target_arch = "wasm32"))]
mod folder;
mod run;
mod verify;

pub use bundle::Bundle;
pub use run::{Device, Output, Session};
pub use verify::{Check, Report, verify};
