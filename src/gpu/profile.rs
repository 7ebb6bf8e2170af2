//! How long each dispatch takes: each in a pass of its own, which only a profile does.

use super::{Executor, Gpu, mapping};
use crate::clock::Clock;
use crate::error::Result;
use std::time::Duration;

/// Two timestamps a step.
const TIMES_BYTES: u64 = 16;

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
    /// Times every step of the plan, on what is in the input buffer.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub async fn profile(&self) -> Result<Vec<StepTime>> {
        if self.gpu.facts().timestamps { self.profile_by_timestamps().await } else { self.profile_by_waiting().await }
    }

    async fn profile_by_timestamps(&self) -> Result<Vec<StepTime>> {
        let (device, steps) = (self.gpu.device(), self.plan.steps.len());
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("profile"),
            ty: wgpu::QueryType::Timestamp,
            count: 2 * steps as u32,
        });
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("profile"),
                size: steps as u64 * TIMES_BYTES,
                usage,
                mapped_at_creation: false,
            })
        };
        let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
        let readback = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        let mut encoder = device.create_command_encoder(&Default::default());
        for step in 0..steps {
            self.encode(&mut encoder, step..step + 1, Some((&queries, 2 * step as u32)));
        }
        encoder.resolve_query_set(&queries, 0..2 * steps as u32, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &readback, 0, steps as u64 * TIMES_BYTES);
        let index = self.gpu.queue().submit([encoder.finish()]);
        let times = self.map(&readback, Some(index)).await?;
        let step = |times| StepTime { time: self.elapsed(times), gpu_clock: true };
        Ok(times.chunks_exact(TIMES_BYTES as usize).map(step).collect())
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
