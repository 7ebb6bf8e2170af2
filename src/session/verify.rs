//! CPU and GPU in lockstep: every step gets the reference's own inputs, and its result is compared with the
//! reference's; then the whole network.

use super::{Bundle, Session};
use crate::cpu;
use crate::error::Result;
use crate::gpu::{Executor, Gpu, WeightBuffers};
use crate::graph::{Graph, NodeId, Op};
use crate::kernels::Role;
use crate::passes;
use crate::plan::{Plan, Step, Target, ValueKind, WeightLayout};
use crate::tensor::{Dtype, Shape, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Relative L2 error that a whole network of so many dispatches may have.
///
/// In f16 each of them rounds what it stores by up to u = 2^-11 of its size, in effect at random, so the error grows
/// as u * sqrt(dispatches); later ones amplify what earlier ones lost, on these networks by less than 8 times.
pub fn end_to_end_bound(dtype: Dtype, dispatches: usize) -> f64 {
    match dtype {
        Dtype::F32 => 5e-5,
        Dtype::F16 => 8.0 * 2.0_f64.powi(-11) * (dispatches as f64).sqrt(),
    }
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Check {
    /// Number of the step.
    pub step: usize,
    /// The module that computes.
    pub label: String,
    /// The kernel.
    pub key: String,
    /// Shape of the result (NHWC; tiles of a squeeze as positions).
    pub shape: String,
    /// Largest absolute difference.
    pub max_abs: f64,
    /// `|gpu - cpu| / |cpu|`, L2 norms.
    pub rel_l2: f64,
    /// What `rel_l2` may be, see [`bound`].
    pub bound: f64,
}

impl Check {
    /// Whether the error is within its bound. Not a number is not.
    pub fn passes(&self) -> bool {
        self.rel_l2 <= self.bound
    }
}

/// Outcome of a verification.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Report {
    /// Every value that every step writes.
    pub steps: Vec<Check>,
    /// CPU reference: the graph after the passes against the graph as built, on the logits.
    pub passes: Check,
    /// The GPU's whole inference against the CPU reference, for every output.
    pub end_to_end: Vec<Check>,
}

impl Report {
    /// The first comparison over its bound, in the order of execution.
    pub fn first_failure(&self) -> Option<&Check> {
        self.checks().find(|c| !c.passes())
    }

    /// Every comparison in the order of execution.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.steps.iter().chain([&self.passes]).chain(&self.end_to_end)
    }
}

/// Relative L2 error that rounding can explain in a sum of `terms` f32 products.
///
/// Each addition rounds by at most u = 2^-24 of the partial sum, in effect at random, so the error of the sum grows
/// as u * sqrt(terms); partial sums exceed the result where terms cancel, on these networks by less than 8 times
/// (L2 over a tensor); activations (exp, division) add some 32 u.
///
/// In f16 the stored operands and the result are off by up to 2^-11 of their size each, whatever the number of terms.
pub fn bound(terms: usize, dtype: Dtype) -> f64 {
    let u = 2.0_f64.powi(-24);
    let stored = match dtype {
        Dtype::F32 => 0.0,
        Dtype::F16 => 3.0 * 2.0_f64.powi(-11),
    };
    stored + u * (32.0 + 8.0 * (terms as f64).sqrt())
}

/// Verifies a model on a GPU, as planned for `target`, with one input. `progress` is called before each step with its
/// number and their count.
///
/// # Errors
/// Those of planning and running; a difference is not an error but part of the report.
pub async fn verify(
    gpu: &Arc<Gpu>,
    target: &Target,
    bundle: &Bundle,
    input: &Tensor,
    mut progress: impl FnMut(usize, usize),
) -> Result<Report> {
    let (graph, _) = passes::run(&bundle.graph, &[]);
    let layout = WeightLayout::new(&graph, target)?;
    let Shape { n, h, w, .. } = input.shape;
    let plan = Plan::new(&graph, &layout, target, [n, h, w], &[])?;
    let weights = WeightBuffers::new(gpu, &graph, &layout, &bundle.weights).await?;
    let executor = Executor::new(gpu, &weights, plan).await?;

    let mut lockstep = Lockstep {
        graph: &graph,
        executor: &executor,
        dtype: target.dtype,
        values: BTreeMap::new(),
        checks: Vec::new(),
    };
    let mut fused = BTreeMap::new();
    for id in 0..graph.nodes.len() {
        let operands: Vec<&Tensor> = graph.nodes[id].inputs.iter().map(|i| &lockstep.values[i]).collect();
        let value = if id == 0 { input.clone() } else { cpu::eval_node(&graph, &bundle.weights, id, &operands)? };
        lockstep.values.insert(id, value);
        lockstep.steps_of(id, &mut progress).await?;
        for (name, _) in graph.outputs.iter().filter(|o| o.1 == id) {
            fused.insert(name.clone(), lockstep.values[&id].clone());
        }
        lockstep.drop_unused(id);
    }
    let steps = lockstep.checks;
    let bound_of_all = end_to_end_bound(target.dtype, executor.plan().steps.len());
    let terms = graph.nodes.iter().map(|node| terms(&graph, node, &[])).max().unwrap_or(0);
    drop(executor);

    let reference = cpu::run(&bundle.graph, &bundle.weights, input)?;
    let session = Session::with_target(Arc::clone(gpu), bundle.clone(), target.clone()).await?;
    let output = session.run(input).await?;
    let whole = |name: &String, key: &str, got: &Tensor, bound| compare(0, name, key, got, &reference[name], bound);
    let passes =
        fused.iter().next_back().map(|(name, value)| whole(name, "passes", value, 2.0 * bound(terms, Dtype::F32)));
    let end_to_end = reference.keys().map(|name| Ok(whole(name, "end to end", output.get(name)?, bound_of_all)));
    Ok(Report {
        passes: passes.unwrap_or_else(|| compare(0, "none", "passes", input, input, 0.0)),
        end_to_end: end_to_end.collect::<Result<_>>()?,
        steps,
    })
}

struct Lockstep<'a> {
    graph: &'a Graph,
    executor: &'a Executor,
    dtype: Dtype,
    values: BTreeMap<NodeId, Tensor>,
    checks: Vec<Check>,
}

impl Lockstep<'_> {
    /// Runs the steps that complete a node, on the reference's operands.
    async fn steps_of(&mut self, id: NodeId, progress: &mut impl FnMut(usize, usize)) -> Result<()> {
        let plan = self.executor.plan();
        for (i, step) in plan.steps.iter().enumerate().filter(|(_, s)| s.node == id) {
            progress(i, plan.steps.len());
            let reads: Vec<Tensor> = step.reads.iter().map(|r| expected(&self.values, plan, r.1)).collect();
            let written = self.executor.run_step(i, &reads.iter().collect::<Vec<_>>()).await?;
            self.checks.extend(compare_step(self.graph, plan, i, &self.values, &reads, &written, self.dtype));
        }
        Ok(())
    }

    fn drop_unused(&mut self, done: NodeId) {
        let (users, plan) = (self.graph.users(), self.executor.plan());
        // A fused step reads what the node reads that it computes on the way.
        let read_later = |id: NodeId| {
            let reads = |s: &Step| s.reads.iter().any(|r| plan.values[r.1].kind == ValueKind::Node(id));
            plan.steps.iter().any(|s| s.node > done && reads(s))
        };
        self.values.retain(|&id, _| users[id].iter().any(|&u| u > done) || read_later(id));
    }
}

/// A value of the plan from those of the nodes.
pub(super) fn expected(values: &BTreeMap<NodeId, Tensor>, plan: &Plan, value: usize) -> Tensor {
    let value = &plan.values[value];
    match value.kind {
        ValueKind::Node(node) => values[&node].clone(),
        ValueKind::Squeeze { node, tile } => tile_sums(&values[&node], tile, value.shape, 1.0),
        ValueKind::Mean(node) => {
            let x = &values[&node];
            tile_sums(x, [x.shape.h, x.shape.w], value.shape, 1.0 / x.shape.pixels() as f64)
        }
    }
}

/// Every value that a step wrote, against the nodes' values.
pub(super) fn compare_step(
    graph: &Graph,
    plan: &Plan,
    i: usize,
    values: &BTreeMap<NodeId, Tensor>,
    reads: &[Tensor],
    written: &[Tensor],
    dtype: Dtype,
) -> Vec<Check> {
    let step = &plan.steps[i];
    // One sum behind another rounds as one of all their terms.
    let absorbed: usize = step.absorbed.iter().map(|&node| terms(graph, &graph.nodes[node], &[])).sum();
    let check = |(&(_, value), got): (&(Role, usize), &Tensor)| {
        let terms = absorbed
            + match plan.values[value].kind {
                ValueKind::Squeeze { tile, .. } => tile[0] * tile[1] + terms(graph, &graph.nodes[step.node], &[]),
                _ => terms(graph, &graph.nodes[step.node], reads),
            };
        let want = expected(values, plan, value);
        compare(i, &plan.labels[i], &step.launch.key.to_string(), got, &want, bound(terms, dtype))
    };
    step.writes.iter().zip(written).map(check).collect()
}

/// How many products (or terms) a node sums for one value.
fn terms(graph: &Graph, node: &crate::graph::Node, reads: &[Tensor]) -> usize {
    let pixels = reads.first().map_or(1, |x| x.shape.pixels());
    match node.op {
        Op::Conv2d(c) => {
            let per_output: usize = graph.params[c.weight].shape[1..].iter().product();
            per_output + if c.pool { pixels } else { 2 }
        }
        Op::SqueezeExcite(se) => pixels + graph.params[se.expand_bias].len() + se.hidden,
        Op::GlobalAvgPool => pixels,
        Op::L2Norm { scale } => graph.params[scale].len(),
        Op::Pool(pool) => pool.kernel * pool.kernel,
        Op::Input | Op::BatchNorm(_) | Op::Activation(_) | Op::Scale { .. } | Op::Add { .. } => 2,
        Op::Concat | Op::Slice { .. } | Op::Shuffle { .. } => 1,
    }
}

/// Sums over tiles of positions, times `factor`: `[N, tiles_y, tiles_x, C]`.
fn tile_sums(x: &Tensor, tile: [usize; 2], shape: Shape, factor: f64) -> Tensor {
    let mut sums = vec![0.0_f64; shape.len()];
    for (position, pixel) in x.data.chunks_exact(x.shape.c).enumerate() {
        let (n, y, column) = (position / x.shape.pixels(), position / x.shape.w % x.shape.h, position % x.shape.w);
        let at = ((n * shape.h + y / tile[0]) * shape.w + column / tile[1]) * shape.c;
        for (sum, &v) in sums[at..].iter_mut().zip(pixel) {
            *sum += f64::from(v);
        }
    }
    Tensor { shape, data: sums.iter().map(|&s| (s * factor) as f32).collect() }
}

pub(super) fn compare(step: usize, label: &str, key: &str, got: &Tensor, want: &Tensor, bound: f64) -> Check {
    let (mut max_abs, mut difference, mut norm) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (&g, &w) in got.data.iter().zip(&want.data) {
        let d = f64::from(g) - f64::from(w);
        // NaN must not be lost in a maximum.
        max_abs = if d.abs() > max_abs || d.is_nan() { d.abs() } else { max_abs };
        difference += d * d;
        norm += f64::from(w) * f64::from(w);
    }
    let same_shape = got.shape == want.shape;
    let rel_l2 = if !same_shape {
        f64::NAN
    } else if difference == 0.0 {
        0.0
    } else {
        (difference / norm).sqrt()
    };
    Check { step, label: label.into(), key: key.into(), shape: want.shape.to_string(), max_abs, rel_l2, bound }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(got: &[f32], want: &[f32]) -> Check {
        let tensor = |data: &[f32]| Tensor::new(Shape::new(1, 1, 1, data.len()), data.to_vec()).unwrap();
        compare(0, "x", "kernel", &tensor(got), &tensor(want), bound(9, Dtype::F32))
    }

    #[test]
    fn only_rounding_passes() {
        assert!(check(&[1.0, 2.0], &[1.0, 2.0]).passes());
        assert!(check(&[1.0, 2.000_000_2], &[1.0, 2.0]).passes());
        assert!(!check(&[1.0, 2.001], &[1.0, 2.0]).passes());
        assert!(!check(&[1.0, 1e-3], &[1.0, 0.0]).passes());
    }

    #[test]
    fn what_a_kernel_left_unwritten_fails() {
        for at in 0..3 {
            let mut got = [1.0, 2.0, 3.0];
            got[at] = f32::NAN;
            let check = check(&got, &[1.0, 2.0, 3.0]);
            assert!(!check.passes() && check.max_abs.is_nan(), "{check:?}");
        }
        assert!(!check(&[1.0], &[1.0, 2.0]).passes(), "another shape");
    }

    #[test]
    fn tile_sums_take_every_position_once() {
        let x = Tensor::new(Shape::new(1, 3, 3, 1), (1..=9).map(|v| v as f32).collect()).unwrap();
        let sums = tile_sums(&x, [2, 2], Shape::new(1, 2, 2, 1), 1.0);
        assert_eq!(sums.data, [1.0 + 2.0 + 4.0 + 5.0, 3.0 + 6.0, 7.0 + 8.0, 9.0]);
    }
}
