//! Places values in buffers: input and outputs in their own, intermediates in as few bytes of slots as possible.
//!
//! A slot holds one value at a time, because wgpu tracks a dispatch's reads and writes per whole buffer:
//! no step may read and write one buffer.

use super::{Buffer, BufferRole, Plan, Value, ValueId};

/// Gives every value a buffer: the largest values first, each in the smallest slot that is free for its lifetime.
pub(super) fn place(plan: &mut Plan) {
    plan.buffers = vec![Buffer { role: BufferRole::Input, bytes: plan.values[0].shape.padded_bytes() }];
    plan.values[0].buffer = 0;
    let outputs: Vec<ValueId> = plan.outputs.iter().map(|o| o.1).collect();
    let mut intermediates = Vec::new();
    for id in 1..plan.values.len() {
        if outputs.contains(&id) {
            plan.values[id].buffer = plan.buffers.len();
            plan.buffers.push(Buffer { role: BufferRole::Output, bytes: plan.values[id].shape.padded_bytes() });
        } else {
            intermediates.push(id);
        }
    }
    intermediates.sort_by_key(|&id| (std::cmp::Reverse(plan.values[id].shape.padded_bytes()), id));
    let mut slots: Vec<(usize, Vec<ValueId>)> = Vec::new();
    for id in intermediates {
        let free = slots
            .iter_mut()
            .filter(|(_, held)| held.iter().all(|&other| !overlap(&plan.values[id], &plan.values[other])))
            .min_by_key(|(buffer, _)| plan.buffers[*buffer].bytes);
        let buffer = match free {
            Some((buffer, held)) => {
                held.push(id);
                *buffer
            }
            None => {
                let buffer = plan.buffers.len();
                plan.buffers.push(Buffer { role: BufferRole::Slot, bytes: plan.values[id].shape.padded_bytes() });
                slots.push((buffer, vec![id]));
                buffer
            }
        };
        plan.values[id].buffer = buffer;
    }
}

/// Whether two values are alive in one step, its inputs and outputs included.
pub(super) fn overlap(a: &Value, b: &Value) -> bool {
    let span = |v: &Value| (v.written.unwrap_or(0), v.last_read.max(v.written.unwrap_or(0)));
    let ((a0, a1), (b0, b1)) = (span(a), span(b));
    a0 <= b1 && b0 <= a1
}

/// The largest sum of intermediates alive in one step.
pub(super) fn live_set(plan: &Plan) -> u64 {
    let intermediates = || plan.values.iter().filter(|v| plan.buffers[v.buffer].role == BufferRole::Slot);
    let alive = |step: usize| {
        let at = |v: &&Value| v.written.unwrap_or(0) <= step && step <= v.last_read.max(v.written.unwrap_or(0));
        intermediates().filter(at).map(|v| v.shape.padded_bytes()).sum()
    };
    (0..plan.steps.len()).map(alive).max().unwrap_or(0)
}
