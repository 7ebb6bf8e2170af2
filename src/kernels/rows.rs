//! What families with a table of rows have in common: any row can be asked for by whoever measured it to be quicker than
//! the default.

use super::depthwise::Tiles;
use super::{AdapterClass, Launch};
use super::{
    conv, depthwise, depthwise_pointwise, excite_pointwise, expand_depthwise, fused, global_pool, head_pool,
    inverted_residual, pointwise, sandglass, squeeze_excite,
};
use crate::error::Result;
use std::fmt::Debug;

/// The arguments of a family: what is to be computed, with which of its rows.
pub trait Rows: Copy + Debug {
    /// A row.
    type Row: Copy + Debug + PartialEq + 'static;
    /// A launch, and what else the row decides.
    type Launched: AsRef<Launch>;
    /// The family.
    const FAMILY: &'static str;
    /// Every row; all compute the same.
    const ROWS: &'static [Self::Row];

    /// The default row.
    fn choose(&self, class: AdapterClass) -> Self::Row;

    /// The dispatch of the default row.
    ///
    /// # Errors
    /// As the family's `launch`.
    fn launch(&self, class: AdapterClass) -> Result<Self::Launched>;

    /// The dispatch of a given row.
    ///
    /// # Errors
    /// As the family's `launch_with`.
    fn launch_with(&self, row: &Self::Row) -> Result<Self::Launched>;

    /// How many times what is needed the row's tiles compute, since the last ones stand over the edge.
    fn waste(&self, row: &Self::Row) -> f64;
}

/// A launch with the tiles that its row cuts the output into.
pub struct Tiled(pub Launch, pub Tiles);

impl AsRef<Launch> for Launch {
    fn as_ref(&self) -> &Launch {
        self
    }
}

impl AsRef<Launch> for Tiled {
    fn as_ref(&self) -> &Launch {
        &self.0
    }
}

/// What tiles of `tile` along axes of `size` compute of what is needed.
fn waste(axes: &[(usize, u32)]) -> f64 {
    let of_axis = |&(size, tile): &(usize, u32)| {
        let (size, tile) = (size.max(1), tile.max(1) as usize);
        (size.div_ceil(tile) * tile) as f64 / size as f64
    };
    axes.iter().map(of_axis).product()
}

macro_rules! rows {
    ($family:ident, $row:ty, $launched:ty, $wrap:expr, $axes:expr) => {
        impl Rows for $family::Args {
            type Row = $row;
            type Launched = $launched;
            const FAMILY: &'static str = $family::NAME;
            const ROWS: &'static [Self::Row] = $family::VARIANTS;

            fn choose(&self, class: AdapterClass) -> Self::Row {
                $family::choose(self, class)
            }

            fn launch(&self, class: AdapterClass) -> Result<Self::Launched> {
                $family::launch(self, class).map($wrap)
            }

            fn launch_with(&self, row: &Self::Row) -> Result<Self::Launched> {
                $family::launch_with(self, row).map($wrap)
            }

            fn waste(&self, row: &Self::Row) -> f64 {
                let axes: fn(&Self, &Self::Row) -> Vec<(usize, u32)> = $axes;
                waste(&axes(self, row))
            }
        }
    };
}

fn tiled((launch, tiles): (Launch, Tiles)) -> Tiled {
    Tiled(launch, tiles)
}

rows!(pointwise, pointwise::Variant, Launch, |l| l, |args, row| vec![
    (args.n * args.pixels, row.rows),
    (args.channels.group4(), row.cols)
]);
rows!(conv, conv::Variant, Launch, |l| l, |args, row| vec![
    (args.window.out_w, row.rows),
    (args.channels.group4(), row.cols)
]);
rows!(head_pool, head_pool::Variant, Launch, |l| l, |args, row| vec![
    (args.pixels, row.rows),
    (args.c_out.div_ceil(4), row.cols)
]);
rows!(depthwise, depthwise::Variant, Tiled, tiled, |args, row| vec![(args.window.out_w, row.cols)]);
rows!(squeeze_excite, squeeze_excite::Variant, Launch, |l| l, |_, _| Vec::new());
rows!(excite_pointwise, pointwise::Variant, Launch, |l| l, |args, row| vec![
    (args.product.pixels, row.rows),
    (args.product.channels.group4(), row.cols)
]);
rows!(global_pool, global_pool::Variant, Launch, |l| l, |_, _| Vec::new());
rows!(expand_depthwise, fused::Variant, Tiled, tiled, |args, row| vec![(args.c.div_ceil(4), row.quads)]);
rows!(depthwise_pointwise, fused::Variant, Launch, |l| l, |args, row| vec![(args.c_out.div_ceil(4), row.quads)]);
rows!(inverted_residual, fused::Variant, Launch, |l| l, |args, row| vec![(args.c_out.div_ceil(4), row.quads)]);
rows!(sandglass, fused::Variant, Launch, |l| l, |args, row| vec![(args.c.div_ceil(4), row.quads)]);

/// The rows of the longest table.
pub fn most_rows() -> usize {
    let tables = [
        pointwise::VARIANTS.len(),
        conv::VARIANTS.len(),
        head_pool::VARIANTS.len(),
        depthwise::VARIANTS.len(),
        squeeze_excite::VARIANTS.len(),
        excite_pointwise::VARIANTS.len(),
        global_pool::VARIANTS.len(),
        expand_depthwise::VARIANTS.len(),
        depthwise_pointwise::VARIANTS.len(),
        inverted_residual::VARIANTS.len(),
        sandglass::VARIANTS.len(),
    ];
    tables.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waste_is_what_stands_over_the_edge() {
        assert_eq!(waste(&[]), 1.0);
        assert_eq!(waste(&[(1, 4), (6, 2)]), 4.0);
        assert_eq!(waste(&[(49, 4), (5, 4)]), 52.0 / 49.0 * (8.0 / 5.0));
    }
}
