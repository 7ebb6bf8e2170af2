//! A model on a device.

use super::Bundle;
use crate::cpu;
use crate::error::{Error, Result};
use crate::gpu::{Executor, Gpu, Timing, WeightBuffers};
use crate::graph::Graph;
use crate::passes;
use crate::plan::{Plan, WeightLayout};
use crate::tensor::Tensor;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

/// Where a model runs.
#[derive(Clone)]
pub enum Device {
    /// The CPU reference: exact and slow.
    Cpu,
    /// A GPU.
    Gpu(Arc<Gpu>),
}

/// What an inference returns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// `logits` `[N, 1, 1, classes]`, `embedding` `[N, 1, 1, features]` and every value asked for, by name.
    pub values: BTreeMap<String, Tensor>,
    /// How long it took.
    pub timing: Timing,
}

impl Output {
    /// A value by name.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn get(&self, name: &str) -> Result<&Tensor> {
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

/// A model on a device. Share it between threads by reference: each concurrent run takes buffers of its own and
/// all share the weights and pipelines.
pub struct Session {
    bundle: Bundle,
    device: Device,
    variants: Mutex<HashMap<Vec<String>, Arc<Variant>>>,
}

/// The graph as fused for one set of kept values, with its weights on the device and idle executors by input shape.
struct Variant {
    graph: Graph,
    layout: WeightLayout,
    weights: WeightBuffers,
    idle: Mutex<HashMap<[usize; 3], Vec<Executor>>>,
}

impl Session {
    /// Puts a model on a device: on a GPU its weights are packed and uploaded now, kernels compiled for the first
    /// input shape (see [`Session::warm_up`]).
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::OutOfMemory`], [`Error::Gpu`].
    pub async fn new(device: Device, bundle: Bundle) -> Result<Self> {
        let session = Self { bundle, device, variants: Mutex::default() };
        if let Device::Gpu(gpu) = &session.device {
            session.variant(gpu, &[]).await?;
        }
        Ok(session)
    }

    /// The model.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Compiles, allocates and runs once for `[n, h, w]`, so that the first run is as fast as the next (some drivers
    /// compile at a pipeline's first dispatch, not when it is made).
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn warm_up(&self, shape: [usize; 3]) -> Result<()> {
        if let Device::Gpu(gpu) = &self.device {
            let variant = self.variant(gpu, &[]).await?;
            let mut executor = variant.executor(gpu, shape, &[]).await?;
            executor.run(None).await?;
            variant.give_back(shape, executor);
        }
        Ok(())
    }

    /// Runs a normalised batch `[N, H, W, in_channels]` of any resolution the network takes.
    ///
    /// # Errors
    /// [`Error::NodeShape`] when the input does not fit the network, [`Error::Limit`] when it does not fit the
    /// device, [`Error::DeviceLost`], [`Error::OutOfMemory`].
    pub async fn run(&self, input: &Tensor) -> Result<Output> {
        self.run_keeping(input, &[]).await
    }

    /// As [`Session::run`], with further values by name (`blocks.3`, `conv_stem`, ...). On a GPU the first such call
    /// fuses, packs and uploads for this set of names.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name that the network does not have.
    pub async fn run_keeping(&self, input: &Tensor, names: &[&str]) -> Result<Output> {
        let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
        for name in &names {
            self.bundle.graph.find(name)?;
        }
        match &self.device {
            Device::Cpu => self.run_cpu(input, &names),
            Device::Gpu(gpu) => self.run_gpu(gpu, input, &names).await,
        }
    }

    /// The pooled features before the classifier: `[N, 1, 1, features]`.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn embed(&self, input: &Tensor) -> Result<Tensor> {
        self.run(input).await?.get("embedding").cloned()
    }

    /// An executor of one's own for `[n, h, w]`, for input and output buffers that stay on the GPU.
    ///
    /// # Errors
    /// [`Error::BadInput`] on the CPU, else as [`Session::run`].
    pub async fn executor(&self, shape: [usize; 3]) -> Result<Executor> {
        match &self.device {
            Device::Cpu => Err(Error::bad("device", "the CPU reference has no executor: load the model on a GPU")),
            Device::Gpu(gpu) => self.variant(gpu, &[]).await?.executor(gpu, shape, &[]).await,
        }
    }

    fn run_cpu(&self, input: &Tensor, names: &[String]) -> Result<Output> {
        let (graph, mut kept) = (&self.bundle.graph, BTreeMap::new());
        let start = crate::clock::Clock::now();
        let mut values = cpu::run_with(graph, &self.bundle.weights, input, |id, value| {
            for name in names.iter().filter(|n| graph.find(n).is_ok_and(|found| found == id)) {
                kept.insert(name.clone(), value.clone());
            }
        })?;
        values.extend(kept);
        Ok(Output { values, timing: Timing { total: start.elapsed(), gpu: None } })
    }

    async fn run_gpu(&self, gpu: &Arc<Gpu>, input: &Tensor, names: &[String]) -> Result<Output> {
        if input.shape.c != self.bundle.graph.in_channels {
            let problem = format!(
                "{} takes {} channels, got {} (NHWC)",
                self.bundle.graph.name, self.bundle.graph.in_channels, input.shape
            );
            return Err(Error::bad("input", problem));
        }
        let shape = [input.shape.n, input.shape.h, input.shape.w];
        let variant = self.variant(gpu, names).await?;
        let mut executor = variant.executor(gpu, shape, names).await?;
        let (tensors, timing) = executor.run(Some(input)).await?;
        let values = executor.plan().outputs.iter().map(|o| o.0.clone()).zip(tensors).collect();
        variant.give_back(shape, executor);
        Ok(Output { values, timing })
    }

    async fn variant(&self, gpu: &Gpu, names: &[String]) -> Result<Arc<Variant>> {
        gpu.alive()?;
        let known = self.variants.lock().ok().and_then(|v| v.get(names).cloned());
        if let Some(variant) = known {
            return Ok(variant);
        }
        let (graph, _) = passes::run(&self.bundle.graph, names);
        let layout = WeightLayout::new(&graph, &gpu.target().caps)?;
        let weights = WeightBuffers::new(gpu, &graph, &layout, &self.bundle.weights).await?;
        self.bundle.weights.checkpoint().release();
        let variant = Arc::new(Variant { graph, layout, weights, idle: Mutex::default() });
        if let Ok(mut variants) = self.variants.lock() {
            variants.insert(names.to_vec(), Arc::clone(&variant));
        }
        Ok(variant)
    }
}

impl Variant {
    /// An idle executor for this shape, or a new one.
    async fn executor(&self, gpu: &Arc<Gpu>, shape: [usize; 3], names: &[String]) -> Result<Executor> {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.get_mut(&shape)?.pop());
        match idle {
            Some(executor) => Ok(executor),
            None => {
                let plan = Plan::new(&self.graph, &self.layout, &gpu.target(), shape, names)?;
                Executor::new(gpu, &self.weights, plan).await
            }
        }
    }

    fn give_back(&self, shape: [usize; 3], executor: Executor) {
        if let Ok(mut idle) = self.idle.lock() {
            idle.entry(shape).or_default().push(executor);
        }
    }
}
