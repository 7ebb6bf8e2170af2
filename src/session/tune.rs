//! Measures the rows of the kernel tables on a device and takes, for every step of a model, the quickest that is right.
//!
//! A round puts the row with one place into every table at once: each step is timed by itself, so one plan measures a row
//! of every family. Default and candidate take turns, and what a candidate computes is compared with the default's on the
//! same operands, within the bound of [`super::verify`], before its time counts.

use super::verify::{compare, compare_step, expected};
use super::{Bundle, end_to_end_bound};
use crate::error::Result;
use crate::gpu::{Executor, Gpu, Timing, WeightBuffers};
use crate::graph::{Graph, NodeId};
use crate::kernels::{self, AdapterClass};
use crate::passes;
use crate::plan::tuning::{self, Measured, Problem};
use crate::plan::{Plan, Target, Tuning, ValueKind, WeightLayout};
use crate::tensor::{Shape, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The part of its time that a network must save to keep what won step by step.
const WHOLE_MARGIN: f64 = 0.01;

/// A step for which there was a choice.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct TunedStep {
    /// The module that computes.
    pub module: String,
    /// The default row's kernel.
    pub default_kernel: String,
    /// Its microseconds, the median.
    pub default_us: f64,
    /// The kernel of the row that was taken, which may be the same.
    pub kernel: String,
    /// Its microseconds.
    pub us: f64,
    /// How many other rows were measured.
    pub measured: usize,
}

/// What tuning found.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Tuned {
    /// The network at this input, under which its rows are kept.
    pub network: String,
    /// The rows that are not the default, by problem; empty where the network as a whole is no faster with them.
    pub rows: BTreeMap<String, String>,
    /// Every step with a choice.
    pub steps: Vec<TunedStep>,
    /// Kernels whose results were off, and by how much: they were not taken.
    pub wrong: Vec<String>,
    /// Milliseconds of the whole network on the device with the default rows.
    pub default_ms: f64,
    /// The same with those that won step by step: the former by the median ratio of inferences side by side.
    pub tuned_ms: f64,
    /// Distinct pipelines before and after.
    pub pipelines: [usize; 2],
}

/// Tunes a model on a GPU for the shape of one input, planned for `target` but for its tuning. `progress` is called before
/// each of a number of rounds.
///
/// # Errors
/// Those of planning and running. A row that computes wrongly is not an error but part of what is found.
pub async fn tune(
    gpu: &Arc<Gpu>,
    target: &Target,
    bundle: &Bundle,
    input: &Tensor,
    repeats: usize,
    mut progress: impl FnMut(usize, usize),
) -> Result<Tuned> {
    let (graph, _) = passes::run(&bundle.graph, &[]);
    let layout = WeightLayout::new(&graph, target)?;
    let weights = WeightBuffers::new(gpu, &graph, &layout, &bundle.weights).await?;
    let Shape { n, h, w, .. } = input.shape;
    let plan = |tuning: Tuning| {
        let target = Target { tuning, ..target.clone() };
        Plan::new(&graph, &layout, &target, [n, h, w], &[])
    };
    let network = tuning::network(&graph.name, input.shape, target.dtype);
    let measured = |rows: &BTreeMap<String, String>| Tuning::Measured([(network.clone(), rows.clone())].into());
    // No measurements: the default rows, with the problems that they solve.
    let mut default = Executor::new(gpu, &weights, plan(measured(&BTreeMap::new()))?).await?;
    let mut bench = Bench::new(gpu, &graph, target, &default, input).await?;
    let subgroup_lanes = gpu.facts().subgroup_lanes;
    let places = kernels::most_rows();
    for place in 0..places {
        progress(place, places);
        let rows = bench.worth_measuring(&plan(Tuning::Row { place, subgroup_lanes })?);
        if !rows.is_empty() {
            let candidate = Executor::new(gpu, &weights, plan(measured(&rows))?).await?;
            bench.measure(&candidate, repeats).await?;
        }
    }
    let (rows, steps) = bench.select();
    let wrong = bench.wrong;

    let mut tuned = Executor::new(gpu, &weights, plan(measured(&rows))?).await?;
    let pipelines = [&default, &tuned].map(|executor| executor.plan().keys().len());
    let whole = Whole::compare(&mut default, &mut tuned, target, input, repeats).await?;
    let rows = if whole.pays() { rows } else { BTreeMap::new() };
    Ok(Tuned { network, rows, steps, wrong, default_ms: whole.ms[0], tuned_ms: whole.ms[1], pipelines })
}

/// What is known of a step with a choice.
#[derive(Default)]
struct Alternatives {
    /// Its problem, also as it is behind other rows' tiles.
    problems: BTreeSet<String>,
    default_us: f64,
    others: Vec<Measured>,
}

struct Bench<'a> {
    gpu: &'a Gpu,
    graph: &'a Graph,
    target: &'a Target,
    default: &'a Executor,
    input: &'a Tensor,
    steps: BTreeMap<usize, Alternatives>,
    wrong: Vec<String>,
}

impl<'a> Bench<'a> {
    async fn new(
        gpu: &'a Gpu,
        graph: &'a Graph,
        target: &'a Target,
        default: &'a Executor,
        input: &'a Tensor,
    ) -> Result<Self> {
        let mut bench = Self { gpu, graph, target, default, input, steps: BTreeMap::new(), wrong: Vec::new() };
        let [times] = bench.samples([default], 3).await?.map(|samples| medians(&samples));
        for choice in &default.plan().choices {
            let alternatives = bench.steps.entry(choice.step).or_default();
            alternatives.problems.insert(choice.problem.clone());
            alternatives.default_us = times[choice.step];
        }
        Ok(bench)
    }

    /// The rows of a plan that the cost model and the kind of adapter leave, by problem: as the default plan poses it, and as
    /// this one does.
    fn worth_measuring(&mut self, plan: &Plan) -> BTreeMap<String, String> {
        let mut rows = BTreeMap::new();
        let default = self.default.plan();
        for (choice, usual) in plan.choices.iter().zip(&default.choices) {
            let (step, of_default) = (&plan.steps[choice.step], &default.steps[usual.step]);
            let Some(known) = self.steps.get_mut(&usual.step) else { continue };
            known.problems.insert(choice.problem.clone());
            let (key, usual_key) = (&step.launch.key, &of_default.launch.key);
            let suits = match self.gpu.facts().class() {
                // Loops are rolled for the compilers of software adapters.
                AdapterClass::Gpu => key.constant("ROLL", 0) <= usual_key.constant("ROLL", 0),
                // Where barriers are slow, and kernels with them take long to compile.
                _ => key.workgroup_bytes() <= usual_key.workgroup_bytes().max(16),
            };
            if suits && choice.worth_measuring(usual, step, &self.target.rates, known.default_us / 1e6) {
                rows.insert(choice.problem.clone(), choice.row.clone());
                rows.insert(usual.problem.clone(), choice.row.clone());
            }
        }
        rows
    }

    /// Compares the steps whose row is not the default, and times them.
    async fn measure(&mut self, candidate: &Executor, repeats: usize) -> Result<()> {
        let (plan, default) = (candidate.plan(), self.default.plan());
        let other = |(choice, usual): (&'_ tuning::Choice, &'_ tuning::Choice)| {
            (choice.row != usual.row).then(|| (choice.step, choice.row.clone()))
        };
        let changed: BTreeMap<usize, String> = plan.choices.iter().zip(&default.choices).filter_map(other).collect();
        let wrong = self.wrong(candidate, &changed).await?;
        let [of_default, of_candidate] = self.samples([self.default, candidate], repeats).await?;
        // Against the default a moment before or after: the machine may have been slower then.
        let ratios: Vec<Vec<f64>> =
            of_default.iter().zip(&of_candidate).map(|(d, c)| c.iter().zip(d).map(|(c, d)| c / d).collect()).collect();
        let ratios = medians(&ratios);
        for (step, row) in changed {
            if let Some(known) = self.steps.get_mut(&step) {
                let us = known.default_us * ratios[step];
                let key = plan.steps[step].launch.key.clone();
                known.others.push(Measured { key, row, us, right: !wrong.contains(&step) });
            }
        }
        Ok(())
    }

    /// Which of these steps of a candidate compute something else than the default's, on the same operands.
    async fn wrong(&mut self, candidate: &Executor, changed: &BTreeMap<usize, String>) -> Result<BTreeSet<usize>> {
        let (plan, default) = (candidate.plan(), self.default.plan());
        let mut values: BTreeMap<NodeId, Tensor> = [(0, self.input.clone())].into();
        let mut wrong = BTreeSet::new();
        for (i, step) in default.steps.iter().enumerate() {
            let operands = |plan: &Plan| -> Vec<Tensor> {
                plan.steps[i].reads.iter().map(|read| expected(&values, plan, read.1)).collect()
            };
            let (reads, others) = (operands(default), operands(plan));
            let written = self.default.run_step(i, &reads.iter().collect::<Vec<_>>()).await?;
            for (write, value) in step.writes.iter().zip(written) {
                if let ValueKind::Node(node) = default.values[write.1].kind {
                    values.insert(node, value);
                }
            }
            if changed.contains_key(&i) {
                let written = candidate.run_step(i, &others.iter().collect::<Vec<_>>()).await?;
                let checks = compare_step(self.graph, plan, i, &values, &others, &written, self.target.dtype);
                for check in checks.iter().filter(|check| !check.passes()) {
                    wrong.insert(i);
                    let (label, key) = (&check.label, &check.key);
                    self.wrong.push(format!("{label}, {key}: off by {:.1e}, bound {:.1e}", check.rel_l2, check.bound));
                }
            }
            let later = |node: NodeId| {
                let of_node = |kind: ValueKind| match kind {
                    ValueKind::Node(id) | ValueKind::Mean(id) | ValueKind::Squeeze { node: id, .. } => id == node,
                };
                default.values.iter().any(|value| of_node(value.kind) && value.last_read > i)
            };
            values.retain(|&node, _| later(node));
        }
        Ok(wrong)
    }

    /// Microseconds of every step of some executors, `repeats` times after one that does not count. They take turns, each as
    /// often first as last.
    async fn samples<const N: usize>(&self, executors: [&Executor; N], repeats: usize) -> Result<[Vec<Vec<f64>>; N]> {
        let mut samples: [Vec<Vec<f64>>; N] = std::array::from_fn(|_| Vec::new());
        for executor in executors {
            executor.write_input(self.input)?;
        }
        for repeat in 0..=repeats {
            for turn in 0..N {
                let at = (turn + repeat) % N;
                let times = executors[at].profile().await?;
                if repeat > 0 {
                    samples[at].push(times.iter().map(|t| t.time.as_secs_f64() * 1e6).collect());
                }
            }
        }
        Ok(samples)
    }

    /// The rows to take, by problem, and what was found of every step. Steps with one problem get one row.
    fn select(&self) -> (BTreeMap<String, String>, Vec<TunedStep>) {
        let plan = self.default.plan();
        let choices: BTreeMap<usize, &tuning::Choice> = plan.choices.iter().map(|c| (c.step, c)).collect();
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (&step, choice) in &choices {
            groups.entry(&choice.problem).or_default().push(step);
        }
        let groups: Vec<Vec<usize>> = groups.into_values().collect();
        let problems: Vec<Problem> = groups.iter().map(|steps| self.problem(steps, &choices[&steps[0]].row)).collect();
        let of_choice = |step: &usize| choices.contains_key(step);
        let fixed = (0..plan.steps.len()).filter(|i| !of_choice(i)).map(|i| plan.steps[i].launch.key.clone()).collect();
        let taken = tuning::select(&problems, &fixed, tuning::MAX_PIPELINES);

        let (mut rows, mut found) = (BTreeMap::new(), BTreeMap::new());
        for ((steps, problem), taken) in groups.iter().zip(&problems).zip(taken) {
            let won = taken.map_or(&problem.default, |other| &problem.others[other]);
            for step in steps {
                let known = &self.steps[step];
                if taken.is_some() {
                    rows.extend(known.problems.iter().map(|problem| (problem.clone(), won.row.clone())));
                }
                let row = known.others.iter().find(|o| taken.is_some() && o.row == won.row);
                found.insert(
                    *step,
                    TunedStep {
                        module: plan.labels[*step].clone(),
                        default_kernel: problem.default.key.to_string(),
                        default_us: known.default_us,
                        kernel: won.key.to_string(),
                        us: row.map_or(known.default_us, |row| row.us),
                        measured: known.others.len(),
                    },
                );
            }
        }
        (rows, found.into_values().collect())
    }

    /// What was measured of all steps with one problem.
    fn problem(&self, steps: &[usize], default_row: &str) -> Problem {
        let first = &self.steps[&steps[0]];
        let all = |row: &str| steps.iter().map(|s| self.steps[s].others.iter().find(|o| o.row == row)).collect();
        let sum = |other: &Measured| {
            let all: Option<Vec<&Measured>> = all(&other.row);
            let all = all?;
            let (us, right) = (all.iter().map(|o| o.us).sum(), all.iter().all(|o| o.right));
            Some(Measured { us, right, ..other.clone() })
        };
        let default = Measured {
            key: self.default.plan().steps[steps[0]].launch.key.clone(),
            row: default_row.into(),
            us: steps.iter().map(|s| self.steps[s].default_us).sum(),
            right: true,
        };
        Problem { default, others: first.others.iter().filter_map(sum).collect() }
    }
}

/// The whole network both ways.
struct Whole {
    /// Median milliseconds of the default, and what the median ratio makes of them for the tuned one: on the GPU where that is
    /// measured.
    ms: [f64; 2],
    right: bool,
}

impl Whole {
    async fn compare(
        default: &mut Executor,
        tuned: &mut Executor,
        target: &Target,
        input: &Tensor,
        repeats: usize,
    ) -> Result<Self> {
        let (mut ms, mut ratios, mut right) = (Vec::new(), Vec::new(), true);
        let bound = end_to_end_bound(target.dtype, default.plan().steps.len());
        let millis = |timing: Timing| timing.gpu.unwrap_or(timing.total).as_secs_f64() * 1e3;
        for repeat in 0..=repeats {
            let ((want, of_default), (got, of_tuned));
            if repeat % 2 == 0 {
                (want, of_default) = default.run(Some(input)).await?;
                (got, of_tuned) = tuned.run(Some(input)).await?;
            } else {
                (got, of_tuned) = tuned.run(Some(input)).await?;
                (want, of_default) = default.run(Some(input)).await?;
            }
            for ((got, want), (name, _)) in got.iter().zip(&want).zip(&default.plan().outputs) {
                right &= compare(0, name, "tuned", got, want, bound).passes();
            }
            if repeat > 0 {
                ms.push(millis(of_default));
                ratios.push(millis(of_tuned) / millis(of_default));
            }
        }
        let default_ms = median(ms);
        Ok(Self { ms: [default_ms, default_ms * median(ratios)], right })
    }

    /// Whether the tuned one is right, and faster by more than noise.
    fn pays(&self) -> bool {
        self.right && self.ms[1] < (1.0 - WHOLE_MARGIN) * self.ms[0]
    }
}

/// Of samples of every step, the median of each.
fn medians(samples: &[Vec<f64>]) -> Vec<f64> {
    let steps = samples.first().map_or(0, Vec::len);
    (0..steps).map(|step| median(samples.iter().map(|s| s[step]).collect())).collect()
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Select;
    use crate::weights::{Synthetic, make_input};
    use crate::zoo;
    use pollster::block_on;

    #[test]
    fn a_row_that_computes_wrongly_does_not_win() {
        if std::env::var_os("MBCONV_SKIP_GPU").is_some() {
            return eprintln!("SKIPPED: MBCONV_SKIP_GPU is set");
        }
        let gpu = block_on(Gpu::open(&Select::Auto)).unwrap();
        let model = zoo::find("mobilenetv3_small_050").unwrap();
        let bundle = Bundle::synthetic(model.clone(), &model.options(), &Synthetic::default()).unwrap();
        let input = Tensor::from_nchw(Shape::new(1, 32, 32, 3), &make_input("tune", [1, 3, 32, 32])).unwrap();
        let (graph, _) = passes::run(&bundle.graph, &[]);
        let target = gpu.target();
        let layout = WeightLayout::new(&graph, &target).unwrap();
        let weights = block_on(WeightBuffers::new(&gpu, &graph, &layout, &bundle.weights)).unwrap();
        let network = tuning::network(&graph.name, input.shape, target.dtype);
        let plan = |tuning| Plan::new(&graph, &layout, &Target { tuning, ..target.clone() }, [1, 32, 32], &[]).unwrap();
        let measured = |rows| Tuning::Measured([(network.clone(), rows)].into());
        let default = block_on(Executor::new(&gpu, &weights, plan(measured(BTreeMap::new())))).unwrap();
        let found = |sabotage: bool| {
            let mut bench = block_on(Bench::new(&gpu, &graph, &target, &default, &input)).unwrap();
            // The row with place 0 that the pruning leaves, or place 3 where that is the default.
            let rows = [0, 3].map(|place| plan(Tuning::Row { place, subgroup_lanes: 0 }));
            let rows = rows.iter().map(|plan| bench.worth_measuring(plan)).find(|rows| !rows.is_empty()).unwrap();
            let mut candidate = plan(measured(rows));
            let choices = candidate.choices.iter().zip(&default.plan().choices);
            // A step that has enough to do: with one workgroup most of it is left undone.
            let grid = |step: usize| candidate.steps[step].launch.grid.iter().product::<u32>();
            let step = choices.filter(|(c, d)| c.row != d.row && grid(c.step) > 1).map(|(c, _)| c.step).next().unwrap();
            if sabotage {
                candidate.steps[step].launch.grid = [1; 3];
            }
            let candidate = block_on(Executor::new(&gpu, &weights, candidate)).unwrap();
            block_on(bench.measure(&candidate, 1)).unwrap();
            // As quick as can be.
            bench.steps.values_mut().flat_map(|known| &mut known.others).for_each(|other| other.us = 1e-9);
            let won = bench.select().1.into_iter().find(|s| s.module == default.plan().labels[step]).unwrap();
            (bench.wrong, won.us)
        };
        let (wrong, us) = found(false);
        assert!(wrong.is_empty() && us == 1e-9, "{wrong:?}, {us}");
        let (wrong, us) = found(true);
        assert!(wrong.len() == 1 && us > 1e-9, "{wrong:?}, {us}");
    }
}
