//! What follows the logits: probabilities, the best classes, their names.

mod labels;
mod topk;

pub use labels::Labels;
pub use topk::{Prediction, classify, softmax, top_k};
