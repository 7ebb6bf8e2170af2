//! The README's table.

use super::{Row, known, millions};
use crate::error::Error;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Times as `benches/zoo.py` measures and writes them.
#[derive(Default, serde::Deserialize)]
pub struct Times {
    /// For each model, the median of an inference divided by that of EfficientNet-B0 beside it.
    ratios: BTreeMap<String, f64>,
}

impl Times {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::BadInput`] naming it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        serde_json::from_str(&text)
            .map_err(|e| Error::bad(path.display().to_string(), format!("not what benches/zoo.py writes: {e}")))
    }
}

/// Writes a row for every model but the `tf_` forms of models that are there: these differ in padding and epsilon alone.
pub fn write(out: &mut dyn Write, rows: &[Row], times: &Times) -> std::io::Result<()> {
    let columns = [
        "input",
        "params M, counted",
        "published",
        "MAdds M, counted",
        "published",
        "top-1 %, published",
        "dispatches",
        "MB moved",
        "peak MB",
        "time / B0's",
    ];
    writeln!(out, "| model | {} |", columns.join(" | "))?;
    writeln!(out, "|---{}|", "|--:".repeat(columns.len()))?;
    for row in rows.iter().filter(|row| !row.is_tf_twin(rows)) {
        let cells = [
            format!("`{}`", row.name),
            row.input[0].to_string(),
            format!("{:.3}", millions(row.params)),
            known(row.published_params),
            format!("{:.1}", millions(row.madds)),
            known(row.published_madds),
            known(row.published_top1),
            row.dispatches.to_string(),
            format!("{:.1}", millions(row.bytes_moved)),
            format!("{:.1}", millions(row.intermediate_bytes)),
            times.ratios.get(&row.name).map_or("-".into(), |ratio| format!("{ratio:.2}")),
        ];
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}
