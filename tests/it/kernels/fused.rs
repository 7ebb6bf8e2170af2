//! Rows that compute two or three convolutions, against one after the other on the reference.

use super::{ACTIVATIONS, Bench, plain, slide};
use crate::support::gpus;
use mbconv::Shape;
use mbconv::graph::{Activation, Conv2d, Join, Op};
use mbconv::kernels::{
    Channels, depthwise, depthwise_pointwise, excite_pointwise, expand_depthwise, inverted_residual, pointwise,
    sandglass, squeeze_excite,
};
use mbconv::plan::Fuse;
use mbconv::tensor::Padding;

const JOINS: [Join; 4] = [Join::None, Join::Add, Join::AddThenAct, Join::AddFirst(5)];

/// Window, step, padding and the map: odd, not square, larger and smaller than a tile. Wide windows with one step for a
/// row of a table, and the other for the next: a software adapter compiles each for five seconds.
fn windows(row: usize) -> Vec<(usize, usize, Padding, [usize; 2])> {
    let mut windows = Vec::new();
    for (kernel, stride) in [(3, 1), (3, 2), (5, 2 - row % 2), (7, 1 + row % 2)] {
        for padding in [Padding::Same, Padding::Symmetric] {
            windows.push((kernel, stride, padding, [22 + kernel, 35 + stride]));
            windows.push((kernel, stride, padding, [7, 6 + stride]));
        }
    }
    windows.push((3, 1, Padding::Same, [1, 1]));
    windows.push((5, 2 - row % 2, Padding::Same, [2, 90]));
    windows
}

/// Of a list by turns.
fn turn<T: Copy, const N: usize>(list: [T; N], i: usize) -> T {
    list[i % N]
}

#[test]
fn expand_depthwise_rows() {
    for gpu in gpus() {
        for (row, variant) in expand_depthwise::VARIANTS.iter().enumerate() {
            for (i, (kernel, stride, padding, [h, w])) in windows(row).into_iter().enumerate() {
                let x = Shape::new(turn([1, 3, 2], i), h, w, turn([6, 16, 3, 21], i));
                let (c, join) = (turn([10, 33, 24, 5, 16], i), turn(JOINS, i));
                let (expand_act, act) = (turn(ACTIVATIONS, i + 3), turn(ACTIVATIONS, i));
                // The mean where nothing joins, by turns with sums over tiles.
                let pool = i % 8 == 4;
                let squeeze = !join.is_some() && !pool;
                let mut b = Bench { fuse: Fuse::All, ..Bench::new(x) };
                let mut inputs = Vec::new();
                if join.is_some() {
                    inputs.push(b.conv(&[0], x.c, 1, plain(c, kernel, stride, padding, Activation::Identity)));
                }
                let between = b.conv(&[0], x.c, 1, plain(c, 1, 1, padding, expand_act));
                inputs.insert(0, between);
                let filtered = b.conv(&inputs, c, c, Conv2d { join, ..plain(c, kernel, stride, padding, act) });
                if pool {
                    b.push(Op::GlobalAvgPool, &[filtered]);
                }
                b.check(&gpu, &format!("expand_depthwise {x} {c} {padding:?} {expand_act:?} {act:?} {join:?}"), |_| {
                    let window = slide(padding, Shape { c, ..x }, kernel, stride);
                    let args = expand_depthwise::Args { window, c_in: x.c, c, expand_act, act, join, squeeze, pool };
                    let (launch, tiles) = expand_depthwise::launch_with(&args, variant).unwrap();
                    (launch, squeeze.then_some(tiles))
                });
            }
        }
    }
}

#[test]
fn depthwise_pointwise_rows() {
    for gpu in gpus() {
        for (row, variant) in depthwise_pointwise::VARIANTS.iter().enumerate() {
            for (i, (kernel, stride, padding, [h, w])) in windows(row).into_iter().enumerate() {
                let x = Shape::new(turn([1, 3, 2], i), h, w, turn([6, 70, 3, 37], i));
                let (c_out, join, pool) = (turn([10, 70, 24, 5, 132], i), turn(JOINS, i), i % 8 == 4);
                let (filter_act, act) = (turn(ACTIVATIONS, i + 3), turn(ACTIVATIONS, i));
                let mut b = Bench { fuse: Fuse::All, ..Bench::new(x) };
                let mut inputs = Vec::new();
                if join.is_some() {
                    inputs.push(b.conv(&[0], x.c, 1, plain(c_out, kernel, stride, padding, Activation::Identity)));
                }
                let between = b.conv(&[0], x.c, x.c, plain(x.c, kernel, stride, padding, filter_act));
                inputs.insert(0, between);
                b.conv(&inputs, x.c, 1, Conv2d { join, pool, ..plain(c_out, 1, 1, padding, act) });
                b.check(
                    &gpu,
                    &format!("depthwise_pointwise {x} {c_out} {padding:?} {filter_act:?} {act:?} {join:?}"),
                    |_| {
                        let window = slide(padding, x, kernel, stride);
                        let c = x.c;
                        let args = depthwise_pointwise::Args { window, c, c_out, filter_act, act, join, pool };
                        (depthwise_pointwise::launch_with(&args, variant).unwrap(), None)
                    },
                );
            }
        }
    }
}

/// Channels, hidden width and outputs: fewer quads than lanes and more, layers that lanes share and not.
const GATED: [[usize; 3]; 7] =
    [[3, 1, 3], [10, 3, 33], [37, 12, 24], [96, 4, 70], [672, 168, 112], [1100, 48, 10], [2500, 280, 21]];

#[test]
fn excite_pointwise_rows() {
    for gpu in gpus() {
        for variant in excite_pointwise::VARIANTS {
            for (i, [c, hidden, c_out]) in GATED.into_iter().enumerate() {
                // Sums over several tiles, over one, and a mean.
                for (tiles, size) in [(true, [30 + i, 19]), (true, [7, 6]), (false, [5, 3 + i])] {
                    let x = Shape::new(turn([1, 3, 2], i), size[0], size[1], c);
                    let (act, join) = (turn(ACTIVATIONS, i), turn(JOINS, i));
                    let (hidden_act, gate) = (turn(ACTIVATIONS, i + 3), turn(ACTIVATIONS, i + 4));
                    let mut b = Bench { fuse: Fuse::All, ..Bench::new(x) };
                    let (same, n, pixels, filter) = (Padding::Same, x.n, x.pixels(), Activation::Relu);
                    let scaled = if tiles { b.conv(&[0], c, c, plain(c, 3, 1, same, filter)) } else { 0 };
                    let mut inputs = vec![scaled, b.squeeze_excite(scaled, c, hidden, hidden_act, gate)];
                    if join.is_some() {
                        inputs.push(b.conv(&[0], c, 1, plain(c_out, 1, 1, same, Activation::Identity)));
                    }
                    b.conv(&inputs, c, 1, Conv2d { join, gate: true, ..plain(c_out, 1, 1, same, act) });
                    let acts = format!("{hidden_act:?} {gate:?} {act:?}");
                    b.check(&gpu, &format!("excite_pointwise {x} {hidden} {c_out} {acts} {join:?}"), |_| {
                        let (channels, other, vector) = (Channels::dense(c, c_out), c_out, false);
                        let product = pointwise::Args { n, pixels, channels, act, gate: true, join, other, vector };
                        let (window, join, squeeze) = (slide(same, x, 3, 1), Join::None, true);
                        let args = depthwise::Args { window, c, act: filter, join, keep_input: false, squeeze };
                        let sums = depthwise::launch(&args, gpu.target().class).unwrap().1.count();
                        let (tiles, pixels) = if tiles { (sums, pixels) } else { (1, 1) };
                        let excite = squeeze_excite::Args { n, c, hidden, tiles, pixels, act: hidden_act, gate };
                        let part = excite_pointwise::Part::Whole;
                        let args = excite_pointwise::Args { product, excite, part };
                        (excite_pointwise::launch_with(&args, variant).unwrap(), None)
                    });
                }
            }
        }
    }
}

#[test]
fn inverted_residual_rows() {
    for gpu in gpus() {
        for (row, variant) in inverted_residual::VARIANTS.iter().enumerate() {
            for (i, (kernel, stride, padding, [h, w])) in windows(row).into_iter().enumerate() {
                let x = Shape::new(turn([1, 3, 2], i), h, w, turn([6, 16, 3, 21], i));
                // Few outputs, many, and once, on a small map, more than a workgroup has.
                let c_out = if i == 3 { 520 } else { turn([10, 33, 24, 5, 190], i) };
                let c = x.c.max(c_out) + turn([1, 50, 27], i);
                let (join, act) = (turn(JOINS, i), turn(ACTIVATIONS, i));
                let (expand_act, filter_act) = (turn(ACTIVATIONS, i + 3), turn(ACTIVATIONS, i + 5));
                let mut b = Bench { fuse: Fuse::All, ..Bench::new(x) };
                let mut inputs = Vec::new();
                if join.is_some() {
                    inputs.push(b.conv(&[0], x.c, 1, plain(c_out, kernel, stride, padding, Activation::Identity)));
                }
                let expanded = b.conv(&[0], x.c, 1, plain(c, 1, 1, padding, expand_act));
                inputs.insert(0, b.conv(&[expanded], c, c, plain(c, kernel, stride, padding, filter_act)));
                b.conv(&inputs, c, 1, Conv2d { join, ..plain(c_out, 1, 1, padding, act) });
                let acts = format!("{expand_act:?} {filter_act:?} {act:?}");
                b.check(&gpu, &format!("inverted_residual {x} {c} {c_out} {padding:?} {acts} {join:?}"), |_| {
                    let window = slide(padding, Shape { c, ..x }, kernel, stride);
                    let c_in = x.c;
                    let args = inverted_residual::Args { window, c_in, c, c_out, expand_act, filter_act, act, join };
                    (inverted_residual::launch_with(&args, variant).unwrap(), None)
                });
            }
        }
    }
}

#[test]
fn sandglass_rows() {
    for gpu in gpus() {
        for (row, variant) in sandglass::VARIANTS.iter().enumerate() {
            for (i, (kernel, stride, padding, [h, w])) in windows(row).into_iter().enumerate() {
                // Of wide windows, too, one of the two.
                for front in [false, true].into_iter().filter(|&front| kernel == 3 || front == (stride == 1)) {
                    let x = Shape::new(turn([1, 3, 2], i), h, w, turn([16, 30, 23, 21], i));
                    // Few reduced channels, and of wide windows no more than find room.
                    let (c, hidden) = (turn([18, 33, 24, 70], i), turn([3, 15, 8], i + usize::from(front)));
                    // Once so many that a lane has four positions.
                    let hidden = if i == 2 { 78 } else { hidden };
                    let (c_in, c) = (x.c.max(hidden + 1), c.max(hidden + 1));
                    let x = Shape { c: c_in, ..x };
                    let (join, act) = (turn([Join::None, Join::Add, Join::AddFirst(5)], i), Activation::Identity);
                    let [filter_act, reduce_act, expand_act] = [0, 3, 5].map(|k| turn(ACTIVATIONS, i + k));
                    let mut b = Bench { fuse: Fuse::All, ..Bench::new(x) };
                    let mut inputs = Vec::new();
                    if join.is_some() {
                        inputs.push(b.conv(&[0], c_in, 1, plain(c, kernel, stride, padding, Activation::Identity)));
                    }
                    let filtered = if front {
                        b.conv(&[0], c_in, c_in, plain(c_in, kernel, 1, Padding::Same, filter_act))
                    } else {
                        0
                    };
                    let reduced = b.conv(&[filtered], c_in, 1, plain(hidden, 1, 1, padding, reduce_act));
                    inputs.insert(0, b.conv(&[reduced], hidden, 1, plain(c, 1, 1, padding, expand_act)));
                    b.conv(&inputs, c, c, Conv2d { join, ..plain(c, kernel, stride, padding, act) });
                    let acts = format!("{filter_act:?} {reduce_act:?} {expand_act:?}");
                    let label = format!("sandglass {x} {hidden} {c} {padding:?} {front} {acts} {join:?}");
                    b.check(&gpu, &label, |_| {
                        let window = slide(padding, Shape { c, ..x }, kernel, stride);
                        let first = front.then(|| slide(Padding::Same, x, kernel, 1));
                        let args = sandglass::Args {
                            first,
                            window,
                            c_in,
                            hidden,
                            c,
                            filter_act,
                            reduce_act,
                            expand_act,
                            act,
                            join,
                        };
                        (sandglass::launch_with(&args, variant).unwrap(), None)
                    });
                }
            }
        }
    }
}
