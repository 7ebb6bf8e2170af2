//! Where each node's packed weights lie: a few read-only shards, ranges aligned for binding.

use super::{BINDING_ALIGNMENT, Target, pack};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::json::number;
use crate::tensor::Dtype;
use crate::weights::Weights;

/// A shard is closed before it grows over this.
const SHARD_BYTES: u64 = 64 << 20;

/// A part of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightRange {
    /// Index in [`WeightLayout::shards`].
    pub shard: usize,
    /// First byte, a multiple of [`BINDING_ALIGNMENT`].
    pub offset: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Placement of all packed weights of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightLayout {
    /// Bytes of each shard.
    pub shards: Vec<u64>,
    dtype: Dtype,
    ranges: Vec<Option<WeightRange>>,
}

impl WeightLayout {
    /// Places the weights of every node of a graph (after the passes).
    ///
    /// # Errors
    /// [`Error::Limit`] when one node's weights exceed what the device can bind.
    pub fn new(graph: &Graph, Target { caps, dtype, .. }: &Target) -> Result<Self> {
        let (mut shards, mut ranges) = (vec![0_u64], Vec::new());
        for (id, node) in graph.nodes.iter().enumerate() {
            let bytes = pack::packed_len(graph, id) as u64 * dtype.bytes();
            if bytes == 0 {
                ranges.push(None);
                continue;
            }
            let available = caps.max_binding.min(caps.max_buffer);
            if bytes > available {
                let what = format!("the weights of {}", node.name);
                return Err(Error::Limit {
                    what,
                    needed: bytes,
                    available,
                    unit: "bytes",
                    advice: "use a narrower model",
                });
            }
            let mut offset = shards[shards.len() - 1].next_multiple_of(BINDING_ALIGNMENT);
            if offset > 0 && offset + bytes > SHARD_BYTES.min(available) {
                shards.push(0);
                offset = 0;
            }
            let shard = shards.len() - 1;
            shards[shard] = offset + bytes;
            ranges.push(Some(WeightRange { shard, offset, bytes }));
        }
        Ok(Self { shards, dtype: *dtype, ranges })
    }

    /// The packed weights of a node.
    pub fn range(&self, node: NodeId) -> Option<WeightRange> {
        self.ranges[node]
    }

    /// All packed weights, without the gaps of alignment.
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().flatten().map(|r| r.bytes).sum()
    }

    /// Packs one shard's weights, node by node: calls `write` with each range's first byte and content.
    ///
    /// # Errors
    /// As [`Weights::values`]; [`Error::BadInput`] where f16 cannot hold a weight.
    pub fn pack(
        &self,
        graph: &Graph,
        weights: &Weights,
        shard: usize,
        write: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<()> {
        let mut packed = Vec::new();
        for (id, range) in self.ranges.iter().enumerate() {
            if let Some(range) = range.filter(|r| r.shard == shard) {
                packed.clear();
                packed.resize((range.bytes / self.dtype.bytes()) as usize, 0.0);
                pack::pack(graph, id, weights, &mut packed)?;
                match self.dtype {
                    Dtype::F32 => write(range.offset, bytemuck::cast_slice(&packed)),
                    Dtype::F16 => write(range.offset, bytemuck::cast_slice(&halves(&graph.nodes[id].name, &packed)?)),
                }
            }
        }
        Ok(())
    }
}

/// Rounded to f16.
fn halves(node: &str, values: &[f32]) -> Result<Vec<half::f16>> {
    match values.iter().find(|v| v.abs() > half::f16::MAX.to_f32()) {
        Some(v) => {
            Err(Error::bad(format!("the weights of {node}"), format!("{} is too large for f16: use f32", number(*v))))
        }
        None => Ok(values.iter().map(|&v| half::f16::from_f32(v)).collect()),
    }
}
