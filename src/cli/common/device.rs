//! `--device`.

use super::tuning::TuningArgs;
use super::{Failure, FuseArgs, cache, note, pipelines};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Roofline, Select};
use crate::plan::Target;
use crate::session::{Bundle, Device, Session};
use crate::tensor::Dtype;
use std::sync::Arc;

/// Where to run.
#[derive(clap::Args)]
pub struct DeviceArgs {
    /// auto (the best GPU, else the CPU reference), cpu, or a GPU's index or part of its name (see `mbconv devices`)
    #[arg(long, value_name = "auto|cpu|INDEX|NAME-PART", default_value = "auto")]
    device: String,
    /// How a GPU stores weights and activations; it computes in f32 either way. f16 halves the memory
    #[arg(long, value_enum, default_value_t = Storage::F32)]
    dtype: Storage,
    #[command(flatten)]
    fuse: FuseArgs,
    #[command(flatten)]
    tuning: TuningArgs,
}

/// `--dtype`.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Storage {
    F32,
    F16,
}

impl DeviceArgs {
    /// Opens it. `auto` falls back to the CPU reference where there is no GPU and says so on stderr; a GPU that was
    /// asked for is an error when it is not there.
    pub fn open(&self) -> Result<Device> {
        match self.select() {
            None => Ok(Device::Cpu),
            Some(select) => match open(&select) {
                Err(error @ Error::NoAdapter { .. }) if select == Select::Auto => {
                    note("warning", &format!("{error}. Running on the CPU reference, which is exact and slow"));
                    Ok(Device::Cpu)
                }
                opened => opened,
            },
        }
    }

    /// Opens it where only a GPU makes sense.
    pub fn open_gpu(&self, why: &str) -> Result<Device> {
        open(&self.select().ok_or_else(|| Error::bad("--device cpu", why))?)
    }

    /// What plans for a GPU are made for: the storage and the fusions asked for, weighed by what `mbconv profile`
    /// measured there, if it did, with the kernels that `mbconv tune` found.
    ///
    /// # Errors
    /// Those of a `--tuning FILE`.
    pub fn target(&self, gpu: &Gpu) -> Result<Target> {
        let dtype = match self.dtype {
            Storage::F32 => Dtype::F32,
            Storage::F16 => Dtype::F16,
        };
        let tuning = self.tuning.tuning(gpu)?;
        let target = Target { dtype, fuse: self.fuse.fuse(), tuning, ..gpu.target() };
        let measured = cache::load(Roofline::NAME, &gpu.facts().to_string()).map(|r: Roofline| r.rates());
        Ok(Target { rates: measured.unwrap_or(target.rates), ..target })
    }

    /// Puts a model on it.
    pub fn session(&self, device: Device, bundle: Bundle) -> Result<Session> {
        pollster::block_on(async {
            match device {
                Device::Gpu(gpu) => {
                    let target = self.target(&gpu)?;
                    let session = Session::with_target(Arc::clone(&gpu), bundle, target).await?;
                    pipelines::store(&gpu);
                    Ok(session)
                }
                Device::Cpu if self.dtype == Storage::F16 => {
                    Err(Error::bad("--dtype f16", "the CPU reference computes in f32: choose a GPU, or --dtype f32"))
                }
                Device::Cpu => Session::new(device, bundle).await,
            }
        })
    }

    /// Which GPU, none for the CPU reference.
    fn select(&self) -> Option<Select> {
        match self.device.as_str() {
            "cpu" => None,
            "auto" => Some(Select::Auto),
            name => Some(name.parse().map_or_else(|_| Select::Name(name.into()), Select::Index)),
        }
    }
}

fn open(select: &Select) -> Result<Device> {
    let opened = pollster::block_on(async {
        let gpu = Gpu::open(select).await?;
        pipelines::load(&gpu).await?;
        Ok(Device::Gpu(gpu))
    });
    opened.map_err(|error| match error {
        Error::Unknown { name, mut nearest, .. } => {
            // One adapter can be there through two backends.
            nearest.dedup();
            let problem = format!(
                "no adapter's name, backend or driver contains it; `mbconv devices` lists {}",
                nearest.join(", ")
            );
            Error::bad(format!("--device {name}"), problem)
        }
        other => other,
    })
}

/// The adapter's roofline, measured where it is not known yet.
pub fn calibrated(gpu: &Gpu, again: bool) -> Result<Roofline, Failure> {
    let adapter = gpu.facts().to_string();
    if let Some(known) = cache::load(Roofline::NAME, &adapter).filter(|_| !again) {
        return Ok(known);
    }
    let measured = pollster::block_on(Roofline::measure(gpu))?;
    cache::store(Roofline::NAME, &adapter, &measured);
    Ok(measured)
}

/// The name to print for it.
pub fn adapter_name(device: &Device) -> String {
    match device {
        Device::Cpu => "CPU reference".into(),
        Device::Gpu(gpu) => gpu.facts().to_string(),
    }
}
