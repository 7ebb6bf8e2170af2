//! Chooses the kernel of every node: operands, launch and weight packing. One match, one arm per operation.

use super::{Step, Target, Value, ValueId, ValueKind, WeightLayout};
use crate::error::{Error, Result};
use crate::graph::{Activation, Conv2d, ConvKind, Graph, NodeId, Op, SqueezeExcite};
use crate::kernels::{
    AdapterClass, Launch, Role, conv, depthwise, elementwise, global_pool, head_pool, pointwise, squeeze_excite,
};
use crate::tensor::{Shape, window};
use crate::weights::Weights;

pub(super) struct Lowered {
    pub values: Vec<Value>,
    pub steps: Vec<Step>,
}

/// Lowers every node; values have no buffer yet.
pub(super) fn lower(graph: &Graph, layout: &WeightLayout, shapes: &[Shape], target: &Target) -> Result<Lowered> {
    let squeezed = squeezed_depthwise(graph);
    let mut l = Lowering { graph, layout, shapes, target, squeezed, values: Vec::new(), steps: Vec::new() };
    l.add_value(ValueKind::Node(0), shapes[0], None);
    for id in 1..graph.nodes.len() {
        l.node(id)?;
    }
    Ok(Lowered { values: l.values, steps: l.steps })
}

/// Depthwise convolutions whose result some squeeze-and-excitation averages: they sum it on the way (before a residual,
/// so one with a residual does not).
fn squeezed_depthwise(graph: &Graph) -> Vec<bool> {
    let mut squeezed = vec![false; graph.nodes.len()];
    for node in graph.nodes.iter().filter(|n| matches!(n.op, Op::SqueezeExcite(_))) {
        let x = node.inputs[0];
        squeezed[x] =
            matches!(graph.nodes[x].op, Op::Conv2d(c) if kind(graph, &c) == ConvKind::Depthwise && !c.residual);
    }
    squeezed
}

fn kind(graph: &Graph, conv: &Conv2d) -> ConvKind {
    conv.kind(in_channels(graph, conv))
}

fn in_channels(graph: &Graph, conv: &Conv2d) -> usize {
    graph.params[conv.weight].shape[1] * conv.groups
}

struct Lowering<'a> {
    graph: &'a Graph,
    layout: &'a WeightLayout,
    shapes: &'a [Shape],
    target: &'a Target,
    squeezed: Vec<bool>,
    values: Vec<Value>,
    steps: Vec<Step>,
}

impl Lowering<'_> {
    fn node(&mut self, id: NodeId) -> Result<()> {
        let (graph, class) = (self.graph, self.target.class);
        let node = &graph.nodes[id];
        let (x, y) = (self.shapes[node.inputs[0]], self.shapes[id]);
        match node.op {
            Op::Input => Ok(()),
            Op::Conv2d(conv) => self.conv(id, &conv),
            Op::SqueezeExcite(se) => self.squeeze_excite(id, &se),
            Op::GlobalAvgPool => {
                let launch = global_pool::launch(&global_pool::Args { n: x.n, pixels: x.pixels(), c: x.c }, class)?;
                self.push(id, launch, self.inputs(id), ValueKind::Node(id), y)
            }
            Op::Activation(act) => self.elementwise(id, act),
            Op::Scale | Op::Add => self.elementwise(id, Activation::Identity),
            Op::BatchNorm(_) => self.unsupported(id, "a batch norm that no pass rewrote"),
        }
    }

    fn conv(&mut self, id: NodeId, conv: &Conv2d) -> Result<()> {
        let class = self.target.class;
        let x = self.shapes[self.graph.nodes[id].inputs[0]];
        let y = self.shapes[id];
        let launch = match kind(self.graph, conv) {
            ConvKind::Grouped => return self.unsupported(id, "a grouped convolution"),
            ConvKind::Pointwise if conv.pool && !conv.gate && !conv.residual => {
                let args = head_pool::Args { n: x.n, pixels: x.pixels(), c_in: x.c, c_out: y.c, act: conv.act };
                head_pool::launch(&args, class)?
            }
            _ if conv.pool => return self.unsupported(id, "pooling behind this convolution"),
            // A head over one position is the product itself, with lanes along channels.
            ConvKind::Pointwise
                if class == AdapterClass::SoftwareSubgroup && self.vector(id, conv) && !conv.gate && !conv.residual =>
            {
                let args = head_pool::Args { n: x.n, pixels: 1, c_in: x.c, c_out: y.c, act: conv.act };
                head_pool::launch(&args, class)?
            }
            ConvKind::Pointwise => {
                let args = pointwise::Args {
                    n: x.n,
                    pixels: x.pixels(),
                    c_in: x.c,
                    c_out: y.c,
                    act: conv.act,
                    gate: conv.gate,
                    residual: conv.residual,
                    vector: self.vector(id, conv),
                };
                pointwise::launch(&args, class)?
            }
            ConvKind::Depthwise => return self.depthwise(id, conv, x, y),
            ConvKind::Dense => {
                let [pad_top, pad_left] = pads(conv, x);
                let args = conv::Args {
                    n: x.n,
                    h: x.h,
                    w: x.w,
                    out_h: y.h,
                    out_w: y.w,
                    pad_top,
                    pad_left,
                    c_in: x.c,
                    c_out: y.c,
                    kernel: conv.kernel,
                    stride: conv.stride,
                    act: conv.act,
                    residual: conv.residual,
                };
                conv::launch(&args, class)?
            }
        };
        self.push(id, launch, self.conv_reads(id, conv), ValueKind::Node(id), y)
    }

    /// Whether a convolution's input has one position at any resolution: a classifier's, or a product behind a pooling.
    fn vector(&self, id: NodeId, conv: &Conv2d) -> bool {
        let linear = self.graph.params[conv.weight].shape.len() == 2;
        linear || matches!(self.graph.nodes[self.graph.nodes[id].inputs[0]].op, Op::GlobalAvgPool)
    }

    fn depthwise(&mut self, id: NodeId, conv: &Conv2d, x: Shape, y: Shape) -> Result<()> {
        let [pad_top, pad_left] = pads(conv, x);
        let args = depthwise::Args {
            n: x.n,
            h: x.h,
            w: x.w,
            out_h: y.h,
            out_w: y.w,
            pad_top,
            pad_left,
            c: x.c,
            kernel: conv.kernel,
            stride: conv.stride,
            act: conv.act,
            residual: conv.residual,
            squeeze: self.squeezed[id],
        };
        let (launch, tiles) = depthwise::launch(&args, self.target.class)?;
        self.push(id, launch, self.conv_reads(id, conv), ValueKind::Node(id), y)?;
        if self.squeezed[id] {
            let step = self.steps.len() - 1;
            let shape = Shape::new(y.n, tiles.tiles_y, tiles.tiles_x, y.c);
            let sums =
                self.add_value(ValueKind::Squeeze { node: id, tile: [tiles.height, tiles.width] }, shape, Some(step));
            self.steps[step].writes.push((Role::Squeeze, sums));
            self.steps[step].bytes += shape.padded_bytes();
        }
        Ok(())
    }

    fn squeeze_excite(&mut self, id: NodeId, se: &SqueezeExcite) -> Result<()> {
        let source = self.graph.nodes[id].inputs[0];
        let (x, y, class) = (self.shapes[source], self.shapes[id], self.target.class);
        let sums = self.values.iter().position(|v| matches!(v.kind, ValueKind::Squeeze { node, .. } if node == source));
        let (input, tiles, pixels) = match sums {
            Some(sums) => (sums, self.values[sums].shape.pixels(), x.pixels()),
            None => (self.mean(id, source, x)?, 1, 1),
        };
        let args =
            squeeze_excite::Args { n: x.n, c: x.c, hidden: se.hidden, tiles, pixels, act: se.act, gate: se.gate };
        let launch = squeeze_excite::launch(&args, class)?;
        self.push(id, launch, vec![(Role::Input, input)], ValueKind::Node(id), y)
    }

    /// A dispatch of its own for the mean of a value that no depthwise convolution sums on the way.
    fn mean(&mut self, id: NodeId, source: NodeId, x: Shape) -> Result<ValueId> {
        let launch = global_pool::launch(&global_pool::Args { n: x.n, pixels: x.pixels(), c: x.c }, self.target.class)?;
        let reads = vec![(Role::Input, self.value(source))];
        self.push_without_weights(id, launch, reads, ValueKind::Mean(source), Shape { h: 1, w: 1, ..x })?;
        Ok(self.values.len() - 1)
    }

    fn elementwise(&mut self, id: NodeId, act: Activation) -> Result<()> {
        let op = self.graph.nodes[id].op;
        let shape = self.shapes[id];
        let args = elementwise::Args {
            n: shape.n,
            pixels: shape.pixels(),
            c: shape.c,
            act,
            gate: op == Op::Scale,
            residual: op == Op::Add,
        };
        let mut reads = self.inputs(id);
        if let Some(second) = reads.get_mut(1) {
            second.0 = if op == Op::Scale { Role::Gate } else { Role::Residual };
        }
        let launch = elementwise::launch(&args, self.target.class)?;
        self.push(id, launch, reads, ValueKind::Node(id), shape)
    }

    fn inputs(&self, id: NodeId) -> Vec<(Role, ValueId)> {
        self.graph.nodes[id].inputs.iter().map(|&i| (Role::Input, self.value(i))).collect()
    }

    fn conv_reads(&self, id: NodeId, conv: &Conv2d) -> Vec<(Role, ValueId)> {
        let roles = [Some(Role::Input), conv.gate.then_some(Role::Gate), conv.residual.then_some(Role::Residual)];
        roles.into_iter().flatten().zip(self.inputs(id)).map(|(role, (_, value))| (role, value)).collect()
    }

    fn value(&self, node: NodeId) -> ValueId {
        // Nodes are lowered in topological order, and each pushes its own value.
        self.values.iter().position(|v| v.kind == ValueKind::Node(node)).unwrap_or(0)
    }

    fn push(
        &mut self,
        id: NodeId,
        launch: Launch,
        reads: Vec<(Role, ValueId)>,
        kind: ValueKind,
        shape: Shape,
    ) -> Result<()> {
        self.push_without_weights(id, launch, reads, kind, shape)?;
        let weights = self.layout.range(id);
        if let Some(step) = self.steps.last_mut() {
            step.weights = weights;
            step.bytes += weights.map_or(0, |w| w.bytes);
            step.madds = self.graph.node_madds(id, self.shapes);
        }
        Ok(())
    }

    fn push_without_weights(
        &mut self,
        node: NodeId,
        launch: Launch,
        reads: Vec<(Role, ValueId)>,
        kind: ValueKind,
        shape: Shape,
    ) -> Result<()> {
        let step = self.steps.len();
        for &(_, value) in &reads {
            self.values[value].last_read = step;
        }
        let read: u64 = reads.iter().map(|r| self.values[r.1].shape.padded_bytes()).sum();
        let written = self.add_value(kind, shape, Some(step));
        let writes = vec![(Role::Output, written)];
        self.steps.push(Step {
            node,
            launch,
            reads,
            writes,
            weights: None,
            madds: 0,
            bytes: read + shape.padded_bytes(),
        });
        Ok(())
    }

    fn add_value(&mut self, kind: ValueKind, shape: Shape, written: Option<usize>) -> ValueId {
        self.values.push(Value { kind, shape, buffer: 0, offset: 0, written, last_read: written.unwrap_or(0) });
        self.values.len() - 1
    }

    fn unsupported<T>(&self, id: NodeId, problem: &str) -> Result<T> {
        Err(Error::Unsupported { node: self.graph.nodes[id].name.clone(), problem: format!("{problem} has no kernel") })
    }
}

/// Zeros above and left of the input.
fn pads(conv: &Conv2d, x: Shape) -> [usize; 2] {
    [x.h, x.w].map(|size| window(conv.padding, size, conv.kernel, conv.stride).map_or(0, |w| w.before))
}

/// Length in f32 of a node's packed weights; 0 for none.
pub(super) fn packed_len(graph: &Graph, id: NodeId) -> usize {
    match graph.nodes[id].op {
        Op::Conv2d(c) => {
            let c_in = in_channels(graph, &c);
            match c.kind(c_in) {
                ConvKind::Pointwise => pointwise::packed_len(c_in, c.out),
                ConvKind::Depthwise => depthwise::packed_len(c.kernel, c.out),
                ConvKind::Dense => conv::packed_len(c.kernel, c_in, c.out),
                ConvKind::Grouped => 0,
            }
        }
        Op::SqueezeExcite(se) => squeeze_excite::packed_len(graph.params[se.expand_bias].len(), se.hidden),
        _ => 0,
    }
}

/// Packs a node's weights into `out`, `packed_len` values.
///
/// # Errors
/// As [`Weights::values`].
pub(super) fn pack(graph: &Graph, id: NodeId, weights: &Weights, out: &mut [f32]) -> Result<()> {
    match graph.nodes[id].op {
        Op::Conv2d(c) => {
            let c_in = in_channels(graph, &c);
            let weight = weights.values(graph, c.weight)?;
            let bias = match c.bias {
                Some(bias) => weights.values(graph, bias)?,
                None => vec![0.0; c.out].into(),
            };
            match c.kind(c_in) {
                ConvKind::Pointwise => pointwise::pack(&weight, &bias, c_in, c.out, out),
                ConvKind::Depthwise => depthwise::pack(&weight, &bias, c.kernel, c.out, out),
                ConvKind::Dense => conv::pack(&weight, &bias, c.kernel, c_in, c.out, out),
                ConvKind::Grouped => {}
            }
        }
        Op::SqueezeExcite(se) => {
            let values =
                [se.reduce_weight, se.reduce_bias, se.expand_weight, se.expand_bias].map(|p| weights.values(graph, p));
            let [reduce, reduce_bias, expand, expand_bias] = values;
            let (reduce, reduce_bias, expand, expand_bias) = (reduce?, reduce_bias?, expand?, expand_bias?);
            let parts = squeeze_excite::Weights {
                reduce: &reduce,
                reduce_bias: &reduce_bias,
                expand: &expand,
                expand_bias: &expand_bias,
            };
            squeeze_excite::pack(&parts, expand_bias.len(), se.hidden, out);
        }
        _ => {}
    }
    Ok(())
}
