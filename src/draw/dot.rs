//! A graph in Graphviz's language.

use crate::error::Result;
use crate::graph::Graph;
use std::fmt::Write;

/// The whole graph for `[n, h, w]` inputs: a box a node, a frame a block, shapes (NHWC) at the edges.
///
/// # Errors
/// As [`Graph::shapes`].
pub fn dot(graph: &Graph, [n, h, w]: [usize; 3]) -> Result<String> {
    let shapes = graph.shapes(n, h, w)?;
    let mut text = format!(
        "digraph \"{}\" {{\n  node [shape=box style=rounded fontname=Helvetica fontsize=10]\n  edge [fontname=Helvetica fontsize=9]\n",
        graph.name
    );
    let mut frame = None;
    for (id, node) in graph.nodes.iter().enumerate() {
        let block = block_of(&node.name);
        if block != frame {
            text += if frame.is_some() { "  }\n" } else { "" };
            if let Some(block) = block {
                // Writing to a string does not fail.
                let _ = writeln!(text, "  subgraph \"cluster_{block}\" {{ label=\"{block}\" fontname=Helvetica");
            }
            frame = block;
        }
        let input = node.inputs.first().map_or(0, |&i| shapes[i].c);
        let _ = writeln!(text, "  n{id} [label=\"{}\\n{}\"]", node.name, node.op.text(input));
    }
    text += if frame.is_some() { "  }\n" } else { "" };
    for (id, node) in graph.nodes.iter().enumerate() {
        for &input in &node.inputs {
            let _ = writeln!(text, "  n{input} -> n{id} [label=\"{}\"]", shapes[input]);
        }
    }
    Ok(text + "}\n")
}

/// `blocks.1.0` of `blocks.1.0.conv_pw`.
fn block_of(name: &str) -> Option<&str> {
    let dots: Vec<usize> = name.match_indices('.').map(|m| m.0).collect();
    dots.get(2).filter(|_| name.starts_with("blocks.")).map(|&end| &name[..end])
}
