//! Plans without a device.

use crate::error::Result;
use crate::graph::Graph;
use crate::kernels::AdapterClass;
use crate::plan::{Plan, Target, WeightLayout};

/// The plan of a graph, after the passes, within the limits that every WebGPU implementation grants.
pub fn web_plan(fused: &Graph, class: AdapterClass, nhw: [usize; 3]) -> Result<Plan> {
    let target = Target { class, ..Target::web() };
    let layout = WeightLayout::new(fused, &target)?;
    Plan::new(fused, &layout, &target, nhw, &[])
}
