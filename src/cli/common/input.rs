//! Input tensors and their shapes.

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::tensor::{Shape, Tensor};
use crate::weights::{Checkpoint, make_input};
use crate::zoo::{Model, Options};
use std::path::Path;

/// The most values of a synthetic input (4 GiB).
const MAX_VALUES: usize = 1 << 30;

/// Height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution(pub [usize; 2]);

impl std::str::FromStr for Resolution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |s: &str| s.parse().ok().filter(|n| (1..=16384).contains(n));
        let (h, w) = text.split_once('x').unwrap_or((text, text));
        match (side(h), side(w)) {
            (Some(h), Some(w)) => Ok(Self([h, w])),
            _ => Err("give one number for a square, or HEIGHTxWIDTH, each 1 to 16384".into()),
        }
    }
}

/// Shape of the input and what of the architecture depends on the task.
#[derive(clap::Args)]
pub struct ShapeArgs {
    /// Input size: N for a square, or HEIGHTxWIDTH [default: the model's own]
    #[arg(long, value_name = "N|HxW")]
    pub resolution: Option<Resolution>,
    /// Images per inference [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub batch: Option<u32>,
    /// Outputs of the classifier [default: those of the published weights]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub classes: Option<u32>,
    /// Channels of the input [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub channels: Option<u32>,
}

impl ShapeArgs {
    /// Class count and channels as asked for, else the model's own.
    pub fn options(&self, model: &Model) -> Options {
        let defaults = model.options();
        Options {
            in_channels: self.channels.map_or(defaults.in_channels, |n| n as usize),
            num_classes: self.classes.map_or(defaults.num_classes, |n| n as usize),
            ..defaults
        }
    }

    /// `[n, h, w]`, with the model's `[h, w]` where none was asked for.
    pub fn nhw(&self, native: [usize; 2]) -> [usize; 3] {
        let [h, w] = self.resolution.map_or(native, |r| r.0);
        [self.batch.map_or(1, |n| n as usize), h, w]
    }
}

/// The synthetic input of a salt for a network.
pub fn synthetic_input(salt: &str, [n, h, w]: [usize; 3], graph: &Graph) -> Result<Tensor> {
    let shape = Shape::new(n, h, w, graph.in_channels);
    if shape.len() > MAX_VALUES {
        return Err(Error::bad("input", format!("{shape} (NHWC) is over 4 GiB: reduce the batch or the resolution")));
    }
    // Before any work: the network fits this input.
    graph.shapes(n, h, w)?;
    Tensor::from_nchw(shape, &make_input(salt, [n, graph.in_channels, h, w]))
}

/// The tensor `input` `[N, C, H, W]` of a safetensors file, for a network.
pub fn read_input(path: &Path, graph: &Graph) -> Result<Tensor> {
    let file = Checkpoint::open(path)?;
    let problem = |problem: String| Error::bad(file.path(), problem);
    let Some(shape) = file.shape("input") else {
        let names: Vec<_> = file.names().take(5).collect();
        return Err(problem(format!("it has no tensor named 'input' [N, C, H, W], only {}", names.join(", "))));
    };
    let [n, c, h, w] = *shape else {
        return Err(problem(format!("input is {shape:?}, must be [N, C, H, W]")));
    };
    if shape.contains(&0) {
        return Err(problem(format!("input is {shape:?}: it holds no value")));
    }
    if c != graph.in_channels {
        return Err(problem(format!(
            "input is {shape:?} (NCHW), but {} takes {} channels",
            graph.name, graph.in_channels
        )));
    }
    Tensor::from_nchw(Shape::new(n, h, w, c), &file.read_f32("input")?)
}
