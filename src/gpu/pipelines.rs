//! Compiled pipelines by kernel key, shared by every model on a device.

use super::pipeline_cache::PipelineCache;
use super::{Gpu, Scopes};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::kernels::{self, KernelKey, Role};
use std::borrow::Cow;
use std::pin::Pin;
use std::time::Duration;

/// A pipeline and the layout its bind groups follow.
#[derive(Clone)]
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
    pub bindings: &'static [Role],
}

/// The pipelines of a device.
#[derive(Default)]
pub(super) struct Pipelines {
    /// Some dozens.
    compiled: Vec<(KernelKey, Pipeline)>,
    /// Asked for before anybody needs them.
    #[cfg(target_arch = "wasm32")]
    foreseen: Vec<(KernelKey, Asked)>,
    time: Duration,
}

/// The driver's answer.
type Asked = Pin<Box<dyn Future<Output = Result<Pipeline>>>>;

/// What a device has compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// Pipelines.
    pub pipelines: usize,
    /// Those of them that were in the pipeline cache ([`Gpu::use_pipeline_cache`]).
    pub from_cache: usize,
    /// From the first request to the last pipeline, of every compilation together. Some drivers compile further
    /// at a pipeline's first dispatch.
    pub time: Duration,
}

impl Gpu {
    /// Compiles what is missing of `keys`, several at a time where there are threads.
    ///
    /// # Errors
    /// [`Error::Gpu`] naming the kernel that the driver refused.
    pub(super) async fn compile<'k>(&self, keys: impl IntoIterator<Item = &'k KernelKey>) -> Result<()> {
        self.compile_while(keys, async { Ok(()) }).await
    }

    /// The same while `meanwhile` runs, such as an upload.
    ///
    /// # Errors
    /// [`Error::Gpu`] naming the kernel that the driver refused, else those of `meanwhile`.
    pub async fn compile_while<'k, T>(
        &self,
        keys: impl IntoIterator<Item = &'k KernelKey>,
        meanwhile: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let missing = self.missing(keys.into_iter().collect());
        if missing.is_empty() {
            return meanwhile.await;
        }
        let start = Clock::now();
        #[cfg(not(target_arch = "wasm32"))]
        let (compiled, time, value) = std::thread::scope(|scope| {
            use rayon::prelude::*;
            // On native targets the futures of pipelines are ready when they are made.
            let compile = || -> (Result<Vec<_>>, _) {
                (missing.par_iter().map(|key| pollster::block_on(self.compile_one(key))).collect(), start.elapsed())
            };
            let compiling = scope.spawn(compile);
            let value = pollster::block_on(meanwhile);
            let (compiled, time) = compiling.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (compiled, time, value)
        });
        #[cfg(target_arch = "wasm32")]
        let (compiled, time, value) = {
            // All are asked for before anything is waited for: the browser compiles in another process.
            let asked = missing.iter().map(|key| self.foreseen(key).unwrap_or_else(|| self.compile_one(key))).collect();
            let value = meanwhile.await;
            (all(asked).await, start.elapsed(), value)
        };
        self.add(missing, compiled?, time);
        value
    }

    /// Asks the browser for a pipeline that is likely to be needed. Whoever does need it hears of errors.
    #[cfg(target_arch = "wasm32")]
    pub fn foresee(&self, key: KernelKey) {
        if self.pipeline(&key).is_none() {
            let asked = self.foreseen(&key).unwrap_or_else(|| self.compile_one(&key));
            if let Ok(mut pipelines) = self.pipelines.lock() {
                pipelines.foreseen.push((key, asked));
            }
        }
    }

    /// What was foreseen, for whoever takes it first.
    #[cfg(target_arch = "wasm32")]
    fn foreseen(&self, key: &KernelKey) -> Option<Asked> {
        let mut pipelines = self.pipelines.lock().ok()?;
        let at = pipelines.foreseen.iter().position(|f| f.0 == *key)?;
        Some(pipelines.foreseen.swap_remove(at).1)
    }

    /// Those of `keys` that are not compiled, each once, in order.
    fn missing<'k>(&self, mut keys: Vec<&'k KernelKey>) -> Vec<&'k KernelKey> {
        keys.retain(|key| self.pipeline(key).is_none());
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn add(&self, keys: Vec<&KernelKey>, compiled: Vec<Pipeline>, time: Duration) {
        if let Ok(mut pipelines) = self.pipelines.lock() {
            pipelines.compiled.extend(keys.into_iter().cloned().zip(compiled));
            pipelines.time += time;
        }
    }

    /// A compiled pipeline.
    pub(super) fn pipeline(&self, key: &KernelKey) -> Option<Pipeline> {
        self.pipelines.lock().ok().and_then(|p| Some(p.compiled.iter().find(|p| p.0 == *key)?.1.clone()))
    }

    /// What this device has compiled so far.
    pub fn compiled(&self) -> Compiled {
        let Ok(pipelines) = self.pipelines.lock() else { return Compiled::default() };
        let cached = |key: &&KernelKey| self.pipeline_cache.get().is_some_and(|cache| cache.had(key));
        let from_cache = pipelines.compiled.iter().map(|p| &p.0).filter(cached).count();
        Compiled { pipelines: pipelines.compiled.len(), from_cache, time: pipelines.time }
    }

    /// Their names.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn compiled_keys(&self) -> Vec<String> {
        let pipelines = self.pipelines.lock();
        pipelines.map_or_else(|_| Vec::new(), |p| p.compiled.iter().map(|p| p.0.to_string()).collect())
    }

    /// Asks the driver at once; the future waits for its answer.
    fn compile_one(&self, key: &KernelKey) -> Asked {
        let doing = format!("compiling {key}");
        let Some((source, family)) = kernels::source(key).zip(kernels::family(key.shader)) else {
            return Box::pin(async { Err(Error::Gpu { doing, message: "no such kernel".into() }) });
        };
        // Not `checked`, whose future would borrow what `ask` does.
        let scopes = Scopes::open(self);
        let pipeline = self.ask(key, source, family.bindings);
        let answer = scopes.close(self, doing);
        Box::pin(async { answer.await.map(|()| pipeline) })
    }

    fn ask(&self, key: &KernelKey, source: Cow<'static, str>, bindings: &'static [Role]) -> Pipeline {
        let label = key.to_string();
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(&label), source: wgpu::ShaderSource::Wgsl(source) };
        // SAFETY: every index a kernel forms is in range for the launch its family computes from the same
        // shapes that size the buffers (tests/it/kernels.rs compares each row with the reference at odd sizes),
        // and every loop's trip count is a shape.
        let module =
            unsafe { self.device().create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) };
        let layout = self.device().create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(key.shader),
            entries: &bindings.iter().map(|&role| layout_entry(role)).collect::<Vec<_>>(),
        });
        let pipeline_layout = self.device().create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(key.shader),
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let constants: Vec<(&str, f64)> = key.consts.iter().map(|&(name, value)| (name, f64::from(value))).collect();
        let pipeline = self.device().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            // Kernels write all workgroup memory before they read it.
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                zero_initialize_workgroup_memory: false,
            },
            cache: self.pipeline_cache.get().map(PipelineCache::driver),
        });
        Pipeline { pipeline, layout, bindings }
    }
}

/// What all of them become, or the first error, when none is under way any more.
#[cfg(target_arch = "wasm32")]
async fn all(asked: Vec<Asked>) -> Result<Vec<Pipeline>> {
    let mut answers = Vec::new();
    for answer in asked {
        answers.push(answer.await);
    }
    answers.into_iter().collect()
}

fn layout_entry(role: Role) -> wgpu::BindGroupLayoutEntry {
    let ty = match role {
        Role::Params => wgpu::BufferBindingType::Uniform,
        Role::Output | Role::Squeeze => wgpu::BufferBindingType::Storage { read_only: false },
        _ => wgpu::BufferBindingType::Storage { read_only: true },
    };
    wgpu::BindGroupLayoutEntry {
        binding: role as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    }
}
