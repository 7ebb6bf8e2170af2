//! The facade: load a model onto a device once, run it many times, verify it.

mod bundle;
mod config;
#[cfg(not(target_arch = "wasm32"))]
mod folder;
mod golden;
mod on_gpu;
mod resident;
mod run;
#[cfg(not(target_arch = "wasm32"))]
mod tune;
mod verify;
#[cfg(any(test, feature = "web"))]
#[cfg_attr(not(test), allow(dead_code))]
mod wire;

pub use bundle::Bundle;
pub use golden::Golden;
pub use on_gpu::{GpuSession, Output};
pub use resident::Loading;
#[cfg(feature = "web-run")]
pub(crate) use resident::{Promised, Resident};
pub use run::{Device, Session};
#[cfg(not(target_arch = "wasm32"))]
pub use tune::{Tuned, TunedStep, tune};
pub use verify::{Check, Report, bound, end_to_end_bound, verify};
#[cfg(feature = "web-run")]
pub(crate) use wire::Network;
