//! Shape inference.

use super::{Conv2d, Graph, Join, Node, Op, Pool};
use crate::error::{Error, Result};
use crate::tensor::{Padding, Shape, window};

impl Graph {
    /// The shape of every node's value for a network input of `n` images of `h` x `w`.
    ///
    /// # Errors
    /// [`Error::NodeShape`] naming the first node whose window does not fit, or whose inputs disagree.
    pub fn shapes(&self, n: usize, h: usize, w: usize) -> Result<Vec<Shape>> {
        let mut shapes: Vec<Shape> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let shape = match node.op {
                Op::Input => {
                    let shape = Shape::new(n, h, w, self.in_channels);
                    if shape.is_empty() {
                        return Err(Error::bad("input", format!("shape {shape} (NHWC) holds no value")));
                    }
                    shape
                }
                _ => infer(node, &shapes)?,
            };
            shapes.push(shape);
        }
        Ok(shapes)
    }
}

fn infer(node: &Node, shapes: &[Shape]) -> Result<Shape> {
    let x = shapes[node.inputs[0]];
    let fail = |problem: String| Err(Error::NodeShape { node: node.name.clone(), input: x, problem });
    let operand = |index: usize, want: Shape, role: &str| {
        let got = shapes[node.inputs[index]];
        if got == want { Ok(()) } else { fail(format!("{role} must be {want}, is {got}")).map(|_| ()) }
    };
    let gate = Shape::new(x.n, 1, 1, x.c);
    match node.op {
        Op::Input | Op::BatchNorm(_) | Op::Activation(_) | Op::L2Norm { .. } => Ok(x),
        Op::GlobalAvgPool | Op::SqueezeExcite(_) => Ok(gate),
        Op::Pool(pool) => match pool.output(x) {
            Some(y) => Ok(y),
            None => fail(too_large(pool.kernel)),
        },
        Op::Scale { residual } => {
            operand(1, gate, "the gate")?;
            if residual { operand(2, x, "the residual").map(|()| x) } else { Ok(x) }
        }
        Op::Add { channels } if channels.is_some_and(|c| c > x.c) => {
            fail(format!("adds {} channels of {}", channels.unwrap_or(0), x.c))
        }
        Op::Add { .. } => operand(1, x, "the other operand").map(|()| x),
        Op::Concat => {
            let other = shapes[node.inputs[1]];
            operand(1, Shape { c: other.c, ..x }, "the other operand")?;
            Ok(Shape { c: x.c + other.c, ..x })
        }
        Op::Slice { first, channels } if channels == 0 || first + channels > x.c => {
            fail(format!("has no channels {first} to {}", first + channels))
        }
        Op::Slice { channels, .. } => Ok(Shape { c: channels, ..x }),
        Op::Shuffle { groups } if groups == 0 || !x.c.is_multiple_of(groups) => {
            fail(format!("{groups} groups must divide the channels"))
        }
        Op::Shuffle { .. } => Ok(x),
        Op::Conv2d(conv) => {
            let Some(out) = conv.result(x) else {
                return fail(too_large(conv.extent()));
            };
            let mut next = 1;
            if conv.gate {
                operand(next, gate, "the gate")?;
                next += 1;
            }
            match conv.join {
                Join::None => {}
                Join::Interleave => {
                    let other = shapes[node.inputs[next]];
                    operand(next, Shape { c: other.c.max(conv.out), ..out }, "the interleaved operand")?;
                }
                Join::Add | Join::AddFirst(_) | Join::AddThenAct => operand(next, out, "the residual")?,
            }
            Ok(if conv.pool { Shape { h: 1, w: 1, ..out } } else { out })
        }
    }
}

fn too_large(kernel: usize) -> String {
    format!("a {kernel}x{kernel} window does not fit: it is larger than the padded input")
}

fn slide(x: Shape, padding: Padding, kernel: usize, stride: usize) -> Option<Shape> {
    let h = window(padding, x.h, kernel, stride)?.out;
    let w = window(padding, x.w, kernel, stride)?.out;
    Some(Shape { h, w, ..x })
}

impl Pool {
    /// Output shape, or `None` when the window does not fit.
    pub fn output(&self, x: Shape) -> Option<Shape> {
        slide(x, self.padding, self.kernel, self.stride)
    }
}

impl Conv2d {
    /// Shape of the convolution's own sums, or `None` when the window does not fit.
    pub fn output(&self, x: Shape) -> Option<Shape> {
        Some(Shape { c: self.out, ..slide(x, self.padding, self.extent(), self.stride)? })
    }

    /// Output shape before pooling, or `None` when the window does not fit.
    pub fn result(&self, x: Shape) -> Option<Shape> {
        let kept = if self.keep_input { x.c } else { 0 };
        let joined = if self.join == Join::Interleave { self.out } else { 0 };
        Some(Shape { c: self.out + kept + joined, ..self.output(x)? })
    }
}
