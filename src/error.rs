//! The one error type: what is wrong, where, with which shapes, and what to do next.

use crate::tensor::Shape;

/// Result of every fallible function of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong. Each message is one line (a list follows only where several tensors are at fault).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[cfg_attr(not(feature = "web"), error("{path}: {source}"))]
    // There are no files in a browser, so that it need not know the system's words.
    #[cfg_attr(feature = "web", error("{path}"))]
    Io {
        /// The file.
        path: String,
        /// The system's own words.
        source: std::io::Error,
    },
    /// Something a caller gave does not make sense.
    #[error("{what}: {problem}")]
    BadInput {
        /// The argument or tensor.
        what: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// An architecture cannot be built as described.
    #[error("architecture {arch}, {place}: {problem}")]
    Architecture {
        /// Name of the architecture.
        arch: String,
        /// Stage, block or node.
        place: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A node cannot take inputs of these shapes.
    #[error("node {node}{}: {problem} (input {input}, NHWC)", block(.node))]
    NodeShape {
        /// Name of the node.
        node: String,
        /// Its first input's shape.
        input: Shape,
        /// What is wrong.
        problem: String,
    },
    /// No architecture, value or device of that name.
    #[error("no {kind} named '{name}'{}", hint(.nearest))]
    Unknown {
        /// "model", "value", "device", ...
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The closest names there are.
        nearest: Vec<String>,
    },
    /// A file is not a readable safetensors checkpoint.
    #[error("{path}: not a usable safetensors file: {problem}")]
    Checkpoint {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A checkpoint does not fit the architecture; `problems` lists every tensor at fault.
    #[error("{path} does not fit {arch}: {}{}", list(.problems), looks_like.as_ref().map(|l| format!("; it looks like {l}: try --arch {l}")).unwrap_or_default())]
    Mismatch {
        /// The file.
        path: String,
        /// The architecture asked for.
        arch: String,
        /// Missing, unexpected and mis-shaped tensors, non-finite values: one entry each.
        problems: Vec<String>,
        /// The registered model whose tensors these are, where one fits.
        looks_like: Option<String>,
    },
    /// An image could not be decoded or is over a limit.
    #[error("{path}: {problem}")]
    Image {
        /// The file.
        path: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The engine has no kernel for what a node asks.
    #[error("node {node}: {problem}; the CPU reference (--device cpu) runs it")]
    Unsupported {
        /// Name of the node.
        node: String,
        /// What is not supported.
        problem: String,
    },
    /// No usable GPU adapter.
    #[error("no GPU adapter: {problem}")]
    NoAdapter {
        /// What was looked for, and what to install or choose.
        problem: String,
    },
    /// An adapter lacks what was asked of it.
    #[error("{adapter} has no {feature}; {advice}")]
    MissingFeature {
        /// The adapter.
        adapter: String,
        /// What it lacks, and what that prevents.
        feature: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A plan needs more than the device's limits allow.
    #[error("{what} needs {needed} {unit}, the device allows {available}; {advice}")]
    Limit {
        /// The tensor, buffer or dispatch.
        what: String,
        /// How much it needs.
        needed: u64,
        /// How much there is.
        available: u64,
        /// "bytes", "workgroups", ...
        unit: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The device ran out of memory.
    #[error("out of device memory while {doing}: reduce the batch or the resolution ({message})")]
    OutOfMemory {
        /// What was being done.
        doing: String,
        /// The driver's own words.
        message: String,
    },
    /// The device was lost; the session must be built again.
    #[error("the GPU device was lost ({reason}): load the model again on a new device")]
    DeviceLost {
        /// The driver's own words.
        reason: String,
    },
    /// The driver or the validation layer refused something: a defect of this crate or of a driver.
    #[error("GPU error while {doing}: {message}")]
    Gpu {
        /// What was being done.
        doing: String,
        /// The validation message.
        message: String,
    },
}

impl Error {
    /// An [`Error::Io`] for `path`.
    pub fn io(path: impl AsRef<std::path::Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().display().to_string(), source }
    }

    /// An [`Error::BadInput`].
    pub fn bad(what: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::BadInput { what: what.into(), problem: problem.into() }
    }

    /// An [`Error::Unknown`] that offers the names of `known` closest to `name`.
    pub fn unknown<'a>(kind: &'static str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Unknown { kind, name: name.into(), nearest: nearest(name, known.into_iter().collect()) }
    }
}

fn nearest(name: &str, known: Vec<&str>) -> Vec<String> {
    let name = name.to_ascii_lowercase();
    let mut rest: Vec<(f64, &str)> = known.into_iter().map(|k| (strsim::jaro_winkler(&name, k), k)).collect();
    let mut near = Vec::new();
    while near.len() < 4 && !rest.is_empty() {
        let best = (1..rest.len()).fold(0, |best, i| if rest[i].0 > rest[best].0 { i } else { best });
        let (likeness, known) = rest.remove(best);
        // A name far from all is still answered with two, so that a reader sees what names look like.
        if likeness <= 0.7 && near.len() >= 2 {
            break;
        }
        near.push(known.to_string());
    }
    near
}

/// All problems up to a screenful; of a file that fits nowhere, the first hundred and the count (the field has all).
fn list(problems: &[String]) -> String {
    const LISTED: usize = 100;
    let mut text = problems[..problems.len().min(LISTED)].join("; ");
    if problems.len() > LISTED {
        text += &format!("; and {} more", problems.len() - LISTED);
    }
    text
}

/// ` (stage 2, block 0)` for a node named `blocks.2.0.conv_dw`.
fn block(node: &str) -> String {
    let mut parts = node.strip_prefix("blocks.").unwrap_or_default().split('.');
    let mut number = || parts.next().filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    match (number(), number()) {
        (Some(stage), Some(block)) => format!(" (stage {stage}, block {block})"),
        _ => String::new(),
    }
}

fn hint(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; did you mean {}?", nearest.join(", ")) }
}
