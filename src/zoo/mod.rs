//! The models: tables, wiring and published facts.

mod facts;

pub use facts::{CropMode, Interpolation, Preprocess};
