//! The plan as text: one line per dispatch, then the totals. Made to be compared with `diff`.

use super::{Fusion, Plan, Step, Value};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.labels.iter().map(String::len).max().unwrap_or(0);
        let operands = self.steps.iter().map(|s| self.operands(s).len()).max().unwrap_or(0);
        let keys = self.steps.iter().map(|s| s.launch.key.to_string().len()).max().unwrap_or(0);
        writeln!(f, "{} {} (NHWC)", self.name, self.input)?;
        for (i, (step, label)) in self.steps.iter().zip(&self.labels).enumerate() {
            let [x, y, z] = step.launch.grid;
            let grid = format!("{x}x{y}x{z}");
            writeln!(
                f,
                "{i:>3} {label:width$}  {:keys$}  grid {grid:<12} {:operands$} {:>12} B {:>13} MAdds",
                step.launch.key,
                self.operands(step),
                step.bytes,
                step.madds
            )?;
        }
        self.fusions.iter().try_for_each(|fusion| writeln!(f, "{fusion}"))?;
        let c = &self.counters;
        writeln!(f, "dispatches    {}", c.dispatches)?;
        writeln!(f, "pipelines     {}", c.pipelines)?;
        writeln!(f, "bytes moved   {}", c.bytes_moved)?;
        writeln!(f, "weights       {} B", c.weight_bytes)?;
        let ratio = c.intermediate_bytes as f64 / c.live_set_bytes.max(1) as f64;
        writeln!(f, "intermediates {} B ({ratio:.2}x the live set of {} B)", c.intermediate_bytes, c.live_set_bytes)?;
        writeln!(f, "input, output {} B", c.io_bytes)?;
        write!(f, "multiply-adds {}", c.madds)
    }
}

impl fmt::Display for Fusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dispatches = match self.absorbed().len() {
            1 => "a dispatch".to_string(),
            n => format!("{n} dispatches"),
        };
        write!(
            f,
            "{} as {}: saves {:.2} MB and {dispatches}, repeats {:.2} M multiply-adds: {:+.1} us; {}",
            self.label,
            self.kernel,
            self.saved_bytes as f64 / 1e6,
            self.repeated_madds as f64 / 1e6,
            self.gain_s * 1e6,
            self.verdict.text()
        )
    }
}

impl Plan {
    /// Where the values lie that a step touches: `b3,b2+1204224 -> b4` reads the start of buffer 3 and buffer 2 from
    /// byte 1204224 on.
    pub fn operands(&self, step: &Step) -> String {
        let place = |v: &(crate::kernels::Role, usize)| match &self.values[v.1] {
            Value { buffer, offset: 0, .. } => format!("b{buffer}"),
            Value { buffer, offset, .. } => format!("b{buffer}+{offset}"),
        };
        let list = |values: &[(crate::kernels::Role, usize)]| values.iter().map(place).collect::<Vec<_>>().join(",");
        format!("{} -> {}", list(&step.reads), list(&step.writes))
    }
}
