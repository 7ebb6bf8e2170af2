//! Graph rewrites, in order, by name. Each reports what it applied and what it skipped and why.
//!
//! Every pass absorbs one node into the node that reads it; the result keeps the reader's name, so a
//! value that survives computes the same thing under the same name before and after. A value that
//! somebody asked for (`keep`) is never absorbed.

mod channels;
mod fold_batch_norm;
mod fuse;

use crate::graph::{Graph, NodeId};

/// One rewrite.
pub struct Pass {
    /// Its name in reports.
    pub name: &'static str,
    /// Why it stands where it stands in [`PASSES`].
    pub place: &'static str,
    run: fn(&mut Rewrite),
}

/// All passes in the order they run.
pub const PASSES: &[Pass] = &[
    Pass {
        name: "fold_batch_norm",
        place: "first: every other fusion wants a convolution that ends in its bias",
        run: fold_batch_norm::run,
    },
    Pass {
        name: "fuse_activation",
        place: "after folding, when nothing stands between a convolution and its activation",
        run: fuse::activation,
    },
    Pass {
        name: "fuse_squeeze_excite",
        place: "after the activations, which sit inside its two products",
        run: fuse::squeeze_excite,
    },
    Pass { name: "fuse_scale", place: "after squeeze-excite, whose pattern ends in the scale", run: fuse::scale },
    Pass {
        name: "fuse_concat",
        place: "after the activations, which end both halves of a ghost module",
        run: channels::keep_input,
    },
    Pass {
        name: "fuse_interleave",
        place: "before the lone shuffles and slices, which are parts of its pattern",
        run: channels::interleave,
    },
    Pass {
        name: "fuse_shuffle",
        place: "after the interleaving, for the shuffles that are left",
        run: channels::shuffle,
    },
    Pass { name: "fuse_slice", place: "after the interleaving, for the slices that are left", run: channels::slice },
    Pass {
        name: "fuse_residual",
        place: "after scale and concatenation, which give the block's last convolution its final form",
        run: fuse::residual,
    },
    Pass {
        name: "fuse_residual_activation",
        place: "after the residuals that it stands behind",
        run: fuse::residual_activation,
    },
    Pass { name: "fuse_pool", place: "last: it takes only convolutions that nothing else claimed", run: fuse::pool },
];

/// What one pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Name of the pass.
    pub pass: &'static str,
    /// Names of the nodes it rewrote.
    pub applied: Vec<String>,
    /// Nodes that matched but were left, with the reason.
    pub skipped: Vec<(String, String)>,
}

/// Runs every pass; values named in `keep` stay computed.
pub fn run(graph: &Graph, keep: &[String]) -> (Graph, Vec<Report>) {
    run_first(graph, keep, PASSES.len())
}

/// Runs the first `count` passes (to find the one at fault).
pub fn run_first(graph: &Graph, keep: &[String], count: usize) -> (Graph, Vec<Report>) {
    let mut graph = graph.clone();
    let reports = PASSES
        .iter()
        .take(count)
        .map(|pass| {
            let mut rewrite = Rewrite::new(&mut graph, keep, pass.name);
            (pass.run)(&mut rewrite);
            rewrite.finish()
        })
        .collect();
    (graph, reports)
}

/// The state of one pass over one graph.
struct Rewrite<'a> {
    graph: &'a mut Graph,
    users: Vec<Vec<NodeId>>,
    keep: Vec<bool>,
    live: Vec<bool>,
    report: Report,
}

impl<'a> Rewrite<'a> {
    fn new(graph: &'a mut Graph, keep: &[String], pass: &'static str) -> Self {
        let mut kept = vec![false; graph.nodes.len()];
        for name in keep {
            if let Ok(id) = graph.find(name) {
                kept[id] = true;
            }
        }
        let (users, live) = (graph.users(), vec![true; graph.nodes.len()]);
        Self { graph, users, keep: kept, live, report: Report { pass, ..Report::default() } }
    }

    /// Whether `producer` may vanish into `user`; a refusal is reported.
    fn may_absorb(&mut self, producer: NodeId, user: NodeId) -> bool {
        let name = &self.graph.nodes[producer].name;
        let reason = if self.keep[producer] {
            format!("the value of {name} is kept")
        } else if self.graph.is_output(producer) {
            format!("{name} is an output of the network")
        } else if self.users[producer] != [user] {
            format!("{name} has {} readers", self.users[producer].len())
        } else {
            return true;
        };
        self.report.skipped.push((self.graph.nodes[user].name.clone(), reason));
        false
    }

    /// Records that `user` was rewritten to do without `absorbed`, which now read `inputs`.
    fn absorbed(&mut self, absorbed: &[NodeId], user: NodeId, inputs: Vec<NodeId>) {
        for &gone in absorbed {
            self.live[gone] = false;
        }
        for &input in &inputs {
            self.users[input].retain(|u| !absorbed.contains(u) && *u != user);
            self.users[input].push(user);
        }
        self.graph.nodes[user].inputs = inputs;
        self.report.applied.push(self.graph.nodes[user].name.clone());
    }

    fn finish(self) -> Report {
        self.graph.retain(&self.live);
        self.report
    }
}
