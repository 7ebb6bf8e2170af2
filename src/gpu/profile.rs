//! How long each dispatch takes: each in a pass of its own, which only a profile does.

use super::{Executor, Gpu, checked, mapping, read_mapped};
use crate::clock::Clock;
use crate::error::{Error, Result};
use std::time::Duration;

/// Most queries in a set (WebGPU).
const MAX_QUERIES: u32 = 4096;
/// Bytes of a timestamp.
const TIMESTAMP: u64 = 8;

/// When a pass ran, counted from the start of the first of its submission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Its first dispatch begins.
    pub begin: Duration,
    /// Its last dispatch has ended.
    pub end: Duration,
}

impl Span {
    /// From the one to the other.
    pub fn duration(&self) -> Duration {
        self.end.saturating_sub(self.begin)
    }
}

/// What a step took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepTime {
    /// Its time.
    pub time: Duration,
    /// Whether the GPU's own clock was read. Otherwise this is from submission to the report of completion, which
    /// browsers make coarse.
    pub gpu_clock: bool,
}

impl Executor {
    /// Times every step of the plan, on what is in the input buffer: by timestamps, or where the device has none by
    /// waiting for each step.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub async fn profile(&self) -> Result<Vec<StepTime>> {
        if !self.gpu.facts().timestamps {
            return self.profile_by_waiting().await;
        }
        let spans = self.time_steps().await?;
        Ok(spans.iter().map(|span| StepTime { time: span.duration(), gpu_clock: true }).collect())
    }

    /// One inference on what is in the input buffer, each step in a pass of its own: when each ran, in the order of
    /// [`crate::plan::Plan::steps`]. Slower than [`Executor::run`] by what the passes cost.
    ///
    /// # Errors
    /// [`Error::MissingFeature`] without timestamps, [`Error::Limit`] over 2048 steps, [`Error::DeviceLost`],
    /// [`Error::Gpu`].
    pub async fn time_steps(&self) -> Result<Vec<Span>> {
        let stopwatch = Stopwatch::new(&self.gpu, self.plan.steps.len())?;
        let encode = |encoder: &mut wgpu::CommandEncoder| {
            for step in 0..self.plan.steps.len() {
                self.encode(encoder, step..step + 1, Some(stopwatch.pass(step)));
            }
        };
        stopwatch.time(&self.gpu, encode).await
    }

    async fn profile_by_waiting(&self) -> Result<Vec<StepTime>> {
        let mut times = Vec::new();
        for step in 0..self.plan.steps.len() {
            let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
            self.encode(&mut encoder, step..step + 1, None);
            let start = Clock::now();
            self.gpu.queue().submit([encoder.finish()]);
            self.gpu.idle().await?;
            times.push(StepTime { time: start.elapsed(), gpu_clock: false });
        }
        Ok(times)
    }
}

impl Gpu {
    /// Waits until all that was submitted so far is done.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`].
    pub async fn idle(&self) -> Result<()> {
        let (sender, receiver) = futures_channel::oneshot::channel();
        self.queue().on_submitted_work_done(move || {
            // Nobody listens any more: nothing to tell.
            let _ = sender.send(());
        });
        // Browsers call back by themselves and ignore this.
        let waited = self.device().poll(wgpu::PollType::wait_indefinitely());
        self.alive()?;
        waited.map_err(|e| mapping("waiting for the GPU", e))?;
        receiver.await.map_err(|e| mapping("waiting for the GPU", e))?;
        self.alive()
    }
}

/// What a pass asks for whose beginning and end are to be written at two places, the given one and the next.
pub(super) fn at_ends((query_set, first): (&wgpu::QuerySet, u32)) -> wgpu::ComputePassTimestampWrites<'_> {
    wgpu::ComputePassTimestampWrites {
        query_set,
        beginning_of_pass_write_index: Some(first),
        end_of_pass_write_index: Some(first + 1),
    }
}

/// Timestamps at the ends of a number of passes.
pub(super) struct Stopwatch {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    readback: wgpu::Buffer,
    count: u32,
}

impl Stopwatch {
    /// For so many passes.
    ///
    /// # Errors
    /// [`Error::MissingFeature`], [`Error::Limit`].
    pub fn new(gpu: &Gpu, passes: usize) -> Result<Self> {
        if !gpu.facts().timestamps {
            return Err(Error::MissingFeature {
                adapter: gpu.facts().to_string(),
                feature: "timestamps, so GPU time cannot be measured",
                advice: "`mbconv devices` lists what has them; a device of your own needs Features::TIMESTAMP_QUERY",
            });
        }
        if passes * 2 > MAX_QUERIES as usize {
            return Err(Error::Limit {
                what: "a profile".into(),
                needed: passes as u64 * 2,
                available: MAX_QUERIES.into(),
                unit: "timestamps",
                advice: "profile a smaller network",
            });
        }
        let count = (passes as u32 * 2).max(2);
        let buffer = |usage| {
            gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size: u64::from(count) * TIMESTAMP,
                usage,
                mapped_at_creation: false,
            })
        };
        Ok(Self {
            queries: gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count,
            }),
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            readback: buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
            count,
        })
    }

    /// Where the times of a pass go.
    pub fn pass(&self, pass: usize) -> (&wgpu::QuerySet, u32) {
        (&self.queries, pass as u32 * 2)
    }

    /// Submits what `encode` records, which must be all the passes, waits, and reads when each ran.
    pub async fn time(&self, gpu: &Gpu, encode: impl FnOnce(&mut wgpu::CommandEncoder)) -> Result<Vec<Span>> {
        gpu.alive()?;
        let submission = checked(gpu, "measuring dispatches", || {
            let mut encoder =
                gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("profile") });
            encode(&mut encoder);
            encoder.resolve_query_set(&self.queries, 0..self.count, &self.resolved, 0);
            encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.readback, 0, u64::from(self.count) * TIMESTAMP);
            gpu.queue().submit([encoder.finish()])
        });
        let submission = submission.await?;
        let bytes = read_mapped(gpu, &self.readback, Some(submission)).await?;
        let ticks: Vec<u64> = bytes.chunks_exact(8).map(bytemuck::pod_read_unaligned).collect();
        let (first, period) = (ticks[0], f64::from(gpu.queue().get_timestamp_period()));
        let since = |tick: u64| Duration::from_nanos((tick.saturating_sub(first) as f64 * period) as u64);
        Ok(ticks.chunks_exact(2).map(|t| Span { begin: since(t[0]), end: since(t[1]) }).collect())
    }
}
