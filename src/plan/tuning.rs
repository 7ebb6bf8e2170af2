//! Which rows of the kernel tables to take instead of the defaults, as measured on an adapter. Data only.

use super::{Caps, Rates, Step, Target};
use crate::error::{Error, Result};
use crate::kernels::{self, KernelKey, Rows};
use crate::tensor::{Dtype, Shape};
use std::collections::{BTreeMap, BTreeSet};

/// The most pipelines that tuning may leave a network with. Each takes time and memory to compile.
pub const MAX_PIPELINES: usize = 16;
/// The part of its time that a row must save to replace the default: less is noise.
pub const MARGIN: f64 = 0.03;
/// A row is not measured where the cost model puts it behind the default by this factor.
const LEFT_OUT: f64 = 2.0;

/// Which row of a table computes a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Tuning {
    /// The default for the adapter's class.
    #[default]
    Default,
    /// Those measured to be quickest, by network; the defaults where there is no measurement.
    Measured(Networks),
    /// The row with this place in every table, where the device can run it: what a tuner measures, one after the other.
    Row {
        /// The place.
        place: usize,
        /// The fewest lanes of the device's subgroups.
        subgroup_lanes: u32,
    },
}

/// Of each network ([`network`]) the rows that are not the default, by problem.
pub type Networks = BTreeMap<String, BTreeMap<String, String>>;

/// The name of a network at one input shape and storage, to which measurements belong.
pub fn network(name: &str, input: Shape, dtype: Dtype) -> String {
    format!("{name} {input} {dtype:?}").to_lowercase()
}

/// A step for whose computation a table has several rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The step.
    pub step: usize,
    /// What is computed: the family and its arguments.
    pub problem: String,
    /// The row that was taken.
    pub row: String,
    /// What the row's tiles compute of what is needed.
    pub waste: f64,
}

impl Choice {
    pub(super) fn new<A: Rows>(step: usize, args: &A, row: &A::Row) -> Self {
        Self { step, problem: problem(args), row: text(row), waste: args.waste(row) }
    }

    /// Whether the cost model leaves this row for a step beside the `default`, which took so many `seconds`: what its
    /// tiles compute at the adapter's rate may not take twice what the default's do, and a default at its floor is left
    /// alone.
    pub fn worth_measuring(&self, default: &Self, step: &Step, rates: &Rates, seconds: f64) -> bool {
        let at_best =
            |waste: f64| (step.bytes as f64 / rates.bytes_per_s).max(step.madds as f64 * waste / rates.madds_per_s);
        let gap = rates.gap_s;
        self.row != default.row
            && at_best(self.waste) + gap <= LEFT_OUT * (at_best(default.waste) + gap)
            && at_best(1.0) < (1.0 - MARGIN) * seconds
    }
}

/// `pointwise { n: 1, pixels: 49, ... }`.
fn problem<A: Rows>(args: &A) -> String {
    format!("{args:?}").replacen("Args", A::FAMILY, 1)
}

/// `rows: 4, cols: 2, ...`.
fn text(row: &impl std::fmt::Debug) -> String {
    format!("{row:?}").trim_start_matches("Variant { ").trim_end_matches(" }").to_string()
}

impl Tuning {
    /// The row for a problem of a network; none for the default.
    pub(super) fn row<A: Rows>(&self, network: &str, args: &A, target: &Target) -> Option<A::Row> {
        match self {
            Self::Default => None,
            Self::Measured(networks) => {
                let wanted = networks.get(network)?.get(&problem(args))?;
                A::ROWS.iter().find(|row| text(row) == *wanted).copied()
            }
            &Self::Row { place, subgroup_lanes } => {
                let row = A::ROWS.get(place)?;
                let launched = args.launch_with(row).ok()?;
                runs(&launched.as_ref().key, target, subgroup_lanes).then_some(*row)
            }
        }
    }
}

/// Whether a device can run a pipeline.
fn runs(key: &KernelKey, Target { caps, .. }: &Target, subgroup_lanes: u32) -> bool {
    let lanes: u32 = key.workgroup().iter().product();
    let wanted = kernels::family(key.shader).map_or(0, |family| family.subgroup_lanes);
    let fits = lanes <= caps.max_invocations && key.workgroup_bytes() <= caps.max_workgroup_bytes;
    fits && subgroup_lanes >= wanted
}

/// What was measured of a row for a problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Its pipeline.
    pub key: KernelKey,
    /// The row.
    pub row: String,
    /// Microseconds of all steps with the problem.
    pub us: f64,
    /// Whether what it computes was right.
    pub right: bool,
}

/// A problem of a network: what its default row takes, and others.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The default.
    pub default: Measured,
    /// The others.
    pub others: Vec<Measured>,
}

/// A pipeline that could be opened.
#[derive(Default)]
struct Move {
    saved_us: f64,
    /// Problems, and their rows that it computes.
    places: Vec<(usize, usize)>,
}

/// Which row to take for each problem (none: the default), so that the network, whose steps without a choice have the pipelines
/// `fixed`, needs at most `limit` pipelines. One pipeline after the other is opened, the one that saves most first. A row
/// that computed wrongly, or that saves less than [`MARGIN`], is not taken.
pub fn select(problems: &[Problem], fixed: &BTreeSet<KernelKey>, limit: usize) -> Vec<Option<usize>> {
    let mut taken: Vec<Option<usize>> = vec![None; problems.len()];
    let us = |p: usize, taken: Option<usize>| taken.map_or(problems[p].default.us, |o| problems[p].others[o].us);
    let mut closed: BTreeSet<&KernelKey> = BTreeSet::new();
    loop {
        // Of every pipeline, what it would save, and where.
        let mut moves: BTreeMap<&KernelKey, Move> = BTreeMap::new();
        for (p, problem) in problems.iter().enumerate() {
            let wins = |o: &Measured| o.right && o.us <= (1.0 - MARGIN) * problem.default.us && o.us < us(p, taken[p]);
            let mut best: BTreeMap<&KernelKey, usize> = BTreeMap::new();
            for (o, other) in problem.others.iter().enumerate().filter(|(_, o)| wins(o) && !closed.contains(&o.key)) {
                let quickest = best.entry(&other.key).or_insert(o);
                if other.us < problem.others[*quickest].us {
                    *quickest = o;
                }
            }
            for (key, o) in best {
                let entry = moves.entry(key).or_default();
                entry.saved_us += us(p, taken[p]) - problem.others[o].us;
                entry.places.push((p, o));
            }
        }
        let best = moves.into_iter().max_by(|a, b| a.1.saved_us.total_cmp(&b.1.saved_us));
        let Some((key, Move { places, .. })) = best else { return taken };
        let mut after = taken.clone();
        places.into_iter().for_each(|(p, o)| after[p] = Some(o));
        let used = after.iter().zip(problems).map(|(t, p)| t.map_or(&p.default.key, |o| &p.others[o].key));
        if used.chain(fixed).collect::<BTreeSet<_>>().len() <= limit {
            taken = after;
        } else {
            closed.insert(key);
        }
    }
}

const VERSION: u32 = 1;

/// Measurements as they are kept and shipped.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TuningFile {
    version: u32,
    /// Name, backend and driver.
    adapter: String,
    limits: Caps,
    /// [`kernels::fingerprint`].
    kernels: String,
    /// The measurements.
    pub networks: Networks,
}

impl TuningFile {
    /// Of an adapter, with its driver and limits, and of this kernel set.
    pub fn new(adapter: &str, limits: Caps) -> Self {
        let kernels = kernels::fingerprint();
        Self { version: VERSION, adapter: adapter.into(), limits, kernels, networks: Networks::new() }
    }

    /// Whether it is of this adapter, driver and kernel set.
    ///
    /// # Errors
    /// [`Error::BadInput`] saying what it is of, for a file `name`.
    pub fn check(&self, name: &str, adapter: &str, limits: Caps) -> Result<()> {
        let want = Self::new(adapter, limits);
        let problem = if self.version != want.version {
            format!("of format {}, this program writes {}", self.version, want.version)
        } else if self.adapter != want.adapter {
            format!("measured on {}, this is {adapter}", self.adapter)
        } else if self.limits != want.limits {
            "measured under other limits of the device".into()
        } else if self.kernels != want.kernels {
            "measured with another version's kernels".into()
        } else {
            return Ok(());
        };
        Err(Error::bad(name, format!("{problem}: measure again with `mbconv tune --export FILE`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(shader: &'static str, us: f64, right: bool) -> Measured {
        Measured { key: KernelKey::new(shader, &[]), row: shader.into(), us, right }
    }

    fn problem(default: Measured, others: &[Measured]) -> Problem {
        Problem { default, others: others.to_vec() }
    }

    #[test]
    fn the_quickest_right_row_wins_where_it_saves_enough() {
        let fixed = BTreeSet::new();
        let default = || measured("a", 100.0, true);
        let one = |others: &[Measured]| select(&[problem(default(), others)], &fixed, 16)[0];
        assert_eq!(one(&[measured("b", 60.0, true), measured("c", 50.0, true)]), Some(1));
        assert_eq!(one(&[measured("b", 60.0, true), measured("c", 50.0, false)]), Some(0), "c computes wrongly");
        assert_eq!(one(&[measured("b", 98.0, true)]), None, "noise");
        assert_eq!(one(&[measured("b", f64::NAN, true)]), None);
        assert_eq!(one(&[]), None);
        // Two rows with one pipeline.
        assert_eq!(one(&[measured("b", 60.0, true), measured("b", 50.0, true), measured("b", 70.0, true)]), Some(1));
    }

    #[test]
    fn pipelines_stay_within_the_limit_and_the_largest_saving_goes_first() {
        let fixed = BTreeSet::from([KernelKey::new("fixed", &[])]);
        let problems = [
            problem(measured("a", 100.0, true), &[measured("b", 90.0, true), measured("c", 80.0, true)]),
            problem(measured("a", 100.0, true), &[measured("b", 50.0, true), measured("c", 80.0, true)]),
            problem(measured("a", 100.0, true), &[measured("b", 120.0, true)]),
        ];
        assert_eq!(select(&problems, &fixed, 4), [Some(1), Some(0), None]);
        // b saves 60 in two places, c 40.
        assert_eq!(select(&problems, &fixed, 3), [Some(0), Some(0), None]);
        assert_eq!(select(&problems, &fixed, 2), [None, None, None]);
        // Without the third problem the default's pipeline is not needed any more, and its place is free.
        assert_eq!(select(&problems[..2], &fixed, 3), [Some(1), Some(0)]);
    }

    #[test]
    fn a_file_of_something_else_is_refused_with_the_reason() {
        let caps = Caps::web_default();
        let file = TuningFile::new("this one", caps);
        assert!(file.check("f", "this one", caps).is_ok());
        let refused = |file: &TuningFile, adapter: &str, caps| file.check("f", adapter, caps).unwrap_err().to_string();
        assert!(refused(&file, "that one", caps).contains("measured on this one, this is that one"));
        assert!(refused(&file, "this one", Caps { max_buffer: 1, ..caps }).contains("limits"));
        assert!(refused(&TuningFile { kernels: "0".into(), ..file.clone() }, "this one", caps).contains("kernels"));
        assert!(refused(&TuningFile { version: 0, ..file }, "this one", caps).contains("format"));
    }
}
