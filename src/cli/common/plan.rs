//! Plans without a device.

use crate::error::Result;
use crate::graph::Graph;
use crate::kernels::AdapterClass;
use crate::plan::{Caps, Plan, Target, WeightLayout};

/// The plan of a graph, after the passes, within the limits that every WebGPU implementation grants.
pub fn web_plan(fused: &Graph, class: AdapterClass, nhw: [usize; 3]) -> Result<Plan> {
    let target = Target { caps: Caps::web_default(), class };
    let layout = WeightLayout::new(fused, &target.caps)?;
    Plan::new(fused, &layout, &target, nhw, &[])
}
