//! mbconv
mod clock;

#[cfg(all(feature = "cli", not(target_arch = "wasm32")))]
pub mod cli;
pub mod cpu;
pub mod error;
pub mod gpu;
pub mod graph;
pub mod kernels;
pub mod passes;
pub mod plan;
pub mod preprocess;
pub mod session;
pub mod tensor;
pub mod vision;
pub mod weights;
pub mod zoo;

pub use error::{Error, Result};
pub use tensor::{Padding, Shape, Tensor};
