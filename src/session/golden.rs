//! Reference files: another implementation's outputs for synthetic weights and a synthetic input.

use super::Bundle;
use super::verify::{Check, compare};
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use crate::weights::{Checkpoint, Synthetic, make_input};
use crate::zoo;

/// A reference file (metadata `case` and `manifest`, tensor `logits`) with the model and input that it states.
#[derive(Clone, Debug)]
pub struct Golden {
    /// The model with its synthetic weights.
    pub bundle: Bundle,
    /// The synthetic input.
    pub input: Tensor,
    /// What the other implementation computed: `[N, 1, 1, classes]`.
    pub logits: Tensor,
}

/// The part of the metadata `case` that says what to build.
#[derive(serde::Deserialize)]
struct Case {
    arch: String,
    batch: usize,
    in_chans: usize,
    height: usize,
    width: usize,
}

impl Golden {
    /// Reads a reference file and makes the weights and the input by its recipe.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when it is not a reference file of a classifier, those of [`zoo::find`] and [`Bundle::new`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(path: impl AsRef<std::path::Path>) -> Result<Self> {
        Self::new(&Checkpoint::open(path)?)
    }

    /// As `Golden::open`, from the file's content.
    ///
    /// # Errors
    /// As `Golden::open`.
    pub fn new(file: &Checkpoint) -> Result<Self> {
        let problem = |problem: String| Error::Checkpoint { path: file.path().into(), problem };
        let (bundle, input) = Self::model_and_input(file)?;
        let [n, classes] = *file.shape("logits").unwrap_or_default() else {
            return Err(problem("it holds no logits [N, classes]: not a classifier's reference file".into()));
        };
        if [input.shape.n, bundle.num_classes()] != [n, classes] {
            return Err(problem(format!(
                "its logits are {n} x {classes}, but the case says {} x {}",
                input.shape.n,
                bundle.num_classes()
            )));
        }
        let logits = Tensor::new(Shape::new(n, 1, 1, classes), file.read_f32("logits")?.into_owned())?;
        Ok(Self { bundle, input, logits })
    }

    /// The model with its weights and the input that a reference file states, a detector's, too.
    ///
    /// # Errors
    /// As `Golden::open`, but for what the file's outputs are.
    pub fn model_and_input(file: &Checkpoint) -> Result<(Bundle, Tensor)> {
        let problem = |problem: String| Error::Checkpoint { path: file.path().into(), problem };
        let (recipe, tensors) = Synthetic::from_golden(file)?;
        let case = file.metadata().get("case").map_or("", String::as_str);
        let case: Case = serde_json::from_str(case).map_err(|e| problem(format!("case: {e}")))?;
        let bundle = Bundle::new(zoo::find(&case.arch)?, recipe.state(&tensors)?)?;
        let Case { batch, in_chans, height, width, .. } = case;
        let image = make_input(&recipe.salt, [batch, in_chans, height, width]);
        let input = Tensor::from_nchw(Shape::new(batch, height, width, in_chans), &image)?;
        Ok((bundle, input))
    }

    /// Our logits against the file's; `bound` is for their relative L2 error.
    pub fn compare(&self, ours: &Tensor, key: &str, bound: f64) -> Check {
        compare(0, "logits", key, ours, &self.logits, bound)
    }
}
