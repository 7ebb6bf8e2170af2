//! What the families share that keep the tensors between convolutions in workgroup memory. Shaders:
//! `shaders/common/fused.wgsl`, `expand.wgsl`, `expand_input.wgsl`, `filter.wgsl`, `project.wgsl`.

use super::Window;
use super::depthwise::{MAX_KERNEL, Tiles};
use super::text::wgsl;
use crate::error::{Error, Result};

pub(super) const SHARED: &str = wgsl!("common/fused.wgsl");
pub(super) const EXPAND: &str = wgsl!("common/expand.wgsl");
pub(super) const EXPAND_INPUT: &str = wgsl!("common/expand_input.wgsl");
pub(super) const FILTER: &str = wgsl!("common/filter.wgsl");
pub(super) const PROJECT: &str = wgsl!("common/project.wgsl");
/// Bytes of their workgroup memory.
pub(super) const BYTES: u32 = 16_384;

/// A row of their variant tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Channel quads that a workgroup keeps at a time: the fewer, the larger its tile.
    pub quads: u32,
    /// Lanes along positions, a power of two.
    pub lanes: u32,
}

impl Variant {
    /// Positions that fit in workgroup memory.
    pub fn capacity(&self) -> usize {
        (BYTES / 16 / self.quads) as usize
    }

    /// A key's constants.
    pub(super) fn consts(&self, window: &Window) -> [(&'static str, u32); 4] {
        let (kernel, stride) = (window.kernel as u32, window.stride as u32);
        [("K", kernel), ("STRIDE", stride), ("WG_X", self.quads), ("WG_Y", self.lanes)]
    }
}

/// Whether the families have a depthwise window.
///
/// # Errors
/// [`Error::BadInput`] where they do not.
pub(super) fn check(what: &str, window: &Window) -> Result<()> {
    let &Window { kernel, stride, .. } = window;
    if (1..=MAX_KERNEL).contains(&kernel) && (1..=2).contains(&stride) {
        return Ok(());
    }
    Err(Error::bad(what, format!("window {kernel}x{kernel} step {stride}: windows up to 7x7, steps 1 and 2")))
}

/// Of the tiles that `fits` allows, by the positions that their windows cover and those of the tile itself, those that
/// need the fewest positions of what lies under the windows; and how many they need of each image.
pub(super) fn tiles(window: &Window, fits: impl Fn(usize, usize) -> bool) -> (Tiles, usize) {
    let (kernel, stride) = (window.kernel, window.stride);
    let span = |outputs: usize| (outputs - 1) * stride + kernel;
    // Positions inside the image under all tiles of an axis.
    let computed = |size: usize, out: usize, pad: usize, tile: usize| {
        let of_tile = |first: usize| {
            let begin = first * stride;
            (begin + span(tile.min(out - first))).min(size + pad).saturating_sub(begin.max(pad))
        };
        (0..out).step_by(tile).map(of_tile).sum::<usize>()
    };
    let sizes = |out: usize| (1..=out).take_while(|&n| fits(span(n) * span(1), n));
    let columns: Vec<_> =
        sizes(window.out_w).map(|w| (w, computed(window.w, window.out_w, window.pad_left, w))).collect();
    let choices = sizes(window.out_h).flat_map(|h| {
        let (fits, rows) = (&fits, computed(window.h, window.out_h, window.pad_top, h));
        let both = move |c: &&(usize, usize)| fits(span(h) * span(c.0), h * c.0);
        columns.iter().filter(both).map(move |&(w, columns)| (rows * columns, h, w))
    });
    let count = |h: usize, w: usize| window.out_h.div_ceil(h) * window.out_w.div_ceil(w);
    let best = choices.min_by_key(|&(positions, h, w)| (positions, count(h, w), h.abs_diff(w)));
    let (positions, height, width) = best.unwrap_or((window.h * window.w, 1, 1));
    let (tiles_y, tiles_x) = (window.out_h.div_ceil(height), window.out_w.div_ceil(width));
    (Tiles { height, width, tiles_y, tiles_x }, positions)
}
