//! How checkpoints name their tensors, and how these names relate to the graph's, which are timm's
//! where timm has the network.

mod tables;

use super::Checkpoint;
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, Op};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use tables::{Form, Own, Pair, Table};

/// A way of naming the tensors of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// timm's, which the graphs use themselves: `blocks.1.0.conv_pw.weight`. torchvision's ResNets have the same.
    Timm,
    /// torchvision's of EfficientNet: `features.2.0.block.0.0.weight`.
    Torchvision,
    /// torchvision's of MobileNetV2: `features.2.conv.0.0.weight`.
    TorchvisionMobilenetV2,
    /// torchvision's of MobileNetV3: `features.2.block.0.0.weight`.
    TorchvisionMobilenetV3,
    /// torchvision's of ShuffleNetV2, which its graphs use themselves: `stage2.0.branch1.0.weight`.
    TorchvisionShufflenetV2,
    /// pytorchcv's of ProxylessNAS: `features.stage2.unit1.body.bc_conv.conv.weight`.
    Pytorchcv,
    /// pytorchcv's of IGCV3, which its graphs use themselves: `features.stage2.unit1.conv1.conv.weight`.
    PytorchcvIgcv3,
    /// kuangliu/pytorch-cifar's of MobileNetV1: `layers.1.conv1.weight`.
    PytorchCifar,
    /// lukemelas/EfficientNet-PyTorch's, whose blocks are numbered through: `_blocks.1._expand_conv.weight`.
    EfficientNetPytorch,
    /// That of MobileNeXt's authors: `features.1.conv.8.weight`.
    MobileNext,
    /// The one whose convolutions with an activation are nested in MobileNeXt's blocks: `features.1.conv.3.0.weight`.
    MobileNextNested,
    /// That of MobileNeXt's authors for the networks with squeeze-and-excitation: `_blocks.0.features.0.weight`.
    MobileNextDagger,
    /// torchvision's of detectors, which their graphs use themselves: `backbone.extra.0.1.weight`.
    TorchvisionSsd,
    /// lufficc/SSD's, which MobileNeXt's authors have, too: `box_head.predictor.cls_headers.0.conv.0.weight`.
    LufficcSsd,
    /// qfgaohao/pytorch-ssd's: `classification_headers.0.0.weight`.
    PytorchSsd,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 15] = [
        Self::Timm,
        Self::Torchvision,
        Self::TorchvisionMobilenetV2,
        Self::TorchvisionMobilenetV3,
        Self::TorchvisionShufflenetV2,
        Self::Pytorchcv,
        Self::PytorchcvIgcv3,
        Self::PytorchCifar,
        Self::EfficientNetPytorch,
        Self::MobileNext,
        Self::MobileNextNested,
        Self::MobileNextDagger,
        Self::TorchvisionSsd,
        Self::LufficcSsd,
        Self::PytorchSsd,
    ];

    const fn names(self) -> Names {
        match self {
            Self::Timm => Names::Own(&tables::TIMM),
            Self::Torchvision => Names::Table(&tables::TORCHVISION),
            Self::TorchvisionMobilenetV2 => Names::Table(&tables::TORCHVISION_MOBILENET_V2),
            Self::TorchvisionMobilenetV3 => Names::Table(&tables::TORCHVISION_MOBILENET_V3),
            Self::TorchvisionShufflenetV2 => Names::Own(&tables::TORCHVISION_SHUFFLENET_V2),
            Self::Pytorchcv => Names::Table(&tables::PYTORCHCV),
            Self::PytorchcvIgcv3 => Names::Own(&tables::PYTORCHCV_IGCV3),
            Self::PytorchCifar => Names::Table(&tables::PYTORCH_CIFAR),
            Self::EfficientNetPytorch => Names::Table(&tables::EFFICIENTNET_PYTORCH),
            Self::MobileNext => Names::Table(&tables::MOBILENEXT),
            Self::MobileNextNested => Names::Table(&tables::MOBILENEXT_NESTED),
            Self::MobileNextDagger => Names::Table(&tables::MOBILENEXT_DAGGER),
            Self::TorchvisionSsd => Names::Own(&tables::TORCHVISION_SSD),
            Self::LufficcSsd => Names::Own(&tables::LUFFICC_SSD),
            Self::PytorchSsd => Names::Own(&tables::PYTORCH_SSD),
        }
    }

    /// Its table; `None` where graphs use its names themselves.
    const fn table(self) -> Option<&'static Table> {
        match self.names() {
            Names::Own(_) => None,
            Names::Table(table) => Some(table),
        }
    }

    const fn title(self) -> &'static str {
        match self.names() {
            Names::Own(own) => own.title,
            Names::Table(table) => table.title,
        }
    }

    /// Whether it is torchvision's, for whichever family.
    pub fn is_torchvision(self) -> bool {
        self.title() == tables::TORCHVISION.title
    }

    /// Tensors by which the scheme is recognised, and that no other scheme has: some in case others are missing.
    const fn marks(self) -> &'static [&'static str] {
        match self.names() {
            Names::Own(own) => own.marks,
            Names::Table(table) => &table.marks,
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
        if self.table().is_none() {
            return Some(module.into());
        }
        let layout = Layout::of(graph);
        graph.value_names().find(|name| layout.module(self, name).as_deref() == Some(module)).map(String::from)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.title())
    }
}

/// Where a scheme's names come from.
enum Names {
    Own(&'static Own),
    Table(&'static Table),
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
        let found = Scheme::ALL.into_iter().flat_map(|scheme| scheme.marks().iter().map(move |mark| (scheme, mark)));
        let found =
            found.flat_map(|(scheme, mark)| names.iter().filter_map(move |n| Some((scheme, n.strip_suffix(mark)?))));
        let (scheme, prefix) =
            found.filter(|(_, p)| p.is_empty() || p.ends_with('.')).min_by_key(|(_, prefix)| prefix.len())?;
        Some(Self { scheme, prefix: prefix.into() })
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

    /// Classes of `checkpoint`: the rows of the weight that makes the logits in `graph`. `None` where it is not there.
    pub fn num_classes(&self, graph: &Graph, checkpoint: &Checkpoint) -> Option<usize> {
        self.weight_shape(graph, checkpoint, graph.outputs.first()?.1)?.first().copied()
    }

    /// Channels of the images that `checkpoint` takes: dimension 1 of the weight that reads the input in `graph`.
    pub fn in_channels(&self, graph: &Graph, checkpoint: &Checkpoint) -> Option<usize> {
        let stem = graph.nodes.iter().position(|node| node.inputs == [0])?;
        self.weight_shape(graph, checkpoint, stem)?.get(1).copied()
    }

    /// Shape in `checkpoint` of a node's weight.
    fn weight_shape<'a>(&self, graph: &Graph, checkpoint: &'a Checkpoint, node: NodeId) -> Option<&'a [usize]> {
        let Op::Conv2d(conv) = graph.nodes[node].op else { return None };
        let name = Layout::of(graph).rename(self.scheme, &graph.params[conv.weight].name)?;
        checkpoint.shape(&self.prefixed(&name))
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
    /// The scheme whose names these are.
    own: Scheme,
}

impl Layout {
    fn of(graph: &Graph) -> Self {
        let mut stages: BTreeMap<usize, BTreeMap<usize, BTreeSet<String>>> = BTreeMap::new();
        for param in graph.stored_params() {
            if let Some((stage, block, module)) = param.name.rsplit_once('.').and_then(|n| in_block(n.0)) {
                stages.entry(stage).or_default().entry(block).or_default().insert(module.into());
            }
        }
        let own =
            |s: &Scheme| s.table().is_none() && graph.stored_params().any(|p| s.marks().contains(&p.name.as_str()));
        Self {
            stages: stages.into_values().map(|blocks| blocks.into_values().collect()).collect(),
            own: Scheme::ALL.into_iter().find(own).unwrap_or(Scheme::Timm),
        }
    }

    /// The scheme's name of a stem, stage, block or head.
    fn module(&self, scheme: Scheme, module: &str) -> Option<String> {
        let Some(table) = scheme.table() else { return Some(module.into()) };
        let (template, stage, block) = match stage_and_block(module) {
            None => (lookup(table.values, module)?, 0, 0),
            Some((stage, None)) => (table.stage?, stage, 0),
            Some((stage, Some(block))) => (table.block, stage, block),
        };
        self.fill(template, stage, block)
    }

    /// The scheme's name of a parameter.
    fn rename(&self, scheme: Scheme, param: &str) -> Option<String> {
        // timm's stands for whatever a graph calls its parameters, one of one's own, too.
        let Some(table) = scheme.table() else {
            return (scheme == Scheme::Timm || scheme == self.own).then(|| param.into());
        };
        let (path, leaf) = param.rsplit_once('.')?;
        let Some((stage, block, module)) = in_block(path) else {
            return Some(format!("{}.{leaf}", self.fill(lookup(table.outside, path)?, 0, 0)?));
        };
        let modules = self.stages.get(stage)?.get(block)?;
        let form = form(modules);
        let name = lookup(table.inside.iter().find(|pairs| pairs.0 == form)?.1, module)?;
        let block_name = self.fill(table.block, stage, block)?;
        // The projection follows the depthwise convolution, and these two where they are there.
        let last = 1 + usize::from(modules.contains("conv_pwl")) + usize::from(modules.contains("se.conv_reduce"));
        Some(format!("{block_name}.{}.{leaf}", name.replace("{last}", &last.to_string())))
    }

    /// Puts numbers into a name (see [`tables`]); `None` when there is no such block.
    fn fill(&self, template: &str, stage: usize, block: usize) -> Option<String> {
        self.stages.get(stage)?.get(block)?;
        let count = |stages: &[Vec<_>]| stages.iter().map(Vec::len).sum::<usize>();
        let numbers = [
            ("stage", stage),
            ("block", block),
            ("flat", count(&self.stages[..stage]) + block),
            ("stages", self.stages.len()),
            ("blocks", count(&self.stages)),
        ];
        let put = |name: String, (what, n): (&str, usize)| {
            name.replace(&format!("{{{what}}}"), &n.to_string()).replace(&format!("{{{what}+1}}"), &(n + 1).to_string())
        };
        Some(numbers.into_iter().fold(template.to_string(), put))
    }
}

fn form(modules: &BTreeSet<String>) -> Form {
    let has = |module| modules.contains(module);
    if has("conv_reduce") {
        return if has("conv_dw1") { Form::Sandglass } else { Form::SandglassTail };
    }
    match (has("conv_dw"), has("conv_pwl"), has("conv_exp")) {
        (true, true, _) => Form::Expanding,
        (true, false, _) => Form::Separable,
        (false, _, true) => Form::Fused,
        (false, _, false) => Form::Conv,
    }
}

fn lookup(pairs: &'static [Pair], module: &str) -> Option<&'static str> {
    pairs.iter().find(|pair| pair.0 == module).map(|pair| pair.1)
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

    /// A scheme, a case in timm's names, and the same network's case in the scheme's names.
    const CASES: [(Scheme, &str, &str); 3] = [
        (Scheme::Torchvision, "efficientnet_b0", "tv_efficientnet_b0"),
        (Scheme::TorchvisionMobilenetV2, "mobilenetv2_100", "tv_mobilenet_v2"),
        (Scheme::TorchvisionMobilenetV3, "mobilenetv3_large_100", "tv_mobilenet_v3_large"),
    ];

    #[test]
    fn the_schemes_name_their_tensors_so() {
        for (scheme, timm, other) in CASES {
            let real: Vec<String> = manifest(other).into_iter().map(|t| t.0).collect();
            assert_eq!(names(scheme, &parameters(timm)), real, "{other}");
        }
    }

    #[test]
    fn pytorch_cifar_names_its_tensors_so() {
        let graph = parameters("mobilenetv1_100");
        let real: Vec<String> = manifest("mobilenetv1_cifar").into_iter().map(|t| t.0).collect();
        assert_eq!(names(Scheme::PytorchCifar, &graph), real);
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
        let others = [
            (Scheme::Timm, "efficientnet_b0", ""),
            (Scheme::Timm, "ghostnet_100", ""),
            (Scheme::Timm, "tv_resnet18", ""),
            (Scheme::TorchvisionShufflenetV2, "shufflenet_v2_x1_5", ""),
            (Scheme::PytorchcvIgcv3, "igcv3_w1", ""),
            (Scheme::PytorchCifar, "mobilenetv1_100", ""),
            (Scheme::EfficientNetPytorch, "efficientnet_b0", ""),
        ];
        for (scheme, timm, _) in CASES.into_iter().chain(others) {
            let graph = parameters(timm);
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
        let mobilenext = [
            (Scheme::MobileNext, "mobilenext_110"),
            (Scheme::MobileNextNested, "mobilenext_100_nested_id50"),
            (Scheme::MobileNextDagger, "mobilenext_dagger_110"),
        ];
        for (scheme, case) in mobilenext {
            for missing in [None, Some(scheme.marks()[0])] {
                let names = manifest(case).into_iter().map(|t| t.0).filter(|n| Some(n.as_str()) != missing);
                let names: Vec<String> = names.map(|n| format!("module.{n}")).collect();
                let naming = Naming { scheme, prefix: "module.".into() };
                assert_eq!(Naming::detect(names.iter().map(String::as_str)), Some(naming), "{case}");
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
