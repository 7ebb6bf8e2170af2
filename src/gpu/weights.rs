//! Packed weights on the device.

use super::{Gpu, checked};
use crate::error::Result;
use crate::graph::Graph;
use crate::plan::{WeightLayout, WeightRange};
use crate::weights::Weights;

/// Uploads wait for the device whenever this much is under way, which bounds the memory of staging.
const STAGED_BYTES: u64 = 4 << 20;

/// Weight buffers of one graph on one device: read-only shards that every plan of the graph shares.
pub struct WeightBuffers {
    shards: Vec<wgpu::Buffer>,
}

impl WeightBuffers {
    /// Packs and uploads the weights of `graph`, node by node.
    ///
    /// # Errors
    /// Missing values, [`crate::Error::OutOfMemory`].
    pub async fn new(gpu: &Gpu, graph: &Graph, layout: &WeightLayout, weights: &Weights) -> Result<Self> {
        let mut shards = Vec::new();
        for (shard, &bytes) in layout.shards.iter().enumerate() {
            let doing = format!("uploading {bytes} bytes of weights");
            let uploaded = checked(gpu, &doing, || {
                let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
                    label: Some("weights"),
                    size: bytes.next_multiple_of(4).max(4),
                    usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                });
                upload(gpu, &buffer, |write| layout.pack(graph, weights, shard, write))?;
                Ok(buffer)
            });
            shards.push(uploaded.await??);
        }
        Ok(Self { shards })
    }

    /// The binding of one node's weights.
    pub(super) fn binding(&self, range: WeightRange) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.shards[range.shard],
            offset: range.offset,
            size: std::num::NonZeroU64::new(range.bytes),
        })
    }
}

#[cfg(target_arch = "wasm32")]
impl Drop for WeightBuffers {
    /// Browsers free what nobody refers to when they please, which is late.
    fn drop(&mut self) {
        self.shards.iter().for_each(wgpu::Buffer::destroy);
    }
}

/// Writes what `pack` hands out, in bounded portions.
fn upload(gpu: &Gpu, buffer: &wgpu::Buffer, pack: impl FnOnce(&mut dyn FnMut(u64, &[u8])) -> Result<()>) -> Result<()> {
    let mut staged = 0;
    let flush = |staged: &mut u64| {
        gpu.queue().submit([]);
        // A device that was lost meanwhile is reported by whoever uploads.
        let _ = gpu.device().poll(wgpu::PollType::wait_indefinitely());
        *staged = 0;
    };
    pack(&mut |offset, bytes| {
        gpu.queue().write_buffer(buffer, offset, bytes);
        staged += bytes.len() as u64;
        if staged > STAGED_BYTES {
            flush(&mut staged);
        }
    })?;
    flush(&mut staged);
    Ok(())
}
