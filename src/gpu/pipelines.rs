//! Compiled pipelines by kernel key, shared by every model on a device.

use super::{Gpu, checked};
use crate::error::{Error, Result};
use crate::kernels::{self, KernelKey, Role};
use std::borrow::Cow;
use std::sync::Mutex;

/// A pipeline and the layout its bind groups follow.
#[derive(Clone)]
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
    pub bindings: &'static [Role],
}

/// The cache: some dozens.
#[derive(Default)]
pub struct Pipelines(Mutex<Vec<(KernelKey, Pipeline)>>);

impl Gpu {
    /// Compiles what is missing of `keys`, several at a time where there are threads.
    ///
    /// # Errors
    /// [`Error::Gpu`] naming the kernel that the driver refused.
    pub(super) async fn compile(&self, keys: &[KernelKey]) -> Result<()> {
        let missing: Vec<&KernelKey> = keys.iter().filter(|k| self.pipeline(k).is_none()).collect();
        #[cfg(not(target_arch = "wasm32"))]
        let compiled: Result<Vec<_>> = {
            use rayon::prelude::*;
            // On native targets these futures are ready when they are made.
            missing.par_iter().map(|key| pollster::block_on(self.compile_one(key))).collect()
        };
        #[cfg(target_arch = "wasm32")]
        let compiled: Result<Vec<_>> = {
            // All are asked for before the first is waited for: the browser compiles in another process.
            let asked: Vec<_> = missing.iter().map(|key| self.compile_one(key)).collect();
            let mut all = Vec::new();
            for compiled in asked {
                all.push(compiled.await);
            }
            all.into_iter().collect()
        };
        let compiled = compiled?;
        if let Ok(mut cache) = self.pipelines.0.lock() {
            cache.extend(missing.into_iter().cloned().zip(compiled));
        }
        Ok(())
    }

    /// A compiled pipeline.
    pub(super) fn pipeline(&self, key: &KernelKey) -> Option<Pipeline> {
        self.pipelines.0.lock().ok().and_then(|cache| Some(cache.iter().find(|p| p.0 == *key)?.1.clone()))
    }

    /// How many pipelines this device has compiled so far.
    pub fn compiled_pipelines(&self) -> usize {
        self.pipelines.0.lock().map_or(0, |cache| cache.len())
    }

    /// Asks the driver at once; the future waits for its answer.
    fn compile_one(&self, key: &KernelKey) -> impl Future<Output = Result<Pipeline>> {
        let label = key.to_string();
        let unknown = || Error::Gpu { doing: format!("compiling {label}"), message: "no such kernel".into() };
        let found = kernels::source(key).zip(kernels::family(key.shader)).ok_or_else(unknown);
        let asked = found.map(|(source, family)| self.ask(key, source, family.bindings));
        async move { asked?.await }
    }

    fn ask(
        &self,
        key: &KernelKey,
        source: Cow<'static, str>,
        bindings: &'static [Role],
    ) -> impl Future<Output = Result<Pipeline>> {
        let label = key.to_string();
        checked(self, &format!("compiling {label}"), move || {
            let descriptor =
                wgpu::ShaderModuleDescriptor { label: Some(&label), source: wgpu::ShaderSource::Wgsl(source) };
            // SAFETY: every index a kernel forms is in range for the launch its family computes from the same
            // shapes that size the buffers (tests/it/kernels.rs compares each row with the reference at odd sizes),
            // and every loop's trip count is a shape.
            let module = unsafe {
                self.device().create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
            };
            let layout = self.device().create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(key.shader),
                entries: &bindings.iter().map(|&role| layout_entry(role)).collect::<Vec<_>>(),
            });
            let pipeline_layout = self.device().create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(key.shader),
                bind_group_layouts: &[Some(&layout)],
                ..Default::default()
            });
            let constants: Vec<(&str, f64)> =
                key.consts.iter().map(|&(name, value)| (name, f64::from(value))).collect();
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
                cache: None,
            });
            Pipeline { pipeline, layout, bindings }
        })
    }
}

fn layout_entry(role: Role) -> wgpu::BindGroupLayoutEntry {
    let ty = match role {
        Role::Params => wgpu::BufferBindingType::Uniform,
        Role::Output | Role::Squeeze => wgpu::BufferBindingType::Storage { read_only: false },
        Role::Input | Role::Weights | Role::NextWeights | Role::Gate | Role::Residual => {
            wgpu::BufferBindingType::Storage { read_only: true }
        }
    };
    wgpu::BindGroupLayoutEntry {
        binding: role as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    }
}
