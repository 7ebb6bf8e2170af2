//! `mbconv devices`.

use super::common::{Align, Failure, Table, note, print_json};
use crate::gpu::Gpu;
use std::io::Write;

/// Lists the GPU adapters: what --device may name, and the limits and features that matter.
///
/// Software adapters (llvmpipe, SwiftShader, WARP) are listed too. Backends can be limited with the environment
/// variable WGPU_BACKEND (vulkan, metal, dx12, gl).
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  mbconv devices
  mbconv devices --json
  # By index, or by a part of the name, backend or driver
  mbconv classify photo.jpg --device 1
  mbconv classify photo.jpg --device nvidia
  # One backend only
  WGPU_BACKEND=vulkan mbconv devices")]
pub struct Args {
    /// Print JSON: a list of adapters, the best first
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let adapters = pollster::block_on(Gpu::list());
    if args.json {
        return print_json(out, &adapters);
    }
    if adapters.is_empty() {
        note("note", "no GPU adapter found; on Debian without a GPU, mesa-vulkan-drivers brings a software one");
    }
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("--device", right),
        ("name", left),
        ("backend", left),
        ("kind", left),
        ("driver", left),
        ("buffer MiB", right),
        ("binding MiB", right),
        ("invocations", right),
        ("workgroup bytes", right),
        ("groups", right),
        ("features", left),
    ]);
    for a in &adapters {
        let features = [(a.timestamps, "timestamps"), (a.f16, "f16"), (a.int64, "int64"), (a.subgroups, "subgroups")];
        let features: Vec<_> = features.iter().filter(|f| f.0).map(|f| f.1).collect();
        table.row(vec![
            a.index.to_string(),
            a.name.clone(),
            a.backend.clone(),
            a.kind.clone(),
            a.driver.clone(),
            (a.caps.max_buffer >> 20).to_string(),
            (a.caps.max_binding >> 20).to_string(),
            a.caps.max_invocations.to_string(),
            a.caps.max_workgroup_bytes.to_string(),
            a.caps.max_workgroups.to_string(),
            features.join(" "),
        ]);
    }
    table.row(vec!["cpu".into(), "CPU reference, exact and slow".into()]);
    Ok(table.write(out)?)
}
