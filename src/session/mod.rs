//! The facade: load a model onto a device once, run it many times, verify it.

mod bundle;
#[cfg(not(target_arch = "wasm32"))]
mod folder;
#[cfg(not(target_arch = "wasm32"))]
mod golden;
mod run;
mod verify;

pub use bundle::Bundle;
#[cfg(not(target_arch = "wasm32"))]
pub use golden::Golden;
pub use run::{Device, Output, Session};
pub use verify::{Check, END_TO_END_BOUND, Report, bound, verify};
