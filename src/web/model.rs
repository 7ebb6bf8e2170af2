//! A model on a device.

use super::engine::{Engine, promise, tensor};
use super::error::js;
use super::values::{list, numbers, object};
use crate::error::{Error, Result};
use crate::gpu::{Executor, Gpu, Resizer, Timing};
use crate::graph::Graph;
use crate::kernels::AdapterClass;
use crate::plan::Target;
use crate::session::{Network, Promised, Resident};
use crate::tensor::Tensor;
use crate::vision;
use crate::weights::Weights;
use crate::zoo::Preprocess;
use js_sys::{Array, Float32Array, Promise, Uint8Array};
use std::cell::RefCell;
use std::future::ready;
use std::rc::Rc;
use std::sync::Arc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
impl Engine {
    /// [`crate::gpu::AdapterFacts`] and the class of kernels chosen.
    pub fn facts(&self) -> JsValue {
        facts(&self.0)
    }

    /// Puts a network, as the zoo's module wrote it, on the device with the weights of the file that it was written
    /// for, whose bytes are promised. They are stored as `dtype`, f32 or f16.
    ///
    /// # Errors
    /// [`crate::Error::Unknown`] for another `dtype`, [`crate::Error::BadInput`] where the promise is broken, and those of
    /// [`Network::read`], [`Weights::at_places`] and
    /// [`Resident::new`].
    pub fn load(&self, network: Vec<u8>, name: String, bytes: Promise, dtype: Option<String>) -> Promise {
        let (gpu, target) = (Arc::clone(&self.0), self.target(dtype.as_deref()));
        promise(async move {
            let Network { graph, places, preprocess } = Network::read(&network)?;
            let (graph, target) = (Arc::new(graph), target?);
            let params = Arc::clone(&graph);
            let weights = Box::pin(async {
                let bytes = JsFuture::from(bytes).await.map_err(|_| Error::bad(&name, "did not arrive"))?;
                Weights::at_places(&params, places, name, Uint8Array::from(bytes).to_vec())
            });
            Loaded::put(&gpu, &target, graph, preprocess, weights).await
        })
    }
}

/// The `k` most probable classes of one picture's logits: `[class, probability, class, ...]`.
#[wasm_bindgen]
pub fn top(logits: Vec<f32>, k: usize) -> Vec<f32> {
    let probabilities = vision::softmax(&logits);
    let mut best = Vec::new();
    for (class, _) in vision::top_k(&logits, k) {
        best.extend_from_slice(&[class as f32, probabilities[class]]);
    }
    best
}

/// A model on a device.
#[wasm_bindgen]
pub struct Model(pub(super) Rc<Loaded>);

/// What a model's promises share with it.
pub(super) struct Loaded {
    pub(super) resident: Resident,
    weights: Weights,
    pub(super) preprocess: Preprocess,
    /// That of the pictures seen last: a camera's frames are all of one size.
    pub(super) resizer: RefCell<Option<Arc<Resizer>>>,
}

impl Loaded {
    async fn put(
        gpu: &Arc<Gpu>,
        target: &Target,
        graph: Arc<Graph>,
        preprocess: Preprocess,
        weights: Promised<'_>,
    ) -> Result<JsValue> {
        let (resident, weights, _) = Resident::new(gpu, target, graph, weights, preprocess.batch(1)).await?;
        Ok(Model(Rc::new(Self { resident, weights, preprocess, resizer: RefCell::default() })).into())
    }

    /// An executor for `n` images of the model's own size.
    pub(super) async fn executor(&self, n: usize) -> Result<Executor> {
        self.resident.executor(self.preprocess.batch(n)).await
    }
}

#[wasm_bindgen]
impl Model {
    /// The same model with other outputs: `network` is another one for the same file.
    ///
    /// # Errors
    /// Those of [`Engine::load`].
    pub fn with_network(&self, network: Vec<u8>) -> Promise {
        let model = Rc::clone(&self.0);
        promise(async move {
            let (resident, Network { graph, preprocess, .. }) = (&model.resident, Network::read(&network)?);
            let weights = Box::pin(ready(Ok(model.weights.clone())));
            Loaded::put(resident.gpu(), resident.target(), Arc::new(graph), preprocess, weights).await
        })
    }

    /// Shapes, plan and counters for a batch of `n` at the model's own size.
    ///
    /// # Errors
    /// Those of [`crate::plan::Plan::new`].
    pub fn describe(&self, n: usize) -> Result<JsValue, JsValue> {
        describe(&self.0, n).map_err(js)
    }

    /// Compiles and runs once for a batch of `n`, so that the first result is as fast as the next.
    ///
    /// # Errors
    /// Those of [`Resident::warm_up`].
    pub fn warm_up(&self, n: usize) -> Promise {
        let model = Rc::clone(&self.0);
        promise(async move {
            model.resident.warm_up(model.preprocess.batch(n)).await?;
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Runs a normalised NHWC batch. Returns what [`outputs`] says.
    ///
    /// # Errors
    /// Those of [`Resident::run`].
    pub fn run(&self, input: Vec<f32>, shape: Vec<u32>) -> Promise {
        let model = Rc::clone(&self.0);
        promise(async move {
            let (values, timing) = model.resident.run(&tensor(input, &shape)?).await?;
            Ok(outputs(values.iter().map(|(name, value)| (name, value)), timing))
        })
    }

    /// The safetensors bytes or tensors it was loaded from.
    pub fn checkpoint(&self) -> Result<Vec<u8>, JsValue> {
        let checkpoint = self.0.weights.checkpoint();
        checkpoint.bytes().map(<[u8]>::to_vec).ok_or_else(|| JsValue::from_str("these weights are not from a file"))
    }
}

fn facts(gpu: &Gpu) -> JsValue {
    let (facts, caps) = (gpu.facts(), &gpu.facts().caps);
    let class = match facts.class() {
        AdapterClass::Gpu => "Gpu",
        AdapterClass::Software => "Software",
        AdapterClass::SwiftShader => "SwiftShader",
        AdapterClass::SoftwareSubgroup => "SoftwareSubgroup",
    };
    let limits = numbers!(caps, max_buffer max_binding max_workgroups max_invocations max_workgroup_bytes);
    object([
        ("kernels", class.into()),
        ("pipelines", (gpu.compiled().pipelines as u32).into()),
        ("timestamps", facts.timestamps.into()),
        ("f16", facts.f16.into()),
        ("limits", limits),
        ("wasmBytes", ((core::arch::wasm32::memory_size::<0>() << 16) as f64).into()),
    ])
}

fn describe(model: &Loaded, n: usize) -> Result<JsValue> {
    let plan = model.resident.plan(model.preprocess.batch(n))?;
    let counters = &plan.counters;
    let steps = plan.steps.iter().zip(&plan.labels).map(|(step, label)| {
        object([
            ("label", label.into()),
            ("kernel", step.launch.key.to_string().into()),
            ("grid", list(step.launch.grid.into_iter().map(JsValue::from))),
            ("shape", step.writes.first().map(|w| plan.values[w.1].shape.to_string()).into()),
            ("bytes", (step.bytes as f64).into()),
            ("madds", (step.madds as f64).into()),
        ])
    });
    let input = [plan.input.n, plan.input.h, plan.input.w, plan.input.c];
    Ok(object([
        ("input", list(input.into_iter().map(|side| (side as u32).into()))),
        (
            "counters",
            numbers!(counters, dispatches pipelines bytes_moved weight_bytes intermediate_bytes live_set_bytes io_bytes madds),
        ),
        ("steps", list(steps)),
    ]))
}

/// `[milliseconds, GPU milliseconds or -1, name, shape, values, name, shape, values, ...]`.
pub(super) fn outputs<'a>(values: impl Iterator<Item = (&'a String, &'a Tensor)>, timing: Timing) -> JsValue {
    let milliseconds = |t: std::time::Duration| t.as_secs_f64() * 1e3;
    let flat = Array::of2(&milliseconds(timing.total).into(), &timing.gpu.map_or(-1.0, milliseconds).into());
    for (name, tensor) in values {
        let shape = tensor.shape;
        flat.push(&name.as_str().into());
        flat.push(&[shape.n, shape.h, shape.w, shape.c].iter().map(|&s| JsValue::from(s as u32)).collect::<Array>());
        flat.push(&Float32Array::from(tensor.data.as_slice()));
    }
    flat.into()
}
