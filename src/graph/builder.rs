//! Builds graphs node by node, with scoped parameter names and wiring checked as it goes.

use super::{Activation, BatchNorm, Conv2d, Graph, Node, NodeId, Op, Param, ParamId, Pool, PoolKind, Source};
use crate::error::{Error, Result};
use crate::tensor::Padding;
use std::collections::BTreeMap;

/// A value under construction: a node and its channels.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    node: NodeId,
    /// Channels of the value.
    pub channels: usize,
}

/// What a convolution adds to its input's channels.
#[derive(Clone, Copy, Debug)]
pub struct ConvArgs {
    /// Output channels.
    pub out: usize,
    /// Edge of the square window.
    pub kernel: usize,
    /// Step of the window.
    pub stride: usize,
    /// Channel groups.
    pub groups: usize,
    /// Input positions from one of the window's to the next.
    pub dilation: usize,
    /// Whether the checkpoint has a bias.
    pub bias: bool,
}

impl ConvArgs {
    /// 1x1, stride 1, without bias.
    pub const fn pointwise(out: usize) -> Self {
        Self { out, kernel: 1, stride: 1, groups: 1, dilation: 1, bias: false }
    }

    /// One filter per channel, without bias.
    pub const fn depthwise(channels: usize, kernel: usize, stride: usize) -> Self {
        Self { out: channels, kernel, stride, groups: channels, dilation: 1, bias: false }
    }

    /// k x k over all channels, without bias.
    pub const fn dense(out: usize, kernel: usize, stride: usize) -> Self {
        Self { out, kernel, stride, groups: 1, dilation: 1, bias: false }
    }

    /// The same with a bias.
    pub const fn with_bias(self) -> Self {
        Self { bias: true, ..self }
    }

    /// The same with so many input positions from one of the window's to the next.
    pub const fn dilated(self, dilation: usize) -> Self {
        Self { dilation, ..self }
    }
}

/// Builds a [`Graph`]. Names given to its methods are relative to the current [`Builder::scope`].
pub struct Builder {
    graph: Graph,
    scope: Vec<String>,
    padding: Padding,
    bn_eps: f64,
}

impl Builder {
    /// An empty network named `name` with `in_channels` input channels; `padding` and `bn_eps` hold for
    /// every convolution and batch norm built.
    pub fn new(name: &str, in_channels: usize, padding: Padding, bn_eps: f64) -> Self {
        let input = Node { name: "input".into(), op: Op::Input, inputs: Vec::new() };
        let graph = Graph {
            name: name.into(),
            in_channels,
            nodes: vec![input],
            params: Vec::new(),
            outputs: Vec::new(),
            aliases: BTreeMap::new(),
        };
        Self { graph, scope: Vec::new(), padding, bn_eps }
    }

    /// The network input.
    pub fn input(&self) -> Value {
        Value { node: 0, channels: self.graph.in_channels }
    }

    /// Builds with `name` in front of every name inside, and lets the scope itself name the result.
    ///
    /// # Errors
    /// Those of `inside`.
    pub fn scope(&mut self, name: &str, inside: impl FnOnce(&mut Self) -> Result<Value>) -> Result<Value> {
        self.scope.push(name.into());
        let value = inside(self);
        let path = self.scope.join(".");
        self.scope.pop();
        let value = value?;
        self.graph.aliases.insert(path, value.node);
        Ok(value)
    }

    /// Builds with another padding in every window inside.
    ///
    /// # Errors
    /// Those of `inside`.
    pub fn padded(&mut self, padding: Padding, inside: impl FnOnce(&mut Self) -> Result<Value>) -> Result<Value> {
        let outside = std::mem::replace(&mut self.padding, padding);
        let value = inside(self);
        self.padding = outside;
        value
    }

    /// Convolution, [`Conv2d`] without anything fused.
    ///
    /// # Errors
    /// [`Error::Architecture`] for zero sizes or groups that do not divide the channels.
    pub fn conv(&mut self, name: &str, x: Value, args: ConvArgs) -> Result<Value> {
        let ConvArgs { out, kernel, stride, groups, dilation, bias } = args;
        if [out, kernel, stride, groups, dilation].contains(&0) {
            let values =
                format!("out {out}, kernel {kernel}, stride {stride}, groups {groups} and dilation {dilation}");
            return self.fail(name, format!("{values} must be positive"));
        }
        if !x.channels.is_multiple_of(groups) || !out.is_multiple_of(groups) {
            return self
                .fail(name, format!("{groups} groups must divide {} input and {out} output channels", x.channels));
        }
        let weight = self.param(&format!("{name}.weight"), vec![out, x.channels / groups, kernel, kernel]);
        self.conv_node(name, x, args, weight, bias)
    }

    /// Linear layer with bias: weight `[out, in]`.
    ///
    /// # Errors
    /// [`Error::Architecture`] when `out` is 0.
    pub fn linear(&mut self, name: &str, x: Value, out: usize) -> Result<Value> {
        if out == 0 {
            return self.fail(name, "needs at least one output".into());
        }
        let weight = self.param(&format!("{name}.weight"), vec![out, x.channels]);
        self.conv_node(name, x, ConvArgs::pointwise(out), weight, true)
    }

    fn conv_node(&mut self, name: &str, x: Value, args: ConvArgs, weight: ParamId, bias: bool) -> Result<Value> {
        let bias = bias.then(|| self.param(&format!("{name}.bias"), vec![args.out]));
        let op = Op::Conv2d(Conv2d::plain(weight, bias, args, self.padding));
        self.push(name, op, &[x], args.out)
    }

    /// Batch norm followed by an activation; the result carries the batch norm's name, as in timm.
    ///
    /// # Errors
    /// [`Error::Architecture`] for a repeated name.
    pub fn bn_act(&mut self, name: &str, x: Value, act: Activation) -> Result<Value> {
        let [gamma, beta, mean, var] = self.bn_params(name, x.channels);
        let bn = Op::BatchNorm(BatchNorm { gamma, beta, mean, var, eps: self.bn_eps });
        if act == Activation::Identity {
            return self.push(name, bn, &[x], x.channels);
        }
        let normalised = self.push(&format!("{name}.norm"), bn, &[x], x.channels)?;
        self.push(name, Op::Activation(act), &[normalised], x.channels)
    }

    /// Convolution and batch norm by their names, without an activation.
    ///
    /// # Errors
    /// As [`Builder::conv`].
    pub fn conv_bn(&mut self, names: [&str; 2], x: Value, args: ConvArgs) -> Result<Value> {
        let y = self.conv(names[0], x, args)?;
        self.bn_act(names[1], y, Activation::Identity)
    }

    /// Declares a batch norm that checkpoints hold and the network never applies.
    pub fn unused_bn(&mut self, name: &str, channels: usize) {
        self.bn_params(name, channels);
    }

    fn bn_params(&mut self, name: &str, channels: usize) -> [ParamId; 4] {
        ["weight", "bias", "running_mean", "running_var"]
            .map(|leaf| self.param(&format!("{name}.{leaf}"), vec![channels]))
    }

    /// Activation alone.
    ///
    /// # Errors
    /// [`Error::Architecture`] for a repeated name.
    pub fn activation(&mut self, name: &str, x: Value, act: Activation) -> Result<Value> {
        self.push(name, Op::Activation(act), &[x], x.channels)
    }

    /// Mean over all positions.
    ///
    /// # Errors
    /// [`Error::Architecture`] for a repeated name.
    pub fn global_pool(&mut self, name: &str, x: Value) -> Result<Value> {
        self.push(name, Op::GlobalAvgPool, &[x], x.channels)
    }

    /// A window over each channel by itself, under the network's padding.
    ///
    /// # Errors
    /// [`Error::Architecture`] for zero sizes.
    pub fn pool(&mut self, name: &str, x: Value, kind: PoolKind, kernel: usize, stride: usize) -> Result<Value> {
        if kernel == 0 || stride == 0 {
            return self.fail(name, format!("kernel {kernel} and stride {stride} must be positive"));
        }
        let pool = Pool { kind, kernel, stride, padding: self.padding };
        self.push(name, Op::Pool(pool), &[x], x.channels)
    }

    /// Each position's channels divided by their L2 norm, times a factor per channel ([`Op::L2Norm`]); `scale` names
    /// the parameter that holds these.
    ///
    /// # Errors
    /// [`Error::Architecture`] for a repeated name.
    pub fn l2_norm(&mut self, name: &str, x: Value, scale: &str) -> Result<Value> {
        let scale = self.param(scale, vec![x.channels]);
        self.push(name, Op::L2Norm { scale }, &[x], x.channels)
    }

    /// `x` times a gate per image and channel.
    ///
    /// # Errors
    /// [`Error::Architecture`] when the channels differ.
    pub fn scale(&mut self, name: &str, x: Value, gate: Value) -> Result<Value> {
        self.same_channels(name, x, gate)?;
        self.push(name, Op::Scale { residual: false }, &[x, gate], x.channels)
    }

    /// `x + y`.
    ///
    /// # Errors
    /// [`Error::Architecture`] when the channels differ.
    pub fn add(&mut self, name: &str, x: Value, y: Value) -> Result<Value> {
        self.same_channels(name, x, y)?;
        self.push(name, Op::Add { channels: None }, &[x, y], x.channels)
    }

    /// `x + y` in the first `channels` channels, `x` in the others.
    ///
    /// # Errors
    /// [`Error::Architecture`] when the operands' channels differ or are fewer than `channels`.
    pub fn add_first(&mut self, name: &str, x: Value, y: Value, channels: usize) -> Result<Value> {
        self.same_channels(name, x, y)?;
        if channels > x.channels {
            return self.fail(name, format!("adds {channels} channels of {}", x.channels));
        }
        let channels = (channels < x.channels).then_some(channels);
        self.push(name, Op::Add { channels }, &[x, y], x.channels)
    }

    /// The channels of `x`, then those of `y`.
    ///
    /// # Errors
    /// [`Error::Architecture`] for a repeated name.
    pub fn concat(&mut self, name: &str, x: Value, y: Value) -> Result<Value> {
        self.push(name, Op::Concat, &[x, y], x.channels + y.channels)
    }

    /// `channels` channels from `first` on.
    ///
    /// # Errors
    /// [`Error::Architecture`] when there are none, or not so many.
    pub fn slice(&mut self, name: &str, x: Value, first: usize, channels: usize) -> Result<Value> {
        if channels == 0 || first + channels > x.channels {
            return self.fail(name, format!("takes channels {first} to {} of {}", first + channels, x.channels));
        }
        self.push(name, Op::Slice { first, channels }, &[x], channels)
    }

    /// Channels shuffled among groups ([`Op::Shuffle`]).
    ///
    /// # Errors
    /// [`Error::Architecture`] when `groups` do not divide the channels.
    pub fn shuffle(&mut self, name: &str, x: Value, groups: usize) -> Result<Value> {
        if groups == 0 || !x.channels.is_multiple_of(groups) {
            return self.fail(name, format!("{groups} groups must divide {} channels", x.channels));
        }
        self.push(name, Op::Shuffle { groups }, &[x], x.channels)
    }

    /// Squeeze-and-excitation applied to `x` (see [`super::SqueezeExcite`]), with timm's names under `name`:
    /// `conv_reduce`, `conv_expand`.
    ///
    /// # Errors
    /// [`Error::Architecture`] when `hidden` is 0.
    pub fn squeeze_excite(
        &mut self,
        name: &str,
        x: Value,
        hidden: usize,
        act: Activation,
        gate: Activation,
    ) -> Result<Value> {
        self.squeeze_excite_named([name, "conv_reduce", "conv_expand"], x, hidden, act, gate)
    }

    /// The same with names of one's own for the module and, in it, the two products.
    ///
    /// # Errors
    /// As [`Builder::squeeze_excite`].
    pub fn squeeze_excite_named(
        &mut self,
        [name, reduce, expand]: [&str; 3],
        x: Value,
        hidden: usize,
        act: Activation,
        gate: Activation,
    ) -> Result<Value> {
        self.scope(name, |b| {
            let squeezed = b.global_pool("squeeze", x)?;
            let reduced = b.conv(reduce, squeezed, ConvArgs::pointwise(hidden).with_bias())?;
            let reduced = b.activation("act1", reduced, act)?;
            let expanded = b.conv(expand, reduced, ConvArgs::pointwise(x.channels).with_bias())?;
            let gate = b.activation("gate", expanded, gate)?;
            b.scale("scale", x, gate)
        })
    }

    /// Declares `x` an output of the network.
    pub fn output(&mut self, name: &str, x: Value) {
        self.graph.outputs.push((name.into(), x.node));
    }

    /// The finished graph.
    ///
    /// # Errors
    /// [`Error::Architecture`] when it breaks an invariant ([`Graph::verify`]).
    pub fn finish(self) -> Result<Graph> {
        self.graph.verify()?;
        Ok(self.graph)
    }

    /// An [`Error::Architecture`] at `name` inside the current scope.
    ///
    /// # Errors
    /// Always.
    pub fn fail<T>(&self, name: &str, problem: String) -> Result<T> {
        Err(Error::Architecture { arch: self.graph.name.clone(), place: self.path(name), problem })
    }

    fn same_channels(&self, name: &str, x: Value, y: Value) -> Result<()> {
        if x.channels == y.channels {
            return Ok(());
        }
        self.fail(name, format!("the operands have {} and {} channels", x.channels, y.channels))
    }

    fn path(&self, name: &str) -> String {
        self.scope.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".")
    }

    fn param(&mut self, name: &str, shape: Vec<usize>) -> ParamId {
        let name = self.path(name);
        self.graph.params.push(Param { name, shape, source: Source::Checkpoint });
        self.graph.params.len() - 1
    }

    fn push(&mut self, name: &str, op: Op, inputs: &[Value], channels: usize) -> Result<Value> {
        let node = self.graph.nodes.len();
        let name = self.path(name);
        if self.graph.nodes.iter().any(|n| n.name == name) {
            return self.fail(&name, "the name is taken".into());
        }
        self.graph.nodes.push(Node { name, op, inputs: inputs.iter().map(|v| v.node).collect() });
        Ok(Value { node, channels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_wiring_names_the_place() {
        let mut b = Builder::new("net", 3, Padding::Symmetric, 1e-5);
        let x = b.input();
        let error =
            b.scope("blocks.0", |b| b.conv("dw", x, ConvArgs { groups: 2, ..ConvArgs::dense(8, 3, 1) })).unwrap_err();
        assert!(error.to_string().contains("blocks.0.dw"), "{error}");
        let y = b.conv("c", x, ConvArgs::dense(8, 3, 1)).unwrap();
        assert!(b.add("sum", x, y).is_err());
        assert!(b.conv("c", x, ConvArgs::dense(8, 3, 1)).is_err());
    }
}
