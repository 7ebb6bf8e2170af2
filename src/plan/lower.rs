//! Chooses the kernel of every node: operands and launch. One match, one arm per operation.

use super::convolution::{channels, kind, product_args, unsupported, vector};
use super::fusion::{self, Fusion, Verdict};
#[cfg(not(target_arch = "wasm32"))]
use super::tuning::{self, Choice};
use super::{Step, Target, Value, ValueId, ValueKind, WeightLayout};
use crate::error::{Error, Result};
use crate::graph::{Activation, Conv2d, ConvKind, Graph, NodeId, Op, Pool, SqueezeExcite};
use crate::kernels::excite_pointwise::Part;
#[cfg(not(feature = "web"))]
use crate::kernels::l2_norm;
use crate::kernels::{
    AdapterClass, Launch, Role, Rows, Storage, Tiled, Window, channel_copy, conv, depthwise, elementwise,
    excite_pointwise, global_pool, head_pool, pool, squeeze_excite,
};
use crate::tensor::{Dtype, Padding, Shape};

pub(super) struct Lowered {
    pub values: Vec<Value>,
    pub steps: Vec<Step>,
    pub fusions: Vec<Fusion>,
    #[cfg(not(target_arch = "wasm32"))]
    pub choices: Vec<Choice>,
}

/// Lowers every node; values have no buffer yet. The values of `kept` nodes are stored.
pub(super) fn lower(
    graph: &Graph,
    layout: &WeightLayout,
    shapes: &[Shape],
    target: &Target,
    kept: &[NodeId],
) -> Result<Lowered> {
    let squeezed = squeezed_depthwise(graph);
    let fusions = fusion::decide(graph, shapes, &squeezed, target, kept);
    let read = graph.users().iter().map(|users| !users.is_empty()).collect();
    let mut l = Lowering {
        graph,
        layout,
        shapes,
        target,
        squeezed,
        fusions: &fusions,
        read,
        values: Vec::new(),
        steps: Vec::new(),
        #[cfg(not(target_arch = "wasm32"))]
        choices: Vec::new(),
    };
    l.add_value(ValueKind::Node(0), shapes[0], None);
    let fused = |id| fusions.iter().filter(|f| f.verdict == Verdict::Fused).find(move |f| f.nodes.contains(&id));
    for id in 1..graph.nodes.len() {
        match fused(id) {
            None => l.node(id)?,
            Some(fusion) if fusion.nodes.last() == Some(&id) => l.fused(id, fusion)?,
            Some(_) => {}
        }
    }
    l.drop_hard_curves();
    let Lowering {
        values,
        steps,
        #[cfg(not(target_arch = "wasm32"))]
        choices,
        ..
    } = l;
    Ok(Lowered {
        values,
        steps,
        fusions,
        #[cfg(not(target_arch = "wasm32"))]
        choices,
    })
}

/// Depthwise convolutions whose result some squeeze-and-excitation averages: they sum it on the way (before a residual,
/// so one with a residual does not).
fn squeezed_depthwise(graph: &Graph) -> Vec<bool> {
    let mut squeezed = vec![false; graph.nodes.len()];
    for node in graph.nodes.iter().filter(|n| matches!(n.op, Op::SqueezeExcite(_))) {
        let x = node.inputs[0];
        squeezed[x] =
            matches!(graph.nodes[x].op, Op::Conv2d(c) if kind(graph, &c) == ConvKind::Depthwise && !c.join.is_some());
    }
    squeezed
}

struct Lowering<'a> {
    graph: &'a Graph,
    layout: &'a WeightLayout,
    shapes: &'a [Shape],
    target: &'a Target,
    squeezed: Vec<bool>,
    fusions: &'a [Fusion],
    /// Whether another node reads a node's value.
    read: Vec<bool>,
    values: Vec<Value>,
    steps: Vec<Step>,
    #[cfg(not(target_arch = "wasm32"))]
    choices: Vec<Choice>,
}

impl Lowering<'_> {
    /// Where no convolution has a hard curve, pipelines without exponentials have none either.
    fn drop_hard_curves(&mut self) {
        let hard =
            |op: &Op| matches!(op, Op::Conv2d(Conv2d { act: Activation::HardSwish | Activation::HardSigmoid, .. }));
        if !self.graph.nodes.iter().any(|node| hard(&node.op)) {
            self.steps.iter_mut().for_each(|step| step.launch.key.drop_hard_curves());
        }
    }

    fn node(&mut self, id: NodeId) -> Result<()> {
        let node = &self.graph.nodes[id];
        let (x, y) = (self.shapes[node.inputs[0]], self.shapes[id]);
        match node.op {
            Op::Input => Ok(()),
            Op::Conv2d(conv) => self.conv(id, &conv),
            Op::SqueezeExcite(se) => self.squeeze_excite(id, &se),
            Op::GlobalAvgPool => {
                let launch = self.launch(&global_pool::Args { n: x.n, pixels: x.pixels(), c: x.c })?;
                self.push(id, launch, self.inputs(id), ValueKind::Node(id), y)
            }
            Op::Pool(pool) => self.pool(id, &pool),
            #[cfg(not(feature = "web"))]
            Op::L2Norm { .. } => {
                let launch = l2_norm::launch(&l2_norm::Args { n: x.n, pixels: x.pixels(), c: x.c }, self.target.class)?;
                self.push(id, launch, self.inputs(id), ValueKind::Node(id), y)
            }
            Op::Activation(act) => self.elementwise(id, act),
            Op::Scale { .. } | Op::Add { .. } => self.elementwise(id, Activation::Identity),
            Op::Slice { first, channels } => self.channel_copy(id, first, channels, 1),
            Op::Shuffle { groups } => self.channel_copy(id, 0, x.c, groups),
            Op::Concat => self.channel_copy(id, 0, x.c, 1),
            #[cfg(feature = "web")]
            Op::L2Norm { .. } => self.unsupported(id, "a detector's norm, in a browser"),
            Op::BatchNorm(_) => self.unsupported(id, "a batch norm that no pass rewrote"),
        }
    }

    fn conv(&mut self, id: NodeId, conv: &Conv2d) -> Result<()> {
        let class = self.target.class;
        let x = self.shapes[self.graph.nodes[id].inputs[0]];
        let y = self.shapes[id];
        let head = conv.first.is_none() && conv.shuffle == 1 && !conv.gate && !conv.join.is_some();
        let kind = kind(self.graph, conv);
        if let Some(problem) = unsupported(kind, conv, head) {
            return self.unsupported(id, problem);
        }
        let channels = channels(self.graph, conv, x.c);
        let vector = vector(self.graph, id, conv);
        // A head over one position is the product itself: with lanes along channels, or without a pipeline of its own.
        let over_one = matches!(class, AdapterClass::SoftwareSubgroup | AdapterClass::SwiftShader);
        let launch = match kind {
            ConvKind::Depthwise => return self.depthwise(id, conv, x, y),
            ConvKind::Pointwise if conv.pool || (head && vector && over_one) => {
                let args = head_pool::Args { n: x.n, pixels: x.pixels(), c_in: x.c, c_out: y.c, act: conv.act, vector };
                self.launch(&args)?
            }
            _ if conv.kernel == 1 && conv.stride == 1 => match self.apart(id) {
                Some(args) => self.launch(&excite_pointwise::Args { part: Part::Product, ..args })?,
                None => self.launch(&product_args(self.graph, self.shapes, id, conv))?,
            },
            _ => {
                let window = self.window(id, x, conv.padding, conv.extent(), conv.stride)?;
                let window = Window { kernel: conv.kernel, dilation: conv.dilation, ..window };
                self.launch(&conv::Args { window, channels, act: conv.act, join: conv.join })?
            }
        };
        self.push(id, launch, self.operands(id, conv.gate), ValueKind::Node(id), y)
    }

    /// The launch of the next step by its family's default row, or the one that the target's tuning has for it.
    fn launch<A: Rows>(&mut self, args: &A) -> Result<A::Launched> {
        let class = self.target.class;
        #[cfg(not(target_arch = "wasm32"))]
        if self.target.tuning != tuning::Tuning::Default {
            let network = tuning::network(&self.graph.name, self.shapes[0], self.target.dtype);
            let row = self.target.tuning.row(&network, args, self.target);
            let launched = row.and_then(|row| args.launch_with(&row).ok());
            let row = row.filter(|_| launched.is_some()).unwrap_or_else(|| args.choose(class));
            self.choices.push(Choice::new(self.steps.len(), args, &row));
            return launched.map_or_else(|| args.launch(class), Ok);
        }
        args.launch(class)
    }

    fn depthwise(&mut self, id: NodeId, conv: &Conv2d, x: Shape, y: Shape) -> Result<()> {
        let args = depthwise::Args {
            window: self.window(id, x, conv.padding, conv.kernel, conv.stride)?,
            c: x.c,
            act: conv.act,
            join: conv.join,
            keep_input: conv.keep_input,
            squeeze: self.squeezed[id],
        };
        let Tiled(launch, tiles) = self.launch(&args)?;
        self.push(id, launch, self.operands(id, conv.gate), ValueKind::Node(id), y)?;
        self.add_sums(id, tiles);
        Ok(())
    }

    /// The sums that a depthwise convolution's step writes besides its result, where they are wanted.
    fn add_sums(&mut self, id: NodeId, tiles: depthwise::Tiles) {
        if self.squeezed[id] {
            let step = self.steps.len() - 1;
            let shape = Shape { h: tiles.tiles_y, w: tiles.tiles_x, ..self.shapes[id] };
            let sums =
                self.add_value(ValueKind::Squeeze { node: id, tile: [tiles.height, tiles.width] }, shape, Some(step));
            self.steps[step].writes.push((Role::Squeeze, sums));
            self.steps[step].bytes += self.values[sums].bytes();
        }
    }

    /// Several convolutions in one step, which reads what the first reads and writes what the last writes.
    fn fused(&mut self, id: NodeId, fusion: &Fusion) -> Result<()> {
        let mut reads = self.inputs(fusion.nodes[0]);
        let (launch, tiles) = match &fusion.args {
            fusion::Args::ExpandDepthwise(args) => {
                let Tiled(launch, tiles) = self.launch(args)?;
                (launch, Some(tiles))
            }
            fusion::Args::DepthwisePointwise(args) => (self.launch(args)?, None),
            fusion::Args::InvertedResidual(args) => (self.launch(args)?, None),
            #[cfg(not(feature = "web"))]
            fusion::Args::ExcitePointwise(args) => {
                let (sums, excite) = self.sums(fusion.nodes[0], args.excite)?;
                reads.push((Role::Sums, sums));
                (self.launch(&excite_pointwise::Args { excite, ..*args })?, None)
            }
            #[cfg(not(feature = "web"))]
            fusion::Args::Sandglass(args) => (self.launch(args)?, None),
        };
        let others = fusion.nodes[1..].iter().flat_map(|&node| &self.graph.nodes[node].inputs[1..]);
        let others = others.filter(|other| !fusion.nodes.contains(other));
        reads.extend(others.map(|&other| (Role::Residual, self.value(other))));
        self.push_without_weights(id, launch, reads, ValueKind::Node(id), self.shapes[id])?;
        let roles = match &fusion.args {
            #[cfg(not(feature = "web"))]
            fusion::Args::ExcitePointwise(_) => &[Role::NextWeights, Role::Weights][..],
            #[cfg(not(feature = "web"))]
            fusion::Args::Sandglass(args) if args.first.is_some() => {
                &[Role::FrontWeights, Role::Weights, Role::NextWeights, Role::ThirdWeights]
            }
            _ => &[Role::Weights, Role::NextWeights, Role::ThirdWeights],
        };
        for (&node, role) in fusion.nodes.iter().zip(roles) {
            self.add_weights(node, *role);
        }
        if let Some(tiles) = tiles {
            self.add_sums(fusion.nodes[1], tiles);
        }
        if let Some(step) = self.steps.last_mut() {
            step.absorbed.extend(fusion.absorbed());
        }
        Ok(())
    }

    fn squeeze_excite(&mut self, id: NodeId, se: &SqueezeExcite) -> Result<()> {
        let (Shape { n, c, .. }, y) = (self.shapes[self.graph.nodes[id].inputs[0]], self.shapes[id]);
        let args = squeeze_excite::Args { n, c, hidden: se.hidden, tiles: 1, pixels: 1, act: se.act, gate: se.gate };
        let (sums, excite) = self.sums(id, args)?;
        let Some(args) = self.apart(id) else {
            let launch = self.launch(&excite)?;
            return self.push(id, launch, vec![(Role::Input, sums)], ValueKind::Node(id), y);
        };
        let launch = self.launch(&excite_pointwise::Args { excite, part: Part::Gates, ..args })?;
        self.push_without_weights(id, launch, vec![(Role::Sums, sums)], ValueKind::Node(id), y)?;
        self.add_weights(id, Role::NextWeights);
        Ok(())
    }

    /// What a squeeze-and-excitation averages, and its arguments with that.
    fn sums(&mut self, id: NodeId, args: squeeze_excite::Args) -> Result<(ValueId, squeeze_excite::Args)> {
        let source = self.graph.nodes[id].inputs[0];
        let x = self.shapes[source];
        let sums = self.values.iter().position(|v| matches!(v.kind, ValueKind::Squeeze { node, .. } if node == source));
        let (sums, tiles, pixels) = match sums {
            Some(sums) => (sums, self.values[sums].shape.pixels(), x.pixels()),
            None => (self.mean(id, source, x)?, 1, 1),
        };
        Ok((sums, squeeze_excite::Args { tiles, pixels, ..args }))
    }

    /// The kernel of a squeeze-and-excitation and its product, for a node of the two, where that does not pay in one
    /// dispatch: in two it needs no other pipeline than at a size where it does.
    fn apart(&self, id: NodeId) -> Option<excite_pointwise::Args> {
        let dearer = |fusion: &&Fusion| fusion.verdict == Verdict::Dearer && fusion.nodes.contains(&id);
        self.fusions.iter().filter(dearer).find_map(|fusion| match fusion.args {
            #[cfg(not(feature = "web"))]
            fusion::Args::ExcitePointwise(args) => Some(args),
            _ => None,
        })
    }

    /// A dispatch of its own for the mean of a value that no depthwise convolution sums on the way.
    fn mean(&mut self, id: NodeId, source: NodeId, x: Shape) -> Result<ValueId> {
        let launch = self.launch(&global_pool::Args { n: x.n, pixels: x.pixels(), c: x.c })?;
        let reads = vec![(Role::Input, self.value(source))];
        self.push_without_weights(id, launch, reads, ValueKind::Mean(source), Shape { h: 1, w: 1, ..x })?;
        Ok(self.values.len() - 1)
    }

    fn pool(&mut self, id: NodeId, pool: &Pool) -> Result<()> {
        let x = self.shapes[self.graph.nodes[id].inputs[0]];
        let window = self.window(id, x, pool.padding, pool.kernel, pool.stride)?;
        let launch = pool::launch(&pool::Args { window, c: x.c, kind: pool.kind }, self.target.class)?;
        self.push(id, launch, self.inputs(id), ValueKind::Node(id), self.shapes[id])
    }

    fn elementwise(&mut self, id: NodeId, act: Activation) -> Result<()> {
        let shape = self.shapes[id];
        let (gate, residual) = match self.graph.nodes[id].op {
            Op::Scale { residual } => (true, residual.then_some(shape.c)),
            Op::Add { channels } => (false, Some(channels.unwrap_or(shape.c))),
            _ => (false, None),
        };
        let args = elementwise::Args { n: shape.n, pixels: shape.pixels(), c: shape.c, act, gate, residual };
        let launch = elementwise::launch(&args, self.target.class)?;
        self.push(id, launch, self.operands(id, gate), ValueKind::Node(id), shape)
    }

    fn channel_copy(&mut self, id: NodeId, first: usize, from_a: usize, groups: usize) -> Result<()> {
        let inputs = &self.graph.nodes[id].inputs;
        let (x, y) = (self.shapes[inputs[0]], self.shapes[id]);
        let (n, pixels, other) = (x.n, x.pixels(), inputs.get(1).map_or(0, |&other| self.shapes[other].c));
        let launch = channel_copy::launch(
            &channel_copy::Args { n, pixels, c: x.c, first, from_a, other, groups },
            self.target.class,
        )?;
        self.push(id, launch, self.operands(id, false), ValueKind::Node(id), y)
    }

    fn window(&self, id: NodeId, x: Shape, padding: Padding, kernel: usize, stride: usize) -> Result<Window> {
        match Window::over(x, padding, kernel, stride) {
            Some(window) => Ok(window),
            None => self.unsupported(id, "a window that does not fit its input"),
        }
    }

    fn inputs(&self, id: NodeId) -> Vec<(Role, ValueId)> {
        self.graph.nodes[id].inputs.iter().map(|&i| (Role::Input, self.value(i))).collect()
    }

    /// A node's inputs in their roles: the first, the gate where there is one, another tensor.
    fn operands(&self, id: NodeId, gate: bool) -> Vec<(Role, ValueId)> {
        let roles = [Some(Role::Input), gate.then_some(Role::Gate), Some(Role::Residual)];
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
        self.add_weights(id, Role::Weights);
        Ok(())
    }

    /// Gives the last step a node's weights and counts its work.
    fn add_weights(&mut self, id: NodeId, role: Role) {
        let range = self.layout.range(id);
        if let Some(step) = self.steps.last_mut() {
            step.weights.extend(range.map(|range| (role, range)));
            step.bytes += range.map_or(0, |w| w.bytes);
            step.madds += self.graph.node_madds(id, self.shapes);
        }
    }

    fn push_without_weights(
        &mut self,
        node: NodeId,
        mut launch: Launch,
        reads: Vec<(Role, ValueId)>,
        kind: ValueKind,
        shape: Shape,
    ) -> Result<()> {
        let step = self.steps.len();
        for &(_, value) in &reads {
            self.values[value].last_read = step;
        }
        let mut distinct: Vec<ValueId> = reads.iter().map(|r| r.1).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let read: u64 = distinct.iter().map(|&value| self.values[value].bytes()).sum();
        let written = self.add_value(kind, shape, Some(step));
        let Target { dtype, words, .. } = *self.target;
        launch.key.storage = Storage::new(dtype, self.values[written].dtype, words);
        let writes = vec![(Role::Output, written)];
        self.steps.push(Step {
            node,
            absorbed: Vec::new(),
            launch,
            reads,
            writes,
            weights: Vec::new(),
            madds: 0,
            bytes: read + self.values[written].bytes(),
        });
        Ok(())
    }

    fn add_value(&mut self, kind: ValueKind, shape: Shape, written: Option<usize>) -> ValueId {
        // What squeeze-and-excitation sums up, and what nobody on the device reads, keeps its precision.
        let dtype = match kind {
            ValueKind::Node(node) if self.read[node] => self.target.dtype,
            _ => Dtype::F32,
        };
        let last_read = written.unwrap_or(0);
        self.values.push(Value { kind, shape, dtype, buffer: 0, offset: 0, written, last_read, over: None });
        self.values.len() - 1
    }

    fn unsupported<T>(&self, id: NodeId, problem: &str) -> Result<T> {
        Err(Error::Unsupported { node: self.graph.nodes[id].name.clone(), problem: format!("{problem} has no kernel") })
    }
}
