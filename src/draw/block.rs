//! A block's operations as SVG, framed by the dispatches that compute them.

use super::layout::{GAP, Item, Place, place};
use super::svg::{Px, Svg, text_width};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, Op};
use crate::plan::Plan;
use crate::tensor::Shape;
use std::collections::{BTreeMap, HashMap};

const STYLE: &str = "\
.op text{fill:#fff}.conv{fill:#2563eb}.norm{fill:#64748b}.act{fill:#c2410c}.join{fill:#15803d}.squeeze{fill:#7e22ce}\
.white{fill:#fff}.pale{fill:#fff;fill-opacity:.8;font-size:11px}.end{fill:none;stroke:var(--faint);stroke-width:1.5}";

const WIDTH: f64 = 208.0;
const HEIGHT: f64 = 24.0;
const BETWEEN: f64 = 96.0;
const PAD: f64 = 8.0;
const HEADER: f64 = 20.0;
const LANE: f64 = 22.0;
const TOP: f64 = 74.0;
const SIDE: f64 = 28.0;

/// Draws the block `name` (`blocks.1.0`; the whole network for `None`) of `graph` as it is before the passes. Frames
/// are the dispatches of `plan`, which was made from `fused`, the graph after them.
///
/// # Errors
/// [`Error::Unknown`] for a block that is not there; as [`Graph::shapes`].
pub fn block(graph: &Graph, fused: &Graph, plan: &Plan, name: Option<&str>) -> Result<String> {
    let Shape { n, h, w, .. } = plan.input;
    let shapes = graph.shapes(n, h, w)?;
    let members = members(graph, name)?;
    let mut owners = owners(graph, fused);
    for owner in &mut owners {
        *owner = plan.steps.iter().find(|s| s.absorbed.contains(owner)).map_or(*owner, |s| s.node);
    }
    let mut picture = Picture::default();
    let mut item_of: HashMap<NodeId, usize> = HashMap::new();
    for &id in &members {
        for &input in graph.nodes[id].inputs.iter().filter(|i| !members.contains(i)) {
            item_of.entry(input).or_insert_with(|| picture.push(Pill::end("input"), vec![], None, shapes[input]));
        }
        let inputs = graph.nodes[id].inputs.iter().map(|i| item_of[i]).collect();
        item_of.insert(id, picture.push(Pill::of(graph, id, &shapes), inputs, Some(owners[id]), shapes[id]));
    }
    let last = name.and_then(|name| graph.aliases.get(name)).or(members.last()).and_then(|id| item_of.get(id));
    if let Some(&last) = last {
        picture.push(Pill::end("output"), vec![last], None, picture.shapes[last]);
    }
    let steps = |owner: NodeId| plan.steps.iter().enumerate().filter(move |(_, step)| step.node == owner);
    for card in picture.items.iter().map(|i| i.card) {
        let kernels: Vec<_> = steps(card).map(|(i, step)| format!("{i}: {}", step.launch.key.shader)).collect();
        picture.headers.insert(card, kernels.join(", "));
    }
    let madds: u64 = members.iter().map(|&id| graph.node_madds(id, &shapes)).sum();
    let dispatches: usize = picture.headers.keys().map(|&card| steps(card).count()).sum();
    let title = name.map_or(graph.name.clone(), |name| format!("{}, {name}", graph.name));
    let facts =
        format!("{} operations in {dispatches} dispatches, {:.1} M multiply-adds", members.len(), madds as f64 / 1e6);
    Ok(picture.svg(&title, &facts))
}

/// The nodes of a block, in order.
fn members(graph: &Graph, name: Option<&str>) -> Result<Vec<NodeId>> {
    let inside = |node: &str| name.is_none_or(|name| node.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
    let members: Vec<NodeId> = (1..graph.nodes.len()).filter(|&id| inside(&graph.nodes[id].name)).collect();
    if members.is_empty() {
        return Err(Error::unknown("block", name.unwrap_or_default(), graph.aliases.keys().map(String::as_str)));
    }
    Ok(members)
}

/// For each node the node of the fused graph that computes it: a pass absorbs a node into one that reads it, which
/// keeps its name.
fn owners(graph: &Graph, fused: &Graph) -> Vec<NodeId> {
    let left: HashMap<&str, NodeId> = fused.nodes.iter().enumerate().map(|(id, n)| (n.name.as_str(), id)).collect();
    let users = graph.users();
    let mut owners = vec![0; graph.nodes.len()];
    for id in (0..graph.nodes.len()).rev() {
        let reader = || users[id].first().map(|&user| owners[user]);
        owners[id] = left.get(graph.nodes[id].name.as_str()).copied().or_else(reader).unwrap_or(0);
    }
    owners
}

/// One operation's label.
struct Pill {
    class: &'static str,
    text: String,
    detail: String,
}

impl Pill {
    fn end(text: &str) -> Self {
        Self { class: "end", text: text.into(), detail: String::new() }
    }

    fn of(graph: &Graph, id: NodeId, shapes: &[Shape]) -> Self {
        let op = &graph.nodes[id].op;
        let c_in = graph.nodes[id].inputs.first().map_or(0, |&i| shapes[i].c);
        let class = match op {
            Op::Conv2d(_) => "conv",
            Op::BatchNorm(_) => "norm",
            Op::Activation(_) => "act",
            Op::GlobalAvgPool | Op::SqueezeExcite(_) => "squeeze",
            _ => "join",
        };
        let detail = match op {
            Op::Conv2d(_) if shapes[id].c == c_in => c_in.to_string(),
            Op::Conv2d(_) => format!("{c_in} \u{2192} {}", shapes[id].c),
            _ => String::new(),
        };
        Self { class, text: op.text(c_in).replace('_', " "), detail }
    }
}

/// What is to be drawn; each list has an entry an operation.
#[derive(Default)]
struct Picture {
    pills: Vec<Pill>,
    items: Vec<Item>,
    shapes: Vec<Shape>,
    /// What is written on the cards.
    headers: BTreeMap<usize, String>,
}

impl Picture {
    /// Adds an operation; one without an owner stands on a card of its own that is not drawn.
    fn push(&mut self, pill: Pill, inputs: Vec<usize>, owner: Option<NodeId>, shape: Shape) -> usize {
        let card = owner.unwrap_or(usize::MAX - self.items.len());
        self.items.push(Item { inputs, card, spatial: shape.pixels() > 1 });
        self.pills.push(pill);
        self.shapes.push(shape);
        self.items.len() - 1
    }

    fn svg(&self, title: &str, facts: &str) -> String {
        let places = place(&self.items);
        let arcs = self.arcs(&places);
        let lanes = arcs.iter().map(|a| a.2 + 1).max().unwrap_or(0);
        let left = SIDE + lanes as f64 * LANE;
        let corner = |p: Place| [left + p.column as f64 * (WIDTH + BETWEEN), TOP + p.y];
        let columns = places.iter().map(|p| p.column + 1).max().unwrap_or(1) as f64;
        let width = left + columns * WIDTH + (columns - 1.0) * BETWEEN + SIDE;
        let bottom = places.iter().map(|p| p.y).fold(0.0, f64::max) + TOP + HEIGHT;
        let words = 2.0 * SIDE + text_width(title, 15.0).max(text_width(facts, 11.0));
        let mut svg = Svg::new(width.max(words), bottom + SIDE, STYLE);
        svg.text([SIDE, 30.0], "title", "start", title);
        svg.text([SIDE, 48.0], "faint", "start", facts);
        let corners: Vec<[f64; 2]> = places.iter().map(|p| corner(*p)).collect();
        self.cards(&mut svg, &places, &corners);
        for (from, to, lane) in arcs {
            let x = left - 16.0 - lane as f64 * LANE;
            let [a, b] = [from, to].map(|i| [corners[i][0], corners[i][1] + HEIGHT / 2.0]);
            svg.line(&[a, [x, a[1]], [x, b[1]], [b[0] - 6.0, b[1]]], "wire");
            arrow_head(&mut svg, b, [1.0, 0.0]);
        }
        for (to, item) in self.items.iter().enumerate() {
            for &from in &item.inputs {
                self.wire(&mut svg, from, to, &places, &corners);
            }
        }
        for (pill, [x, y]) in self.pills.iter().zip(&corners) {
            let end = pill.class == "end";
            svg.rect([*x, *y], [WIDTH, HEIGHT], if end { HEIGHT / 2.0 } else { 5.0 }, pill.class);
            if end {
                svg.text([x + WIDTH / 2.0, y + 16.5], "", "middle", &pill.text);
            } else {
                svg.text([x + 10.0, y + 16.5], "white", "start", &pill.text);
                svg.text([x + WIDTH - 10.0, y + 16.5], "pale", "end", &pill.detail);
            }
        }
        svg.finish(&format!("{title}: {facts}"))
    }

    /// A frame around the operations of each dispatch, a frame a column.
    fn cards(&self, svg: &mut Svg, places: &[Place], corners: &[[f64; 2]]) {
        let mut frames: BTreeMap<(usize, usize), [f64; 3]> = BTreeMap::new();
        for ((item, place), [x, y]) in self.items.iter().zip(places).zip(corners) {
            let frame = frames.entry((item.card, place.column)).or_insert([*x, *y, *y]);
            *frame = [*x, frame[1].min(*y), frame[2].max(*y)];
        }
        for ((card, _), [x, from, to]) in frames {
            if let Some(header) = self.headers.get(&card).filter(|header| !header.is_empty()) {
                let size = [WIDTH + 2.0 * PAD, to - from + HEIGHT + HEADER + PAD];
                svg.rect([x - PAD, from - HEADER], size, 8.0, "card");
                svg.text([x + 2.0, from - 6.0], "faint", "start", header);
            }
        }
    }

    /// Wires down the main column that go around operations: from, to, and how far out.
    fn arcs(&self, places: &[Place]) -> Vec<(usize, usize, usize)> {
        let mut arcs: Vec<(usize, usize, usize)> = Vec::new();
        for (to, item) in self.items.iter().enumerate() {
            for &from in item.inputs.iter().filter(|&&from| self.around(from, to, places)) {
                let crossed = |lane: &usize| arcs.iter().any(|a| a.2 == *lane && a.0 < to && from < a.1);
                let lane = (0..).find(|lane| !crossed(lane)).unwrap_or(0);
                arcs.push((from, to, lane));
            }
        }
        arcs
    }

    fn around(&self, from: usize, to: usize, places: &[Place]) -> bool {
        let same = |i: &usize| places[*i].column == places[to].column;
        same(&from) && (from + 1..to).any(|i| same(&i))
    }

    fn wire(&self, svg: &mut Svg, from: usize, to: usize, places: &[Place], corners: &[[f64; 2]]) {
        let ([ax, ay], [bx, by]) = (corners[from], corners[to]);
        let Shape { h, w, c, .. } = self.shapes[from];
        let shape = format!("{h} \u{d7} {w} \u{d7} {c}");
        if places[from].column == places[to].column {
            if self.around(from, to, places) {
                return;
            }
            let x = ax + WIDTH / 2.0;
            if self.items[from].card == self.items[to].card {
                return svg.line(&[[x, ay + HEIGHT], [x, by]], "wire");
            }
            svg.line(&[[x, ay + HEIGHT], [x, by - 6.0]], "wire");
            arrow_head(svg, [x, by], [0.0, 1.0]);
            svg.text([x + 8.0, ay + HEIGHT + (GAP - HEADER + PAD) / 2.0 + 2.0], "faint halo", "start", &shape);
            return;
        }
        // To another column: out at the side, in at the side.
        let right = places[to].column > places[from].column;
        let (a, b, step) = if right { (ax + WIDTH, bx, 1.0) } else { (ax, bx + WIDTH, -1.0) };
        let (ay, by) = (ay + HEIGHT / 2.0, by + HEIGHT / 2.0);
        let turn = b - step * BETWEEN / 2.0;
        svg.line(&[[a, ay], [turn, ay], [turn, by], [b - step * 6.0, by]], "wire");
        arrow_head(svg, [b, by], [step, 0.0]);
        // What leaves the chain has its shape written along the chain.
        if !right {
            svg.text([turn, ay - 6.0], "faint halo", "middle", &shape);
        }
    }
}

/// An arrow's head whose tip is at `tip`, in the direction `[dx, dy]` of length 1.
fn arrow_head(svg: &mut Svg, [x, y]: [f64; 2], [dx, dy]: [f64; 2]) {
    let at = |back: f64, side: f64| format!("{} {}", Px(x - dx * back - dy * side), Px(y - dy * back + dx * side));
    let path = format!("M{}L{}L{}Z", at(0.0, 0.0), at(8.0, 4.0), at(8.0, -4.0));
    svg.element("path", &[("class", &"head"), ("d", &path)], None);
}
