//! Multiply-adds against accuracy, the picture that these networks' papers open with.

use super::{Row, millions};
use crate::draw::{Scatter, Series};

/// A point for every model with a published top-1, a series for every family. Forms of one network that only differ in
/// padding have one point: the first.
pub fn svg(rows: &[Row]) -> String {
    let mut series: Vec<Series> = Vec::new();
    for row in rows.iter().filter(|row| !row.is_tf_twin(rows)) {
        let Some(top1) = row.published_top1 else { continue };
        let point = (row.name.clone(), millions(row.madds), top1);
        match series.iter_mut().find(|s| s.name == row.family) {
            Some(family) => family.points.push(point),
            None => series.push(Series { name: row.family.into(), points: vec![point] }),
        }
    }
    for family in &mut series {
        shorten(&mut family.points);
    }
    let (title, x) = ("Multiply-adds against ImageNet accuracy", "multiply-adds of one image, millions");
    Scatter { title, x, y: "top-1 as published, %", series }.svg()
}

/// Leaves out the words that all names of a family begin with.
fn shorten(points: &mut [(String, f64, f64)]) {
    let Some(first) = points.first().map(|p| p.0.clone()).filter(|_| points.len() > 1) else { return };
    let shared = |end: &usize| points.iter().all(|p| p.0.starts_with(&first[..*end]));
    let end = first.match_indices('_').map(|m| m.0 + 1).filter(shared).max().unwrap_or(0);
    for point in points {
        point.0.drain(..end);
    }
}
