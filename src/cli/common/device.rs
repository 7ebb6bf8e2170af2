//! `--device`.

use super::note;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Select};
use crate::session::Device;

/// Where to run.
#[derive(clap::Args)]
pub struct DeviceArgs {
    /// auto (the best GPU, else the CPU reference), cpu, or a GPU's index or part of its name (see `mbconv devices`)
    #[arg(long, value_name = "auto|cpu|INDEX|NAME-PART", default_value = "auto")]
    device: String,
}

impl DeviceArgs {
    /// Opens it. `auto` falls back to the CPU reference where there is no GPU and says so on stderr; a GPU that was
    /// asked for is an error when it is not there.
    pub fn open(&self) -> Result<Device> {
        let select = match self.device.as_str() {
            "cpu" => return Ok(Device::Cpu),
            "auto" => Select::Auto,
            name => name.parse().map_or_else(|_| Select::Name(name.into()), Select::Index),
        };
        match pollster::block_on(Gpu::open(&select)) {
            Err(error @ Error::NoAdapter { .. }) if select == Select::Auto => {
                note("warning", &format!("{error}. Running on the CPU reference, which is exact and slow"));
                Ok(Device::Cpu)
            }
            opened => opened.map(Device::Gpu),
        }
    }
}

/// The name to print for it.
pub fn adapter_name(device: &Device) -> String {
    match device {
        Device::Cpu => "CPU reference".into(),
        Device::Gpu(gpu) => gpu.facts().to_string(),
    }
}
