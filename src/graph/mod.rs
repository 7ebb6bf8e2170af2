//! The intermediate representation: a list of nodes over named parameters, without any weights.
//!
//! A [`Graph`] is built once per architecture (see [`Builder`]) and fits every batch and resolution:
//! shapes follow from the input with [`Graph::shapes`]. Parameters are references (name and shape),
//! so a graph prints, counts and is planned without a checkpoint.

mod builder;
mod count;
mod op;
mod shapes;
mod text;
#[cfg(any(test, feature = "web"))]
mod wire;

pub use builder::{Builder, ConvArgs, Value};
pub use count::Counts;
pub use op::{Activation, BatchNorm, Conv2d, ConvKind, Join, Op, Pool, PoolKind, SqueezeExcite, shuffled};

use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// Index of a node in [`Graph::nodes`].
pub type NodeId = usize;
/// Index of a parameter in [`Graph::params`].
pub type ParamId = usize;

/// A named, shaped reference to weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// timm's name of the tensor, for instance `blocks.1.0.conv_pw.weight`.
    pub name: String,
    /// PyTorch's shape: OIHW for a convolution, `[out, in]` for a linear layer.
    pub shape: Vec<usize>,
    /// Where the values come from.
    pub source: Source,
}

impl Param {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True when there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where a parameter's values come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    /// Stored in a checkpoint under the parameter's name.
    Checkpoint,
    /// `weight * gamma / sqrt(var + eps)`, per output channel, computed in f64.
    FoldedWeight {
        /// The convolution's weight; ones for a batch norm that stands alone.
        weight: Option<ParamId>,
        /// The batch norm behind it.
        bn: BatchNorm,
    },
    /// `beta + (bias - mean) * gamma / sqrt(var + eps)`, computed in f64.
    FoldedBias {
        /// The convolution's bias, if any.
        bias: Option<ParamId>,
        /// The batch norm behind it.
        bn: BatchNorm,
    },
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Unique name, the module's in timm (`blocks.1.0.conv_pw`).
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Its operands, all earlier in the list.
    pub inputs: Vec<NodeId>,
}

/// A network: nodes in execution order, their parameters and named outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Name of the architecture.
    pub name: String,
    /// Channels of the network input, node 0.
    pub in_channels: usize,
    /// Nodes in topological order; node 0 is the input.
    pub nodes: Vec<Node>,
    /// Parameters in the order of the checkpoint's state_dict.
    pub params: Vec<Param>,
    /// What the network computes, by name: `logits`, and `embedding` (the pooled features).
    pub outputs: Vec<(String, NodeId)>,
    /// Further names of values: modules that end in a node (`blocks.3`).
    pub aliases: BTreeMap<String, NodeId>,
}

impl Graph {
    /// The node that computes the named value: an output, a module or a node.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the nearest names.
    pub fn find(&self, name: &str) -> Result<NodeId> {
        self.outputs
            .iter()
            .find(|o| o.0 == name)
            .map(|o| o.1)
            .or_else(|| self.aliases.get(name).copied())
            .or_else(|| self.nodes.iter().position(|n| n.name == name))
            .ok_or_else(|| Error::unknown("value", name, self.value_names()))
    }

    /// The graph with these values among its outputs, by their names: what passes leave of it still computes them, and
    /// every plan lets them be read.
    ///
    /// # Errors
    /// As [`Graph::find`].
    pub fn with_outputs(&self, names: &[String]) -> Result<Self> {
        let mut graph = self.clone();
        for name in names {
            let node = graph.find(name)?;
            if !graph.outputs.iter().any(|output| output.0 == *name) {
                graph.outputs.push((name.clone(), node));
            }
        }
        Ok(graph)
    }

    /// Every name that [`Graph::find`] knows.
    pub fn value_names(&self) -> impl Iterator<Item = &str> {
        let outputs = self.outputs.iter().map(|o| o.0.as_str());
        outputs.chain(self.aliases.keys().map(String::as_str)).chain(self.nodes.iter().map(|n| n.name.as_str()))
    }

    /// For each node, the nodes that read it.
    pub fn users(&self) -> Vec<Vec<NodeId>> {
        let mut users = vec![Vec::new(); self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate() {
            for &input in &node.inputs {
                users[input].push(id);
            }
        }
        users
    }

    /// Channels of every node's value, whatever the input's size.
    pub fn channels(&self) -> Vec<usize> {
        let mut channels: Vec<usize> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let input = |i: usize| node.inputs.get(i).map_or(0, |&id| channels[id]);
            channels.push(match node.op {
                Op::Input => self.in_channels,
                Op::Conv2d(conv) => {
                    let kept = if conv.keep_input { input(0) } else { 0 };
                    conv.out + kept + if conv.join == Join::Interleave { conv.out } else { 0 }
                }
                Op::Concat => input(0) + input(1),
                Op::Slice { channels, .. } => channels,
                _ => input(0),
            });
        }
        channels
    }

    /// True when the node's value is one of the network's outputs.
    pub fn is_output(&self, id: NodeId) -> bool {
        self.outputs.iter().any(|o| o.1 == id)
    }

    /// Checks the invariants every pass must keep: order, arity, unique names, parameter references.
    ///
    /// # Errors
    /// [`Error::Architecture`] naming the node.
    pub fn verify(&self) -> Result<()> {
        let fail = |place: &str, problem: String| {
            Err(Error::Architecture { arch: self.name.clone(), place: place.into(), problem })
        };
        let mut names: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return fail(twice[0], "a second node of that name".into());
        }
        for (id, node) in self.nodes.iter().enumerate() {
            if (id == 0) != matches!(node.op, Op::Input) {
                return fail(&node.name, "the first node, and no other, is the input".into());
            }
            if node.inputs.len() != node.op.arity() {
                return fail(&node.name, format!("takes {} inputs, has {}", node.op.arity(), node.inputs.len()));
            }
            if node.inputs.iter().any(|&i| i >= id) {
                return fail(&node.name, "reads a value that is computed later".into());
            }
            if node.op.params().iter().any(|&p| p >= self.params.len()) {
                return fail(&node.name, "names a parameter that does not exist".into());
            }
        }
        for (name, id) in self.outputs.iter().map(|o| (&o.0, o.1)).chain(self.aliases.iter().map(|a| (a.0, *a.1))) {
            if id >= self.nodes.len() {
                return fail(name, "names a node that does not exist".into());
            }
        }
        Ok(())
    }

    /// Drops the nodes for which `keep` is false and renumbers the rest.
    ///
    /// Nothing that stays may read a dropped node. Aliases of dropped nodes go with them.
    pub fn retain(&mut self, keep: &[bool]) {
        let mut new_id = vec![usize::MAX; self.nodes.len()];
        let mut next = 0;
        for (id, &stays) in keep.iter().enumerate() {
            if stays {
                new_id[id] = next;
                next += 1;
            }
        }
        let mut index = 0;
        self.nodes.retain(|_| {
            index += 1;
            keep[index - 1]
        });
        for node in &mut self.nodes {
            for input in &mut node.inputs {
                *input = new_id[*input];
            }
        }
        for output in &mut self.outputs {
            output.1 = new_id[output.1];
        }
        let aliases = std::mem::take(&mut self.aliases).into_iter();
        self.aliases.extend(aliases.filter(|a| keep[a.1]).map(|(name, id)| (name, new_id[id])));
    }

    /// Parameters that must be in a checkpoint.
    pub fn stored_params(&self) -> impl Iterator<Item = &Param> {
        self.params.iter().filter(|p| p.source == Source::Checkpoint)
    }
}
