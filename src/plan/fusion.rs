//! Which neighbouring convolutions become one dispatch. The tensor between them then never exists: its bytes and a
//! dispatch are saved, and what several workgroups need of it each of them computes.
//!
//! A convolution may have a partner before and behind it ([`candidates`]); [`decide`] weighs every pair and chooses as
//! many as possible, and of as many those that save most bytes: which of two is better follows from the network then,
//! not from the resolution, and another resolution needs no other pipelines.

use super::Target;
use super::lower::kind;
use crate::graph::{Conv2d, ConvKind, Graph, Join, NodeId, Op};
use crate::kernels::{AdapterClass, Window, depthwise, depthwise_pointwise, expand_depthwise};
use crate::tensor::Shape;

/// Which pairs of convolutions are fused.
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
}

/// Two convolutions, the second of which alone reads the first.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Fusion {
    /// The first convolution.
    pub first: NodeId,
    /// The second.
    pub second: NodeId,
    /// The mean over the positions, where nothing else is asked of an expanding pair: its step computes that too.
    pub pool: Option<NodeId>,
    /// Their modules, as in [`super::Plan::labels`].
    pub label: String,
    /// The kernel that computes both.
    pub kernel: &'static str,
    /// Bytes of the tensor between them, written and read.
    pub saved_bytes: u64,
    /// Multiply-adds that several workgroups do.
    pub repeated_madds: u64,
    /// Seconds that fusing saves by the target's rates.
    pub gain_s: f64,
    /// Whether they are fused, or why not.
    pub verdict: Verdict,
    #[serde(skip)]
    pub(super) args: Args,
}

impl Fusion {
    /// What its step computes, in order; the result of the last is stored.
    pub fn nodes(&self) -> Vec<NodeId> {
        [self.first, self.second].into_iter().chain(self.pool).collect()
    }
}

/// What became of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// One dispatch.
    Fused,
    /// Somebody asked for the tensor between them.
    Kept,
    /// What is repeated takes longer than what is saved.
    Dearer,
    /// One of them is fused with its other neighbour.
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
            Self::Kept => "not fused: the value between them is asked for",
            Self::Dearer => "not fused: repeats more than it saves",
            Self::Taken => "not fused: one of them is fused with its other neighbour",
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
}

/// Every pair that has a kernel, with its verdict, in the order of the graph. `squeezed` nodes are also summed over tiles.
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
            _ if kept.contains(&fusion.first) => Verdict::Kept,
            Fuse::None => Verdict::Off,
            Fuse::All => Verdict::Fused,
            Fuse::Auto if target.class != AdapterClass::Gpu => Verdict::Software,
            Fuse::Auto if fusion.gain_s <= 0.0 => Verdict::Dearer,
            Fuse::Auto => Verdict::Fused,
        };
    }
    match_pairs(&mut fusions);
    fusions
}

/// Of pairs that share a convolution one remains: of each chain as many as possible, and of as many those that save most
/// bytes, or the later ones.
fn match_pairs(fusions: &mut [Fusion]) {
    let mut chains: Vec<Vec<usize>> = Vec::new();
    for i in (0..fusions.len()).filter(|&i| fusions[i].verdict == Verdict::Fused) {
        match chains.iter_mut().find(|chain| fusions[chain[chain.len() - 1]].second == fusions[i].first) {
            Some(chain) => chain.push(i),
            None => chains.push(vec![i]),
        }
    }
    for chain in chains {
        // How many of the first n pairs can be fused, what that saves, and whether the last one is.
        let mut best = vec![(0, 0, false)];
        for (n, &i) in chain.iter().enumerate() {
            let (count, bytes, _) = best[n.saturating_sub(1)];
            let (with, without) = ((count + 1, bytes + fusions[i].args.size()), (best[n].0, best[n].1));
            best.push(if with >= without { (with.0, with.1, true) } else { (without.0, without.1, false) });
        }
        let mut n = chain.len();
        while n > 0 {
            let fused = best[n].2;
            if let Some(&other) = chain[..n].iter().rev().nth(usize::from(fused)) {
                fusions[other].verdict = Verdict::Taken;
            }
            n = n.saturating_sub(1 + usize::from(fused));
        }
    }
}

impl Args {
    /// Size of the tensor between the two against that behind the depthwise convolution, on maps of any size.
    fn size(&self) -> usize {
        match self {
            Self::ExpandDepthwise(args) => args.c * args.window.stride.pow(2),
            Self::DepthwisePointwise(args) => args.c,
        }
    }
}

/// Every pair that has a kernel, unweighed.
fn candidates(graph: &Graph, shapes: &[Shape], squeezed: &[bool], target: &Target, kept: &[NodeId]) -> Vec<Fusion> {
    let users = graph.users();
    let fusion = |second: NodeId| {
        let first = *graph.nodes[second].inputs.first()?;
        let (Op::Conv2d(conv), Op::Conv2d(next)) = (graph.nodes[first].op, graph.nodes[second].op) else { return None };
        if users[first] != [second] || !conv.is_plain() || conv.gate || conv.first.is_some() {
            return None;
        }
        let [x, between, y] = [shapes[graph.nodes[first].inputs[0]], shapes[first], shapes[second]];
        let mut pool = None;
        let args = match (kind(graph, &conv), kind(graph, &next)) {
            (ConvKind::Pointwise, ConvKind::Depthwise) if !next.keep_input => {
                let mean = |&&user: &&NodeId| graph.nodes[user].op == Op::GlobalAvgPool && users[second].len() == 1;
                let plain = !next.join.is_some() && !squeezed[second] && !kept.contains(&second);
                pool = users[second].first().filter(mean).filter(|_| plain).copied();
                Args::ExpandDepthwise(expand_depthwise::Args {
                    window: slide(between, &next)?,
                    c_in: x.c,
                    c: y.c,
                    expand_act: conv.act,
                    act: next.act,
                    join: next.join,
                    squeeze: squeezed[second],
                    pool: pool.is_some(),
                })
            }
            (ConvKind::Depthwise, ConvKind::Pointwise) if is_product(&next) && !squeezed[first] => {
                Args::DepthwisePointwise(depthwise_pointwise::Args {
                    window: slide(x, &conv)?,
                    c: x.c,
                    c_out: y.c,
                    filter_act: conv.act,
                    act: next.act,
                    join: next.join,
                    pool: next.pool,
                })
            }
            _ => return None,
        };
        let (kernel, repeated) = match args {
            Args::ExpandDepthwise(args) => {
                let variant = expand_depthwise::choose(&args, target.rows());
                let computed = between.n * expand_depthwise::tiles(&args.window, &variant).1;
                (expand_depthwise::NAME, computed as f64 / (between.n * between.pixels()) as f64 - 1.0)
            }
            Args::DepthwisePointwise(args) => {
                let slices = depthwise_pointwise::choose(&args, target.rows()).slices(&args);
                (depthwise_pointwise::NAME, slices as f64 - 1.0)
            }
        };
        let saved_bytes = 2 * (between.padded_bytes(target.dtype) + pool.map_or(0, |_| y.padded_bytes(target.dtype)));
        let repeated_madds = (repeated * graph.node_madds(first, shapes) as f64) as u64;
        let Rates { bytes_per_s, madds_per_s, gap_s } = target.rates;
        let gain_s = saved_bytes as f64 / bytes_per_s + gap_s - repeated_madds as f64 / madds_per_s;
        let (label, verdict) = (super::label(graph, [first, second].into_iter().chain(pool)), Verdict::Off);
        Some(Fusion { first, second, pool, label, kernel, saved_bytes, repeated_madds, gain_s, verdict, args })
    };
    (1..graph.nodes.len()).filter_map(fusion).collect()
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
