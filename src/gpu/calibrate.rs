//! What an adapter can do at best, measured by a few small kernels: the floor under every dispatch.

use super::profile::{Stopwatch, at_ends};
use super::{Gpu, checked, read_mapped};
use crate::error::{Error, Result};
use crate::plan::{Rates, Step};
use std::time::Duration;

const SOURCE: &str = include_str!("../../shaders/calibrate.wgsl");
/// Lanes of a workgroup.
const LANES: u32 = 128;
/// Multiply-adds of an invocation.
const MADDS: u64 = ROUNDS as u64 * 32;
const ROUNDS: u32 = 256;
/// The most bytes to copy: more than caches hold.
const COPIED: u64 = 64 << 20;
/// A measurement of arithmetic is repeated with twice the work until it takes as long.
const LONG: Duration = Duration::from_millis(5);
const MAX_GROUPS: u32 = 1 << 13;
/// Each measurement is repeated, and the quickest counts.
const REPEATS: usize = 5;
/// The longest chain of dependent dispatches.
const CHAIN: usize = 256;

/// An adapter's limits in practice. A kernel whose data stays in caches can be quicker than its memory allows.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Roofline {
    /// Bytes read and written in a second by a copy that no cache holds.
    pub bytes_per_s: f64,
    /// f32 multiply-adds in a second.
    pub madds_per_s: f64,
    /// Seconds from a dispatch of one invocation to the next that depends on it.
    pub gap_s: f64,
    /// Lengths of chains of such dispatches, and the seconds they take.
    pub chains: Vec<(usize, f64)>,
}

impl Roofline {
    /// The name under which it is kept.
    pub const NAME: &str = "roofline";

    /// Measures an adapter; takes about a second on a software one.
    ///
    /// # Errors
    /// [`Error::MissingFeature`] without timestamps, [`Error::DeviceLost`], [`Error::Gpu`].
    pub async fn measure(gpu: &Gpu) -> Result<Self> {
        let bench = Bench::new(gpu).await?;
        let copy_groups = (bench.bytes / 16) as u32 / LANES;
        let copy = bench.quickest(&[(&bench.copy, copy_groups, 1)]).await?[0];
        let mut groups = 1 << 9;
        let mut madds = bench.quickest(&[(&bench.multiply_add, groups, 1)]).await?[0];
        while madds < LONG && groups < MAX_GROUPS.min(copy_groups / 2) {
            groups *= 2;
            madds = bench.quickest(&[(&bench.multiply_add, groups, 1)]).await?[0];
        }
        let lengths: Vec<usize> = std::iter::successors(Some(1), |n| (n * 2 <= CHAIN).then_some(n * 2)).collect();
        let passes: Vec<_> = lengths.iter().map(|&n| (&bench.count, 1, n)).collect();
        let chains: Vec<f64> = bench.quickest(&passes).await?.iter().map(Duration::as_secs_f64).collect();
        bench.check_count(lengths.iter().sum::<usize>() * (REPEATS + 1)).await?;
        Ok(Self {
            bytes_per_s: 2.0 * bench.bytes as f64 / positive(copy.as_secs_f64()),
            madds_per_s: (u64::from(groups * LANES) * MADDS) as f64 / positive(madds.as_secs_f64()),
            gap_s: ((chains[chains.len() - 1] - chains[0]) / (CHAIN - 1) as f64).max(0.0),
            chains: lengths.into_iter().zip(chains).collect(),
        })
    }

    /// What the planner weighs fusions by.
    pub fn rates(&self) -> Rates {
        let &Self { bytes_per_s, madds_per_s, gap_s, .. } = self;
        Rates { bytes_per_s, madds_per_s, gap_s }
    }

    /// The least seconds a step can take: its bytes at full bandwidth or its multiply-adds at full rate.
    pub fn floor(&self, step: &Step) -> f64 {
        (step.bytes as f64 / self.bytes_per_s).max(step.madds as f64 / self.madds_per_s)
    }
}

/// Timers tick: nothing takes no time.
fn positive(seconds: f64) -> f64 {
    seconds.max(1e-9)
}

/// The kernels with their buffers.
struct Bench<'a> {
    gpu: &'a Gpu,
    bytes: u64,
    copied: wgpu::Buffer,
    bind_group: wgpu::BindGroup,
    copy: wgpu::ComputePipeline,
    multiply_add: wgpu::ComputePipeline,
    count: wgpu::ComputePipeline,
}

impl<'a> Bench<'a> {
    async fn new(gpu: &'a Gpu) -> Result<Self> {
        let caps = gpu.facts().caps;
        let bytes = COPIED.min(caps.max_binding).min(caps.max_buffer) / 4096 * 4096;
        checked(gpu, "preparing the calibration", || {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
            let buffer = |label| {
                let descriptor =
                    wgpu::BufferDescriptor { label: Some(label), size: bytes, usage, mapped_at_creation: false };
                gpu.device().create_buffer(&descriptor)
            };
            let (source, copied) = (buffer("source"), buffer("copied"));
            let storage = |binding, read_only| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Storage { read_only },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            };
            let layout = gpu.device().create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some("calibrate"),
                entries: &[storage(0, true), storage(1, false)],
            });
            let bind_group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("calibrate"),
                layout: &layout,
                entries: &[
                    wgpu::BindGroupEntry { binding: 0, resource: source.as_entire_binding() },
                    wgpu::BindGroupEntry { binding: 1, resource: copied.as_entire_binding() },
                ],
            });
            let module = gpu.device().create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some("calibrate"),
                source: wgpu::ShaderSource::Wgsl(SOURCE.into()),
            });
            let pipeline_layout = gpu.device().create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some("calibrate"),
                bind_group_layouts: &[Some(&layout)],
                ..Default::default()
            });
            let pipeline = |entry, constants: &[(&str, f64)]| {
                gpu.device().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                    label: Some(entry),
                    layout: Some(&pipeline_layout),
                    module: &module,
                    entry_point: Some(entry),
                    compilation_options: wgpu::PipelineCompilationOptions { constants, ..Default::default() },
                    cache: None,
                })
            };
            let (lanes, rounds) = (("WG", f64::from(LANES)), ("ROUNDS", f64::from(ROUNDS)));
            Self {
                copy: pipeline("copy", &[lanes]),
                multiply_add: pipeline("multiply_add", &[lanes, rounds]),
                count: pipeline("count", &[]),
                gpu,
                bytes,
                copied,
                bind_group,
            }
        })
        .await
    }

    /// The shortest time of each pass: a pipeline, its workgroups, and how many dispatches of it. Once before to warm up.
    async fn quickest(&self, passes: &[(&wgpu::ComputePipeline, u32, usize)]) -> Result<Vec<Duration>> {
        let stopwatch = Stopwatch::new(self.gpu, passes.len())?;
        let mut best = vec![Duration::MAX; passes.len()];
        for repeat in 0..=REPEATS {
            let spans = stopwatch.time(self.gpu, |encoder| {
                for (i, &(pipeline, groups, dispatches)) in passes.iter().enumerate() {
                    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                        label: Some("calibrate"),
                        timestamp_writes: Some(at_ends(stopwatch.pass(i))),
                    });
                    pass.set_pipeline(pipeline);
                    pass.set_bind_group(0, &self.bind_group, &[]);
                    for _ in 0..dispatches {
                        pass.dispatch_workgroups(groups, 1, 1);
                    }
                }
            });
            let spans = spans.await?;
            if repeat > 0 {
                best = best.iter().zip(&spans).map(|(b, s)| s.duration().min(*b)).collect();
            }
        }
        Ok(best)
    }

    /// Whether each dispatch of the chains saw the result of the one before. Arithmetic left zeros.
    async fn check_count(&self, expected: usize) -> Result<()> {
        let readback = self.gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("count"),
            size: 16,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&self.copied, 0, &readback, 0, 16);
        let submission = self.gpu.queue().submit([encoder.finish()]);
        let bytes = read_mapped(self.gpu, &readback, Some(submission)).await?;
        let counted: f32 = bytemuck::pod_read_unaligned(&bytes[..4]);
        if counted != expected as f32 {
            return Err(Error::Gpu {
                doing: "measuring chains of dispatches".into(),
                message: format!("{expected} dependent dispatches counted to {counted}"),
            });
        }
        Ok(())
    }
}
