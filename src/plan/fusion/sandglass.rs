//! A sandglass block, as a group of [`super`]. Browsers load programs that are smaller without it.

use super::{Args, Search, is_product, slide};
use crate::graph::{Activation, ConvKind, NodeId};
use crate::kernels::AdapterClass;
use crate::kernels::sandglass::{self, choose, tiles};
use crate::plan::Target;

/// A linear depthwise convolution, the 1x1 convolutions before it to more channels and before that to fewer, and for a
/// `whole` block the depthwise convolution before those. In front of an inverted residual's the same may stand, but its
/// depthwise convolution has an activation.
pub(super) fn search(
    search: &Search<'_>,
    last: NodeId,
    class: AdapterClass,
    whole: bool,
) -> Option<(Vec<NodeId>, Args)> {
    let (filter, ConvKind::Depthwise) = search.conv(last)? else { return None };
    let (expand, expanding, ConvKind::Pointwise) = search.before(last)? else { return None };
    let (reduce, reducing, ConvKind::Pointwise) = search.before(expand)? else { return None };
    let front = if whole { Some(search.before(reduce)?) } else { None };
    let first = match front {
        Some((id, conv, ConvKind::Depthwise)) if !search.squeezed[id] => Some(slide(search.input(id), &conv)?),
        Some(_) => return None,
        None => None,
    };
    let [c_in, hidden, c] = [search.input(reduce).c, search.shapes[reduce].c, search.shapes[last].c];
    let linear = filter.act == Activation::Identity && !filter.keep_input && !search.squeezed[last];
    if !linear || !is_product(&filter) || hidden >= c_in.min(c) {
        return None;
    }
    let args = sandglass::Args {
        first,
        window: slide(search.shapes[expand], &filter)?,
        c_in,
        hidden,
        c,
        filter_act: front.map_or(Activation::Identity, |(_, conv, _)| conv.act),
        reduce_act: reducing.act,
        expand_act: expanding.act,
        act: filter.act,
        join: filter.join,
    };
    let nodes = front.map(|(id, ..)| id).into_iter().chain([reduce, expand, last]).collect();
    sandglass::has(&args, &choose(&args, class)).then_some((nodes, Args::Sandglass(args)))
}

/// How many times each of the first three convolutions is computed.
pub(super) fn repeats(args: &sandglass::Args, class: AdapterClass) -> [f64; 3] {
    let computed = tiles(args, &choose(args, class)).1;
    let again = computed as f64 / (args.window.h * args.window.w) as f64;
    [again, again, if args.first.is_some() { again } else { 1.0 }]
}

/// Whether workgroups, of as few as keep a GPU busy each, take longer to read the weights than another dispatch. (What the
/// narrow tensor's bytes would save besides is as little as what neighbouring tiles both compute.)
pub(super) fn wide(args: &sandglass::Args, target: &Target) -> bool {
    target.rates.cached_s(sandglass::BUSY, args.weight_bytes(target.dtype.bytes() as usize)) > target.rates.gap_s
}
