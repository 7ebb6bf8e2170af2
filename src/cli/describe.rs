//! `mbconv describe`.

use super::common::{Align, Failure, ShapeArgs, Table, architecture, json_with, print_json};
use crate::error::Result;
use crate::graph::{ConvKind, Graph, Op};
use crate::kernels::AdapterClass;
use crate::passes::{self, PASSES, Report};
use crate::plan::{Caps, Plan, Target, WeightLayout};
use crate::tensor::{Padding, Shape};
use crate::zoo::Model;
use serde_json::{Value, json};
use std::io::Write;

/// Shows a network's layers, or what the GPU will be asked to do. Needs no GPU and no weights.
///
/// Without --plan and --passes: a table of layers with output shape, parameters and multiply-adds.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  mbconv describe efficientnet_b0
  mbconv describe efficientnet_b4 --resolution 256x320 --batch 4
  # What a GPU will be asked to do
  mbconv describe efficientnet_b0 --plan
  # The same with the kernels for a CPU that poses as a GPU
  mbconv describe efficientnet_b0 --plan --class software
  # What was fused, what was not and why
  mbconv describe efficientnet_b0 --passes
  # An architecture of one's own
  mbconv describe mine.toml

An architecture file in TOML (JSON has the same fields):
  scaling = { width = 1.0, depth = 1.0, resolution = 224 }
  stages = [
    { kernel = 3, repeats = 1, in = 32, out = 16, expand = 1, stride = 1 },
    { kernel = 5, repeats = 2, in = 16, out = 24, expand = 6, stride = 2, se = 0.25 },
  ]")]
pub struct Args {
    /// A name (see `mbconv models`), or a .toml or .json file with an architecture
    #[arg(value_name = "NAME|FILE")]
    arch: String,
    /// One line per dispatch: kernel key, grid, buffers, bytes, multiply-adds; then the totals
    #[arg(long)]
    plan: bool,
    /// What each pass over the graph applied, and skipped with the reason
    #[arg(long)]
    passes: bool,
    /// Which kind of adapter the plan is for
    #[arg(long, value_enum, default_value_t = Class::Gpu)]
    class: Class,
    #[command(flatten)]
    shape: ShapeArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Class {
    /// A GPU
    Gpu,
    /// A CPU that poses as one (llvmpipe, SwiftShader, WARP)
    Software,
}

#[derive(serde::Serialize)]
struct Layer {
    name: String,
    op: String,
    /// NHWC.
    shape: [usize; 4],
    params: u64,
    madds: u64,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let model = architecture(&args.arch)?;
    let graph = model.build(&args.shape.options(&model))?;
    let [n, h, w] = args.shape.nhw([model.resolution; 2]);
    let layers = layers(&graph, [n, h, w])?;
    let (fused, reports) = passes::run(&graph, &[]);
    let plan = if args.plan { Some(plan(&fused, args.class, [n, h, w])?) } else { None };
    if args.json {
        let mut json = json!({
            "name": model.name, "family": model.family, "source": model.cite,
            "input": [n, h, w, graph.in_channels],
            "params": graph.trainable_params(),
            "madds": layers.iter().map(|l| l.madds).sum::<u64>(),
            "published": model.published,
            "layers": layers,
        });
        if let Some(plan) = &plan {
            json["plan"] = plan_json(plan);
        }
        if args.passes {
            json["passes"] = reports.iter().map(pass_json).collect();
        }
        return print_json(out, &json);
    }
    if args.passes {
        write_passes(out, &reports)?;
    }
    if let Some(plan) = &plan {
        writeln!(out, "{plan}")?;
    }
    if !args.passes && !args.plan {
        write_layers(out, &model, &graph, &layers)?;
    }
    Ok(())
}

fn plan(fused: &Graph, class: Class, nhw: [usize; 3]) -> Result<Plan> {
    let class = match class {
        Class::Gpu => AdapterClass::Gpu,
        Class::Software => AdapterClass::Software,
    };
    let target = Target { caps: Caps::web_default(), class };
    let layout = WeightLayout::new(fused, &target.caps)?;
    Plan::new(fused, &layout, &target, nhw, &[])
}

fn layers(graph: &Graph, [n, h, w]: [usize; 3]) -> Result<Vec<Layer>> {
    let shapes = graph.shapes(n, h, w)?;
    let layer = |(id, node): (usize, &crate::graph::Node)| {
        let Shape { n, h, w, c } = shapes[id];
        let input = node.inputs.first().map_or(0, |&i| shapes[i].c);
        Layer {
            name: node.name.clone(),
            op: op_text(&node.op, input),
            shape: [n, h, w, c],
            params: graph.node_params(id),
            madds: graph.node_madds(id, &shapes),
        }
    };
    Ok(graph.nodes.iter().enumerate().map(layer).collect())
}

/// An operation in words: `depthwise 5x5 /2 same`.
fn op_text(op: &Op, in_channels: usize) -> String {
    let Op::Conv2d(c) = op else { return op.name().into() };
    let kind = match c.kind(in_channels) {
        ConvKind::Pointwise => "pointwise",
        ConvKind::Depthwise => "depthwise",
        ConvKind::Dense | ConvKind::Grouped => "conv2d",
    };
    let mut text = format!("{kind} {0}x{0}", c.kernel);
    if c.stride > 1 {
        text += &format!(" /{}", c.stride);
    }
    if c.padding != Padding::Symmetric && c.kernel > 1 {
        text += " same";
    }
    if c.kind(in_channels) == ConvKind::Grouped {
        text += &format!(" {} groups", c.groups);
    }
    text
}

fn write_layers(out: &mut dyn Write, model: &Model, graph: &Graph, layers: &[Layer]) -> std::io::Result<()> {
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("layer", left),
        ("operation", left),
        ("output NHWC", right),
        ("parameters", right),
        ("multiply-adds", right),
    ]);
    for layer in layers {
        let [n, h, w, c] = layer.shape;
        let number = |n: u64| if n == 0 { "-".to_string() } else { n.to_string() };
        table.row(vec![
            layer.name.clone(),
            layer.op.clone(),
            format!("{n}x{h}x{w}x{c}"),
            number(layer.params),
            number(layer.madds),
        ]);
    }
    table.write(out)?;
    let madds: u64 = layers.iter().map(|l| l.madds).sum();
    writeln!(out)?;
    writeln!(out, "model          {}", model.name)?;
    writeln!(out, "parameters     {}", graph.trainable_params())?;
    writeln!(out, "multiply-adds  {madds}")?;
    if let Some(p) = model.published {
        let at = model.resolution;
        writeln!(
            out,
            "published      {} M parameters, {} M multiply-adds at {at}x{at}, top-1 {} %",
            p.params, p.madds, p.top1
        )?;
    }
    if !model.cite.is_empty() {
        writeln!(out, "source         {}", model.cite)?;
    }
    Ok(())
}

fn write_passes(out: &mut dyn Write, reports: &[Report]) -> std::io::Result<()> {
    for (report, pass) in reports.iter().zip(PASSES) {
        writeln!(
            out,
            "{}: applied {}, skipped {} ({})",
            report.pass,
            report.applied.len(),
            report.skipped.len(),
            pass.place
        )?;
        for (node, reason) in &report.skipped {
            writeln!(out, "  skipped {node}: {reason}")?;
        }
    }
    Ok(())
}

fn pass_json(report: &Report) -> Value {
    let skipped: Vec<Value> =
        report.skipped.iter().map(|(node, reason)| json!({"node": node, "reason": reason})).collect();
    json!({"pass": report.pass, "applied": report.applied, "skipped": skipped})
}

fn plan_json(plan: &Plan) -> Value {
    let step = |(i, step): (usize, &crate::plan::Step)| {
        json!({
            "step": i,
            "module": plan.labels[i],
            "key": step.launch.key.to_string(),
            "grid": step.launch.grid,
            "buffers": plan.operands(step),
            "bytes": step.bytes,
            "madds": step.madds,
        })
    };
    let steps: Vec<Value> = plan.steps.iter().enumerate().map(step).collect();
    json_with(&plan.counters, &[("steps", steps.into())])
}
