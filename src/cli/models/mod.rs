//! `mbconv models`.

mod markdown;
mod plot;

use super::common::{Align, Failure, Table, print_json, web_plan};
use crate::error::Error;
use crate::kernels::AdapterClass;
use crate::passes;
use crate::plan::Fuse;
use crate::zoo::{self, Checkpoints, Model, Published};
use std::io::Write;
use std::path::PathBuf;

/// Lists the registered models: parameters and multiply-adds as counted here and as published, and what one inference
/// asks of a GPU.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  mbconv models
  mbconv models --filter lite
  mbconv models --json | jq '.[] | select(.params < 6e6) | .name'
  # Whose weights each takes, and their licences
  mbconv models --json | jq '.[] | {name, checkpoints}'
  # The table of the README, with the times that benches/zoo.py measured
  mbconv models --markdown --times benches/results/zoo.json
  # Multiply-adds against published top-1
  mbconv models --plot > zoo.svg

Millions in the tables, exact numbers in JSON. Multiply-adds are for one image
at the model's own resolution. Top-1 is ImageNet accuracy in percent as
published, for the original weights. Dispatches, bytes moved and the memory of
intermediates are those of the plan for a GPU at batch 1.")]
pub struct Args {
    /// Only models whose name, alias or family contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Print JSON: a list of models
    #[arg(long)]
    json: bool,
    /// Print a Markdown table, without the tf_ forms of models that are in it
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print an SVG picture: multiply-adds against published top-1
    #[arg(long, conflicts_with_all = ["json", "markdown"])]
    plot: bool,
    /// Measured times for the table: a file that benches/zoo.py wrote
    #[arg(long, value_name = "FILE", requires = "markdown")]
    times: Option<PathBuf>,
}

#[derive(serde::Serialize)]
struct Row {
    name: String,
    aliases: Vec<String>,
    family: &'static str,
    /// Height and width.
    input: [usize; 2],
    classes: usize,
    params: u64,
    madds: u64,
    /// In millions, as its authors round it.
    published_params: Option<f64>,
    published_madds: Option<f64>,
    published_top1: Option<f64>,
    /// The paper, or where else it was published.
    source: &'static str,
    /// Whose weights it takes, how they name their tensors, and the licence where they are published.
    checkpoints: &'static [Checkpoints],
    dispatches: usize,
    bytes_moved: u64,
    /// Memory that all intermediates take.
    intermediate_bytes: u64,
}

impl Row {
    /// Whether it is the `tf_` form of another row: padding and epsilon are all that differs.
    fn is_tf_twin(&self, rows: &[Self]) -> bool {
        self.name.strip_prefix("tf_").is_some_and(|name| rows.iter().any(|r| r.name == name))
    }
}

pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let filter = args.filter.as_deref().unwrap_or_default().to_lowercase();
    let matches = |m: &Model| {
        m.aliases.iter().chain([&m.name, &m.family.to_string()]).any(|n| n.to_lowercase().contains(&filter))
    };
    let rows = zoo::models().into_iter().filter(matches).map(row).collect::<Result<Vec<_>, _>>()?;
    if args.json {
        return print_json(out, &rows);
    }
    if rows.is_empty() {
        return Err(Error::bad("--filter", format!("no model's name or family contains '{filter}'")).into());
    }
    if args.markdown {
        let times = args.times.as_deref().map(markdown::Times::read).transpose()?.unwrap_or_default();
        return Ok(markdown::write(out, &rows, &times)?);
    }
    if args.plot {
        return Ok(out.write_all(plot::svg(&rows).as_bytes())?);
    }
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("name", left),
        ("also", left),
        ("family", left),
        ("input", right),
        ("params M", right),
        ("published", right),
        ("MAdds M", right),
        ("published", right),
        ("top-1 %", right),
        ("dispatches", right),
    ]);
    for row in &rows {
        table.row(vec![
            row.name.clone(),
            row.aliases.join(" "),
            row.family.into(),
            format!("{}x{}", row.input[0], row.input[1]),
            format!("{:.3}", millions(row.params)),
            known(row.published_params),
            format!("{:.1}", millions(row.madds)),
            known(row.published_madds),
            known(row.published_top1),
            row.dispatches.to_string(),
        ]);
    }
    Ok(table.write(out)?)
}

fn row(model: Model) -> Result<Row, Error> {
    let (graph, side) = (model.build(&model.options())?, model.resolution);
    let counts = graph.counts(side, side)?;
    let plan = web_plan(&passes::run(&graph, &[]).0, AdapterClass::Gpu, Fuse::Auto, [1, side, side])?;
    let published = |pick: fn(&Published) -> Option<f64>| model.published.as_ref().and_then(pick);
    Ok(Row {
        input: [side; 2],
        classes: model.num_classes,
        params: counts.params,
        madds: counts.madds,
        published_params: published(|p| Some(p.params)),
        published_madds: published(|p| Some(p.madds)),
        published_top1: published(|p| p.top1),
        name: model.name,
        aliases: model.aliases,
        family: model.family,
        source: model.cite,
        checkpoints: model.checkpoints,
        dispatches: plan.counters.dispatches,
        bytes_moved: plan.counters.bytes_moved,
        intermediate_bytes: plan.counters.intermediate_bytes,
    })
}

fn millions(n: u64) -> f64 {
    n as f64 / 1e6
}

/// A figure that may not be known.
fn known(value: Option<f64>) -> String {
    value.map_or("-".to_string(), |v| v.to_string())
}
