//! Packed weights on the device.

use super::{Gpu, checked};
use crate::error::Result;
use crate::graph::Graph;
use crate::plan::{WeightLayout, WeightRange};
use crate::weights::Weights;

/// Weight buffers of one graph on one device: read-only shards that every plan of the graph shares.
pub struct WeightBuffers {
    shards: Vec<wgpu::Buffer>,
}

impl WeightBuffers {
    /// Packs and uploads the weights of `graph`, node by node, straight into the mapped buffers.
    ///
    /// # Errors
    /// Missing values, [`crate::Error::OutOfMemory`].
    pub async fn new(gpu: &Gpu, graph: &Graph, layout: &WeightLayout, weights: &Weights) -> Result<Self> {
        let mut shards = Vec::new();
        for (shard, &bytes) in layout.shards.iter().enumerate() {
            let doing = format!("allocating {bytes} bytes of weights");
            let buffer = checked(gpu, &doing, || {
                gpu.device().create_buffer(&wgpu::BufferDescriptor {
                    label: Some("weights"),
                    size: bytes.next_multiple_of(4).max(4),
                    usage: wgpu::BufferUsages::STORAGE,
                    mapped_at_creation: true,
                })
            })
            .await?;
            {
                let mut view = buffer.get_mapped_range_mut(..).map_err(|e| super::mapping(&doing, e))?;
                layout.pack(graph, weights, shard, |offset, values| {
                    let bytes: &[u8] = bytemuck::cast_slice(values);
                    view.slice(offset as usize..offset as usize + bytes.len()).copy_from_slice(bytes);
                })?;
            }
            buffer.unmap();
            shards.push(buffer);
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
