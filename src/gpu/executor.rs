//! Runs a plan: buffers and bind groups made once, one compute pass and one submit per inference,
//! the next command buffer recorded while the GPU works.

use super::profile::at_ends;
use super::{Gpu, WeightBuffers, checked, mapping, read_mapped};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::kernels::{Launch, Role};
use crate::plan::{Plan, Value, ValueId};
use crate::tensor::{Dtype, Tensor};
use std::sync::Arc;
use std::time::Duration;

/// Uniform slots are this far apart (WebGPU's default `minUniformBufferOffsetAlignment`).
const PARAMS_STRIDE: u64 = 256;
/// Two timestamps.
const TIMES_BYTES: u64 = 16;

/// How long an inference took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timing {
    /// From the upload of the input to the output on the host.
    pub total: Duration,
    /// Between the first and the last dispatch on the GPU, where the adapter has timestamps.
    pub gpu: Option<Duration>,
}

/// A plan with its buffers on a device. One inference at a time: several executors share weights and pipelines.
pub struct Executor {
    pub(super) gpu: Arc<Gpu>,
    pub(super) plan: Arc<Plan>,
    buffers: Vec<wgpu::Buffer>,
    dispatches: Vec<(wgpu::ComputePipeline, wgpu::BindGroup)>,
    readback: wgpu::Buffer,
    /// Where each output lies in the readback buffer.
    offsets: Vec<u64>,
    timer: Option<Timer>,
    recorded: Option<wgpu::CommandBuffer>,
}

struct Timer {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    offset: u64,
}

impl Executor {
    /// Compiles what is missing, allocates and binds everything, records the first command buffer.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Gpu`], [`Error::DeviceLost`].
    pub async fn new(gpu: &Arc<Gpu>, weights: &WeightBuffers, plan: impl Into<Arc<Plan>>) -> Result<Self> {
        let plan = plan.into();
        gpu.compile(plan.keys()).await?;
        let doing = format!("allocating {} bytes for {} {}", plan.counters.intermediate_bytes, plan.name, plan.input);
        checked(gpu, &doing, || {
            let mut executor = Self::allocate(gpu, weights, plan)?;
            executor.recorded = Some(executor.record());
            Ok(executor)
        })
        .await?
    }

    fn allocate(gpu: &Arc<Gpu>, weights: &WeightBuffers, plan: Arc<Plan>) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let create = |label: &str, size: u64, usage: Usage| {
            gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        let storage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let buffers: Vec<_> = plan
            .buffers
            .iter()
            .enumerate()
            .map(|(i, b)| create(&format!("b{i} {}", b.role.name()), b.bytes, storage))
            .collect();
        let params = upload_params(gpu, &plan)?;
        let spare = create("spare", 16, Usage::STORAGE);
        let operands = Operands { plan: &plan, buffers: &buffers, weights, params: &params, spare: &spare };
        let mut dispatches = Vec::new();
        for (i, step) in plan.steps.iter().enumerate() {
            let Some(p) = gpu.pipeline(&step.launch.key) else {
                return Err(Error::Gpu {
                    doing: "binding".into(),
                    message: format!("{} is not compiled", step.launch.key),
                });
            };
            let entry = |&role| wgpu::BindGroupEntry { binding: role as u32, resource: operands.resource(i, role) };
            let entries: Vec<_> = p.bindings.iter().map(entry).collect();
            let bind_group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&plan.labels[i]),
                layout: &p.layout,
                entries: &entries,
            });
            dispatches.push((p.pipeline, bind_group));
        }
        let (mut offsets, mut end) = (Vec::new(), 0);
        for (_, value) in &plan.outputs {
            offsets.push(end);
            end += plan.values[*value].bytes();
        }
        let timer = gpu.facts().timestamps.then(|| Timer {
            queries: gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("pass"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: create("timestamps", TIMES_BYTES, Usage::QUERY_RESOLVE | Usage::COPY_SRC),
            offset: end,
        });
        let readback = create("readback", end + TIMES_BYTES, Usage::MAP_READ | Usage::COPY_DST);
        Ok(Self { gpu: Arc::clone(gpu), plan, buffers, dispatches, readback, offsets, timer, recorded: None })
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The network input on the device: of the type of [`Plan::values`]' first, NHWC, channels padded with zeros to a
    /// multiple of four. An application
    /// may write it itself and call [`Executor::run`] without an input. It is not changed by an inference.
    pub fn input_buffer(&self) -> &wgpu::Buffer {
        &self.buffers[0]
    }

    /// An output on the device, in the layout of [`Executor::input_buffer`]; valid until the next inference.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn output_buffer(&self, name: &str) -> Result<&wgpu::Buffer> {
        Ok(&self.buffers[self.plan.values[self.plan.output(name)?].buffer])
    }

    /// Queues the upload of an input of the plan's shape.
    ///
    /// # Errors
    /// [`Error::BadInput`] for another shape.
    pub fn write_input(&self, input: &Tensor) -> Result<()> {
        if input.shape != self.plan.input {
            return Err(Error::bad(
                "input",
                format!("the plan is for {} (NHWC), got {}", self.plan.input, input.shape),
            ));
        }
        self.write(0, input);
        Ok(())
    }

    /// Submits one inference without waiting for it, and records the next. Whoever shares the queue may
    /// queue work behind it that reads [`Executor::output_buffer`].
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub fn submit(&mut self) -> Result<wgpu::SubmissionIndex> {
        self.gpu.alive()?;
        let commands = self.recorded.take().unwrap_or_else(|| self.record());
        let index = self.gpu.queue().submit([commands]);
        self.recorded = Some(self.record());
        Ok(index)
    }

    /// One inference: uploads `input` (or takes what is in [`Executor::input_buffer`]), runs, and returns the
    /// outputs in the order of [`Plan::outputs`], with the time it took.
    ///
    /// # Errors
    /// [`Error::BadInput`] for another shape, [`Error::DeviceLost`], [`Error::Gpu`].
    pub async fn run(&mut self, input: Option<&Tensor>) -> Result<(Vec<Tensor>, Timing)> {
        let start = Clock::now();
        if let Some(input) = input {
            self.write_input(input)?;
        }
        let index = self.submit()?;
        let (outputs, gpu) = self.read(Some(index)).await?;
        Ok((outputs, Timing { total: start.elapsed(), gpu }))
    }

    /// What the inference that was submitted last wrote, in the order of [`Plan::outputs`], with its time on the GPU.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Gpu`].
    pub async fn read_outputs(&self) -> Result<(Vec<Tensor>, Option<Duration>)> {
        self.read(None).await
    }

    async fn read(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<(Vec<Tensor>, Option<Duration>)> {
        let bytes = read_mapped(&self.gpu, &self.readback, submission).await?;
        let mut outputs = Vec::new();
        for ((_, value), &offset) in self.plan.outputs.iter().zip(&self.offsets) {
            let value = &self.plan.values[*value];
            outputs.push(unpack(value, &bytes[offset as usize..(offset + value.bytes()) as usize])?);
        }
        let gpu = self.timer.as_ref().map(|t| self.elapsed(&bytes[t.offset as usize..]));
        Ok((outputs, gpu))
    }

    /// Runs one step alone on given operands and returns what it writes, in the order of [`crate::plan::Step::writes`].
    /// Outputs are filled with NaN first, so that what a kernel leaves unwritten is seen, but where they take an operand's place.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Gpu`].
    pub async fn run_step(&self, step: usize, reads: &[&Tensor]) -> Result<Vec<Tensor>> {
        let plan_step = &self.plan.steps[step];
        for (&(_, value), tensor) in plan_step.reads.iter().zip(reads) {
            self.write(value, tensor);
        }
        for &(_, value) in &plan_step.writes {
            let Value { shape, over, .. } = self.plan.values[value];
            if over.is_some() {
                continue;
            }
            self.write(value, &Tensor { shape, data: vec![f32::NAN; shape.len()] });
        }
        let mut encoder =
            self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("step") });
        self.encode(&mut encoder, step..step + 1, None);
        self.gpu.queue().submit([encoder.finish()]);
        let mut written = Vec::new();
        for &(_, value) in &plan_step.writes {
            written.push(self.read_value(value).await?);
        }
        Ok(written)
    }

    /// What is in [`Executor::input_buffer`].
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Gpu`].
    pub async fn read_input(&self) -> Result<Tensor> {
        self.read_value(0).await
    }

    /// Copies a value's current content to the host.
    async fn read_value(&self, value: ValueId) -> Result<Tensor> {
        let read = &self.plan.values[value];
        let staging = self.gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("read"),
            size: read.bytes(),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder =
            self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("read") });
        self.copy(&mut encoder, value, &staging, 0);
        let index = self.gpu.queue().submit([encoder.finish()]);
        let bytes = read_mapped(&self.gpu, &staging, Some(index)).await?;
        unpack(read, &bytes)
    }

    fn write(&self, value: ValueId, tensor: &Tensor) {
        let Value { buffer, offset, dtype, .. } = self.plan.values[value];
        let padded = tensor.to_padded();
        let halves: Vec<half::f16>;
        let bytes: &[u8] = match dtype {
            Dtype::F32 => bytemuck::cast_slice(&padded),
            Dtype::F16 => {
                halves = padded.iter().map(|&v| half::f16::from_f32(v)).collect();
                bytemuck::cast_slice(&halves)
            }
        };
        self.gpu.queue().write_buffer(&self.buffers[buffer], offset, bytes);
    }

    fn copy(&self, encoder: &mut wgpu::CommandEncoder, value: ValueId, to: &wgpu::Buffer, at: u64) {
        let copied = &self.plan.values[value];
        encoder.copy_buffer_to_buffer(&self.buffers[copied.buffer], copied.offset, to, at, copied.bytes());
    }

    /// The whole inference: one compute pass, then the outputs and times into the readback buffer.
    fn record(&self) -> wgpu::CommandBuffer {
        let mut encoder =
            self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(&self.plan.name) });
        self.encode(&mut encoder, 0..self.plan.steps.len(), self.timer.as_ref().map(|t| (&t.queries, 0)));
        for ((_, value), &offset) in self.plan.outputs.iter().zip(&self.offsets) {
            self.copy(&mut encoder, *value, &self.readback, offset);
        }
        if let Some(timer) = &self.timer {
            encoder.resolve_query_set(&timer.queries, 0..2, &timer.resolved, 0);
            encoder.copy_buffer_to_buffer(&timer.resolved, 0, &self.readback, timer.offset, TIMES_BYTES);
        }
        encoder.finish()
    }

    /// `times`: where the beginning and, one further, the end of the pass are written.
    pub(super) fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        steps: std::ops::Range<usize>,
        times: Option<(&wgpu::QuerySet, u32)>,
    ) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some(&self.plan.name),
            timestamp_writes: times.map(at_ends),
        });
        let mut current = None;
        for i in steps {
            let (pipeline, bind_group) = &self.dispatches[i];
            let Launch { key, grid: [x, y, z], .. } = &self.plan.steps[i].launch;
            // In a browser each of these calls crosses from wasm to JavaScript.
            if current.replace(key) != Some(key) {
                pass.set_pipeline(pipeline);
            }
            pass.set_bind_group(0, bind_group, &[]);
            pass.dispatch_workgroups(*x, *y, *z);
        }
    }

    fn elapsed(&self, times: &[u8]) -> Duration {
        let ticks: Vec<u64> = times.chunks_exact(8).take(2).map(bytemuck::pod_read_unaligned).collect();
        let period = f64::from(self.gpu.queue().get_timestamp_period());
        Duration::from_nanos((ticks[1].saturating_sub(ticks[0]) as f64 * period) as u64)
    }
}

#[cfg(target_arch = "wasm32")]
impl Drop for Executor {
    /// Browsers free what nobody refers to when they please, which is late.
    fn drop(&mut self) {
        self.buffers.iter().chain([&self.readback]).for_each(wgpu::Buffer::destroy);
    }
}

/// A value as it lies on the device.
fn unpack(value: &Value, bytes: &[u8]) -> Result<Tensor> {
    match value.dtype {
        Dtype::F32 => Tensor::from_padded(value.shape, bytemuck::cast_slice(bytes)),
        Dtype::F16 => {
            let halves: &[half::f16] = bytemuck::cast_slice(bytes);
            Tensor::from_padded(value.shape, &halves.iter().map(|v| v.to_f32()).collect::<Vec<_>>())
        }
    }
}

/// All steps' uniforms in one buffer, a slot each.
fn upload_params(gpu: &Gpu, plan: &Plan) -> Result<wgpu::Buffer> {
    let mut bytes = vec![0_u8; plan.steps.len().max(1) * PARAMS_STRIDE as usize];
    for (slot, step) in bytes.chunks_exact_mut(PARAMS_STRIDE as usize).zip(&plan.steps) {
        slot[..step.launch.params.len()].copy_from_slice(&step.launch.params);
    }
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("params"),
        size: bytes.len() as u64,
        usage: wgpu::BufferUsages::UNIFORM,
        mapped_at_creation: true,
    });
    buffer.get_mapped_range_mut(..).map_err(|e| mapping("uploading shapes", e))?.copy_from_slice(&bytes);
    buffer.unmap();
    Ok(buffer)
}

/// What bind groups are made of.
struct Operands<'a> {
    plan: &'a Plan,
    buffers: &'a [wgpu::Buffer],
    weights: &'a WeightBuffers,
    params: &'a wgpu::Buffer,
    /// Stands in for what a kernel declares and its launch does not touch, where nothing else can.
    spare: &'a wgpu::Buffer,
}

impl<'a> Operands<'a> {
    /// What a step binds for a role. An operand that its launch does not use is bound to the input, which is read anyway.
    fn resource(&self, step: usize, role: Role) -> wgpu::BindingResource<'a> {
        let at = &self.plan.steps[step];
        let bound = |operands: &[(Role, ValueId)]| operands.iter().find(|o| o.0 == role).map(|o| self.value(o.1));
        let spare = || self.spare.as_entire_binding();
        match role {
            Role::Params => wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: self.params,
                offset: step as u64 * PARAMS_STRIDE,
                size: std::num::NonZeroU64::new(at.launch.params.len() as u64),
            }),
            Role::Weights | Role::NextWeights | Role::ThirdWeights | Role::FrontWeights => {
                let range = at.weights.iter().find(|w| w.0 == role);
                range.map_or_else(spare, |w| self.weights.binding(w.1))
            }
            Role::Output | Role::Squeeze => bound(&at.writes).unwrap_or_else(spare),
            Role::Input => bound(&at.reads).unwrap_or_else(spare),
            Role::Gate | Role::Residual | Role::Sums => {
                // What the output takes the place of is read there.
                let replaced = |value| at.writes.iter().any(|w| self.plan.values[w.1].over == Some(value));
                let reads: Vec<_> = at.reads.iter().copied().filter(|r| !replaced(r.1)).collect();
                bound(&reads).or_else(|| at.reads.first().map(|r| self.value(r.1))).unwrap_or_else(spare)
            }
        }
    }

    fn value(&self, value: ValueId) -> wgpu::BindingResource<'a> {
        let value = &self.plan.values[value];
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.buffers[value.buffer],
            offset: value.offset,
            size: std::num::NonZeroU64::new(value.bytes()),
        })
    }
}
