//! A network on a GPU: packed and uploaded once, with executors by input shape. All of a session that a browser's module
//! needs.

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::gpu::{Executor, Gpu, Resizer, Timing, WeightBuffers};
use crate::graph::Graph;
use crate::kernels::resize_normalize::Resampling;
use crate::plan::{Plan, Target, WeightLayout};
use crate::preprocess;
use crate::tensor::Tensor;
use crate::weights::Weights;
use crate::zoo::Preprocess;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A graph behind all passes with its weights on a device, and idle executors. Each concurrent run takes an executor of
/// its own and all share the weights and pipelines.
pub(crate) struct Resident {
    gpu: Arc<Gpu>,
    target: Target,
    graph: Arc<Graph>,
    layout: WeightLayout,
    weights: WeightBuffers,
    /// The plan for the model's own resolution, unless that is too large for the device.
    native: Option<Arc<Plan>>,
    idle: Mutex<Vec<Executor>>,
}

/// Weights that may still be under way. Behind a pointer, so that what awaits them is there once.
pub(crate) type Promised<'a> = Pin<Box<dyn Future<Output = Result<Weights>> + 'a>>;

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

impl Resident {
    /// Awaits, packs and uploads the weights while the driver compiles what `native`, the model's own `[n, h, w]`, needs,
    /// and says how long each took.
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::OutOfMemory`], [`Error::Gpu`]; [`Error::BadInput`] where f16 cannot hold a weight; those of
    /// `weights`.
    pub async fn new(
        gpu: &Arc<Gpu>,
        target: &Target,
        graph: Arc<Graph>,
        weights: Promised<'_>,
        native: [usize; 3],
    ) -> Result<(Self, Weights, Loading)> {
        let start = Clock::now();
        let layout = WeightLayout::new(&graph, target)?;
        // Where the own resolution is too large for the device, whoever asks for it is told so.
        let native = Plan::new(&graph, &layout, target, native, &[]).ok().map(Arc::new);
        let (planned, before) = (start.elapsed(), gpu.compiled().time);
        let upload = async {
            let weights = weights.await?;
            let start = Clock::now();
            let buffers = WeightBuffers::new(gpu, &graph, &layout, &weights).await?;
            Ok((buffers, weights, start.elapsed()))
        };
        let keys = native.iter().flat_map(|plan| plan.keys());
        let (buffers, weights, upload) = gpu.compile_while(keys, upload).await?;
        weights.checkpoint().release();
        let loading = Loading { plan: planned, upload, compile: gpu.compiled().time - before };
        let (gpu, target) = (Arc::clone(gpu), target.clone());
        Ok((Self { gpu, target, graph, layout, weights: buffers, native, idle: Mutex::default() }, weights, loading))
    }

    /// The device.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// What its plans are made for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Its plan for `[n, h, w]`.
    ///
    /// # Errors
    /// Those of [`Plan::new`].
    pub fn plan(&self, shape: [usize; 3]) -> Result<Arc<Plan>> {
        match &self.native {
            Some(plan) if is_for(plan, shape) => Ok(Arc::clone(plan)),
            _ => Plan::new(&self.graph, &self.layout, &self.target, shape, &[]).map(Arc::new),
        }
    }

    /// An idle executor for `[n, h, w]`, or a new one; [`Resident::give_back`] keeps it for the next run.
    ///
    /// # Errors
    /// Those of planning, [`Error::OutOfMemory`], [`Error::Gpu`], [`Error::DeviceLost`].
    pub async fn executor(&self, shape: [usize; 3]) -> Result<Executor> {
        self.gpu.alive()?;
        let fits = |executor: &Executor| is_for(executor.plan(), shape);
        let idle = self.idle.lock().ok().and_then(|mut idle| {
            let at = idle.iter().position(fits)?;
            Some(idle.swap_remove(at))
        });
        match idle {
            Some(executor) => Ok(executor),
            None => Executor::new(&self.gpu, &self.weights, self.plan(shape)?).await,
        }
    }

    /// Keeps an executor for later runs of its shape.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub fn give_back(&self, executor: Executor) -> Result<()> {
        self.gpu.alive()?;
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(executor);
        }
        Ok(())
    }

    /// Compiles, allocates and runs once for `[n, h, w]`.
    ///
    /// # Errors
    /// As [`Resident::run`].
    pub async fn warm_up(&self, shape: [usize; 3]) -> Result<()> {
        let mut executor = self.executor(shape).await?;
        executor.run(None).await?;
        self.give_back(executor)
    }

    /// Runs a normalised batch; the graph's outputs in their order, by name.
    ///
    /// # Errors
    /// [`Error::BadInput`] for another number of channels, [`Error::NodeShape`], [`Error::Limit`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub async fn run(&self, input: &Tensor) -> Result<(Vec<(String, Tensor)>, Timing)> {
        let Graph { name, in_channels, .. } = &*self.graph;
        if input.shape.c != *in_channels {
            let problem = format!("{name} takes {in_channels} channels, got {} (NHWC)", input.shape);
            return Err(Error::bad("input", problem));
        }
        let mut executor = self.executor([input.shape.n, input.shape.h, input.shape.w]).await?;
        let (tensors, timing) = executor.run(Some(input)).await?;
        let values = executor.plan().outputs.iter().map(|o| o.0.clone()).zip(tensors).collect();
        self.give_back(executor)?;
        Ok((values, timing))
    }

    /// A resizer of pictures of `[width, height]` pixels into the input of executors of up to `images` images, by the
    /// model's preprocessing facts.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the graph takes neither 3 nor 1 channel or a side is zero, [`Error::Limit`],
    /// [`Error::OutOfMemory`].
    pub async fn resizer(&self, facts: &Preprocess, picture: [usize; 2], images: usize) -> Result<Resizer> {
        let channels = self.graph.in_channels;
        if channels != 1 && channels != 3 {
            let problem = format!("the model has {channels} input channels; a picture gives 3 (RGB) or 1 (grey)");
            return Err(Error::bad("image", problem));
        }
        let preprocess::Resampling { columns, rows } = preprocess::resampling(picture[0], picture[1], facts)?;
        let plain = |axis: Vec<preprocess::Taps>| axis.into_iter().map(|t| (t.start, t.weights)).collect();
        let resampling = Resampling {
            picture,
            columns: plain(columns),
            rows: plain(rows),
            levels: preprocess::levels(facts, channels)?,
            dtype: self.target.dtype,
        };
        Resizer::new(&self.gpu, resampling, images).await
    }
}

/// Whether a plan is for `[n, h, w]`.
fn is_for(plan: &Plan, shape: [usize; 3]) -> bool {
    let input = plan.input;
    [input.n, input.h, input.w] == shape
}
