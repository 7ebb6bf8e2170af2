//! Shape inference.

use super::{Conv2d, Graph, Node, Op};
use crate::error::{Error, Result};
use crate::tensor::{Shape, window};

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
        Op::Input | Op::BatchNorm(_) | Op::Activation(_) => Ok(x),
        Op::GlobalAvgPool | Op::SqueezeExcite(_) => Ok(gate),
        Op::Scale => operand(1, gate, "the gate").map(|()| x),
        Op::Add => operand(1, x, "the other operand").map(|()| x),
        Op::Conv2d(conv) => {
            let Some(out) = conv.output(x) else {
                return fail(format!("a {0}x{0} window does not fit", conv.kernel));
            };
            let mut next = 1;
            if conv.gate {
                operand(next, gate, "the gate")?;
                next += 1;
            }
            if conv.residual {
                operand(next, out, "the residual")?;
            }
            Ok(if conv.pool { Shape { h: 1, w: 1, ..out } } else { out })
        }
    }
}

impl Conv2d {
    /// Output shape before pooling, or `None` when the window does not fit.
    pub fn output(&self, x: Shape) -> Option<Shape> {
        let h = window(self.padding, x.h, self.kernel, self.stride)?.out;
        let w = window(self.padding, x.w, self.kernel, self.stride)?.out;
        Some(Shape { n: x.n, h, w, c: self.out })
    }
}
