//! `mbconv models`.

use super::common::{Align, Failure, Table, print_json};
use crate::error::Error;
use crate::zoo::{self, Checkpoints, Model, Published};
use std::io::Write;

/// Lists the registered models: parameters and multiply-adds as counted here and as published.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  mbconv models
  mbconv models --filter lite
  mbconv models --json | jq '.[] | select(.params < 6e6) | .name'
  # Whose weights each takes, and their licences
  mbconv models --json | jq '.[] | {name, checkpoints}'

Millions in the table, exact numbers in JSON. Multiply-adds are for one image
at the model's own resolution. Top-1 is ImageNet accuracy in percent as
published, for the original weights.")]
pub struct Args {
    /// Only models whose name, alias or family contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Print JSON: a list of models
    #[arg(long)]
    json: bool,
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
    ]);
    for row in &rows {
        let shown = |value: Option<f64>| value.map_or("-".to_string(), |v| v.to_string());
        table.row(vec![
            row.name.clone(),
            row.aliases.join(" "),
            row.family.into(),
            format!("{}x{}", row.input[0], row.input[1]),
            format!("{:.3}", row.params as f64 / 1e6),
            shown(row.published_params),
            format!("{:.1}", row.madds as f64 / 1e6),
            shown(row.published_madds),
            shown(row.published_top1),
        ]);
    }
    Ok(table.write(out)?)
}

fn row(model: Model) -> Result<Row, Error> {
    let counts = model.build(&model.options())?.counts(model.resolution, model.resolution)?;
    let published = |pick: fn(&Published) -> f64| model.published.as_ref().map(pick);
    Ok(Row {
        input: [model.resolution; 2],
        classes: model.num_classes,
        params: counts.params,
        madds: counts.madds,
        published_params: published(|p| p.params),
        published_madds: published(|p| p.madds),
        published_top1: published(|p| p.top1),
        name: model.name,
        aliases: model.aliases,
        family: model.family,
        source: model.cite,
        checkpoints: model.checkpoints,
    })
}
