//! Adapters and devices.

use super::pipeline_cache::PipelineCache;
use super::pipelines::Pipelines;
use crate::error::{Error, Result};
use crate::kernels::{AdapterClass, QUAD_LANES, SUBGROUP_LANES, Words};
use crate::plan::{Caps, Target};
use std::sync::{Arc, Mutex, OnceLock};

/// What is used where it is there.
const FEATURES: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::SHADER_INT64)
    .union(wgpu::Features::PIPELINE_CACHE);

/// What identifies an adapter and what of it matters here.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct AdapterFacts {
    /// Place in [`Gpu::list`].
    pub index: usize,
    /// The driver's name for it.
    pub name: String,
    /// "Vulkan", "Metal", "Dx12", "Gl" or "BrowserWebGpu".
    pub backend: String,
    /// "DiscreteGpu", "IntegratedGpu", "VirtualGpu", "Cpu" or "Other".
    pub kind: String,
    /// Driver and version.
    pub driver: String,
    /// Limits a plan must keep.
    pub caps: Caps,
    /// Whether GPU time can be measured.
    pub timestamps: bool,
    /// Whether shaders may compute in f16.
    pub f16: bool,
    /// Whether shaders may use integers of 64 bits.
    pub int64: bool,
    /// Whether shaders may use subgroup operations.
    pub subgroups: bool,
    /// The fewest lanes of a subgroup; 0 where kernels may not use subgroup operations.
    pub subgroup_lanes: u32,
}

impl AdapterFacts {
    fn new(index: usize, info: &wgpu::AdapterInfo, limits: &wgpu::Limits, features: wgpu::Features) -> Self {
        let subgroups = features.contains(wgpu::Features::SUBGROUP);
        let native = info.backend != wgpu::Backend::BrowserWebGpu;
        Self {
            index,
            name: info.name.clone(),
            backend: backend_name(info.backend).into(),
            kind: kind_name(info.device_type).into(),
            driver: format!("{} {}", info.driver, info.driver_info).trim_ascii().to_string(),
            caps: caps(limits),
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            f16: features.contains(wgpu::Features::SHADER_F16),
            int64: features.contains(wgpu::Features::SHADER_INT64),
            subgroups,
            // For browsers wgpu does not know the feature; what hands their devices over says 0 without it.
            subgroup_lanes: if subgroups || !native { info.subgroup_min_size } else { 0 },
        }
    }

    /// CPUs that pose as GPUs, by device type or, where a driver says "Other", by name.
    pub fn class(&self) -> AdapterClass {
        let known = ["llvmpipe", "lavapipe", "swiftshader", "basic render"];
        if self.kind != "Cpu" && !known.iter().any(|k| mentions(&self.name, k)) {
            AdapterClass::Gpu
        } else if self.subgroup_lanes >= QUAD_LANES && mentions(&self.name, "swiftshader") {
            AdapterClass::SwiftShader
        } else if self.subgroup_lanes >= SUBGROUP_LANES && !cfg!(feature = "web") {
            AdapterClass::SoftwareSubgroup
        } else {
            AdapterClass::Software
        }
    }

    /// What shaders load values as.
    fn words(&self) -> Words {
        match self.class() {
            AdapterClass::Software | AdapterClass::SoftwareSubgroup if self.int64 => Words::Wide,
            _ if self.f16 => Words::Half,
            _ => Words::Plain,
        }
    }
}

impl std::fmt::Display for AdapterFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} ({}, {})",
            self.name,
            self.backend,
            if self.driver.is_empty() { "unnamed driver" } else { &self.driver }
        )
    }
}

const fn backend_name(backend: wgpu::Backend) -> &'static str {
    match backend {
        wgpu::Backend::Noop => "Noop",
        wgpu::Backend::Vulkan => "Vulkan",
        wgpu::Backend::Metal => "Metal",
        wgpu::Backend::Dx12 => "Dx12",
        wgpu::Backend::Gl => "Gl",
        wgpu::Backend::BrowserWebGpu => "BrowserWebGpu",
    }
}

const fn kind_name(kind: wgpu::DeviceType) -> &'static str {
    match kind {
        wgpu::DeviceType::DiscreteGpu => "DiscreteGpu",
        wgpu::DeviceType::IntegratedGpu => "IntegratedGpu",
        wgpu::DeviceType::VirtualGpu => "VirtualGpu",
        wgpu::DeviceType::Cpu => "Cpu",
        wgpu::DeviceType::Other => "Other",
    }
}

/// Whether a text contains another, whatever the case of ASCII letters.
fn mentions(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

fn caps(limits: &wgpu::Limits) -> Caps {
    Caps {
        max_buffer: limits.max_buffer_size,
        max_binding: limits.max_storage_buffer_binding_size,
        max_workgroups: limits.max_compute_workgroups_per_dimension,
        max_invocations: limits.max_compute_invocations_per_workgroup,
        max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
    }
}

/// Which adapter to open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Select {
    /// The most capable: discrete before integrated before software.
    #[default]
    Auto,
    /// By place in [`Gpu::list`].
    Index(usize),
    /// The first whose name or backend contains this, whatever the case.
    Name(String),
}

/// A device with its compiled pipelines; shared by every model on it.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    facts: AdapterFacts,
    pub(super) lost: Lost,
    pub(super) pipelines: Mutex<Pipelines>,
    pub(super) pipeline_cache: OnceLock<PipelineCache>,
}

impl Gpu {
    /// The adapters there are, the best first. Backends can be limited with `WGPU_BACKEND`.
    pub async fn list() -> Vec<AdapterFacts> {
        let adapters = adapters(wgpu::Backends::all()).await;
        adapters
            .iter()
            .enumerate()
            .map(|(i, a)| AdapterFacts::new(i, &a.get_info(), &a.limits(), a.features()))
            .collect()
    }

    /// Opens a device of its own on the selected adapter.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] when there is none, [`Error::Unknown`] when none is called that.
    pub async fn open(select: &Select) -> Result<Arc<Self>> {
        let mut adapters = match select {
            // Looking for OpenGL as well would load a second driver, which costs time and memory.
            Select::Auto => match adapters(wgpu::Backends::PRIMARY).await {
                found if found.is_empty() => adapters(wgpu::Backends::SECONDARY).await,
                found => found,
            },
            Select::Index(_) | Select::Name(_) => adapters(wgpu::Backends::all()).await,
        };
        let facts: Vec<_> = adapters
            .iter()
            .enumerate()
            .map(|(i, a)| AdapterFacts::new(i, &a.get_info(), &a.limits(), a.features()))
            .collect();
        if facts.is_empty() {
            return Err(Error::NoAdapter {
                problem:
                    "none found; install a driver (on Debian without a GPU: mesa-vulkan-drivers), or use --device cpu"
                        .into(),
            });
        }
        let at = choose(&facts, select)?;
        Self::on_adapter(&adapters.swap_remove(at), facts[at].clone()).await
    }

    /// Opens what `navigator.gpu` offers, as it is: whoever offers a device to this module has chosen its limits and
    /// features, and hears of its errors.
    ///
    /// # Errors
    /// [`Error::NoAdapter`].
    #[cfg(all(any(feature = "web-run", feature = "web-reference"), target_arch = "wasm32"))]
    pub(crate) async fn offered() -> Result<Arc<Self>> {
        let refused = |problem: String| Error::NoAdapter { problem };
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let adapter = instance.request_adapter(&Default::default()).await.map_err(|e| refused(e.to_string()))?;
        let facts = AdapterFacts::new(0, &adapter.get_info(), &adapter.limits(), adapter.features());
        let opened = adapter.request_device(&Default::default()).await;
        let (device, queue) = opened.map_err(|e| refused(e.to_string()))?;
        Ok(Self::build(device, queue, facts))
    }

    async fn on_adapter(adapter: &wgpu::Adapter, facts: AdapterFacts) -> Result<Arc<Self>> {
        let available = adapter.limits();
        // What the web grants everywhere, or less where the adapter has less; buffers as large as they come.
        let required_limits = wgpu::Limits {
            max_buffer_size: available.max_buffer_size,
            max_storage_buffer_binding_size: available.max_storage_buffer_binding_size,
            ..wgpu::Limits::default().or_worse_values_from(&available)
        };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("mbconv"),
            required_features: adapter.features() & FEATURES,
            required_limits,
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|e| Error::NoAdapter { problem: format!("{facts} refused a device: {e}") })?;
        let gpu = Self::build(device, queue, facts);
        gpu.device.on_uncaptured_error(Arc::new(|error| eprintln!("mbconv: uncaptured GPU error: {error}")));
        Ok(gpu)
    }

    /// Uses a device that the application owns; its limits and features are taken as they are.
    ///
    /// Ask for at least WebGPU's default limits; with `Features::TIMESTAMP_QUERY` GPU time is measured, with
    /// `Features::SUBGROUP` software adapters are faster. The device-lost callback is set on it, its handler of uncaptured errors is not.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Arc<Self> {
        let facts = AdapterFacts::new(0, &device.adapter_info(), &device.limits(), device.features());
        Self::build(device, queue, facts)
    }

    fn build(device: wgpu::Device, queue: wgpu::Queue, facts: AdapterFacts) -> Arc<Self> {
        let facts = AdapterFacts {
            caps: caps(&device.limits()),
            timestamps: device.features().contains(wgpu::Features::TIMESTAMP_QUERY),
            f16: device.features().contains(wgpu::Features::SHADER_F16),
            int64: device.features().contains(wgpu::Features::SHADER_INT64),
            ..facts
        };
        let lost = Lost::default();
        let flag = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            if let Ok(mut lost) = flag.0.lock() {
                let reason = match reason {
                    wgpu::DeviceLostReason::Unknown => "Unknown",
                    wgpu::DeviceLostReason::Destroyed => "Destroyed",
                };
                *lost = Some(format!("{reason}: {message}"));
            }
        });
        Arc::new(Self { device, queue, facts, lost, pipelines: Mutex::default(), pipeline_cache: OnceLock::new() })
    }

    /// The wgpu device.
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// The wgpu queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// What the adapter is.
    pub fn facts(&self) -> &AdapterFacts {
        &self.facts
    }

    /// What plans for this device must keep to, and f32.
    pub fn target(&self) -> Target {
        Target { words: self.facts.words(), ..Target::new(self.facts.caps, self.facts.class()) }
    }

    /// Ok while the device lives.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub fn alive(&self) -> Result<()> {
        self.lost.check()
    }
}

/// Why a device is lost, once it is.
#[derive(Clone, Default)]
pub(super) struct Lost(Arc<Mutex<Option<String>>>);

impl Lost {
    /// Ok while the device lives, else [`Error::DeviceLost`].
    pub fn check(&self) -> Result<()> {
        match self.0.lock().ok().and_then(|lost| lost.clone()) {
            Some(reason) => Err(Error::DeviceLost { reason }),
            None => Ok(()),
        }
    }
}

/// All adapters, the most capable kind first; the order within a kind is the system's.
#[cfg(not(target_arch = "wasm32"))]
async fn adapters(among: wgpu::Backends) -> Vec<wgpu::Adapter> {
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    let backends = descriptor.backends & among;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor { backends, ..descriptor });
    let mut adapters = instance.enumerate_adapters(backends).await;
    adapters.retain(|a| a.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS));
    adapters.sort_by_key(|a| {
        let info = a.get_info();
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            wgpu::DeviceType::Other => 3,
            wgpu::DeviceType::Cpu => 4,
        };
        (kind, info.backend == wgpu::Backend::Gl)
    });
    adapters
}

/// The adapter that the browser offers.
#[cfg(target_arch = "wasm32")]
async fn adapters(among: wgpu::Backends) -> Vec<wgpu::Adapter> {
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor { backends: among, ..descriptor });
    instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await.into_iter().collect()
}

fn choose(facts: &[AdapterFacts], select: &Select) -> Result<usize> {
    match select {
        Select::Auto => Ok(0),
        Select::Index(i) if *i < facts.len() => Ok(*i),
        Select::Index(i) => Err(Error::bad(
            "device",
            format!("index {i}, but there are {} adapters: see `mbconv devices`", facts.len()),
        )),
        Select::Name(part) => {
            let matches = |f: &AdapterFacts| mentions(&format!("{} {} {}", f.name, f.backend, f.driver), part);
            facts.iter().position(matches).ok_or_else(|| Error::Unknown {
                kind: "device",
                name: part.clone(),
                nearest: facts.iter().map(|f| f.name.clone()).collect(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_adapter_is_decides_its_kernels_and_loads() {
        let facts = |name: &str, kind: &str, subgroup_lanes, f16, int64| AdapterFacts {
            index: 0,
            name: name.into(),
            backend: "Vulkan".into(),
            kind: kind.into(),
            driver: String::new(),
            caps: Caps::web_default(),
            timestamps: false,
            f16,
            int64,
            subgroups: subgroup_lanes > 0,
            subgroup_lanes,
        };
        use AdapterClass::{Gpu, Software, SoftwareSubgroup, SwiftShader};
        for (facts, class, words) in [
            (facts("NVIDIA H100", "DiscreteGpu", 32, true, true), Gpu, Words::Half),
            (facts("Mali", "IntegratedGpu", 0, false, false), Gpu, Words::Plain),
            (facts("llvmpipe", "Cpu", 8, true, true), SoftwareSubgroup, Words::Wide),
            (facts("llvmpipe", "Cpu", 8, true, false), SoftwareSubgroup, Words::Half),
            (facts("llvmpipe", "Other", 0, false, false), Software, Words::Plain),
            (facts("Microsoft Basic Render Driver", "Cpu", 4, true, true), Software, Words::Wide),
            (facts("SwiftShader Device", "Cpu", 4, true, true), SwiftShader, Words::Half),
            (facts("SwiftShader Device", "Cpu", 0, false, false), Software, Words::Plain),
        ] {
            assert_eq!((facts.class(), facts.words()), (class, words), "{facts}");
        }
    }
}
