//! Which neighbouring convolutions become one dispatch, and which squeeze-and-excitations one with the convolution that
//! they gate. The tensors between them then never exist: their bytes and some dispatches are saved, and what several
//! workgroups need of them each of them computes.
//!
//! A convolution may have partners before and behind it ([`candidates`]); [`decide`] weighs every group and chooses those
//! that save as many dispatches as possible, and of as many those that save most bytes: which of two is better follows from
//! the network then, not from the resolution, and another resolution needs no other pipelines.

#[cfg(not(feature = "web"))]
mod excite;
#[cfg(not(feature = "web"))]
mod sandglass;

use super::Target;
use super::convolution::kind;
use crate::graph::{Conv2d, ConvKind, Graph, Join, NodeId, Op};
#[cfg(not(feature = "web"))]
use crate::kernels::excite_pointwise;
use crate::kernels::{AdapterClass, Window, depthwise, depthwise_pointwise, expand_depthwise, inverted_residual};
use crate::tensor::Shape;

/// Which groups of convolutions are fused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fuse {
    /// Those that save time by the target's [`Rates`]; none on a software adapter, where workgroup barriers are slow.
    #[default]
    Auto,
    /// None.
    None,
    /// All that have a kernel.
    All,
}

/// What an adapter can do, as plain numbers.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Rates {
    /// Bytes read and written in a second.
    pub bytes_per_s: f64,
    /// f32 multiply-adds in a second.
    pub madds_per_s: f64,
    /// Seconds from a dispatch to the next that depends on it.
    pub gap_s: f64,
}

impl Rates {
    /// Data sheet of a middle-class GPU (GeForce RTX 4070: 504 GB/s, 29.1 TFLOP/s), and the gap usual on such.
    pub const GPU: Self = Self { bytes_per_s: 504e9, madds_per_s: 14.6e12, gap_s: 3e-6 };

    /// Seconds in which workgroups together read the same `bytes` each, from caches: one at 64 bytes a clock, at 2 GHz,
    /// all at four times the memory's rate.
    #[cfg(not(feature = "web"))]
    fn cached_s(&self, workgroups: usize, bytes: usize) -> f64 {
        bytes as f64 / 128e9_f64.min(4.0 * self.bytes_per_s / workgroups as f64)
    }
}

/// Two to four convolutions, or squeeze-and-excitation and a convolution, each of which alone reads the one before it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Fusion {
    /// What their step computes, in order; the result of the last is stored. The mean over the positions is the last where
    /// nothing else is asked of an expanding pair.
    pub nodes: Vec<NodeId>,
    /// Their modules, as in [`super::Plan::labels`].
    pub label: String,
    /// The kernel that computes them.
    pub kernel: &'static str,
    /// Bytes of the tensors between them, written and read.
    pub saved_bytes: u64,
    /// Multiply-adds that several workgroups do. An inverted residual's tiles count as large as can be: smaller ones repeat
    /// more, on what would be idle.
    pub repeated_madds: u64,
    /// Seconds that fusing saves by the target's rates.
    pub gain_s: f64,
    /// Whether they are fused, or why not.
    pub verdict: Verdict,
    #[serde(skip)]
    pub(super) args: Args,
}

impl Fusion {
    /// The nodes whose results are never stored: as many dispatches are saved.
    pub fn absorbed(&self) -> &[NodeId] {
        &self.nodes[..self.nodes.len() - 1]
    }
}

/// What became of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// One dispatch.
    Fused,
    /// Somebody asked for a tensor between them.
    Kept,
    /// What is repeated takes longer than what is saved.
    Dearer,
    /// Every workgroup would read all of their weights, together for longer than another dispatch takes.
    #[cfg(not(feature = "web"))]
    Wide,
    /// One of them is fused in another group.
    Taken,
    /// The adapter is a CPU, on which workgroup barriers are slow.
    Software,
    /// [`Fuse::None`].
    Off,
}

impl Verdict {
    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Fused => "fused",
            Self::Kept => "not fused: a value between them is asked for",
            Self::Dearer => "not fused: repeats more than it saves",
            #[cfg(not(feature = "web"))]
            Self::Wide => "not fused: workgroups would read layers so wide for longer than another dispatch takes",
            Self::Taken => "not fused: one of them is fused in another group",
            Self::Software => "not fused: barriers are slow on a software adapter",
            Self::Off => "not fused: switched off",
        }
    }
}

/// The kernel's arguments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Args {
    ExpandDepthwise(expand_depthwise::Args),
    DepthwisePointwise(depthwise_pointwise::Args),
    InvertedResidual(inverted_residual::Args),
    // Browsers load programs that are smaller without it.
    #[cfg(not(feature = "web"))]
    ExcitePointwise(excite_pointwise::Args),
    #[cfg(not(feature = "web"))]
    Sandglass(crate::kernels::sandglass::Args),
}

/// Every group that has a kernel, with its verdict, in the order of the graph. `squeezed` nodes are also summed over tiles.
pub(super) fn decide(
    graph: &Graph,
    shapes: &[Shape],
    squeezed: &[bool],
    target: &Target,
    kept: &[NodeId],
) -> Vec<Fusion> {
    let mut fusions = candidates(graph, shapes, squeezed, target, kept);
    for fusion in &mut fusions {
        fusion.verdict = match target.fuse {
            _ if fusion.absorbed().iter().any(|node| kept.contains(node)) => Verdict::Kept,
            Fuse::None => Verdict::Off,
            Fuse::All => Verdict::Fused,
            Fuse::Auto if target.class != AdapterClass::Gpu => Verdict::Software,
            #[cfg(not(feature = "web"))]
            Fuse::Auto if fusion.args.wide(target) => Verdict::Wide,
            Fuse::Auto if fusion.gain_s <= 0.0 => Verdict::Dearer,
            Fuse::Auto => Verdict::Fused,
        };
    }
    select(&mut fusions);
    fusions
}

/// Of groups that share a convolution one remains: of each chain those that save as many dispatches as possible, and of as
/// many those that save most bytes, or the later ones.
fn select(fusions: &mut [Fusion]) {
    let mut chains: Vec<Vec<usize>> = Vec::new();
    for i in (0..fusions.len()).filter(|&i| fusions[i].verdict == Verdict::Fused) {
        let nodes = &fusions[i].nodes;
        match chains.iter_mut().find(|chain| chain.iter().any(|&j| fusions[j].nodes.iter().any(|n| nodes.contains(n))))
        {
            Some(chain) => chain.push(i),
            None => chains.push(vec![i]),
        }
    }
    for chain in chains {
        // Of the first n groups: what fusing the best of them saves, and how many come before those that share a node with
        // the last one, if that is among the best.
        let mut best: Vec<([usize; 2], Option<usize>)> = vec![([0, 0], None)];
        for (n, &i) in chain.iter().enumerate() {
            let apart = chain[..n]
                .iter()
                .take_while(|&&j| fusions[j].nodes.iter().all(|node| !fusions[i].nodes.contains(node)));
            let (before, without) = (apart.count(), best[n].0);
            let [dispatches, bytes] = best[before].0;
            let with = [dispatches + fusions[i].absorbed().len(), bytes + fusions[i].args.size()];
            best.push(if with >= without { (with, Some(before)) } else { (without, None) });
        }
        let mut n = chain.len();
        while n > 0 {
            let (rest, displaced) = match best[n].1 {
                Some(before) => (before, before..n - 1),
                None => (n - 1, n - 1..n),
            };
            for &i in &chain[displaced] {
                fusions[i].verdict = Verdict::Taken;
            }
            n = rest;
        }
    }
}

impl Args {
    /// Size of the tensors between against that behind the depthwise convolution, on maps of any size.
    fn size(&self) -> usize {
        match self {
            Self::ExpandDepthwise(args) => args.c * args.window.stride.pow(2),
            Self::DepthwisePointwise(args) => args.c,
            Self::InvertedResidual(args) => args.c * (args.window.stride.pow(2) + 1),
            #[cfg(not(feature = "web"))]
            Self::ExcitePointwise(args) => args.excite.c,
            #[cfg(not(feature = "web"))]
            Self::Sandglass(args) => args.c * args.window.stride.pow(2),
        }
    }

    /// The kernel's name, and how many times it computes the first three of the convolutions.
    fn kernel(&self, target: &Target) -> (&'static str, [f64; 3]) {
        let class = target.class;
        match self {
            Self::ExpandDepthwise(args) => {
                let computed = expand_depthwise::tiles(&args.window, &expand_depthwise::choose(args, class)).1;
                let repeats = computed as f64 / (args.window.h * args.window.w) as f64;
                (expand_depthwise::NAME, [repeats, 1.0, 1.0])
            }
            Self::DepthwisePointwise(args) => {
                let slices = depthwise_pointwise::slices(args, &depthwise_pointwise::choose(args, class));
                (depthwise_pointwise::NAME, [slices as f64, 1.0, 1.0])
            }
            Self::InvertedResidual(args) => {
                let [expand, filter] = inverted_residual::repeats(args, &inverted_residual::choose(args, class));
                (inverted_residual::NAME, [expand, filter, 1.0])
            }
            #[cfg(not(feature = "web"))]
            Self::ExcitePointwise(args) => {
                (excite_pointwise::NAME, [args.workgroups(&excite_pointwise::choose(args, class)) as f64, 1.0, 1.0])
            }
            #[cfg(not(feature = "web"))]
            Self::Sandglass(args) => (crate::kernels::sandglass::NAME, sandglass::repeats(args, class)),
        }
    }

    /// Whether two smaller groups are better at any resolution.
    #[cfg(not(feature = "web"))]
    fn wide(&self, target: &Target) -> bool {
        matches!(self, Self::Sandglass(args) if sandglass::wide(args, target))
    }

    /// Seconds that a launch computes or reads longer than several would.
    fn repeats_s(&self, madds_s: f64, _target: &Target) -> f64 {
        match self {
            #[cfg(not(feature = "web"))]
            Self::ExcitePointwise(args) => madds_s.max(excite::reads_again(args, _target)),
            _ => madds_s,
        }
    }
}

/// Every group that has a kernel, unweighed, in the order of their last convolutions.
fn candidates(graph: &Graph, shapes: &[Shape], squeezed: &[bool], target: &Target, kept: &[NodeId]) -> Vec<Fusion> {
    let search = Search { graph, shapes, squeezed, kept, users: graph.users() };
    let mut fusions = Vec::new();
    for last in 1..graph.nodes.len() {
        // The longest first: chains that it joins would else be apart.
        let found = [
            #[cfg(not(feature = "web"))]
            sandglass::search(&search, last, target.class, true),
            #[cfg(not(feature = "web"))]
            sandglass::search(&search, last, target.class, false),
            search.pair(last),
            search.inverted_residual(last),
            #[cfg(not(feature = "web"))]
            excite::search(&search, last, &fusions, target.class),
        ];
        let weigh = |(nodes, args)| weigh(graph, shapes, target, nodes, args);
        fusions.extend(found.into_iter().flatten().map(weigh));
    }
    fusions
}

/// What fusing saves and costs.
fn weigh(graph: &Graph, shapes: &[Shape], target: &Target, nodes: Vec<NodeId>, args: Args) -> Fusion {
    let (kernel, repeats) = args.kernel(target);
    let absorbed = &nodes[..nodes.len() - 1];
    let saved_bytes = absorbed.iter().map(|&node| 2 * shapes[node].padded_bytes(target.dtype)).sum();
    let again = nodes.iter().zip(repeats).map(|(&node, times)| (times - 1.0) * graph.node_madds(node, shapes) as f64);
    let repeated_madds = again.sum::<f64>() as u64;
    let Rates { bytes_per_s, madds_per_s, gap_s } = target.rates;
    let repeats_s = args.repeats_s(repeated_madds as f64 / madds_per_s, target);
    let gain_s = saved_bytes as f64 / bytes_per_s + absorbed.len() as f64 * gap_s - repeats_s;
    let label = super::label(graph, nodes.iter().copied());
    Fusion { nodes, label, kernel, saved_bytes, repeated_madds, gain_s, verdict: Verdict::Off, args }
}

/// Looks for groups of convolutions in a graph.
struct Search<'a> {
    graph: &'a Graph,
    shapes: &'a [Shape],
    squeezed: &'a [bool],
    kept: &'a [NodeId],
    users: Vec<Vec<NodeId>>,
}

impl Search<'_> {
    fn conv(&self, id: NodeId) -> Option<(Conv2d, ConvKind)> {
        match self.graph.nodes[id].op {
            Op::Conv2d(conv) => Some((conv, kind(self.graph, &conv))),
            _ => None,
        }
    }

    /// The plain convolution that a node reads and no other does.
    fn before(&self, id: NodeId) -> Option<(NodeId, Conv2d, ConvKind)> {
        let first = *self.graph.nodes[id].inputs.first()?;
        let (conv, kind) = self.conv(first)?;
        let plain = self.users[first] == [id] && conv.is_plain() && !conv.gate && conv.first.is_none();
        plain.then_some((first, conv, kind))
    }

    /// The shape that a node reads.
    fn input(&self, id: NodeId) -> Shape {
        self.shapes[self.graph.nodes[id].inputs[0]]
    }

    /// A convolution and the one before it, one of which is depthwise.
    fn pair(&self, second: NodeId) -> Option<(Vec<NodeId>, Args)> {
        let (next, next_kind) = self.conv(second)?;
        let (first, conv, kind) = self.before(second)?;
        let [x, between, y] = [self.input(first), self.shapes[first], self.shapes[second]];
        match (kind, next_kind) {
            (ConvKind::Pointwise, ConvKind::Depthwise) if !next.keep_input => {
                let pool = self.mean_of(second, &next);
                let args = expand_depthwise::Args {
                    window: slide(between, &next)?,
                    c_in: x.c,
                    c: y.c,
                    expand_act: conv.act,
                    act: next.act,
                    join: next.join,
                    squeeze: self.squeezed[second],
                    pool: pool.is_some(),
                };
                Some(([first, second].into_iter().chain(pool).collect(), Args::ExpandDepthwise(args)))
            }
            (ConvKind::Depthwise, ConvKind::Pointwise) if is_product(&next) && !self.squeezed[first] => {
                let args = depthwise_pointwise::Args {
                    window: slide(x, &conv)?,
                    c: x.c,
                    c_out: y.c,
                    filter_act: conv.act,
                    act: next.act,
                    join: next.join,
                    pool: next.pool,
                };
                Some((vec![first, second], Args::DepthwisePointwise(args)))
            }
            _ => None,
        }
    }

    /// The mean over the positions that alone is asked of a depthwise convolution.
    fn mean_of(&self, id: NodeId, conv: &Conv2d) -> Option<NodeId> {
        let alone = !conv.join.is_some() && !self.squeezed[id] && !self.kept.contains(&id);
        match self.users[id][..] {
            [user] if alone && self.graph.nodes[user].op == Op::GlobalAvgPool => Some(user),
            _ => None,
        }
    }

    /// A 1x1 convolution to fewer channels, the depthwise convolution before it, and before that a 1x1 convolution from
    /// fewer channels.
    fn inverted_residual(&self, last: NodeId) -> Option<(Vec<NodeId>, Args)> {
        let (project, ConvKind::Pointwise) = self.conv(last)? else { return None };
        let (middle, filter, ConvKind::Depthwise) = self.before(last)? else { return None };
        let (first, expand, ConvKind::Pointwise) = self.before(middle)? else { return None };
        let [c_in, c, c_out] = [self.input(first).c, self.shapes[middle].c, self.shapes[last].c];
        if !is_product(&project) || project.pool || self.squeezed[middle] || c <= c_in.max(c_out) {
            return None;
        }
        let args = inverted_residual::Args {
            window: slide(self.shapes[first], &filter)?,
            c_in,
            c,
            c_out,
            expand_act: expand.act,
            filter_act: filter.act,
            act: project.act,
            join: project.join,
        };
        Some((vec![first, middle, last], Args::InvertedResidual(args)))
    }
}

/// The window of a depthwise convolution, where the kernels have it.
fn slide(x: Shape, conv: &Conv2d) -> Option<Window> {
    let has =
        (1..=depthwise::MAX_KERNEL).contains(&conv.kernel) && (1..=2).contains(&conv.stride) && conv.dilation == 1;
    Window::over(x, conv.padding, conv.kernel, conv.stride).filter(|_| has)
}

/// Whether a 1x1 convolution reads all channels as they are and writes them in order.
fn is_product(conv: &Conv2d) -> bool {
    !conv.gate && conv.first.is_none() && conv.shuffle == 1 && conv.join != Join::Interleave
}
