//! The plan: a network lowered to a list of dispatches over a few buffers. Data only, no wgpu.
//!
//! [`Plan::new`] takes a graph (after the passes) and an input shape; it decides which convolutions share a dispatch
//! (`fusion`), chooses kernels (`lower`), places values in buffers (`memory`) and counts. [`WeightLayout`] places packed
//! weights; it depends on the graph alone, so plans for other batches and resolutions share the same weight buffers.

mod convolution;
mod fusion;
mod lower;
mod memory;
mod pack;
mod print;
#[cfg(not(target_arch = "wasm32"))]
pub mod tuning;
mod weights;

pub use fusion::{Fuse, Fusion, Rates, Verdict};
#[cfg(not(target_arch = "wasm32"))]
pub use tuning::Tuning;
pub use weights::{WeightLayout, WeightRange};

use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, Op};
use crate::kernels::{AdapterClass, KernelKey, Launch, Role, Storage, Words, head_pool};
use crate::tensor::{Dtype, Shape};

/// Offsets of storage bindings are multiples of this (WebGPU's default `minStorageBufferOffsetAlignment`).
pub const BINDING_ALIGNMENT: u64 = 256;

/// Index of a value in [`Plan::values`].
pub type ValueId = usize;

/// The limits of a device that a plan must keep, as plain numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(serde::Deserialize))]
pub struct Caps {
    /// Largest buffer in bytes.
    pub max_buffer: u64,
    /// Largest storage binding in bytes.
    pub max_binding: u64,
    /// Most workgroups in one dimension of a dispatch.
    pub max_workgroups: u32,
    /// Most invocations in a workgroup.
    pub max_invocations: u32,
    /// Most bytes of workgroup memory.
    pub max_workgroup_bytes: u32,
}

impl Caps {
    /// What every WebGPU implementation grants (the specification's default limits).
    pub const fn web_default() -> Self {
        Self {
            max_buffer: 256 << 20,
            max_binding: 128 << 20,
            max_workgroups: 65_535,
            max_invocations: 256,
            max_workgroup_bytes: 16_384,
        }
    }
}

/// What a value holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// The result of a graph node.
    Node(NodeId),
    /// Sums of a node's result over tiles of `tile` (rows, columns) positions: `[N, tiles, C]`, row-major tiles.
    Squeeze {
        /// The summed node.
        node: NodeId,
        /// Rows and columns of a tile.
        tile: [usize; 2],
    },
    /// Mean of a node's result over all positions.
    Mean(NodeId),
}

/// A tensor on the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// What it holds.
    pub kind: ValueKind,
    /// Its shape; tiles of a squeeze count as positions.
    pub shape: Shape,
    /// How it is stored.
    pub dtype: Dtype,
    /// Index in [`Plan::buffers`].
    pub buffer: usize,
    /// Where it begins in the buffer, in bytes: a multiple of [`BINDING_ALIGNMENT`].
    pub offset: u64,
    /// The step that writes it; the input has none.
    pub written: Option<usize>,
    /// The last step that reads it.
    pub last_read: usize,
    /// The value whose place it takes: the step that writes it is the last to read that one, each element where it writes.
    pub over: Option<ValueId>,
}

impl Value {
    /// Bytes it takes, its channels padded to a multiple of four.
    pub const fn bytes(&self) -> u64 {
        self.shape.padded_bytes(self.dtype)
    }
}

/// What a buffer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferRole {
    /// The network input; the host or the application writes it.
    Input,
    /// Intermediates, at offsets: together where they are alive together, in turn where not.
    Arena,
    /// One value that can be read back.
    Output,
}

impl BufferRole {
    /// Its name in labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "Input",
            Self::Arena => "Arena",
            Self::Output => "Output",
        }
    }
}

/// A buffer the executor allocates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// What it is for.
    pub role: BufferRole,
    /// Its size.
    pub bytes: u64,
}

/// One dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The graph node whose result it completes.
    pub node: NodeId,
    /// Nodes that it computes on the way, whose results are never stored.
    pub absorbed: Vec<NodeId>,
    /// Pipeline, grid and uniform.
    pub launch: Launch,
    /// Values it reads.
    pub reads: Vec<(Role, ValueId)>,
    /// Values it writes.
    pub writes: Vec<(Role, ValueId)>,
    /// Packed weights that it reads.
    pub weights: Vec<(Role, WeightRange)>,
    /// Multiply-adds of its nodes; what a fused kernel repeats is not counted.
    pub madds: u64,
    /// Bytes read and written, each tensor and its weights once: a block's input that is added to its output too.
    pub bytes: u64,
}

/// Exact totals of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Dispatches per inference.
    pub dispatches: usize,
    /// Distinct pipelines.
    pub pipelines: usize,
    /// Bytes moved per inference: what every dispatch reads and writes, each tensor once.
    pub bytes_moved: u64,
    /// Packed weights.
    pub weight_bytes: u64,
    /// All arenas together: the memory intermediates take.
    pub intermediate_bytes: u64,
    /// The least any placement could take: the largest sum of intermediates alive in one step.
    pub live_set_bytes: u64,
    /// Input and output buffers.
    pub io_bytes: u64,
    /// Multiply-adds per inference.
    pub madds: u64,
}

/// A network lowered for one input shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Name of the architecture.
    pub name: String,
    /// Shape of the network input.
    pub input: Shape,
    /// Tensors; 0 is the input.
    pub values: Vec<Value>,
    /// Buffers; 0 is the input's.
    pub buffers: Vec<Buffer>,
    /// Dispatches in order.
    pub steps: Vec<Step>,
    /// Labels of the steps: the module that computes.
    pub labels: Vec<String>,
    /// Every group of convolutions that could be one dispatch, and what was decided.
    pub fusions: Vec<Fusion>,
    /// Steps that other rows could compute, where the target's tuning is not the default.
    #[cfg(not(target_arch = "wasm32"))]
    pub choices: Vec<tuning::Choice>,
    /// Values that can be read back, by name.
    pub outputs: Vec<(String, ValueId)>,
    /// Totals.
    pub counters: Counters,
}

/// What a plan is made for.
#[derive(Clone, Debug)]
pub struct Target {
    /// Limits to keep.
    pub caps: Caps,
    /// Which rows of the kernel tables are the default.
    pub class: AdapterClass,
    /// How weights and activations are stored. Sums for squeeze-and-excitation and the network's last results are f32
    /// in any case.
    pub dtype: Dtype,
    /// What shaders load them as.
    pub words: Words,
    /// Which convolutions become one dispatch.
    pub fuse: Fuse,
    /// What decides that.
    pub rates: Rates,
    /// Which rows of the kernel tables are taken instead of the default.
    #[cfg(not(target_arch = "wasm32"))]
    pub tuning: Tuning,
}

impl Target {
    /// The defaults for an adapter: f32.
    pub const fn new(caps: Caps, class: AdapterClass) -> Self {
        Self {
            caps,
            class,
            dtype: Dtype::F32,
            words: Words::Plain,
            fuse: Fuse::Auto,
            rates: Rates::GPU,
            #[cfg(not(target_arch = "wasm32"))]
            tuning: Tuning::Default,
        }
    }

    /// A GPU with WebGPU's default limits.
    pub const fn web() -> Self {
        Self::new(Caps::web_default(), AdapterClass::Gpu)
    }

    /// The pipeline that every classifier ends in, where there is one: it can be compiled before the network is known.
    pub fn foreseen(&self) -> Option<KernelKey> {
        let storage = Storage::new(self.dtype, Dtype::F32, self.words);
        Some(KernelKey { storage, ..head_pool::shared(self.class)? })
    }
}

impl Plan {
    /// Lowers `graph` for `n` images of `h` x `w`. The values named in `keep` can be read back besides the
    /// network's outputs; the passes must have been told the same names.
    ///
    /// # Errors
    /// Shapes that do not fit, operations without a kernel, limits of the target.
    pub fn new(
        graph: &Graph,
        layout: &WeightLayout,
        target: &Target,
        [n, h, w]: [usize; 3],
        keep: &[String],
    ) -> Result<Self> {
        let shapes = graph.shapes(n, h, w)?;
        let mut outputs = graph.outputs.clone();
        for name in keep {
            outputs.push((name.clone(), graph.find(name)?));
        }
        let kept: Vec<NodeId> = outputs.iter().map(|output| output.1).collect();
        let lowered = lower::lower(graph, layout, &shapes, target, &kept)?;
        let mut plan = Self {
            name: graph.name.clone(),
            input: shapes[0],
            values: lowered.values,
            buffers: Vec::new(),
            labels: lowered.steps.iter().map(|s| label(graph, s.absorbed.iter().copied().chain([s.node]))).collect(),
            steps: lowered.steps,
            fusions: lowered.fusions,
            #[cfg(not(target_arch = "wasm32"))]
            choices: lowered.choices,
            outputs: Vec::new(),
            counters: Counters::default(),
        };
        for (name, node) in outputs {
            let value = plan.value_of(node).ok_or_else(|| absent(&name))?;
            plan.outputs.push((name, value));
        }
        memory::place(&mut plan, target.caps.max_buffer);
        plan.counters = plan.count(layout);
        plan.check(&target.caps)?;
        Ok(plan)
    }

    /// The pipelines that its steps need, each once, in order.
    pub fn keys(&self) -> Vec<&KernelKey> {
        let mut keys: Vec<_> = self.steps.iter().map(|s| &s.launch.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The value that holds a node's result.
    pub fn value_of(&self, node: NodeId) -> Option<ValueId> {
        self.values.iter().position(|v| v.kind == ValueKind::Node(node))
    }

    /// The value that can be read back under `name`.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn output(&self, name: &str) -> Result<ValueId> {
        let found = self.outputs.iter().find(|o| o.0 == name);
        found.map(|o| o.1).ok_or_else(|| Error::unknown("output", name, self.outputs.iter().map(|o| o.0.as_str())))
    }

    fn count(&self, layout: &WeightLayout) -> Counters {
        let sum =
            |arena: bool| self.buffers.iter().filter(|b| (b.role == BufferRole::Arena) == arena).map(|b| b.bytes).sum();
        Counters {
            dispatches: self.steps.len(),
            pipelines: self.keys().len(),
            bytes_moved: self.steps.iter().map(|s| s.bytes).sum(),
            weight_bytes: layout.bytes(),
            intermediate_bytes: sum(true),
            live_set_bytes: memory::live_set(self),
            io_bytes: sum(false),
            madds: self.steps.iter().map(|s| s.madds).sum(),
        }
    }

    fn check(&self, caps: &Caps) -> Result<()> {
        let available = caps.max_buffer.min(caps.max_binding);
        if let Some(value) = self.values.iter().find(|v| v.bytes() > available) {
            return Err(Error::Limit {
                what: format!("{}: the tensor {} (NHWC)", self.name, value.shape),
                needed: value.bytes(),
                available,
                unit: "bytes",
                advice: "reduce the batch or the resolution",
            });
        }
        for (step, label) in self.steps.iter().zip(&self.labels) {
            if let Some(&groups) = step.launch.grid.iter().find(|&&g| g > caps.max_workgroups) {
                return Err(Error::Limit {
                    what: format!("{}: the dispatch of {label}", self.name),
                    needed: groups.into(),
                    available: caps.max_workgroups.into(),
                    unit: "workgroups",
                    advice: "reduce the batch or the resolution",
                });
            }
        }
        Ok(())
    }
}

fn absent(name: &str) -> Error {
    Error::Unknown { kind: "value", name: name.into(), nearest: Vec::new() }
}

/// The modules that do the nodes' work, later ones without the path that they share with the first:
/// `blocks.1.0.conv_pw+conv_dw`.
fn label(graph: &Graph, nodes: impl Iterator<Item = NodeId>) -> String {
    let modules: Vec<String> = nodes.map(|node| module(graph, node)).collect();
    let path = modules[0].rfind('.').map_or("", |dot| &modules[0][..=dot]);
    modules[1..].iter().fold(modules[0].clone(), |label, m| label + "+" + m.strip_prefix(path).unwrap_or(m))
}

/// The module that does a node's work: its first weight's, else the node's own name.
fn module(graph: &Graph, node: NodeId) -> String {
    let node = &graph.nodes[node];
    match node.op.params().first() {
        Some(&p) => {
            let name = graph.params[p].name.as_str();
            let module = name.rsplit_once('.').map_or(name, |(module, _)| module);
            match node.op {
                Op::SqueezeExcite(_) => module.strip_suffix(".conv_reduce").unwrap_or(module).to_string(),
                _ => module.to_string(),
            }
        }
        None => node.name.clone(),
    }
}
