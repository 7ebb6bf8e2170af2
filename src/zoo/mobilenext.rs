//! MobileNeXt (Zhou et al. 2020, arXiv:2007.02269): the two definitions of the classifier that are in circulation, and
//! the two networks with squeeze-and-excitation, which the paper's comparison marks with a dagger.

use super::blocks::{Block, Ends, Kind, Skip, Squeeze, Width};
use super::network::{Head, Network, Stem, round_channels, round_repeats, to_multiple};
use super::stage::Stage;
use super::{Checkpoints, Model, Published, Wiring, percent};
use crate::graph::Activation::{Relu6, Sigmoid, Swish};
use crate::tensor::Padding;

/// Reduction, output channels, repeats and stride: table 2 of the paper, with the repeats of the authors' release.
const STAGES: [(usize, usize, usize, usize); 8] = [
    (2, 96, 1, 2),
    (6, 144, 1, 1),
    (6, 192, 3, 2),
    (6, 288, 3, 2),
    (6, 384, 4, 1),
    (6, 576, 4, 2),
    (6, 960, 3, 1),
    (6, 1280, 1, 1),
];

/// Repeats, window, stride, reduction and output channels of the networks with squeeze-and-excitation.
const DAGGER_STAGES: [(usize, usize, usize, usize, usize); 8] = [
    (1, 3, 1, 2, 96),
    (1, 3, 2, 6, 144),
    (3, 5, 2, 6, 192),
    (3, 3, 2, 6, 288),
    (4, 5, 1, 6, 384),
    (4, 5, 2, 6, 576),
    (3, 3, 1, 6, 960),
    (1, 3, 1, 6, 1280),
];

const PAPER: &str =
    "Zhou et al., Rethinking Bottleneck Structure for Efficient Mobile Network Design, 2020, arXiv:2007.02269";

/// The two public definitions of the classifier.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// The authors' release.
    Flat,
    /// The one whose convolutions with an activation are modules of their own: two blocks of 960 channels instead of
    /// three, and no exception from the shortcut.
    Nested,
}

/// The classifier of that width, whose shortcuts take this share of the channels.
pub(super) fn network(width: f64, identity: f64, form: Form) -> Network {
    let stem = Stem { out: round_channels(32, width), stride: 2, act: Relu6 };
    let mut input = stem.out;
    let stage = |&(reduce, channels, repeats, stride): &(usize, usize, usize, usize)| {
        // The last channels widen, but never narrow.
        let out = if channels == 1280 && width < 1.0 { 1280 } else { round_channels(channels, width) };
        let lone = repeats == 1 && stride == 1;
        let repeats = if channels == 960 && form == Form::Nested { 2 } else { repeats };
        let block = |r| {
            let stride = if r == 0 { stride } else { 1 };
            let ends = match stride {
                _ if reduce == 2 || input == out || lone => Ends::Both,
                2 => Ends::Last,
                _ => Ends::Neither,
            };
            let skip = if lone && form == Form::Flat { Skip::Never } else { Skip::WherePossible };
            let hidden = Width::Channels(reduced(input, reduce, out));
            input = out;
            Block { stride, hidden, skip, identity, ..Block::new(Kind::Sandglass(ends), out) }
        };
        Stage::Blocks((0..repeats).map(block).collect())
    };
    Network {
        stem,
        stages: STAGES.iter().map(stage).collect(),
        head: Head::Pool,
        padding: Padding::Symmetric,
        bn_eps: 1e-5,
    }
}

/// The input over the reduction, but never under a sixth of the output, which is then rounded to a multiple of 16.
fn reduced(input: usize, reduce: usize, out: usize) -> usize {
    let hidden = input / reduce;
    if hidden * 6 < out { to_multiple(16, out.div_ceil(6) as f64, 0.9) } else { hidden }
}

/// Depth multiplier, and groups of the 1x1 convolutions in the blocks with both depthwise ones.
fn dagger(depth: f64, groups: usize) -> Network {
    let stem = Stem { out: 32, stride: 2, act: Swish };
    let mut input = stem.out;
    let stage = |&(repeats, kernel, stride, reduce, out): &(usize, usize, usize, usize, usize)| {
        let block = |r| {
            let stride = if r == 0 { stride } else { 1 };
            let (ends, groups) = match stride {
                _ if reduce == 2 || input == out => (Ends::Both, groups),
                2 => (Ends::Last, 1),
                _ => (Ends::Neither, 1),
            };
            let hidden = Width::Channels(to_multiple(2, (input / reduce) as f64, 0.9));
            input = out;
            // A quarter of the output over the reduction.
            let se = Squeeze { hidden: Width::Channels(out / (4 * reduce)), act: Swish, gate: Sigmoid };
            let skip = if reduce == 2 { Skip::Never } else { Skip::WherePossible };
            let plain = Block::new(Kind::Sandglass(ends), out);
            Block { kernel, stride, hidden, act: Swish, se: Some(se), skip, groups, ..plain }
        };
        Stage::Blocks((0..round_repeats(repeats, depth)).map(block).collect())
    };
    Network {
        stem,
        stages: DAGGER_STAGES.iter().map(stage).collect(),
        head: Head::PoolUnusedNorm,
        padding: Padding::SameFixed,
        bn_eps: 1e-3,
    }
}

/// Published parameters and multiply-adds (millions) and top-1 (%): of the paper for 1.0, of its authors' release for the
/// other widths.
const PUBLISHED: [(&str, (f64, f64, f64)); 5] = [
    ("mobilenext_035", (1.8, 80.0, 64.7)),
    ("mobilenext_050", (2.1, 110.0, 67.7)),
    ("mobilenext_075", (2.5, 210.0, 72.0)),
    ("mobilenext_100", (3.4, 300.0, 74.0)),
    ("mobilenext_140", (6.1, 590.0, 76.1)),
];

/// The authors', whose two trainings have a definition each.
const FLAT: &[Checkpoints] = &[Checkpoints::of("yitu-opensource/MobileNeXt").named("MobileNeXt")];
const DAGGER: &[Checkpoints] = &[Checkpoints::of("yitu-opensource/MobileNeXt").named("MobileNeXt dagger")];
const NESTED: &[Checkpoints] =
    &[Checkpoints::of("definition with identity_tensor_multiplier").named("MobileNeXt nested")];

/// Every registered MobileNeXt; [`named`] knows further widths and shares.
pub fn models() -> Vec<Model> {
    let widths = ["035", "050", "075", "100", "110", "140", "100_nested_id50", "100_nested_id100"];
    let classifiers = widths.iter().filter_map(|suffix| named(&format!("mobilenext_{suffix}")));
    let daggers = [
        model("mobilenext_dagger_100", dagger(1.0, 1), DAGGER, Some((3.94, 330.0, 76.05))),
        model("mobilenext_dagger_110", dagger(1.1, 2), DAGGER, Some((4.28, 420.0, 76.7))),
    ];
    classifiers.chain(daggers).collect()
}

/// `mobilenext_<width>` or `mobilenext_<width>_nested_id<share>`: the width and the share of the channels that the
/// shortcut takes, in percent.
pub fn named(name: &str) -> Option<Model> {
    let rest = name.strip_prefix("mobilenext_")?;
    let Some((width, share)) = rest.split_once("_nested_id") else {
        let published = PUBLISHED.iter().find(|p| p.0 == name).map(|p| p.1);
        return Some(model(name, network(percent(rest)?, 1.0, Form::Flat), FLAT, published));
    };
    let share: u8 = share.parse().ok().filter(|s| (1..=100).contains(s) && !share.starts_with(['0', '+']))?;
    let network = network(percent(width)?, f64::from(share) / 100.0, Form::Nested);
    Some(model(name, network, NESTED, None))
}

fn model(
    name: &str,
    network: Network,
    checkpoints: &'static [Checkpoints],
    published: Option<(f64, f64, f64)>,
) -> Model {
    let published = published.map(Published::from);
    Model { published, checkpoints, ..Model::new(name, "MobileNeXt", PAPER, Wiring::Network(network)) }
}
