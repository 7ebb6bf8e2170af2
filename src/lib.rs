//! mbconv
pub mod cpu;
pub mod error;
pub mod graph;
pub mod tensor;
pub mod kernels;
pub mod weights;
