//! What JavaScript calls in a browser. Thin: everything is in `session`; facts and numbers cross the border as plain
//! objects and typed arrays. `web/index.js` is the package around it, and where users' documentation is.

mod error;
mod image;
#[cfg(feature = "web-reference")]
mod reference;
mod report;

use crate::error::Error;
use crate::gpu::{Gpu, Resizer, Select};
use crate::plan::Target;
use crate::session::{Bundle, GpuSession};
use crate::tensor::{Dtype, Shape, Tensor};
use crate::vision;
use crate::weights::Checkpoint;
use crate::zoo;
use error::js;
use js_sys::Promise;
use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

/// A device; models on it share compiled pipelines.
#[wasm_bindgen]
pub struct Engine(Arc<Gpu>);

#[wasm_bindgen]
impl Engine {
    /// Opens what `navigator.gpu` offers at the moment of the call: a promise of an [`Engine`], rejected with
    /// [`crate::Error::NoAdapter`].
    pub fn open() -> Promise {
        let mut opening = Box::pin(Gpu::open(&Select::Auto));
        // An `async fn` would first look at `navigator.gpu` in a later task.
        let asked = opening.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        future_to_promise(async move {
            let gpu = match asked {
                Poll::Ready(gpu) => gpu,
                Poll::Pending => opening.await,
            };
            gpu.map(|gpu| Self(gpu).into()).map_err(js)
        })
    }

    /// [`crate::gpu::AdapterFacts`] and the class of kernels chosen.
    pub fn facts(&self) -> JsValue {
        report::facts(&self.0)
    }

    /// Puts a safetensors file on the device. Its architecture is `arch`, or what the text of a `config.json` says, or
    /// what the file itself says or fits. It is stored as `dtype`, f32 or f16.
    ///
    /// # Errors
    /// [`Error::Unknown`] for another `dtype`, and those of [`Bundle::new`], [`Bundle::with_config`] and
    /// [`GpuSession::with_target`].
    pub async fn load(
        &self,
        bytes: Vec<u8>,
        name: String,
        arch: Option<String>,
        config: Option<String>,
        dtype: Option<String>,
    ) -> Result<Model, JsValue> {
        let dtype = match dtype.as_deref() {
            None | Some("f32") => Dtype::F32,
            Some("f16") => Dtype::F16,
            Some(other) => return Err(js(Error::unknown("dtype", other, ["f32", "f16"]))),
        };
        let bundle = Checkpoint::from_bytes(name, bytes).and_then(|checkpoint| match (arch, config) {
            (Some(arch), _) => Bundle::new(zoo::find(&arch)?, checkpoint),
            (None, Some(config)) => Bundle::with_config("config.json", &config, checkpoint),
            (None, None) => Bundle::from_checkpoint(checkpoint),
        });
        let target = Target { dtype, ..self.0.target() };
        let session = GpuSession::with_target(Arc::clone(&self.0), bundle.map_err(js)?, target).await.map_err(js)?;
        Ok(Model { session, resizer: RefCell::default() })
    }
}

/// The `k` most probable classes of one picture's logits: `[class, probability, class, ...]`.
#[wasm_bindgen]
pub fn top(logits: Vec<f32>, k: usize) -> Vec<f32> {
    let probabilities = vision::softmax(&logits);
    vision::top_k(&logits, k).into_iter().flat_map(|(class, _)| [class as f32, probabilities[class]]).collect()
}

/// The registered models: name, family, resolution and published figures.
#[wasm_bindgen]
pub fn models() -> JsValue {
    report::models()
}

/// A model on a device.
#[wasm_bindgen]
pub struct Model {
    session: GpuSession,
    /// That of the pictures seen last: a camera's frames are all of one size.
    resizer: RefCell<Option<Arc<Resizer>>>,
}

#[wasm_bindgen]
impl Model {
    /// Architecture, shapes, plan and counters for a batch of `n` at the model's own size.
    ///
    /// # Errors
    /// Those of [`crate::plan::Plan::new`].
    pub fn describe(&self, n: usize) -> Result<JsValue, JsValue> {
        report::describe(&self.session, n).map_err(js)
    }

    /// Compiles and runs once for a batch of `n`, so that the first result is as fast as the next.
    ///
    /// # Errors
    /// Those of [`GpuSession::warm_up`].
    pub async fn warm_up(&self, n: usize) -> Result<(), JsValue> {
        self.session.warm_up(self.session.bundle().native(n)).await.map_err(js)
    }

    /// Runs a normalised NHWC batch. Returns what [`report::Outputs`] says, for the outputs and every value of `keep`.
    ///
    /// # Errors
    /// Those of [`GpuSession::run_keeping`].
    pub async fn run(&self, input: Vec<f32>, shape: Vec<u32>, keep: Vec<String>) -> Result<JsValue, JsValue> {
        let input = tensor(input, &shape)?;
        let keep: Vec<&str> = keep.iter().map(String::as_str).collect();
        let output = self.session.run_keeping(&input, &keep).await.map_err(js)?;
        Ok(report::outputs(output.values.iter(), output.timing))
    }

    /// The safetensors bytes or tensors it was loaded from.
    pub fn checkpoint(&self) -> Result<Vec<u8>, JsValue> {
        let checkpoint = self.session.bundle().weights.checkpoint();
        checkpoint.bytes().map(<[u8]>::to_vec).ok_or_else(|| JsValue::from_str("these weights are not from a file"))
    }
}

fn tensor(data: Vec<f32>, shape: &[u32]) -> Result<Tensor, JsValue> {
    let &[n, h, w, c] = shape else {
        return Err(js(crate::Error::bad("shape", format!("{shape:?} is not [N, H, W, C]"))));
    };
    let [n, h, w, c] = [n, h, w, c].map(|side| side as usize);
    Tensor::new(Shape::new(n, h, w, c), data).map_err(js)
}
