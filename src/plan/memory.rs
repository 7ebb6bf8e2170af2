//! Places values in buffers: input and outputs in their own, intermediates in as few bytes of slots as possible.
//!
//! A slot holds one value at a time, because wgpu tracks a dispatch's reads and writes per whole buffer:
//! no step may read and write one buffer.

use super::{Buffer, BufferRole, Plan, Value, ValueId};

/// Gives every value a buffer.
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
    for slot in share(&plan.values, intermediates) {
        let bytes = slot.iter().map(|&id| plan.values[id].shape.padded_bytes()).max().unwrap_or(0);
        for id in slot {
            plan.values[id].buffer = plan.buffers.len();
        }
        plan.buffers.push(Buffer { role: BufferRole::Slot, bytes });
    }
}

/// Values that share a slot, over time.
type Slot = Vec<ValueId>;
/// How little a value wants a slot, given also the slot's number.
type Rule<'a> = &'a dyn Fn(ValueId, &Slot, usize) -> usize;

/// Divides values among slots. No rule is best for every network, so a few are tried: the largest values first, each to
/// the free slot that was made first (the largest), made last (the smallest), or is idle for the shortest time around it
/// (Pisarchyk and Lee 2020, arXiv:2001.03288, section 4), and with equal sizes from the front or from the back.
fn share(values: &[Value], mut intermediates: Vec<ValueId>) -> Vec<Slot> {
    let bytes = |id: ValueId| values[id].shape.padded_bytes();
    let first = |_: ValueId, _: &Slot, index: usize| index;
    let last = |_: ValueId, _: &Slot, index: usize| usize::MAX - index;
    let idle = |id: ValueId, slot: &Slot, _: usize| {
        slot.iter().map(|&other| distance(&values[id], &values[other])).min().unwrap_or(usize::MAX)
    };
    let rules: [Rule; 3] = [&last, &first, &idle];
    let mut best: Option<(u64, Vec<Slot>)> = None;
    for back in [false, true] {
        intermediates.sort_by_key(|&id| (std::cmp::Reverse(bytes(id)), if back { usize::MAX - id } else { id }));
        for rule in rules {
            let mut slots: Vec<Slot> = Vec::new();
            for &id in &intermediates {
                let free = |slot: &Slot| slot.iter().all(|&other| !overlap(&values[id], &values[other]));
                let choice = (0..slots.len()).filter(|&s| free(&slots[s])).min_by_key(|&s| rule(id, &slots[s], s));
                match choice {
                    Some(slot) => slots[slot].push(id),
                    None => slots.push(vec![id]),
                }
            }
            // The first value of a slot is its largest.
            let total = slots.iter().map(|slot| bytes(slot[0])).sum();
            if best.as_ref().is_none_or(|b| total < b.0) {
                best = Some((total, slots));
            }
        }
    }
    best.map_or_else(Vec::new, |b| b.1)
}

/// Steps between two lifetimes that do not overlap.
fn distance(a: &Value, b: &Value) -> usize {
    let (a, b) = (span(a), span(b));
    if a.1 < b.0 { b.0 - a.1 } else { a.0.saturating_sub(b.1) }
}

/// The first and the last step of a value's life.
fn span(v: &Value) -> (usize, usize) {
    let written = v.written.unwrap_or(0);
    (written, v.last_read.max(written))
}

/// Whether two values are alive in one step, its inputs and outputs included.
pub(super) fn overlap(a: &Value, b: &Value) -> bool {
    let ((a0, a1), (b0, b1)) = (span(a), span(b));
    a0 <= b1 && b0 <= a1
}

/// The largest sum of intermediates alive in one step.
pub(super) fn live_set(plan: &Plan) -> u64 {
    let intermediates = || plan.values.iter().filter(|v| plan.buffers[v.buffer].role == BufferRole::Slot);
    let alive = |step: usize| {
        let at = |v: &&Value| (span(v).0..=span(v).1).contains(&step);
        intermediates().filter(at).map(|v| v.shape.padded_bytes()).sum()
    };
    (0..plan.steps.len()).map(alive).max().unwrap_or(0)
}
