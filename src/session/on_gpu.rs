//! A model on a GPU: fused, packed and uploaded once for each set of values asked for; executors by input shape.

use super::Bundle;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::gpu::{Executor, Gpu, Resizer, Timing, WeightBuffers};
use crate::graph::Graph;
use crate::kernels::resize_normalize::Resampling;
use crate::passes;
use crate::plan::{Plan, Target, WeightLayout};
use crate::preprocess;
use crate::tensor::Tensor;
use crate::zoo::Model;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
pub struct GpuSession<M = Model> {
    gpu: Arc<Gpu>,
    target: Target,
    bundle: Bundle<M>,
    loading: Loading,
    /// By the values that they keep.
    variants: Mutex<Vec<(Vec<String>, Arc<Variant>)>>,
}

/// The graph as fused for one set of kept values, with its weights on the device and idle executors.
struct Variant {
    graph: Graph,
    layout: WeightLayout,
    weights: WeightBuffers,
    idle: Mutex<Vec<Executor>>,
}

/// How long the parts of putting a model on a device took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loading {
    /// Fusing the graph and planning for the model's own resolution.
    pub plan: Duration,
    /// Packing and uploading the weights.
    pub upload: Duration,
    /// Compiling the pipelines of that plan, meanwhile.
    pub compile: Duration,
}

impl<M> GpuSession<M> {
    /// Packs and uploads the weights, in f32, and meanwhile compiles what the model's own resolution needs (of others
    /// it is the same but on maps so large that they need another tile).
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::OutOfMemory`], [`Error::Gpu`].
    pub async fn new(gpu: Arc<Gpu>, bundle: Bundle<M>) -> Result<Self> {
        let target = gpu.target();
        Self::with_target(gpu, bundle, target).await
    }

    /// The same for a target of one's own, such as `Target { dtype: Dtype::F16, ..gpu.target() }`.
    ///
    /// # Errors
    /// As [`GpuSession::new`]; [`Error::BadInput`] where f16 cannot hold a weight.
    pub async fn with_target(gpu: Arc<Gpu>, bundle: Bundle<M>, target: Target) -> Result<Self> {
        let mut session = Self { gpu, target, bundle, loading: Loading::default(), variants: Mutex::default() };
        let (variant, loading) = session.make(&[]).await?;
        session.loading = loading;
        session.variants = Mutex::new(vec![(Vec::new(), Arc::new(variant))]);
        Ok(session)
    }

    /// The model.
    pub fn bundle(&self) -> &Bundle<M> {
        &self.bundle
    }

    /// The device.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// How long it took to put the model there.
    pub fn loading(&self) -> Loading {
        self.loading
    }

    /// What its plans are made for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// As [`super::Session::warm_up`].
    ///
    /// # Errors
    /// As [`super::Session::run`].
    pub async fn warm_up(&self, shape: [usize; 3]) -> Result<()> {
        let mut executor = self.executor(shape).await?;
        executor.run(None).await?;
        self.give_back(executor)
    }

    /// As [`super::Session::run_keeping`].
    ///
    /// # Errors
    /// As [`super::Session::run_keeping`].
    pub async fn run_keeping(&self, input: &Tensor, names: &[&str]) -> Result<Output> {
        let names = names.iter().map(|n| n.to_string()).collect();
        let (values, timing) = self.run_values(input, names).await?;
        Ok(Output { values: values.into_iter().collect(), timing })
    }

    /// The same as a list, in the order of the outputs and then of the names.
    pub(crate) async fn run_values(
        &self,
        input: &Tensor,
        names: Vec<String>,
    ) -> Result<(Vec<(String, Tensor)>, Timing)> {
        let graph = &self.bundle.graph;
        if input.shape.c != graph.in_channels {
            let problem = format!("{} takes {} channels, got {} (NHWC)", graph.name, graph.in_channels, input.shape);
            return Err(Error::bad("input", problem));
        }
        for name in &names {
            graph.find(name)?;
        }
        let shape = [input.shape.n, input.shape.h, input.shape.w];
        let variant = self.variant(&names).await?;
        let mut executor = variant.executor(self, shape, &names).await?;
        let (tensors, timing) = executor.run(Some(input)).await?;
        let values = executor.plan().outputs.iter().map(|o| o.0.clone()).zip(tensors).collect();
        variant.give_back(executor);
        Ok((values, timing))
    }

    /// An executor for `[n, h, w]`: an idle one, or a new one. [`GpuSession::give_back`] keeps it for the next run.
    ///
    /// # Errors
    /// As [`super::Session::run`].
    pub async fn executor(&self, shape: [usize; 3]) -> Result<Executor> {
        self.variant(&[]).await?.executor(self, shape, &[]).await
    }

    /// Keeps an executor of [`GpuSession::executor`] for later runs of its shape.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub fn give_back(&self, executor: Executor) -> Result<()> {
        self.gpu.alive()?;
        if let Some(variant) = self.known(&[]) {
            variant.give_back(executor);
        }
        Ok(())
    }

    /// A resizer of pictures of `width` x `height` pixels into the input of executors of up to `images` images, by
    /// the model's preprocessing facts: bit for bit what [`crate::preprocess::prepare`] computes.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the model takes neither 3 nor 1 channel or a side is zero, [`Error::Limit`],
    /// [`Error::OutOfMemory`].
    pub async fn resizer(&self, width: usize, height: usize, images: usize) -> Result<Resizer> {
        let channels = self.bundle.graph.in_channels;
        if channels != 1 && channels != 3 {
            let problem = format!("the model has {channels} input channels; a picture gives 3 (RGB) or 1 (grey)");
            return Err(Error::bad("image", problem));
        }
        let facts = &self.bundle.preprocess;
        let preprocess::Resampling { columns, rows } = preprocess::resampling(width, height, facts)?;
        let plain = |axis: Vec<preprocess::Taps>| axis.into_iter().map(|t| (t.start, t.weights)).collect();
        let resampling = Resampling {
            picture: [width, height],
            columns: plain(columns),
            rows: plain(rows),
            levels: preprocess::levels(facts, channels)?,
            dtype: self.target.dtype,
        };
        Resizer::new(&self.gpu, resampling, images).await
    }

    fn known(&self, names: &[String]) -> Option<Arc<Variant>> {
        self.variants.lock().ok().and_then(|v| Some(Arc::clone(&v.iter().find(|v| v.0 == names)?.1)))
    }

    async fn variant(&self, names: &[String]) -> Result<Arc<Variant>> {
        self.gpu.alive()?;
        if let Some(variant) = self.known(names) {
            return Ok(variant);
        }
        let variant = Arc::new(self.make(names).await?.0);
        if let Ok(mut variants) = self.variants.lock() {
            variants.push((names.to_vec(), Arc::clone(&variant)));
        }
        Ok(variant)
    }

    /// Fuses, packs and uploads while the driver compiles, and says how long each took.
    async fn make(&self, names: &[String]) -> Result<(Variant, Loading)> {
        let (gpu, bundle) = (&self.gpu, &self.bundle);
        let start = Clock::now();
        let (graph, _) = passes::run(&bundle.graph, names);
        let layout = WeightLayout::new(&graph, &self.target)?;
        // Where the own resolution is too large for the device, whoever asks for it is told so.
        let plan = Plan::new(&graph, &layout, &self.target, bundle.native(1), names).ok();
        let (planned, before) = (start.elapsed(), gpu.compiled().time);
        let upload = async {
            let start = Clock::now();
            let weights = WeightBuffers::new(gpu, &graph, &layout, &bundle.weights).await?;
            Ok((weights, start.elapsed()))
        };
        let keys = plan.iter().flat_map(|plan| plan.keys());
        let (weights, upload) = gpu.compile_while(keys, upload).await?;
        bundle.weights.checkpoint().release();
        let compile = gpu.compiled().time - before;
        let loading = Loading { plan: planned, upload, compile };
        Ok((Variant { graph, layout, weights, idle: Mutex::default() }, loading))
    }
}

impl Variant {
    /// An idle executor for this shape, or a new one.
    async fn executor<M>(&self, session: &GpuSession<M>, shape: [usize; 3], names: &[String]) -> Result<Executor> {
        let fits = |executor: &Executor| {
            let input = executor.plan().input;
            [input.n, input.h, input.w] == shape
        };
        let idle = self.idle.lock().ok().and_then(|mut idle| {
            let at = idle.iter().position(fits)?;
            Some(idle.swap_remove(at))
        });
        match idle {
            Some(executor) => Ok(executor),
            None => {
                let plan = Plan::new(&self.graph, &self.layout, &session.target, shape, names)?;
                Executor::new(&session.gpu, &self.weights, plan).await
            }
        }
    }

    fn give_back(&self, executor: Executor) {
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(executor);
        }
    }
}
