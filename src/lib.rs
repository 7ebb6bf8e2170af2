//! mbconv
pub mod error;
pub mod graph;
pub mod tensor;
pub mod kernels;
pub mod preprocess;
pub mod vision;
pub mod zoo;
