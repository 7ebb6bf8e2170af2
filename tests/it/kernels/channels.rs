//! Rows again with what moves channels: groups, slices, shuffles, concatenations; and the kernels that do only that.

use super::*;
use mbconv::graph::{Pool, PoolKind};
use mbconv::kernels::{channel_copy, pool};

/// Groups: whole quads on both sides, and such that are merged.
const GROUPS: [(usize, usize, usize); 5] = [(16, 24, 2), (64, 32, 4), (12, 20, 2), (6, 9, 3), (32, 64, 32)];

fn groups(c_in: usize, c_out: usize, groups: usize) -> Channels {
    Channels { groups, ..Channels::dense(c_in, c_out) }
}

#[test]
fn grouped_and_shuffled_products() {
    for gpu in gpus() {
        for variant in pointwise::VARIANTS.iter().filter(|v| runs(&gpu, v, lanes(v.subgroup, v.swap))) {
            for (c_in, c_out, count) in GROUPS {
                for (shuffle, join) in [(1, Join::None), (count, Join::None), (1, Join::Add)] {
                    let x = Shape::new(2, 7, 9, c_in);
                    let shape = plain(c_out, 1, 1, Padding::Same, Activation::Swish);
                    let mut b = Bench::new(x);
                    let mut inputs = vec![0];
                    if join.is_some() {
                        inputs.push(b.conv(&[0], c_in, 1, shape));
                    }
                    // A depthwise product is another kernel's.
                    b.conv(&inputs, c_in, count, Conv2d { groups: count, shuffle, join, ..shape });
                    b.check(&gpu, &format!("{count} groups, shuffle {shuffle}"), |_| {
                        let channels = Channels { shuffle, ..groups(c_in, c_out, count) };
                        let (n, pixels, act, other) = (x.n, x.pixels(), shape.act, c_out);
                        let args =
                            pointwise::Args { n, pixels, channels, act, gate: false, join, other, vector: false };
                        (pointwise::launch_with(&args, variant).unwrap(), None)
                    });
                }
            }
        }
    }
}

#[test]
fn grouped_windows() {
    for gpu in gpus() {
        for variant in conv::VARIANTS.iter().filter(|v| runs(&gpu, v, lanes(v.subgroup, v.swap))) {
            for (c_in, c_out, count) in GROUPS {
                let x = Shape::new(2, 9, 11, c_in);
                let shape = plain(c_out, 3, 2, Padding::Same, Activation::Relu);
                let mut b = Bench::new(x);
                b.conv(&[0], c_in, count, Conv2d { groups: count, ..shape });
                b.check(&gpu, &format!("{count} groups"), |_| {
                    let (window, channels) = (slide(Padding::Same, x, 3, 2), groups(c_in, c_out, count));
                    let args = conv::Args { window, channels, act: shape.act, join: Join::None };
                    (conv::launch_with(&args, variant).unwrap(), None)
                });
            }
        }
    }
}

#[test]
fn products_of_a_slice_and_by_turns_with_another_tensor() {
    for gpu in gpus() {
        for variant in pointwise::VARIANTS.iter().filter(|v| runs(&gpu, v, lanes(v.subgroup, v.swap))) {
            for (whole, first, c_in, c_out) in [(16, 8, 8, 8), (116, 58, 58, 58), (11, 3, 7, 6), (9, 1, 1, 5)] {
                for join in [Join::None, Join::Interleave] {
                    let x = Shape::new(2, 7, 9, whole);
                    let act = Activation::Relu;
                    let mut b = Bench::new(x);
                    let mut inputs = vec![0];
                    // Of the other tensor the first channels count.
                    let other = c_out + 3;
                    if join.is_some() {
                        inputs.push(b.conv(&[0], whole, 1, plain(other, 1, 1, Padding::Same, act)));
                    }
                    let conv = plain(c_out, 1, 1, Padding::Same, act);
                    b.conv(&inputs, c_in, 1, Conv2d { first: Some(first), join, ..conv });
                    b.check(&gpu, &format!("{c_in} of {whole} channels from {first} on, {join:?}"), |_| {
                        let channels = Channels { whole, first, ..Channels::dense(c_in, c_out) };
                        let (n, pixels) = (x.n, x.pixels());
                        let args =
                            pointwise::Args { n, pixels, channels, act, gate: false, join, other, vector: false };
                        (pointwise::launch_with(&args, variant).unwrap(), None)
                    });
                }
            }
        }
    }
}

#[test]
fn depthwise_behind_its_input() {
    for gpu in gpus() {
        for (row, variant) in depthwise::VARIANTS.iter().enumerate() {
            for c in 8..12 {
                let wide = (5, false, Join::Add);
                let narrow = [(3, false, Join::None), (3, true, Join::None)];
                for (kernel, squeeze, join) in narrow.into_iter().chain((c == 8 + row % 4).then_some(wide)) {
                    let x = Shape::new(2, 17, 13, c);
                    let shape = plain(c, kernel, 1, Padding::Symmetric, Activation::Relu);
                    let mut b = Bench::new(x);
                    let mut inputs = vec![0];
                    if join.is_some() {
                        inputs.push(b.conv(&[0], c, 1, plain(2 * c, 1, 1, Padding::Same, Activation::Swish)));
                    }
                    b.conv(&inputs, c, c, Conv2d { keep_input: true, join, ..shape });
                    b.check(&gpu, &format!("{c} channels kept, squeeze {squeeze}, {join:?}"), |_| {
                        let window = slide(Padding::Symmetric, x, kernel, 1);
                        let args = depthwise::Args { window, c, act: shape.act, join, keep_input: true, squeeze };
                        let (launch, tiles) = depthwise::launch_with(&args, variant).unwrap();
                        (launch, squeeze.then_some(tiles))
                    });
                }
            }
        }
    }
}

#[test]
fn pool_rows() {
    for gpu in gpus() {
        for variant in pool::VARIANTS {
            for (kernel, stride, padding) in [
                (3, 2, Padding::Symmetric),
                (2, 2, Padding::Same),
                (2, 2, Padding::Symmetric),
                (3, 1, Padding::Same),
                (5, 3, Padding::SameFixed),
                (3, 2, Padding::Valid),
            ] {
                for kind in [PoolKind::Max, PoolKind::Average] {
                    let x = Shape::new(2, 15, 22, 10);
                    let mut b = Bench::new(x);
                    b.push(Op::Pool(Pool { kind, kernel, stride, padding }), &[0]);
                    b.check(&gpu, &format!("{kind:?} {padding:?}"), |_| {
                        let args = pool::Args { window: slide(padding, x, kernel, stride), c: x.c, kind };
                        (pool::launch_with(&args, variant).unwrap(), None)
                    });
                }
            }
        }
    }
}

#[test]
fn channel_copy_rows() {
    for gpu in gpus() {
        for variant in channel_copy::VARIANTS {
            for (op, first, from_a, groups) in [
                (Op::Slice { first: 3, channels: 6 }, 3, 6, 1),
                (Op::Slice { first: 0, channels: 10 }, 0, 10, 1),
                (Op::Shuffle { groups: 5 }, 0, 10, 5),
                (Op::Concat, 0, 10, 1),
            ] {
                let x = Shape::new(2, 5, 7, 10);
                let mut b = Bench::new(x);
                let other = if op == Op::Concat { 7 } else { 0 };
                let mut inputs = vec![0];
                if other > 0 {
                    inputs.push(b.conv(&[0], x.c, 1, plain(other, 1, 1, Padding::Same, Activation::Swish)));
                }
                b.push(op, &inputs);
                b.check(&gpu, op.name(), |_| {
                    let (n, pixels, c) = (x.n, x.pixels(), x.c);
                    let args = channel_copy::Args { n, pixels, c, first, from_a, other, groups };
                    (channel_copy::launch_with(&args, variant).unwrap(), None)
                });
            }
        }
    }
}
