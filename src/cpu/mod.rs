//! The reference executor: what every operation means, computed plainly.
//!
//! One function per operation's contract ([`crate::graph::Op`]), one file per kernel family. Values between
//! nodes are f32, every sum is accumulated in f64 and rounded once when it is stored. It runs any graph, as
//! built and after any pass, and shares no code with the GPU's path but the graph, the weights and
//! [`crate::tensor::window`]: it is the independent witness that kernels are compared with.

mod channels;
mod conv;
mod depthwise;
mod elementwise;
mod l2_norm;
mod matrix;
mod pointwise;
mod pool;
mod squeeze_excite;

use crate::error::{Error, Result};
use crate::graph::{Conv2d, ConvKind, Graph, Join, Node, NodeId, Op};
use crate::tensor::{Shape, Tensor};
use crate::weights::Weights;
use std::collections::BTreeMap;

/// A network's outputs by name.
pub type Outputs = BTreeMap<String, Tensor>;

/// Runs `graph` on `input` `[N, H, W, in_channels]`, normalised, and returns its outputs.
///
/// # Errors
/// [`Error::NodeShape`] when the input does not fit the network, and those of [`Weights::values`].
pub fn run(graph: &Graph, weights: &Weights, input: &Tensor) -> Result<Outputs> {
    run_with(graph, weights, input, |_, _| {})
}

/// As [`run`], and shows the value of every node, in order, to `visit`.
///
/// A value is dropped after its last use, so that memory stays near the widest pair of layers.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    graph: &Graph,
    weights: &Weights,
    input: &Tensor,
    mut visit: impl FnMut(NodeId, &Tensor),
) -> Result<Outputs> {
    let Shape { n, h, w, c } = input.shape;
    if c != graph.in_channels || input.data.len() != input.shape.len() {
        let problem = format!("{} takes {} channels, got {}", graph.name, graph.in_channels, input.shape);
        return Err(Error::bad("input", problem));
    }
    graph.shapes(n, h, w)?; // Before any work: the network fits this input.
    let last_use: Vec<NodeId> =
        graph.users().iter().enumerate().map(|(id, users)| users.iter().copied().max().unwrap_or(id)).collect();
    let mut values: Vec<Option<Tensor>> = Vec::with_capacity(graph.nodes.len());
    let mut outputs = Outputs::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        let operands: Vec<&Tensor> = node.inputs.iter().filter_map(|&i| values.get(i)?.as_ref()).collect();
        let value = if id == 0 { input.clone() } else { eval_node(graph, weights, id, &operands)? };
        visit(id, &value);
        for (name, _) in graph.outputs.iter().filter(|o| o.1 == id) {
            outputs.insert(name.clone(), value.clone());
        }
        values.push(Some(value));
        for &used in node.inputs.iter().chain([&id]) {
            if last_use[used] <= id {
                values[used] = None;
            }
        }
    }
    Ok(outputs)
}

/// The value of one node, given those of its inputs in order (for node 0, the network input itself).
///
/// # Errors
/// [`Error::NodeShape`] when the inputs are not what the operation takes, [`Error::BadInput`] for a node that
/// does not exist, and those of [`Weights::values`].
pub fn eval_node(graph: &Graph, weights: &Weights, id: NodeId, inputs: &[&Tensor]) -> Result<Tensor> {
    let node = graph
        .nodes
        .get(id)
        .ok_or_else(|| Error::bad(&graph.name, format!("there is no node {id}, only {}", graph.nodes.len())))?;
    let arity = node.op.arity().max(1);
    if inputs.len() != arity {
        return Err(Error::bad(&node.name, format!("takes {arity} inputs, got {}", inputs.len())));
    }
    let x = inputs[0];
    for input in inputs {
        if input.data.len() != input.shape.len() || input.shape.is_empty() {
            return Err(fail(node, input, format!("an input holds {} values", input.data.len())));
        }
    }
    match &node.op {
        Op::Input => Ok(x.clone()),
        Op::Conv2d(c) => conv2d(&Context { graph, weights, node }, c, inputs),
        Op::BatchNorm(b) => elementwise::batch_norm(&Context { graph, weights, node }, b, x),
        Op::Activation(a) => Ok(elementwise::activation(*a, x)),
        Op::L2Norm { scale } => l2_norm::l2_norm(&Context { graph, weights, node }, *scale, x),
        Op::GlobalAvgPool => Ok(pool::global_avg(x)),
        Op::Pool(p) => match p.output(x.shape) {
            Some(y) => Ok(pool::pool(p, x, y)),
            None => Err(fail(node, x, format!("a {0}x{0} window does not fit", p.kernel))),
        },
        Op::Scale { residual } => {
            expect(node, inputs[1], gate_shape(x.shape), "the gate")?;
            let scaled = elementwise::scale(x, inputs[1]);
            if !residual {
                return Ok(scaled);
            }
            expect(node, inputs[2], x.shape, "the residual")?;
            Ok(elementwise::add(&scaled, inputs[2], x.shape.c))
        }
        Op::Add { channels } => {
            expect(node, inputs[1], x.shape, "the other operand")?;
            let channels = channels.unwrap_or(x.shape.c);
            if channels > x.shape.c {
                return Err(fail(node, x, format!("adds {channels} channels")));
            }
            Ok(elementwise::add(x, inputs[1], channels))
        }
        Op::Concat => {
            expect(node, inputs[1], Shape { c: inputs[1].shape.c, ..x.shape }, "the other operand")?;
            Ok(channels::concat(x, inputs[1]))
        }
        Op::Slice { first, channels } if first + channels <= x.shape.c => Ok(channels::slice(x, *first, *channels)),
        Op::Slice { first, channels } => Err(fail(node, x, format!("has no channels {first} to {}", first + channels))),
        Op::Shuffle { groups } if x.shape.c.is_multiple_of(*groups) => Ok(channels::shuffle(x, *groups)),
        Op::Shuffle { groups } => Err(fail(node, x, format!("{groups} groups must divide the channels"))),
        Op::SqueezeExcite(s) => squeeze_excite::squeeze_excite(&Context { graph, weights, node }, s, x),
    }
}

/// [`Conv2d`]'s contract, step by step; every step's result is rounded to f32, but for a residual added by the
/// convolution itself.
fn conv2d(context: &Context, conv: &Conv2d, inputs: &[&Tensor]) -> Result<Tensor> {
    let node = context.node;
    let weight = &context.graph.params[conv.weight].shape;
    let c_in = weight.get(1).copied().unwrap_or(0) * conv.groups;
    let whole = inputs[0];
    let fits = match conv.first {
        None => c_in == whole.shape.c,
        Some(first) => first + c_in <= whole.shape.c && !conv.keep_input,
    };
    if !fits {
        let from = conv.first.map_or(String::new(), |first| format!(" from {first} on"));
        return Err(fail(node, whole, format!("its weights are for {c_in} channels{from}")));
    }
    let part = conv.first.map(|first| channels::slice(whole, first, c_in));
    let x = part.as_ref().unwrap_or(whole);
    let (Some(out), Some(result)) = (conv.output(x.shape), conv.result(x.shape)) else {
        return Err(fail(node, x, format!("a {0}x{0} window does not fit", conv.extent())));
    };
    if conv.out == 0 || conv.groups == 0 || !conv.out.is_multiple_of(conv.groups) || c_in == 0 {
        let problem = format!("{} groups must divide its channels and the {} of the output", conv.groups, conv.out);
        return Err(fail(node, x, problem));
    }
    if conv.shuffle == 0 || !conv.out.is_multiple_of(conv.shuffle) {
        return Err(fail(
            node,
            x,
            format!("{} groups must divide the {} channels of the output", conv.shuffle, conv.out),
        ));
    }
    let mut operands = inputs[1..].iter().copied();
    let gate = if conv.gate { operands.next() } else { None };
    let other = if conv.join.is_some() { operands.next() } else { None };
    if let Some(gate) = gate {
        expect(node, gate, gate_shape(x.shape), "the gate")?;
    }
    if let Some(other) = other {
        let want = match conv.join {
            Join::Interleave => Shape { c: other.shape.c.max(conv.out), ..out },
            _ => result,
        };
        expect(node, other, want, "the other operand")?;
    }
    let moved = conv.keep_input || conv.shuffle > 1;
    let fan_in = c_in / conv.groups * conv.kernel * conv.kernel;
    let task = ConvTask {
        conv,
        x,
        gate: gate.map_or_else(|| vec![1.0; x.shape.n * x.shape.c], |g| widen(&g.data)),
        weight: &context.values(conv.weight, x, conv.out * fan_in)?,
        bias: match conv.bias {
            Some(bias) => widen(&context.values(bias, x, conv.out)?),
            None => vec![0.0; conv.out],
        },
        residual: other.filter(|_| !moved && conv.join != Join::Interleave),
        out,
    };
    let mut y = match conv.kind(x.shape.c) {
        ConvKind::Pointwise => pointwise::pointwise(&task),
        ConvKind::Depthwise if conv.dilation == 1 => depthwise::depthwise(&task),
        _ => conv::conv(&task),
    };
    if conv.shuffle > 1 {
        y = channels::shuffle(&y, conv.shuffle);
    }
    if conv.keep_input {
        y = channels::concat(x, &y);
    }
    y = match (conv.join, other) {
        (Join::Interleave, Some(other)) => {
            channels::shuffle(&channels::concat(&channels::slice(other, 0, conv.out), &y), 2)
        }
        (Join::Add, Some(other)) if moved => elementwise::add(&y, other, result.c),
        (Join::AddFirst(_) | Join::AddThenAct, _) if moved => {
            return Err(fail(node, x, "this residual does not go with rearranged channels".into()));
        }
        _ => y,
    };
    Ok(if conv.pool { pool::global_avg(&y) } else { y })
}

/// A convolution with its operands, all shapes checked.
struct ConvTask<'a> {
    conv: &'a Conv2d,
    x: &'a Tensor,
    /// Factor of each image and channel of `x`, `[N, C_in]`; ones without a gate.
    gate: Vec<f64>,
    /// OIHW.
    weight: &'a [f32],
    /// `[out]`, zeros without one.
    bias: Vec<f64>,
    /// What the convolution itself adds, as its [`Join`] says.
    residual: Option<&'a Tensor>,
    /// Shape of its output.
    out: Shape,
}

impl ConvTask<'_> {
    /// Stores finished sums (without bias) of consecutive output channels, the first being `channel`, at
    /// position `at` of the output's data.
    fn store(&self, sums: &[f64], channel: usize, at: usize, y: &mut [f32]) {
        let act = self.conv.act;
        for (i, (y, sum)) in y.iter_mut().zip(sums).enumerate() {
            let sum = sum + self.bias[channel + i];
            let other = self.residual.map_or(0.0, |r| f64::from(r.data[at + i]));
            let value = match self.conv.join {
                Join::AddThenAct => act.eval(sum + other),
                Join::AddFirst(channels) if channel + i >= channels => act.eval(sum),
                _ => act.eval(sum) + other,
            };
            *y = value as f32;
        }
    }
}

/// What a function needs to find its parameters and to name itself.
struct Context<'a> {
    graph: &'a Graph,
    weights: &'a Weights,
    node: &'a Node,
}

impl<'a> Context<'a> {
    /// A parameter that must hold `len` values to go with the input `x`.
    fn values(&self, id: usize, x: &Tensor, len: usize) -> Result<std::borrow::Cow<'a, [f32]>> {
        let values = self.weights.values(self.graph, id)?;
        if values.len() == len { Ok(values) } else { Err(self.wrong(id, x, len, values.len())) }
    }

    /// The same unrounded.
    fn values_f64(&self, id: usize, x: &Tensor, len: usize) -> Result<Vec<f64>> {
        let values = self.weights.values_f64(self.graph, id)?;
        if values.len() == len { Ok(values) } else { Err(self.wrong(id, x, len, values.len())) }
    }

    fn wrong(&self, id: usize, x: &Tensor, want: usize, got: usize) -> Error {
        fail(self.node, x, format!("{} must hold {want} values, holds {got}", self.graph.params[id].name))
    }
}

fn gate_shape(x: Shape) -> Shape {
    Shape { h: 1, w: 1, ..x }
}

fn expect(node: &Node, operand: &Tensor, want: Shape, role: &str) -> Result<()> {
    if operand.shape == want { Ok(()) } else { Err(fail(node, operand, format!("{role} must be {want}"))) }
}

fn fail(node: &Node, input: &Tensor, problem: String) -> Error {
    Error::NodeShape { node: node.name.clone(), input: input.shape, problem }
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod op_tests;
