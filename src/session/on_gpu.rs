//! A model on a GPU: fused, packed and uploaded once for each set of values asked for.

use super::Bundle;
use super::resident::{Loading, Resident};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::gpu::{Executor, Gpu, Resizer, Timing};
use crate::plan::Target;
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex};

/// What an inference returns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// `logits` `[N, 1, 1, classes]` and `embedding` `[N, 1, 1, features]` of a classifier, `cls_logits.0` and
    /// `bbox_regression.0`, ... of a detector ([`crate::vision::detect`]), and every value asked for, by name.
    pub values: BTreeMap<String, Tensor>,
    /// How long it took.
    pub timing: Timing,
}

impl Output {
    /// A value by name.
    ///
    /// # Errors
    /// [`Error::Unknown`]; [`Error::BadInput`] for what only classifiers have, of a detector.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        let of_classifiers = ["logits", "embedding"].contains(&name) && !self.values.contains_key(name);
        if of_classifiers && self.values.contains_key("cls_logits.0") {
            let problem = "a detector has none: it has cls_logits and bbox_regression for each default box, from which \
                           Session::detect (mbconv detect) makes boxes";
            return Err(Error::bad(name, problem));
        }
        self.values.get(name).ok_or_else(|| Error::unknown("value", name, self.values.keys().map(String::as_str)))
    }

    /// The logits of each image in turn.
    ///
    /// # Errors
    /// [`Error::Unknown`] when the network has no output of that name.
    pub fn logits(&self) -> Result<std::slice::ChunksExact<'_, f32>> {
        let logits = self.get("logits")?;
        Ok(logits.data.chunks_exact(logits.shape.c))
    }
}

/// A model on a GPU; knows nothing of the CPU reference. Each concurrent run takes buffers of its own and all share
/// the weights and pipelines.
pub struct GpuSession {
    bundle: Bundle,
    plain: Resident,
    loading: Loading,
    /// With further outputs, by their names.
    keeping: Mutex<Vec<(Vec<String>, Arc<Resident>)>>,
}

impl GpuSession {
    /// Packs and uploads the weights, in f32, and meanwhile compiles what the model's own resolution needs (of others
    /// it is the same but on maps so large that they need another tile).
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::OutOfMemory`], [`Error::Gpu`].
    pub async fn new(gpu: Arc<Gpu>, bundle: Bundle) -> Result<Self> {
        let target = gpu.target();
        Self::with_target(gpu, bundle, target).await
    }

    /// The same for a target of one's own, such as `Target { dtype: Dtype::F16, ..gpu.target() }`.
    ///
    /// # Errors
    /// As [`GpuSession::new`]; [`Error::BadInput`] where f16 cannot hold a weight.
    pub async fn with_target(gpu: Arc<Gpu>, bundle: Bundle, target: Target) -> Result<Self> {
        let (plain, loading) = put(&gpu, &target, &bundle, &[]).await?;
        Ok(Self { bundle, plain, loading, keeping: Mutex::default() })
    }

    /// The model.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The device.
    pub fn gpu(&self) -> &Arc<Gpu> {
        self.plain.gpu()
    }

    /// How long it took to put the model there.
    pub fn loading(&self) -> Loading {
        self.loading
    }

    /// What its plans are made for.
    pub fn target(&self) -> &Target {
        self.plain.target()
    }

    /// As [`super::Session::warm_up`].
    ///
    /// # Errors
    /// As [`super::Session::run`].
    pub async fn warm_up(&self, shape: [usize; 3]) -> Result<()> {
        self.plain.warm_up(shape).await
    }

    /// As [`super::Session::run_keeping`].
    ///
    /// # Errors
    /// As [`super::Session::run_keeping`].
    pub async fn run_keeping(&self, input: &Tensor, names: &[&str]) -> Result<Output> {
        let (values, timing) = match names {
            [] => self.plain.run(input).await?,
            names => self.keeping(names).await?.run(input).await?,
        };
        Ok(Output { values: values.into_iter().collect(), timing })
    }

    /// An executor for `[n, h, w]`: an idle one, or a new one. [`GpuSession::give_back`] keeps it for the next run.
    ///
    /// # Errors
    /// As [`super::Session::run`].
    pub async fn executor(&self, shape: [usize; 3]) -> Result<Executor> {
        self.plain.executor(shape).await
    }

    /// Keeps an executor of [`GpuSession::executor`] for later runs of its shape.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub fn give_back(&self, executor: Executor) -> Result<()> {
        self.plain.give_back(executor)
    }

    /// A resizer of pictures of `width` x `height` pixels into the input of executors of up to `images` images, by
    /// the model's preprocessing facts: bit for bit what [`crate::preprocess::prepare`] computes.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the model takes neither 3 nor 1 channel or a side is zero, [`Error::Limit`],
    /// [`Error::OutOfMemory`].
    pub async fn resizer(&self, width: usize, height: usize, images: usize) -> Result<Resizer> {
        self.plain.resizer(&self.bundle.preprocess, [width, height], images).await
    }

    /// The model with these values among its outputs.
    async fn keeping(&self, names: &[&str]) -> Result<Arc<Resident>> {
        self.gpu().alive()?;
        let known = self.keeping.lock().ok();
        if let Some(known) = known.and_then(|k| Some(Arc::clone(&k.iter().find(|k| k.0 == names)?.1))) {
            return Ok(known);
        }
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let resident = Arc::new(put(self.gpu(), self.target(), &self.bundle, &names).await?.0);
        if let Ok(mut keeping) = self.keeping.lock() {
            keeping.push((names, Arc::clone(&resident)));
        }
        Ok(resident)
    }
}

/// Fuses, packs and uploads the model with these values among its outputs.
async fn put(gpu: &Arc<Gpu>, target: &Target, bundle: &Bundle, names: &[String]) -> Result<(Resident, Loading)> {
    let start = Clock::now();
    let graph = Arc::new(bundle.fused(names)?);
    let fused = start.elapsed();
    let weights = Box::pin(ready(Ok(bundle.weights.clone())));
    let (resident, _, loading) = Resident::new(gpu, target, graph, weights, bundle.native(1)).await?;
    Ok((resident, Loading { plan: loading.plan + fused, ..loading }))
}
