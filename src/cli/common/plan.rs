//! `--fuse`, and plans without a device.

use crate::error::Result;
use crate::graph::Graph;
use crate::kernels::AdapterClass;
use crate::plan::{Fuse, Plan, Target, WeightLayout};

/// What of the planner can be chosen.
#[derive(Clone, Copy, clap::Args)]
pub struct FuseArgs {
    /// Which neighbouring convolutions become one dispatch
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    fuse: Choice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Choice {
    /// Those that save time by the adapter's rates (see `mbconv profile`); on a CPU that poses as a GPU none
    Auto,
    /// None
    None,
    /// All that have a kernel
    All,
}

impl FuseArgs {
    /// As the planner has it.
    pub fn fuse(self) -> Fuse {
        match self.fuse {
            Choice::Auto => Fuse::Auto,
            Choice::None => Fuse::None,
            Choice::All => Fuse::All,
        }
    }
}

/// The plan of a graph, after the passes, within the limits that every WebGPU implementation grants.
pub fn web_plan(fused: &Graph, class: AdapterClass, fuse: Fuse, nhw: [usize; 3]) -> Result<Plan> {
    let target = Target { class, fuse, ..Target::web() };
    let layout = WeightLayout::new(fused, &target)?;
    Plan::new(fused, &layout, &target, nhw, &[])
}
