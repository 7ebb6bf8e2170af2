//! The GPU room, the only one that names wgpu: devices, pipelines, weight buffers and the executor.
//!
//! It sees a [`crate::plan::Plan`], never a model.

mod calibrate;
mod context;
mod executor;
mod pipeline_cache;
mod pipelines;
mod profile;
mod resize;
mod weights;

pub use calibrate::Roofline;
pub use context::{AdapterFacts, Gpu, Select};
pub use executor::{Executor, Timing};
pub use pipelines::Compiled;
pub use profile::{Span, StepTime};
pub use resize::Resizer;
pub use weights::WeightBuffers;
#[cfg(target_arch = "wasm32")]
pub use wgpu::ExternalImageSource;

use crate::error::{Error, Result};
use std::pin::Pin;

/// Runs `work` and turns what the device reports meanwhile into an error.
///
/// Error scopes belong to the thread that opens them, so `work` must do its calls itself. It is done when this returns;
/// the future only waits for the device's answer.
fn checked<T, W: FnOnce() -> T>(gpu: &Gpu, doing: &str, work: W) -> impl Future<Output = Result<T>> + use<T, W> {
    let scopes = Scopes::open(gpu);
    let value = work();
    let answer = scopes.close(gpu, doing.to_string());
    async move { answer.await.map(|()| value) }
}

/// Error scopes of every kind, the innermost last.
struct Scopes([wgpu::ErrorScopeGuard; 3]);

impl Scopes {
    fn open(gpu: &Gpu) -> Self {
        use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
        Self([Internal, OutOfMemory, Validation].map(|filter| gpu.device().push_error_scope(filter)))
    }

    /// Closes them at once; boxed, so that the code for the device's answer is there once.
    fn close(self, gpu: &Gpu, doing: String) -> Pin<Box<dyn Future<Output = Result<()>>>> {
        let lost = gpu.lost.clone();
        // In the reverse of the order they were opened in.
        let [internal, memory, validation] = self.0;
        let validation = validation.pop();
        let memory = memory.pop();
        let internal = internal.pop();
        Box::pin(async move {
            // What could not be allocated is invalid as well: the cause comes first.
            let errors = [memory.await, validation.await, internal.await];
            lost.check()?;
            match errors.into_iter().flatten().next() {
                None => Ok(()),
                Some(wgpu::Error::OutOfMemory { source }) => {
                    Err(Error::OutOfMemory { doing, message: source.to_string() })
                }
                Some(error) => Err(Error::Gpu { doing, message: error.to_string() }),
            }
        })
    }
}

fn mapping(doing: &str, error: impl std::fmt::Display) -> Error {
    Error::Gpu { doing: doing.into(), message: error.to_string() }
}

/// Waits for `submission`, or for all there were, and copies a buffer that can be mapped to the host.
async fn read_mapped(
    gpu: &Gpu,
    buffer: &wgpu::Buffer,
    submission_index: Option<wgpu::SubmissionIndex>,
) -> Result<Vec<u8>> {
    let (sender, receiver) = futures_channel::oneshot::channel();
    buffer.map_async(wgpu::MapMode::Read, .., move |result| drop(sender.send(result)));
    // Browsers call back by themselves and ignore this; elsewhere it blocks this thread.
    let waited = gpu.device().poll(wgpu::PollType::Wait { submission_index, timeout: None });
    if waited.is_err() {
        // A lost device fails the wait before it calls back; one more poll delivers the reason.
        let _ = gpu.device().poll(wgpu::PollType::Poll);
    }
    gpu.alive()?;
    waited.map_err(|e| mapping("waiting for the GPU", e))?;
    let result = receiver.await.map_err(|e| mapping("reading back", e))?;
    gpu.alive()?;
    result.map_err(|e| mapping("reading back", e))?;
    let bytes = buffer.get_mapped_range(..).map_err(|e| mapping("reading back", e))?.to_vec();
    buffer.unmap();
    Ok(bytes)
}
