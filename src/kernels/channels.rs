//! The channels of a convolution: its groups as products over whole quads of channels, and the order of its weights.

use super::pack_bias;
use crate::graph::shuffled;

/// Which channels a convolution reads and writes.
///
/// Kernels work on quads of channels. Groups that do not end at a quad are computed together, as one product in which
/// the weights between different groups are zero; so is a convolution whose output is shuffled, which mixes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Channels of the input tensor.
    pub whole: usize,
    /// The first one that counts.
    pub first: usize,
    /// How many count.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Groups of the convolution.
    pub groups: usize,
    /// Groups among which its outputs are shuffled; 1 for none.
    pub shuffle: usize,
}

impl Channels {
    /// All channels to all channels.
    pub const fn dense(c_in: usize, c_out: usize) -> Self {
        Self { whole: c_in, first: 0, c_in, c_out, groups: 1, shuffle: 1 }
    }

    /// Products that a kernel computes side by side: as many as have whole quads on both sides.
    pub fn products(&self) -> usize {
        if self.shuffle > 1 || self.first > 0 {
            return 1;
        }
        let whole = |merged: &usize| {
            let products = self.groups / merged;
            self.groups.is_multiple_of(*merged)
                && (products == 1
                    || (self.c_in.is_multiple_of(4 * products) && self.c_out.is_multiple_of(4 * products)))
        };
        self.groups / (1..=self.groups).find(whole).unwrap_or(self.groups)
    }

    /// Quads of the input tensor.
    pub fn whole4(&self) -> usize {
        self.whole.div_ceil(4)
    }

    /// The first quad that counts.
    pub fn first4(&self) -> usize {
        self.first / 4
    }

    /// Input quads of one product.
    pub fn in4(&self) -> usize {
        (self.first % 4 + self.c_in / self.products()).div_ceil(4)
    }

    /// Output quads of all products.
    pub fn out4(&self) -> usize {
        self.c_out.div_ceil(4)
    }

    /// Output quads of one product.
    pub fn group4(&self) -> usize {
        self.out4() / self.products()
    }

    /// Length of the packed bias and weights of a window of `taps` positions, in f32.
    pub fn packed_len(&self, taps: usize) -> usize {
        (self.out4() + taps * self.in4() * 4 * self.out4()) * 4
    }

    /// Packs `weight` `[c_out, c_in / groups, taps]` and `bias` `[c_out]` as `[bias | a row of all outputs for each tap
    /// and input of a product]`.
    ///
    /// # Panics
    /// When a length differs.
    pub fn pack(&self, weight: &[f32], bias: &[f32], taps: usize, out: &mut [f32]) {
        let (inputs, outputs) = (self.c_in / self.groups, self.c_out / self.groups);
        assert_eq!(bias.len(), self.c_out, "bias");
        assert_eq!(weight.len(), taps * inputs * self.c_out, "weights of {self:?} x {taps}");
        assert_eq!(out.len(), self.packed_len(taps), "packed weights of {self:?} x {taps}");
        let (row, products) = (self.out4() * 4, self.products());
        let (head, rows) = out.split_at_mut(row);
        let order: Vec<usize> = (0..self.c_out).map(|n| shuffled(n, self.c_out, self.shuffle)).collect();
        pack_bias(&order.iter().map(|&n| bias[n]).collect::<Vec<_>>(), head);
        rows.fill(0.0);
        // Where the inputs of an output's group lie among those of its product.
        let start = |n: usize| n / outputs * inputs % (self.c_in / products) + self.first % 4;
        let (tap_rows, columns): (_, Vec<_>) =
            (self.in4() * 4, order.iter().map(|&n| (n * inputs, start(n))).collect());
        // A cache line of outputs at a time.
        for (line, columns) in columns.chunks(16).enumerate() {
            for k in 0..inputs {
                for tap in 0..taps {
                    for (place, (from, start)) in (line * 16..).zip(columns) {
                        rows[(tap * tap_rows + start + k) * row + place] = weight[(from + k) * taps + tap];
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_merged_to_whole_quads() {
        let products = |c_in, c_out, groups| Channels { groups, ..Channels::dense(c_in, c_out) }.products();
        assert_eq!(products(64, 24, 1), 1);
        assert_eq!(products(64, 24, 2), 2);
        assert_eq!(products(64, 20, 2), 1); // ten outputs each
        assert_eq!(products(32, 64, 32), 8); // four channels and their groups together
        assert_eq!(products(6, 12, 3), 1);
        assert_eq!(Channels { groups: 2, shuffle: 2, ..Channels::dense(64, 64) }.products(), 1);
    }

    #[test]
    fn packed_rows_hold_the_weights_of_their_groups_and_zeros() {
        // Two groups of two inputs and one output, merged; outputs shuffled by twos stay where they are.
        let channels = Channels { groups: 2, shuffle: 2, ..Channels::dense(4, 2) };
        let mut out = vec![f32::NAN; channels.packed_len(1)];
        channels.pack(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0], 1, &mut out);
        let rows = [[5.0, 6.0], [1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, 4.0]];
        assert_eq!(out, rows.iter().flat_map(|r| [r[0], r[1], 0.0, 0.0]).collect::<Vec<f32>>());
        // A slice that starts within a quad: a row of zeros for each channel before it.
        let channels = Channels { whole: 7, first: 6, c_in: 1, ..Channels::dense(1, 1) };
        assert_eq!((channels.first4(), channels.in4()), (1, 1));
        let mut out = vec![f32::NAN; channels.packed_len(1)];
        channels.pack(&[9.0], &[0.5], 1, &mut out);
        assert_eq!([out[0], out[4], out[8], out[12], out[16]], [0.5, 0.0, 0.0, 9.0, 0.0]);
    }
}
