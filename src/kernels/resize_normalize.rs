//! From a picture on the device to the network's input: antialiased resize, crop, normalisation, bit for bit those of
//! the CPU. Shader: `shaders/resize_normalize.wgsl`.
//!
//! Two dispatches, one an axis. A picture larger than a texture may be, or than one wants to hold, comes in tiles:
//! each fills its part of the pixels between the two.

use super::{KernelKey, Launch, grid};
use crate::error::{Error, Result};
use crate::tensor::Dtype;
use std::ops::Range;

/// Name of the family.
pub const NAME: &str = "resize_normalize";

/// Where one output position comes from: the first source position, and the weights from there on with 22 fraction
/// bits.
pub type Taps = (usize, Vec<i32>);

/// What is to be done with pictures of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Resampling {
    /// Columns and rows of the picture.
    pub picture: [usize; 2],
    /// The network input's columns.
    pub columns: Vec<Taps>,
    /// The network input's rows.
    pub rows: Vec<Taps>,
    /// The normalised value of each level: three channels, or one that is made from the luma.
    pub levels: Vec<[f32; 256]>,
    /// How the network's input is stored.
    pub dtype: Dtype,
}

/// A part of the picture and what of the resized columns is made from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Source columns.
    pub xs: Range<usize>,
    /// Source rows.
    pub ys: Range<usize>,
    /// Resized columns.
    pub columns: Range<usize>,
}

/// `struct Params` of the shader.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    /// Outputs along x.
    pub columns: u32,
    /// Outputs along y.
    pub rows: u32,
    /// Place of the first one along x.
    pub first_column: u32,
    /// Place of the first one along y.
    pub first_row: u32,
    /// Pixels between rows of the input.
    pub pitch_in: u32,
    /// Pixels between rows of the output.
    pub pitch_out: u32,
    /// Position along the axis of the input's first pixel.
    pub origin: u32,
    /// Outputs along the axis altogether.
    pub outputs: u32,
    /// Weights of an output.
    pub taps: u32,
    /// 3 or 1.
    pub channels: u32,
    /// Pixels of the output before this image.
    pub base: u32,
    /// Zero.
    pub pad: u32,
}

impl Resampling {
    /// Source rows that the input is made from.
    pub fn needed_rows(&self) -> Range<usize> {
        span(&self.rows)
    }

    /// Cuts what is needed of the picture into tiles of at most `max_side` columns and rows and about `max_pixels`.
    ///
    /// # Errors
    /// [`Error::Limit`] when a single column of the input needs more source columns than that.
    pub fn tiles(&self, max_side: usize, max_pixels: usize) -> Result<Vec<Tile>> {
        let mut strips = Vec::new();
        let mut column = 0;
        while column < self.columns.len() {
            let fits = |end: &usize| span(&self.columns[column..*end]).len() <= max_side.min(max_pixels);
            let Some(end) = (column + 1..=self.columns.len()).rev().find(fits) else {
                return Err(Error::Limit {
                    what: format!("a picture of {} x {} pixels", self.picture[0], self.picture[1]),
                    needed: span(&self.columns[column..=column]).len() as u64,
                    available: max_side as u64,
                    unit: "columns of a texture",
                    advice: "make it smaller",
                });
            };
            strips.push(column..end);
            column = end;
        }
        let widest = strips.iter().map(|strip| span(&self.columns[strip.clone()]).len()).max().unwrap_or(1);
        // One height for all: whoever holds a tile holds the largest in both directions.
        let height = (max_pixels / widest).clamp(1, max_side);
        let rows = self.needed_rows();
        let tiles = strips.into_iter().flat_map(|columns| {
            let (xs, end) = (span(&self.columns[columns.clone()]), rows.end);
            let tile = move |y: usize| Tile { xs: xs.clone(), ys: y..end.min(y + height), columns: columns.clone() };
            rows.clone().step_by(height).map(tile)
        });
        Ok(tiles.collect())
    }

    /// Contents of the weights binding of the first dispatch.
    pub fn pack_columns(&self) -> Vec<i32> {
        pack(&self.columns)
    }

    /// Contents of the weights binding of the second dispatch.
    pub fn pack_rows(&self) -> Vec<i32> {
        let mut packed = pack(&self.rows);
        packed.extend(self.levels.iter().flatten().map(|v| v.to_bits().cast_signed()));
        packed
    }

    /// The first dispatch, over one tile whose rows in the buffer are `pitch` pixels apart.
    ///
    /// # Errors
    /// [`Error::Limit`] when the picture is too large for one dispatch.
    pub fn along_x(&self, tile: &Tile, pitch: usize) -> Result<Launch> {
        launch(
            key(0, Dtype::F32),
            Params {
                columns: tile.columns.len() as u32,
                rows: tile.ys.len() as u32,
                first_column: tile.columns.start as u32,
                first_row: (tile.ys.start - self.needed_rows().start) as u32,
                pitch_in: pitch as u32,
                pitch_out: self.columns.len() as u32,
                origin: tile.xs.start as u32,
                outputs: self.columns.len() as u32,
                taps: longest(&self.columns) as u32,
                channels: self.levels.len() as u32,
                base: 0,
                pad: 0,
            },
        )
    }

    /// The second dispatch, into image `image` of the batch.
    ///
    /// # Errors
    /// [`Error::Limit`] as [`Resampling::along_x`].
    pub fn along_y(&self, image: usize) -> Result<Launch> {
        let (columns, rows) = (self.columns.len() as u32, self.rows.len() as u32);
        launch(
            key(1, self.dtype),
            Params {
                columns,
                rows,
                first_column: 0,
                first_row: 0,
                pitch_in: columns,
                pitch_out: columns,
                origin: self.needed_rows().start as u32,
                outputs: rows,
                taps: longest(&self.rows) as u32,
                channels: self.levels.len() as u32,
                base: image as u32 * columns * rows,
                pad: 0,
            },
        )
    }
}

/// The pipelines of both dispatches.
pub fn keys(dtype: Dtype) -> [KernelKey; 2] {
    [key(0, Dtype::F32), key(1, dtype)]
}

const EDGE: u32 = 8;

fn key(axis: u32, dtype: Dtype) -> KernelKey {
    KernelKey::new(NAME, &[("AXIS", axis), ("F16", (dtype == Dtype::F16).into()), ("WG_X", EDGE), ("WG_Y", EDGE)])
}

fn launch(key: KernelKey, params: Params) -> Result<Launch> {
    let groups = [params.columns.div_ceil(EDGE) as usize, params.rows.div_ceil(EDGE) as usize, 1];
    Ok(Launch { key, grid: grid(NAME, groups)?, params: bytemuck::bytes_of(&params).to_vec() })
}

/// Source positions that any of the outputs needs.
fn span(taps: &[Taps]) -> Range<usize> {
    let start = taps.iter().map(|t| t.0).min().unwrap_or(0);
    start..taps.iter().map(|t| t.0 + t.1.len()).max().unwrap_or(start)
}

fn longest(taps: &[Taps]) -> usize {
    taps.iter().map(|t| t.1.len()).max().unwrap_or(0)
}

fn pack(taps: &[Taps]) -> Vec<i32> {
    let row = longest(taps);
    let mut packed: Vec<i32> = taps.iter().flat_map(|t| [t.0 as i32, t.1.len() as i32]).collect();
    for (_, weights) in taps {
        packed.extend(weights);
        packed.resize(packed.len() + row - weights.len(), 0);
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_output_once_and_stay_in_bounds() {
        let axis = |source: usize, outputs: usize| {
            let tap = |i: usize| {
                let start = i * (source - 5) / outputs;
                (start, vec![1; 5.min(source - start)])
            };
            (0..outputs).map(tap).collect::<Vec<_>>()
        };
        for (w, h, side, pixels) in [(20, 20, 64, 4096), (100, 37, 16, 4096), (100, 37, 64, 100), (1000, 9, 8, 8)] {
            let all = Resampling {
                picture: [w, h],
                columns: axis(w, 7),
                rows: axis(h, 6),
                levels: vec![[0.0; 256]; 3],
                dtype: Dtype::F32,
            };
            let mut seen = vec![0; 7 * all.needed_rows().len()];
            let tiles = all.tiles(side, pixels).unwrap();
            let largest = |edge: fn(&Tile) -> usize| tiles.iter().map(edge).max().unwrap();
            assert!(largest(|t| t.xs.len()) * largest(|t| t.ys.len()) <= pixels, "{w} x {h}");
            for tile in tiles {
                assert!(tile.xs.len() <= side && tile.ys.len() <= side && tile.xs.end <= w && tile.ys.end <= h);
                for column in tile.columns {
                    let (start, weights) = &all.columns[column];
                    assert!(tile.xs.start <= *start && start + weights.len() <= tile.xs.end);
                    for y in tile.ys.clone() {
                        seen[(y - all.needed_rows().start) * 7 + column] += 1;
                    }
                }
            }
            assert!(seen.iter().all(|&n| n == 1), "{w} x {h}: {seen:?}");
        }
        let wide = Resampling {
            picture: [9, 9],
            columns: vec![(0, vec![1; 9])],
            rows: axis(9, 2),
            levels: vec![],
            dtype: Dtype::F32,
        };
        assert!(matches!(wide.tiles(8, 64), Err(Error::Limit { needed: 9, .. })));
    }
}
