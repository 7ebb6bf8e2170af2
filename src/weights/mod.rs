//! Weights: where a graph's parameters get their values.
//!
//! A [`Checkpoint`] is a readable set of named tensors: a safetensors file, its bytes, or tensors in memory
//! ([`Synthetic`]). [`Naming`] says how its names relate to the graph's, which are timm's. [`Weights`]
//! joins the two after checking everything, and hands out the values of any parameter, batch-norm
//! folding included.

mod checkpoint;
mod header;
mod names;
pub(crate) mod platform;
mod save;
mod store;
mod synthetic;
#[cfg(any(test, feature = "web"))]
#[cfg_attr(not(test), allow(dead_code))]
mod wire;

pub use checkpoint::Checkpoint;
pub use names::{Naming, Scheme};
#[cfg(not(target_arch = "wasm32"))]
pub use save::save;
pub use save::{NamedTensor, serialize};
pub use store::Weights;
pub use synthetic::{NamedShape, Synthetic, bit_sum, make_input};
#[cfg(any(test, feature = "web"))]
pub(crate) use wire::Place;
