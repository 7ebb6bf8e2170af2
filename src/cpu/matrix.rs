//! The matrix product under dense convolutions, arranged for baseline SIMD: four rows by four outputs.

/// Rows and outputs computed together; their sums stay in registers.
const TILE: usize = 4;

/// A weight matrix `[outputs, k]` in f64, stored by groups of four outputs.
pub struct Panels {
    k: usize,
    /// Panel by panel, `k` entries of four outputs each; missing outputs are zero.
    values: Vec<[f64; TILE]>,
}

impl Panels {
    /// The matrix whose entry for an output and an index below `k` is `at(output, index)`.
    pub fn new(outputs: usize, k: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        let mut values = vec![[0.0; TILE]; outputs.div_ceil(TILE) * k];
        for output in 0..outputs {
            let panel = output / TILE * k;
            for i in 0..k {
                values[panel + i][output % TILE] = f64::from(at(output, i));
            }
        }
        Self { k, values }
    }

    /// The length of a row of [`Panels::product`]'s result: the outputs rounded up to whole panels.
    pub fn width(&self) -> usize {
        self.values.len() / self.k.max(1) * TILE
    }

    /// `sums[row][output] = sum over i of rows[row][i] * matrix[output][i]`, each in the order of i.
    ///
    /// `rows` holds a multiple of four rows of `k`, `sums` as many of [`Panels::width`].
    pub fn product(&self, rows: &[f64], sums: &mut [f64]) {
        let (k, width) = (self.k, self.width());
        // A panel stays in cache while it meets all rows.
        for (panel, weights) in self.values.chunks_exact(k).enumerate() {
            for (tile, rows) in rows.chunks_exact(TILE * k).enumerate() {
                let (r0, rest) = rows.split_at(k);
                let (r1, rest) = rest.split_at(k);
                let (r2, r3) = rest.split_at(k);
                let mut acc = [[0.0; TILE]; TILE];
                for ((((w, a), b), c), d) in weights.iter().zip(r0).zip(r1).zip(r2).zip(r3) {
                    for (acc, x) in acc.iter_mut().zip([a, b, c, d]) {
                        for (acc, w) in acc.iter_mut().zip(w) {
                            *acc += x * w;
                        }
                    }
                }
                for (row, acc) in acc.iter().enumerate() {
                    let at = (tile * TILE + row) * width + panel * TILE;
                    sums[at..at + TILE].copy_from_slice(acc);
                }
            }
        }
    }
}

/// `rows` rounded up to what [`Panels::product`] takes.
pub fn padded_rows(rows: usize) -> usize {
    rows.next_multiple_of(TILE)
}

/// How many of `rows` rows to compute at a time: enough to reuse weights, few enough to occupy all threads.
pub fn rows_per_task(rows: usize) -> usize {
    padded_rows(rows.div_ceil(8)).min(32)
}
