//! How checkpoints name their tensors, and how these names relate to the graph's, which are timm's.

use super::Checkpoint;
use crate::error::{Error, Result};
use crate::graph::Graph;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A way of naming the tensors of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// timm's, which the graphs use themselves: `blocks.1.0.conv_pw.weight`.
    Timm,
    /// torchvision's: `features.2.0.block.0.0.weight`.
    Torchvision,
    /// lukemelas/EfficientNet-PyTorch's, whose blocks are numbered through: `_blocks.1._expand_conv.weight`.
    EfficientNetPytorch,
}

/// One module in every scheme. `{head}` is torchvision's number of the head (stages + 1), `{last}` that of
/// a block's projection, which the optional modules before it shift.
struct Row {
    timm: &'static str,
    torchvision: &'static str,
    efficientnet_pytorch: &'static str,
}

const fn row(timm: &'static str, torchvision: &'static str, efficientnet_pytorch: &'static str) -> Row {
    Row { timm, torchvision, efficientnet_pytorch }
}

/// Outside the blocks.
const OUTSIDE: [Row; 5] = [
    row("conv_stem", "features.0.0", "_conv_stem"),
    row("bn1", "features.0.1", "_bn0"),
    row("conv_head", "features.{head}.0", "_conv_head"),
    row("bn2", "features.{head}.1", "_bn1"),
    row("classifier", "classifier.1", "_fc"),
];

/// Inside a block that expands its channels (timm's InvertedResidual).
const EXPANDING: [Row; 8] = [
    row("conv_pw", "0.0", "_expand_conv"),
    row("bn1", "0.1", "_bn0"),
    row("conv_dw", "1.0", "_depthwise_conv"),
    row("bn2", "1.1", "_bn1"),
    row("se.conv_reduce", "2.fc1", "_se_reduce"),
    row("se.conv_expand", "2.fc2", "_se_expand"),
    row("conv_pwl", "{last}.0", "_project_conv"),
    row("bn3", "{last}.1", "_bn2"),
];

/// Inside a block without expansion (timm's DepthwiseSeparable).
const SEPARABLE: [Row; 6] = [
    row("conv_dw", "0.0", "_depthwise_conv"),
    row("bn1", "0.1", "_bn1"),
    row("se.conv_reduce", "1.fc1", "_se_reduce"),
    row("se.conv_expand", "1.fc2", "_se_expand"),
    row("conv_pw", "{last}.0", "_project_conv"),
    row("bn2", "{last}.1", "_bn2"),
];

impl Row {
    fn name(&self, scheme: Scheme) -> &'static str {
        match scheme {
            Scheme::Timm => self.timm,
            Scheme::Torchvision => self.torchvision,
            Scheme::EfficientNetPytorch => self.efficientnet_pytorch,
        }
    }
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 3] = [Self::Timm, Self::Torchvision, Self::EfficientNetPytorch];

    /// Tensors by which the scheme is recognised: the stem's weight, and one more in case that is missing.
    const fn marks(self) -> [&'static str; 2] {
        match self {
            Self::Timm => ["conv_stem.weight", "blocks.0.0.conv_dw.weight"],
            Self::Torchvision => ["features.0.0.weight", "features.1.0.block.0.0.weight"],
            Self::EfficientNetPytorch => ["_conv_stem.weight", "_blocks.0._depthwise_conv.weight"],
        }
    }

    /// The classifier's weight.
    const fn classifier(self) -> &'static str {
        match self {
            Self::Timm => "classifier.weight",
            Self::Torchvision => "classifier.1.weight",
            Self::EfficientNetPytorch => "_fc.weight",
        }
    }

    /// The scheme's name of the module `module` (timm's name) when its output is the same value: stem,
    /// stages, blocks and head. `bn1` is `features.0` in torchvision's, `blocks.3` is `features.4`.
    ///
    /// `None` when the scheme has no such module, as EfficientNet-PyTorch has no stages.
    pub fn module(self, graph: &Graph, module: &str) -> Option<String> {
        Layout::of(graph).module(self, module)
    }

    /// Inverse of [`Scheme::module`]: the graph's name of a module that the scheme calls `module`.
    pub fn canonical_module(self, graph: &Graph, module: &str) -> Option<String> {
        if self == Self::Timm {
            return Some(module.into());
        }
        let layout = Layout::of(graph);
        graph.value_names().find(|name| layout.module(self, name).as_deref() == Some(module)).map(String::from)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Timm => "timm",
            Self::Torchvision => "torchvision",
            Self::EfficientNetPytorch => "EfficientNet-PyTorch",
        })
    }
}

/// How one checkpoint names its tensors: a scheme, with a prefix on every name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// The scheme.
    pub scheme: Scheme,
    /// In front of every name; empty, or what wrappers put there, ending in a dot (`module.`).
    pub prefix: String,
}

impl Naming {
    /// timm's names without a prefix.
    pub fn timm() -> Self {
        Self { scheme: Scheme::Timm, prefix: String::new() }
    }

    /// Recognises the naming from the names themselves; the shortest prefix wins.
    pub fn detect<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let names: Vec<&str> = names.into_iter().collect();
        (0..2).find_map(|mark| {
            let found = Scheme::ALL.into_iter().flat_map(|scheme| {
                let prefixes = names.iter().filter_map(move |n| n.strip_suffix(scheme.marks()[mark]));
                prefixes.filter(|p| p.is_empty() || p.ends_with('.')).map(move |p| (scheme, p))
            });
            let (scheme, prefix) = found.min_by_key(|f| f.1.len())?;
            Some(Self { scheme, prefix: prefix.into() })
        })
    }

    /// The naming of `checkpoint`.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when no known scheme has these names.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        Self::detect(checkpoint.names()).ok_or_else(|| {
            let known: Vec<String> = Scheme::ALL.iter().map(|s| format!("{} ({s})", s.marks()[0])).collect();
            let first: Vec<&str> = checkpoint.names().take(3).collect();
            let problem = format!(
                "its tensors are named in no known way: none ends in {}; the first are {}",
                known.join(", "),
                if first.is_empty() { "none at all".into() } else { first.join(", ") }
            );
            Error::Checkpoint { path: checkpoint.path().into(), problem }
        })
    }

    /// Classes of `checkpoint`'s classifier: the rows of its weight. `None` without a classifier.
    pub fn num_classes(&self, checkpoint: &Checkpoint) -> Option<usize> {
        checkpoint.shape(&self.prefixed(self.scheme.classifier()))?.first().copied()
    }

    /// Channels of the images that `checkpoint` takes: dimension 1 of the stem's weight.
    pub fn in_channels(&self, checkpoint: &Checkpoint) -> Option<usize> {
        checkpoint.shape(&self.prefixed(self.scheme.marks()[0]))?.get(1).copied()
    }

    /// For each stored parameter of `graph`, by its name there, the name in a checkpoint of this naming:
    /// `None` where the scheme has no such tensor.
    pub fn map(&self, graph: &Graph) -> BTreeMap<String, Option<String>> {
        let layout = Layout::of(graph);
        let name = |param: &str| layout.rename(self.scheme, param).map(|n| self.prefixed(&n));
        graph.stored_params().map(|p| (p.name.clone(), name(&p.name))).collect()
    }

    fn prefixed(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// The blocks of a graph, stage by stage, each with the modules that hold parameters.
struct Layout {
    stages: Vec<Vec<BTreeSet<String>>>,
}

impl Layout {
    fn of(graph: &Graph) -> Self {
        let mut stages: BTreeMap<usize, BTreeMap<usize, BTreeSet<String>>> = BTreeMap::new();
        for param in graph.stored_params() {
            if let Some((stage, block, module)) = param.name.rsplit_once('.').and_then(|n| in_block(n.0)) {
                stages.entry(stage).or_default().entry(block).or_default().insert(module.into());
            }
        }
        Self { stages: stages.into_values().map(|blocks| blocks.into_values().collect()).collect() }
    }

    /// torchvision's number of the head.
    fn head(&self) -> usize {
        self.stages.len() + 1
    }

    /// Number of a block counted through all stages.
    fn flat(&self, stage: usize, block: usize) -> Option<usize> {
        self.stages.get(stage)?.get(block)?;
        Some(self.stages[..stage].iter().map(Vec::len).sum::<usize>() + block)
    }

    /// The scheme's name of a stem, stage, block or head.
    fn module(&self, scheme: Scheme, module: &str) -> Option<String> {
        match (scheme, module, stage_and_block(module)) {
            (Scheme::Timm, ..) => Some(module.into()),
            (Scheme::Torchvision, "bn1", _) => Some("features.0".into()),
            (Scheme::Torchvision, "bn2", _) => Some(format!("features.{}", self.head())),
            (Scheme::Torchvision, _, Some((stage, None))) => Some(format!("features.{}", stage + 1)),
            (Scheme::Torchvision, _, Some((stage, Some(block)))) => Some(format!("features.{}.{block}", stage + 1)),
            (Scheme::EfficientNetPytorch, _, Some((stage, Some(block)))) => {
                Some(format!("_blocks.{}", self.flat(stage, block)?))
            }
            _ => None,
        }
    }

    /// The scheme's name of a parameter.
    fn rename(&self, scheme: Scheme, param: &str) -> Option<String> {
        if scheme == Scheme::Timm {
            return Some(param.into());
        }
        let (path, leaf) = param.rsplit_once('.')?;
        let lookup = |table: &[Row], module: &str| table.iter().find(|r| r.timm == module).map(|r| r.name(scheme));
        let Some((stage, block, module)) = in_block(path) else {
            let name = lookup(&OUTSIDE, path)?.replace("{head}", &self.head().to_string());
            return Some(format!("{name}.{leaf}"));
        };
        let modules = self.stages.get(stage)?.get(block)?;
        let expands = modules.contains("conv_pwl");
        let name = if expands { lookup(&EXPANDING, module) } else { lookup(&SEPARABLE, module) }?;
        if scheme == Scheme::EfficientNetPytorch {
            return Some(format!("_blocks.{}.{name}.{leaf}", self.flat(stage, block)?));
        }
        // The projection follows the depthwise convolution, and these two where they are there.
        let last = 1 + usize::from(expands) + usize::from(modules.contains("se.conv_reduce"));
        let name = name.replace("{last}", &last.to_string());
        Some(format!("features.{}.{block}.block.{name}.{leaf}", stage + 1))
    }
}

/// `blocks.<stage>` or `blocks.<stage>.<block>` in its parts.
fn stage_and_block(module: &str) -> Option<(usize, Option<usize>)> {
    let numbers = module.strip_prefix("blocks.")?;
    match numbers.split_once('.') {
        None => Some((numbers.parse().ok()?, None)),
        Some((stage, block)) => Some((stage.parse().ok()?, Some(block.parse().ok()?))),
    }
}

/// `blocks.<stage>.<block>.<module>` in its parts.
fn in_block(path: &str) -> Option<(usize, usize, &str)> {
    let mut parts = path.strip_prefix("blocks.")?.splitn(3, '.');
    Some((number(parts.next())?, number(parts.next())?, parts.next()?))
}

fn number(part: Option<&str>) -> Option<usize> {
    part?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::Synthetic;
    use super::*;
    use crate::graph::{Node, Op, Param, Source};

    fn manifest(case: &str) -> Vec<(String, Vec<usize>)> {
        let path = format!("{}/tests/goldens/{case}.safetensors", env!("CARGO_MANIFEST_DIR"));
        Synthetic::from_golden(&Checkpoint::open(path).unwrap()).unwrap().1
    }

    /// A graph with the parameters of a case whose names are timm's, and no nodes but the input.
    fn parameters(case: &str) -> Graph {
        let param = |(name, shape)| Param { name, shape, source: Source::Checkpoint };
        Graph {
            name: case.into(),
            in_channels: 3,
            nodes: vec![Node { name: "input".into(), op: Op::Input, inputs: Vec::new() }],
            params: manifest(case).into_iter().map(param).collect(),
            outputs: Vec::new(),
            aliases: BTreeMap::new(),
        }
    }

    fn names(scheme: Scheme, graph: &Graph) -> Vec<String> {
        let map = Naming { scheme, prefix: String::new() }.map(graph);
        graph.params.iter().map(|p| map[&p.name].clone().unwrap()).collect()
    }

    #[test]
    fn torchvision_names_its_tensors_so() {
        let real: Vec<String> = manifest("tv_efficientnet_b0").into_iter().map(|t| t.0).collect();
        assert_eq!(names(Scheme::Torchvision, &parameters("efficientnet_b0")), real);
    }

    #[test]
    fn efficientnet_pytorch_names_its_tensors_so() {
        // The published Lite0 file; none of its kind with squeeze-and-excitation is at hand.
        let path = format!("{}/assets/efficientnet_lite0.safetensors", env!("CARGO_MANIFEST_DIR"));
        let file = Checkpoint::open(path).unwrap();
        let real: BTreeSet<String> = file.names().map(String::from).collect();
        let lite: BTreeSet<String> =
            names(Scheme::EfficientNetPytorch, &parameters("tf_efficientnet_lite0")).into_iter().collect();
        assert_eq!(lite, real);
        assert_eq!(Naming::of(&file).unwrap().scheme, Scheme::EfficientNetPytorch);
        let b0 = names(Scheme::EfficientNetPytorch, &parameters("efficientnet_b0"));
        for name in ["_blocks.0._se_reduce.weight", "_blocks.1._bn0.weight", "_blocks.15._se_expand.bias"] {
            assert!(b0.iter().any(|n| n == name), "{name}");
        }
    }

    #[test]
    fn schemes_are_recognised_behind_any_prefix() {
        let graph = parameters("efficientnet_b0");
        for scheme in Scheme::ALL {
            for prefix in ["", "module.", "state_dict.model."] {
                let naming = Naming { scheme, prefix: prefix.into() };
                let names: Vec<String> = naming.map(&graph).into_values().flatten().collect();
                assert_eq!(names.len(), graph.params.len());
                assert_eq!(Naming::detect(names.iter().map(String::as_str)), Some(naming.clone()));
                // One tensor may be missing, even the stem's.
                let rest = names.iter().filter(|n| !n.ends_with(scheme.marks()[0]));
                assert_eq!(Naming::detect(rest.map(String::as_str)), Some(naming));
            }
        }
        assert_eq!(Naming::detect(["conv1.weight", "encoder.layer.0.weight"]), None);
        assert_eq!(Naming::detect([]), None);
    }

    #[test]
    fn modules_translate_both_ways() {
        let mut graph = parameters("efficientnet_b0");
        let modules = ["bn1", "blocks.0", "blocks.3", "blocks.3.2", "blocks.6", "bn2"];
        graph.aliases = modules.iter().map(|m| (m.to_string(), 0)).collect();
        let torchvision = ["features.0", "features.1", "features.4", "features.4.2", "features.7", "features.8"];
        for (timm, torchvision) in modules.into_iter().zip(torchvision) {
            assert_eq!(Scheme::Torchvision.module(&graph, timm).as_deref(), Some(torchvision));
            assert_eq!(Scheme::Torchvision.canonical_module(&graph, torchvision).as_deref(), Some(timm));
            assert_eq!(Scheme::Timm.module(&graph, timm).as_deref(), Some(timm));
        }
        assert_eq!(Scheme::EfficientNetPytorch.module(&graph, "blocks.3.2").as_deref(), Some("_blocks.7"));
        assert_eq!(Scheme::EfficientNetPytorch.canonical_module(&graph, "_blocks.7").as_deref(), Some("blocks.3.2"));
        assert_eq!(Scheme::EfficientNetPytorch.module(&graph, "blocks.3"), None);
        assert_eq!(Scheme::EfficientNetPytorch.module(&graph, "blocks.3.9"), None);
    }
}
