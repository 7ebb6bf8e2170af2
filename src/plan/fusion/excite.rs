//! Squeeze-and-excitation and the convolution that it gates, as a group of [`super`]. Browsers load programs that are
//! smaller without it.

use super::{Args, Fusion, Search, is_product};
use crate::graph::{Conv2d, ConvKind, NodeId, Op};
use crate::kernels::{AdapterClass, depthwise, excite_pointwise, expand_depthwise, squeeze_excite};
use crate::plan::Target;
use crate::plan::convolution::product_args;
use crate::tensor::Shape;

/// A 1x1 convolution and the squeeze-and-excitation of its input that gates it and nothing else. Not a ghost module's:
/// those networks have as many pipelines already as should be.
pub(super) fn search(
    search: &Search<'_>,
    last: NodeId,
    before: &[Fusion],
    class: AdapterClass,
) -> Option<(Vec<NodeId>, Args)> {
    let (project, ConvKind::Pointwise) = search.conv(last)? else { return None };
    let &[x, gate, ..] = &search.graph.nodes[last].inputs[..] else { return None };
    let Op::SqueezeExcite(se) = search.graph.nodes[gate].op else { return None };
    let alone = search.users[gate] == [last] && search.graph.nodes[gate].inputs == [x];
    let ghost = |&user: &NodeId| search.conv(user).is_some_and(|(conv, _)| conv.keep_input);
    let alone = alone && !search.users[last].iter().any(ghost);
    let product = project.gate && is_product(&Conv2d { gate: false, ..project }) && !project.pool;
    let (Shape { n, c, .. }, hidden) = (search.shapes[x], se.hidden);
    if !alone || !product || c.div_ceil(4) + hidden.div_ceil(4) > excite_pointwise::MAX_SLOTS {
        return None;
    }
    let (tiles, pixels) = (tiles(search, x, before, class), search.shapes[x].pixels());
    let args = excite_pointwise::Args {
        product: product_args(search.graph, search.shapes, last, &project),
        excite: squeeze_excite::Args { n, c, hidden, tiles, pixels, act: se.act, gate: se.gate },
        part: excite_pointwise::Part::Whole,
    };
    Some((vec![gate, last], Args::ExcitePointwise(args)))
}

/// About how many partial sums of an image's channel a squeeze-and-excitation of a node's result averages, by the
/// groups before it.
fn tiles(search: &Search<'_>, id: NodeId, before: &[Fusion], class: AdapterClass) -> usize {
    match before.iter().find(|fusion| fusion.nodes.last() == Some(&id)).map(|fusion| &fusion.args) {
        _ if !search.squeezed[id] => 1,
        Some(Args::ExpandDepthwise(args)) => {
            expand_depthwise::tiles(&args.window, &expand_depthwise::choose(args, class)).0.count()
        }
        _ => search.shapes[id].pixels().div_ceil(depthwise::GPU_TILE),
    }
}

/// Seconds that reading takes longer than in dispatches apart: a dispatch of its own reads the weights of
/// squeeze-and-excitation in a workgroup an image.
pub(super) fn reads_again(args: &excite_pointwise::Args, target: &Target) -> f64 {
    let n = args.excite.n;
    let seconds = |groups| target.rates.cached_s(groups, args.bytes(target.dtype.bytes() as usize));
    seconds(n * args.workgroups(&excite_pointwise::choose(args, target.class))) - seconds(n)
}
