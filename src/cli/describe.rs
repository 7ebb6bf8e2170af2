//! `mbconv describe`.

use super::common::{Align, Failure, FuseArgs, ShapeArgs, Table, architecture, json_with, print_json, web_plan};
use crate::draw;
use crate::error::Result;
use crate::graph::Graph;
use crate::kernels::AdapterClass;
use crate::passes::{self, PASSES, Report};
use crate::plan::{Counters, Plan};
use crate::tensor::Shape;
use crate::zoo::Model;
use serde_json::{Value, json};
use std::io::Write;

/// Shows a network's layers, or what the GPU will be asked to do. Needs no GPU and no weights.
///
/// Without --plan and --passes: a table of layers with output shape, parameters and multiply-adds, then the totals and
/// what one inference asks of a GPU.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  mbconv describe efficientnet_b0
  mbconv describe efficientnet_b4 --resolution 256x320 --batch 4
  # What a GPU will be asked to do
  mbconv describe efficientnet_b0 --plan
  # The same with the kernels for a CPU that poses as a GPU
  mbconv describe efficientnet_b0 --plan --class software
  # Every convolution a dispatch of its own
  mbconv describe efficientnet_b0 --plan --fuse none
  # What was fused, what was not and why
  mbconv describe efficientnet_b0 --passes
  # Pictures: one block as SVG, the whole graph through Graphviz
  mbconv describe efficientnet_b0 --svg --block blocks.1.1 > mbconv.svg
  mbconv describe mobilenetv2_100 --dot --fused | dot -Tpdf > mobilenetv2.pdf
  # An architecture of one's own
  mbconv describe mine.toml

An architecture file in TOML (JSON has the same fields; examples/hybrid.toml shows all):
  act = \"relu6\"
  stem = { out = 32 }
  head = { kind = \"conv\", out = 512 }
  scaling = { width = 1.0, depth = 1.0, resolution = 224 }
  [[stages]]
  kind = \"sandglass\"
  repeats = 3
  kernel = 5
  stride = 2
  reduce = 6
  out = 192
  se = { ratio = 0.5, base = \"hidden\", gate = \"hard_sigmoid\" }
Kinds: inverted_residual, linear, separable, fused, conv, sandglass. Or as a
table of EfficientNet's (examples/custom.toml):
  scaling = { width = 1.0, depth = 1.0, resolution = 224 }
  stages = [
    { kernel = 3, repeats = 1, in = 32, out = 16, expand = 1, stride = 1 },
    { kernel = 5, repeats = 2, in = 16, out = 24, expand = 6, stride = 2, se = 0.25 },
  ]")]
pub struct Args {
    /// A name (see `mbconv models`), or a .toml or .json file with an architecture
    #[arg(value_name = "NAME|FILE")]
    arch: String,
    /// One line per dispatch: kernel key, grid, buffers, bytes, multiply-adds; which convolutions are fused and
    /// why; the totals
    #[arg(long)]
    plan: bool,
    /// What each pass over the graph applied, and skipped with the reason
    #[arg(long)]
    passes: bool,
    /// Print the graph in Graphviz's language: blocks framed, shapes (NHWC) at the edges
    #[arg(long, conflicts_with_all = ["json", "plan", "passes"])]
    dot: bool,
    /// With --dot: the graph after the passes, a node a fused operation
    #[arg(long, requires = "dot")]
    fused: bool,
    /// Print an SVG picture of the operations, framed by the dispatches that compute them
    #[arg(long, conflicts_with_all = ["json", "plan", "passes", "dot"])]
    svg: bool,
    /// With --svg: only this block
    #[arg(long, value_name = "NAME", requires = "svg")]
    block: Option<String>,
    /// Which kind of adapter the plan is for
    #[arg(long, value_enum, default_value_t = Class::Gpu)]
    class: Class,
    #[command(flatten)]
    fuse: FuseArgs,
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

impl From<Class> for AdapterClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Gpu => Self::Gpu,
            Class::Software => Self::Software,
        }
    }
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
    let (fused, reports) = passes::run(&graph, &[]);
    if args.dot {
        return Ok(out.write_all(draw::dot(if args.fused { &fused } else { &graph }, [n, h, w])?.as_bytes())?);
    }
    let plan = web_plan(&fused, args.class.into(), args.fuse.fuse(), [n, h, w]);
    if args.svg {
        return Ok(out.write_all(draw::block(&graph, &fused, &plan?, args.block.as_deref())?.as_bytes())?);
    }
    let layers = layers(&graph, [n, h, w])?;
    if args.json {
        let mut json = json!({
            "name": model.name, "family": model.family, "source": model.cite,
            "input": [n, h, w, graph.in_channels],
            "params": graph.trainable_params(),
            "madds": layers.iter().map(|l| l.madds).sum::<u64>(),
            "published": model.published,
            "layers": layers,
            "counters": plan.as_ref().ok().map(|plan| plan.counters),
        });
        if args.plan {
            json["plan"] = plan_json(&plan?);
        }
        if args.passes {
            json["passes"] = reports.iter().map(pass_json).collect();
        }
        return print_json(out, &json);
    }
    if args.passes {
        write_passes(out, &reports)?;
    }
    if args.plan {
        writeln!(out, "{}", plan?)?;
        return Ok(());
    }
    if !args.passes {
        write_layers(out, &layers)?;
        writeln!(out)?;
        write_totals(out, &model, &graph, &layers)?;
        write_counters(out, plan.map(|plan| plan.counters))?;
    }
    Ok(())
}

fn layers(graph: &Graph, [n, h, w]: [usize; 3]) -> Result<Vec<Layer>> {
    let shapes = graph.shapes(n, h, w)?;
    let layer = |(id, node): (usize, &crate::graph::Node)| {
        let Shape { n, h, w, c } = shapes[id];
        let input = node.inputs.first().map_or(0, |&i| shapes[i].c);
        Layer {
            name: node.name.clone(),
            op: node.op.text(input),
            shape: [n, h, w, c],
            params: graph.node_params(id),
            madds: graph.node_madds(id, &shapes),
        }
    };
    Ok(graph.nodes.iter().enumerate().map(layer).collect())
}

fn write_layers(out: &mut dyn Write, layers: &[Layer]) -> std::io::Result<()> {
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
    table.write(out)
}

fn write_totals(out: &mut dyn Write, model: &Model, graph: &Graph, layers: &[Layer]) -> std::io::Result<()> {
    writeln!(out, "model          {}", model.name)?;
    writeln!(out, "parameters     {}", graph.trainable_params())?;
    writeln!(out, "multiply-adds  {}", layers.iter().map(|l| l.madds).sum::<u64>())?;
    if let Some(p) = model.published {
        let at = model.resolution;
        let top1 = p.top1.map_or(String::new(), |top1| format!(", top-1 {top1} %"));
        writeln!(out, "published      {} M parameters, {} M multiply-adds at {at}x{at}{top1}", p.params, p.madds)?;
    }
    if !model.cite.is_empty() {
        writeln!(out, "source         {}", model.cite)?;
    }
    Ok(())
}

/// What one inference asks of a GPU, or why no GPU within WebGPU's default limits can do it.
fn write_counters(out: &mut dyn Write, counters: Result<Counters>) -> std::io::Result<()> {
    match counters {
        Ok(c) => {
            writeln!(out, "dispatches     {}", c.dispatches)?;
            writeln!(out, "bytes moved    {}", c.bytes_moved)?;
            writeln!(out, "intermediates  {} B", c.intermediate_bytes)
        }
        Err(error) => writeln!(out, "dispatches     - ({error})"),
    }
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
    json_with(&plan.counters, &[("steps", steps.into()), ("fusions", json!(plan.fusions))])
}
