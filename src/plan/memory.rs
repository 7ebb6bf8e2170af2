//! Places values in buffers: input and outputs in their own, intermediates at offsets of a few arenas.
//!
//! wgpu tracks what a dispatch reads and writes per whole buffer, so what a step reads and what it writes lie in
//! different buffers. Or in one place: the result of a 1x1 convolution can take that of the tensor that is added to it,
//! where nobody reads that one afterwards, and an MBConv block needs two large buffers then, not three. Therefore a value
//! first gets an arena, or another's place ([`assign`]), which decides how much memory is needed, then a place in it
//! ([`pack`]).

use super::{BINDING_ALIGNMENT, Buffer, BufferRole, Plan, Step, Value, ValueId};
use crate::kernels::{Role, pointwise};

/// Gives every value a buffer and an offset. No arena is larger than `max_arena`, unless one value is.
pub(super) fn place(plan: &mut Plan, max_arena: u64) {
    let outputs: Vec<ValueId> = plan.outputs.iter().map(|o| o.1).collect();
    let mut intermediates = Vec::new();
    for (id, value) in plan.values.iter_mut().enumerate() {
        let role = match id {
            0 => BufferRole::Input,
            _ if outputs.contains(&id) => BufferRole::Output,
            _ => {
                intermediates.push(id);
                continue;
            }
        };
        value.buffer = plan.buffers.len();
        plan.buffers.push(Buffer { role, bytes: value.bytes() });
    }
    let Choice { homes, over, .. } = assign(plan, &intermediates, max_arena);
    for step in &mut plan.steps {
        if step.writes.iter().any(|w| over[w.1].is_some()) {
            pointwise::in_place(&mut step.launch);
        }
    }
    plan.values.iter_mut().zip(over).for_each(|(value, over)| value.over = over);
    let lives = Lives::new(&plan.values);
    intermediates.retain(|&id| lives.roots[id] == id);
    for arena in pack(&plan.values, &lives, intermediates, &homes, max_arena) {
        for place in &arena.places {
            plan.values[place.id].buffer = plan.buffers.len();
            plan.values[place.id].offset = place.offset;
        }
        plan.buffers.push(Buffer { role: BufferRole::Arena, bytes: arena.bytes() });
    }
    for (id, &root) in lives.roots.iter().enumerate() {
        (plan.values[id].buffer, plan.values[id].offset) = (plan.values[root].buffer, plan.values[root].offset);
    }
}

/// The tensor that joins a step's result and whose place that may take: an intermediate of the same size whose last reader
/// the step is, and which it reads in no other role.
fn replaceable(plan: &Plan, at: usize, step: &Step, intermediates: &[ValueId]) -> Option<ValueId> {
    let &[(Role::Output, result)] = &step.writes[..] else { return None };
    let other = step.reads.iter().find(|r| r.0 == Role::Residual)?.1;
    let (new, old) = (&plan.values[result], &plan.values[other]);
    let alone = step.reads.iter().filter(|r| r.1 == other).count() == 1;
    let fits = new.shape == old.shape && new.dtype == old.dtype && old.last_read == at;
    let intermediate = intermediates.binary_search(&other).is_ok();
    (alone && fits && intermediate && pointwise::sums_in_place(&step.launch.key)).then_some(other)
}

/// How many choices [`assign`] follows at a time. More find nothing better for any registered model.
const CHOICES: usize = 32;
/// No arena yet.
const NOWHERE: u8 = u8::MAX;

/// Arenas of the values up to some step.
#[derive(Clone)]
struct Choice {
    /// Each value's arena, or [`NOWHERE`].
    homes: Vec<u8>,
    /// The value whose place each takes.
    over: Vec<Option<ValueId>>,
    /// The most bytes that were alive together in each arena.
    peaks: Vec<u64>,
}

impl Choice {
    fn total(&self) -> u64 {
        self.peaks.iter().sum()
    }

    /// Whether it is at least as good as `other` whatever follows: same arenas of what is alive, none higher.
    fn dominates(&self, other: &Self, alive: &[ValueId]) -> bool {
        alive.iter().all(|&id| self.homes[id] == other.homes[id])
            && self.peaks.len() <= other.peaks.len()
            && self.peaks.iter().zip(&other.peaks).all(|(a, b)| a <= b)
    }
}

/// The arena of every intermediate, such that the peaks of all arenas together are small: goes through the steps, tries
/// every arena and every place that may be taken for what a step writes, and keeps the best choices that none
/// [dominates](Choice::dominates).
fn assign(plan: &Plan, intermediates: &[ValueId], max_arena: u64) -> Choice {
    let size = |id: ValueId| aligned_bytes(&plan.values[id]);
    let mut alive: Vec<ValueId> = Vec::new();
    let count = plan.values.len();
    let mut choices = vec![Choice { homes: vec![NOWHERE; count], over: vec![None; count], peaks: Vec::new() }];
    for (at, step) in plan.steps.iter().enumerate() {
        let replaceable = replaceable(plan, at, step, intermediates);
        for &(_, written) in step.writes.iter().filter(|w| intermediates.binary_search(&w.1).is_ok()) {
            let mut next = Vec::new();
            for choice in &choices {
                let read = |arena: u8, but: Option<ValueId>| {
                    step.reads.iter().any(|r| Some(r.1) != but && choice.homes[r.1] == arena)
                };
                // The last is a new one.
                let arenas = 0..=(choice.peaks.len() as u8).min(NOWHERE - 1);
                let places = arenas.filter(|&arena| !read(arena, None)).map(|arena| (arena, None));
                let taken = replaceable.map(|other| (choice.homes[other], Some(other)));
                for (arena, over) in places.chain(taken.filter(|&(arena, over)| !read(arena, over))) {
                    let beside = |&&id: &&ValueId| choice.homes[id] == arena && Some(id) != over;
                    let others: u64 = alive.iter().filter(beside).map(|&id| size(id)).sum();
                    let bytes = others + size(written);
                    if others > 0 && bytes > max_arena {
                        continue;
                    }
                    let mut new = choice.clone();
                    new.homes[written] = arena;
                    new.over[written] = over;
                    new.peaks.resize(choice.peaks.len().max(arena as usize + 1), 0);
                    new.peaks[arena as usize] = new.peaks[arena as usize].max(bytes);
                    next.push(new);
                }
            }
            alive.push(written);
            choices = next;
        }
        alive.retain(|&id| span(&plan.values[id]).1 > at);
        choices.sort_by_key(Choice::total);
        let mut kept: Vec<Choice> = Vec::new();
        for choice in choices {
            if kept.len() < CHOICES && !kept.iter().any(|k| k.dominates(&choice, &alive)) {
                kept.push(choice);
            }
        }
        choices = kept;
    }
    choices.swap_remove(0)
}

/// A value in an arena.
struct Place {
    id: ValueId,
    offset: u64,
    end: u64,
}

#[derive(Default)]
struct Arena {
    places: Vec<Place>,
}

impl Arena {
    fn bytes(&self) -> u64 {
        self.places.iter().map(|p| p.end).max().unwrap_or(0)
    }

    /// Where a value fits: the smallest gap between the values that are alive with it, else behind them.
    fn fit(&self, values: &[Value], lives: &Lives, id: ValueId) -> u64 {
        let others = self.places.iter().filter(|p| lives.overlap(p.id, id));
        let mut taken: Vec<_> = others.map(|p| (p.offset, p.end)).collect();
        taken.sort_unstable();
        let (mut gaps, mut end) = (Vec::new(), 0);
        for (offset, next) in taken {
            gaps.push((end, offset));
            end = end.max(next);
        }
        gaps.push((end, self.bytes()));
        let width = |gap: &(u64, u64)| gap.1.saturating_sub(gap.0);
        let smallest = gaps.into_iter().filter(|g| width(g) >= aligned_bytes(&values[id])).min_by_key(width);
        smallest.map_or(end, |gap| gap.0)
    }
}

/// Offsets in the chosen arenas, the largest values first. What would make an arena too large gets one of its own.
fn pack(values: &[Value], lives: &Lives, mut intermediates: Vec<ValueId>, homes: &[u8], max_arena: u64) -> Vec<Arena> {
    intermediates.sort_by_key(|&id| std::cmp::Reverse(values[id].bytes()));
    let count = intermediates.iter().map(|&id| homes[id] as usize + 1).max().unwrap_or(0);
    let mut arenas: Vec<Arena> = (0..count).map(|_| Arena::default()).collect();
    for id in intermediates {
        let bytes = aligned_bytes(&values[id]);
        let offset = arenas[homes[id] as usize].fit(values, lives, id);
        if offset == 0 || offset + bytes <= max_arena {
            arenas[homes[id] as usize].places.push(Place { id, offset, end: offset + bytes });
        } else {
            arenas.push(Arena { places: vec![Place { id, offset: 0, end: bytes }] });
        }
    }
    arenas
}

fn aligned_bytes(value: &Value) -> u64 {
    value.bytes().next_multiple_of(BINDING_ALIGNMENT)
}

/// The first and the last step of a value's life.
fn span(v: &Value) -> (usize, usize) {
    let written = v.written.unwrap_or(0);
    (written, v.last_read.max(written))
}

/// Which values share a place, one after the other, and how long it is in use.
struct Lives {
    /// The first value in each value's place.
    roots: Vec<ValueId>,
    /// The first and the last step of a root's place.
    spans: Vec<(usize, usize)>,
}

impl Lives {
    fn new(values: &[Value]) -> Self {
        let mut lives = Self { roots: Vec::new(), spans: values.iter().map(span).collect() };
        for (id, value) in values.iter().enumerate() {
            let root = value.over.map_or(id, |other| lives.roots[other]);
            lives.roots.push(root);
            lives.spans[root].1 = lives.spans[root].1.max(lives.spans[id].1);
        }
        lives
    }

    /// Whether two roots' places are in use in one step, its inputs and outputs included.
    fn overlap(&self, a: ValueId, b: ValueId) -> bool {
        let ((a0, a1), (b0, b1)) = (self.spans[a], self.spans[b]);
        a0 <= b1 && b0 <= a1
    }
}

/// The largest sum of intermediates alive in one step.
pub(super) fn live_set(plan: &Plan) -> u64 {
    let lives = Lives::new(&plan.values);
    let arena = |&id: &ValueId| plan.buffers[plan.values[id].buffer].role == BufferRole::Arena;
    let places: Vec<ValueId> = (0..plan.values.len()).filter(|&id| lives.roots[id] == id).filter(arena).collect();
    let alive = |step: usize| {
        let at = |&&id: &&ValueId| (lives.spans[id].0..=lives.spans[id].1).contains(&step);
        places.iter().filter(at).map(|&id| plan.values[id].bytes()).sum()
    };
    (0..plan.steps.len()).map(alive).max().unwrap_or(0)
}
