//! What follows the logits: probabilities, the best classes, their names, and boxes.

mod detect;
mod labels;
mod topk;

pub use detect::{Detection, default_boxes, detect, rows};
pub use labels::Labels;
pub use topk::{Prediction, classify, softmax, top_k};
