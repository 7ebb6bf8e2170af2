//! Pictures as text, drawn from the data itself: a graph for Graphviz, a block as SVG, models as points in a plane.
//!
//! The SVGs bring their own background and follow the reader's light or dark preference.

mod block;
mod dot;
mod layout;
mod scatter;
mod svg;

pub use block::block;
pub use dot::dot;
pub use scatter::{Scatter, Series};
pub use svg::escaped;
