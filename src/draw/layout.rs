//! Where the operations of a block stand: its main chain in one column, what leaves and rejoins it beside.

/// An operation to place; what it reads comes before it.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Indices of the items it reads.
    pub inputs: Vec<usize>,
    /// The card it is on; items of one card stand close.
    pub card: usize,
    /// Whether it has a value at every position; the main chain follows these.
    pub spatial: bool,
}

/// A place: the column, and the upper edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub column: usize,
    pub y: f64,
}

/// From one operation to the next on a card.
pub(super) const PITCH: f64 = 29.0;
/// Added between cards.
pub(super) const GAP: f64 = 64.0;

/// Places every item. The last one is the end of the main chain.
pub(super) fn place(items: &[Item]) -> Vec<Place> {
    let columns = columns(items);
    let mut places: Vec<Place> = Vec::new();
    let mut last: Vec<Option<usize>> = vec![None; items.len() + 1];
    for (i, item) in items.iter().enumerate() {
        let column = columns[i];
        let below = |other: usize| places[other].y + PITCH + if items[other].card == item.card { 0.0 } else { GAP };
        let beside = |&other: &usize| if columns[other] == column { below(other) } else { places[other].y };
        let y = item.inputs.iter().map(beside).chain(last[column].map(below)).fold(0.0, f64::max);
        last[column] = Some(i);
        places.push(Place { column, y });
    }
    places
}

/// Column 0 is the main chain; every group beside it gets the first column that is free along its way.
fn columns(items: &[Item]) -> Vec<usize> {
    let mut columns = vec![usize::MAX; items.len()];
    for i in main_chain(items) {
        columns[i] = 0;
    }
    let mut ends: Vec<usize> = Vec::new();
    for start in 0..items.len() {
        if columns[start] != usize::MAX {
            continue;
        }
        let group = group(items, &columns, start);
        let from = group.iter().flat_map(|&i| &items[i].inputs).chain([&start]).copied().min().unwrap_or(start);
        let reads = |item: &Item| item.inputs.iter().any(|i| group.contains(i));
        let to = (0..items.len()).rfind(|&i| reads(&items[i])).unwrap_or(start);
        let free = ends.iter().position(|&end| end <= from).unwrap_or(ends.len());
        ends.resize(ends.len().max(free + 1), 0);
        ends[free] = to;
        for i in group {
            columns[i] = free + 1;
        }
    }
    columns
}

/// From the last item back along the input with the most spatial operations before it, the first of equals.
fn main_chain(items: &[Item]) -> Vec<usize> {
    let mut lengths: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::new();
    for item in items {
        let longest = item.inputs.iter().copied().reduce(|a, b| if lengths[b] > lengths[a] { b } else { a });
        lengths.push(longest.map_or(0, |i| lengths[i]) + usize::from(item.spatial));
        before.push(longest);
    }
    std::iter::successors(items.len().checked_sub(1), |&i| before[i]).collect()
}

/// The items without a column that hang together with `start`.
fn group(items: &[Item], columns: &[usize], start: usize) -> Vec<usize> {
    let mut group = vec![start];
    let mut next = 0;
    while let Some(&at) = group.get(next) {
        next += 1;
        for (i, item) in items.iter().enumerate() {
            let joined = item.inputs.contains(&at) || items[at].inputs.contains(&i);
            if joined && columns[i] == usize::MAX && !group.contains(&i) {
                group.push(i);
            }
        }
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(inputs: &[usize], card: usize, spatial: bool) -> Item {
        Item { inputs: inputs.to_vec(), card, spatial }
    }

    #[test]
    fn a_gate_stands_beside_the_chain_and_a_residual_in_it() {
        // input, depthwise, mean, gate, scale, add
        let items = [
            item(&[], 0, true),
            item(&[0], 1, true),
            item(&[1], 2, false),
            item(&[2], 2, false),
            item(&[1, 3], 3, true),
            item(&[4, 0], 3, true),
        ];
        let places = place(&items);
        assert_eq!(places.iter().map(|p| p.column).collect::<Vec<_>>(), [0, 0, 1, 1, 0, 0]);
        assert_eq!(places[2].y, places[1].y);
        assert_eq!(places[4].y, places[1].y + PITCH + GAP);
        assert_eq!(places[5].y, places[4].y + PITCH);
    }

    #[test]
    fn two_branches_at_a_time_take_two_columns() {
        // A projected shortcut beside a chain with a gate.
        let items = [
            item(&[], 0, true),
            item(&[0], 1, false),
            item(&[0], 2, true),
            item(&[2], 3, false),
            item(&[2, 3], 4, true),
            item(&[4, 1], 4, true),
        ];
        assert_eq!(place(&items).iter().map(|p| p.column).collect::<Vec<_>>(), [0, 1, 0, 2, 0, 0]);
    }
}
