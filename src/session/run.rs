//! A model on a device, the GPU or the CPU reference.

use super::{Bundle, GpuSession, Loading, Output};
use crate::cpu;
use crate::error::{Error, Result};
use crate::gpu::{Executor, Gpu, Timing};
use crate::plan::Target;
use crate::tensor::Tensor;
use crate::vision::{self, Detection};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a model runs.
#[derive(Clone)]
pub enum Device {
    /// The CPU reference: exact and slow.
    Cpu,
    /// A GPU.
    Gpu(Arc<Gpu>),
}

/// A model on a device. Share it between threads by reference: each concurrent run takes buffers of its own and
/// all share the weights and pipelines.
pub struct Session {
    device: Device,
    on: On,
}

enum On {
    Cpu(Box<Bundle>),
    Gpu(Box<GpuSession>),
}

impl Session {
    /// Puts a model on a device: on a GPU its weights are packed and uploaded now, while what the model's own resolution
    /// needs is compiled (see also [`Session::warm_up`]).
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::OutOfMemory`], [`Error::Gpu`].
    pub async fn new(device: Device, bundle: Bundle) -> Result<Self> {
        let on = match &device {
            Device::Cpu => On::Cpu(Box::new(bundle)),
            Device::Gpu(gpu) => On::Gpu(Box::new(GpuSession::new(Arc::clone(gpu), bundle).await?)),
        };
        Ok(Self { device, on })
    }

    /// As [`GpuSession::with_target`].
    ///
    /// # Errors
    /// As [`GpuSession::with_target`].
    pub async fn with_target(gpu: Arc<Gpu>, bundle: Bundle, target: Target) -> Result<Self> {
        let on = On::Gpu(Box::new(GpuSession::with_target(Arc::clone(&gpu), bundle, target).await?));
        Ok(Self { device: Device::Gpu(gpu), on })
    }

    /// The model.
    pub fn bundle(&self) -> &Bundle {
        match &self.on {
            On::Cpu(bundle) => bundle,
            On::Gpu(session) => session.bundle(),
        }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How long the parts of putting the model on its GPU took.
    pub fn loading(&self) -> Option<Loading> {
        match &self.on {
            On::Cpu(_) => None,
            On::Gpu(session) => Some(session.loading()),
        }
    }

    /// Compiles, allocates and runs once for `[n, h, w]`, so that the first run is as fast as the next (some drivers
    /// compile at a pipeline's first dispatch, not when it is made).
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn warm_up(&self, shape: [usize; 3]) -> Result<()> {
        match &self.on {
            On::Cpu(_) => Ok(()),
            On::Gpu(session) => session.warm_up(shape).await,
        }
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
        match &self.on {
            On::Cpu(bundle) => run_cpu(bundle, input, names),
            On::Gpu(session) => session.run_keeping(input, names).await,
        }
    }

    /// The pooled features before the classifier: `[N, 1, 1, features]`.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn embed(&self, input: &Tensor) -> Result<Tensor> {
        self.run(input).await?.get("embedding").cloned()
    }

    /// What a detector finds in each image of a normalised batch, the most probable first; boxes in pixels of the
    /// input.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a classifier, else as [`Session::run`].
    pub async fn detect(&self, input: &Tensor) -> Result<Vec<Vec<Detection>>> {
        let model = &self.bundle().model;
        let Some(detector) = model.detector else {
            return Err(Error::bad(&model.name, "finds no boxes, it classifies: take its logits (mbconv classify)"));
        };
        vision::detect(&self.run(input).await?.values, detector, [input.shape.h, input.shape.w])
    }

    /// An executor of one's own for `[n, h, w]`, for input and output buffers that stay on the GPU.
    ///
    /// # Errors
    /// [`Error::BadInput`] on the CPU, else as [`Session::run`].
    pub async fn executor(&self, shape: [usize; 3]) -> Result<Executor> {
        match &self.on {
            On::Cpu(_) => Err(Error::bad("device", "the CPU reference has no executor: load the model on a GPU")),
            On::Gpu(session) => session.executor(shape).await,
        }
    }
}

fn run_cpu(bundle: &Bundle, input: &Tensor, names: &[&str]) -> Result<Output> {
    let (graph, mut kept) = (&bundle.graph, BTreeMap::new());
    for name in names {
        graph.find(name)?;
    }
    let start = crate::clock::Clock::now();
    let mut values = cpu::run_with(graph, &bundle.weights, input, |id, value| {
        for name in names.iter().filter(|n| graph.find(n).is_ok_and(|found| found == id)) {
            kept.insert(name.to_string(), value.clone());
        }
    })?;
    values.extend(kept);
    Ok(Output { values, timing: Timing { total: start.elapsed(), gpu: None } })
}
