//! From a detector's outputs to boxes: default boxes, offsets, softmax, the best of overlapping boxes.

use super::softmax;
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use crate::zoo::{Detector, Level};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// What a regression's offsets were divided by: those of the centre, and the logarithms of the sides (SSD, Liu et al.
/// 2015, arXiv:1512.02325; its authors' variances).
const VARIANCES: [f64; 2] = [0.1, 0.2];
/// The most times that a side grows: what a picture's edge is beyond any box, and `exp` far from overflow (torchvision's).
const MOST_GROWTH: f64 = 1000.0 / 16.0;

/// An object found.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Detection {
    /// Its class, from 1: class 0 is the background.
    pub class: usize,
    /// Softmax probability of the class.
    pub score: f32,
    /// Left, top, right and bottom in pixels of the network's input.
    pub bbox: [f32; 4],
}

impl Detection {
    /// The same in a picture so many times as wide and as high, which was squashed into the network's input.
    pub fn scaled(self, [x, y]: [f32; 2]) -> Self {
        let [left, top, right, bottom] = self.bbox;
        Self { bbox: [left * x, top * y, right * x, bottom * y], ..self }
    }
}

/// The objects in each image of a batch, the most probable first, from a detector's outputs by name
/// (`cls_logits.0` `[N, H, W, boxes * classes]`, `bbox_regression.0` `[N, H, W, boxes * 4]`, ...) and the height and
/// width of the network's input in pixels. Of equally probable ones the first default box comes first.
///
/// # Errors
/// [`Error::Unknown`] where an output is missing, as of a classifier; [`Error::BadInput`] where their shapes disagree.
pub fn detect(
    outputs: &BTreeMap<String, Tensor>,
    detector: &Detector,
    image: [usize; 2],
) -> Result<Vec<Vec<Detection>>> {
    let (logits, regressions) = (rows(outputs, "cls_logits", detector)?, rows(outputs, "bbox_regression", detector)?);
    let grids = (0..detector.levels.len()).map(|i| level(outputs, "bbox_regression", i)).map(|t| t.map(|t| t.shape));
    let grids: Vec<[usize; 2]> = grids.map(|s| s.map(|s| [s.h, s.w])).collect::<Result<_>>()?;
    let (boxes, classes) = (default_boxes(detector, &grids), logits.shape.c);
    if regressions.shape != (Shape { c: 4, ..logits.shape }) || boxes.len() != logits.shape.w {
        let problem =
            format!("{} default boxes have logits {} and offsets {}", boxes.len(), logits.shape, regressions.shape);
        return Err(Error::bad("bbox_regression", problem));
    }
    let images = logits.data.chunks_exact(boxes.len() * classes).zip(regressions.data.chunks_exact(boxes.len() * 4));
    Ok(images.map(|(logits, offsets)| of_image(logits, offsets, &boxes, detector, image)).collect())
}

/// The rows of `cls_logits` or `bbox_regression` for all default boxes, map by map, then y, then x, then box:
/// `[N, 1, default boxes, classes or 4]`.
///
/// # Errors
/// As [`detect`].
pub fn rows(outputs: &BTreeMap<String, Tensor>, name: &str, detector: &Detector) -> Result<Tensor> {
    let levels: Vec<&Tensor> = (0..detector.levels.len()).map(|i| level(outputs, name, i)).collect::<Result<_>>()?;
    let (n, columns) =
        levels.first().zip(detector.levels.first()).map_or((0, 0), |(t, l)| (t.shape.n, t.shape.c / l.boxes()));
    for (i, (tensor, level)) in levels.iter().zip(detector.levels).enumerate() {
        if tensor.shape.n != n || tensor.shape.c != columns * level.boxes() || columns == 0 {
            let want = format!("{n} images and {} x {columns} channels", level.boxes());
            return Err(Error::bad(format!("{name}.{i}"), format!("must have {want}, is {}", tensor.shape)));
        }
    }
    let image = |i: usize| levels.iter().flat_map(move |t| &t.data[t.data.len() / n * i..t.data.len() / n * (i + 1)]);
    let data: Vec<f32> = (0..n).flat_map(image).copied().collect();
    Tensor::new(Shape::new(n, 1, data.len() / (n * columns).max(1), columns), data)
}

fn level<'a>(outputs: &'a BTreeMap<String, Tensor>, name: &str, number: usize) -> Result<&'a Tensor> {
    let name = format!("{name}.{number}");
    outputs.get(&name).ok_or_else(|| Error::unknown("output", &name, outputs.keys().map(String::as_str)))
}

/// Every default box over maps of these heights and widths, in the order of [`rows`]: centre x and y, width and height
/// in shares of the picture's sides.
pub fn default_boxes(detector: &Detector, maps: &[[usize; 2]]) -> Vec<[f64; 4]> {
    let of_map = |(level, &[h, w]): (&Level, &[usize; 2])| {
        let sides = sides(level);
        let step = |positions: usize| level.step.unwrap_or(1.0 / positions as f64);
        let mut boxes = Vec::with_capacity(h * w * sides.len());
        for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
            let centre = [(x as f64 + 0.5) * step(w), (y as f64 + 0.5) * step(h)];
            boxes.extend(sides.iter().map(|[width, height]| [centre[0], centre[1], *width, *height]));
        }
        boxes
    };
    detector.levels.iter().zip(maps).flat_map(of_map).collect()
}

/// Width and height of the boxes at each position.
fn sides(level: &Level) -> Vec<[f64; 2]> {
    let mut sides = vec![[level.scale; 2], [(level.scale * level.next).sqrt(); 2]];
    for ratio in level.ratios {
        let [long, short] = [level.scale * ratio.sqrt(), level.scale / ratio.sqrt()];
        sides.extend([[long, short], [short, long]]);
    }
    sides.into_iter().map(|side| side.map(|s| s.min(1.0))).collect()
}

fn of_image(
    logits: &[f32],
    offsets: &[f32],
    boxes: &[[f64; 4]],
    detector: &Detector,
    image: [usize; 2],
) -> Vec<Detection> {
    let classes = logits.len() / boxes.len();
    let scores: Vec<Vec<f32>> = logits.chunks_exact(classes).map(softmax).collect();
    let boxes: Vec<[f64; 4]> =
        boxes.iter().zip(offsets.as_chunks::<4>().0).map(|(d, o)| corners(d, o, detector.clip, image)).collect();
    // Class, score, box.
    let mut found: Vec<(usize, f32, usize)> = Vec::new();
    for class in 1..classes {
        let mut candidates: Vec<(usize, f32, usize)> = (scores.iter().enumerate())
            .map(|(i, scores)| (class, scores[class], i))
            .filter(|c| f64::from(c.1) > detector.score)
            .collect();
        candidates.sort_by(better);
        candidates.truncate(detector.candidates.unwrap_or(usize::MAX));
        let mut kept: Vec<(usize, f32, usize)> = Vec::new();
        for candidate in candidates {
            let overlaps = |k: &(usize, f32, usize)| overlap(&boxes[k.2], &boxes[candidate.2]) > detector.overlap;
            if !kept.iter().any(overlaps) {
                kept.push(candidate);
            }
        }
        found.extend(kept);
    }
    found.sort_by(better);
    found.truncate(detector.kept);
    found.into_iter().map(|(class, score, i)| Detection { class, score, bbox: boxes[i].map(|v| v as f32) }).collect()
}

fn better(a: &(usize, f32, usize), b: &(usize, f32, usize)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.2.cmp(&b.2)).then(a.0.cmp(&b.0))
}

/// Left, top, right and bottom in pixels of a default box moved by a regression's offsets.
fn corners(default: &[f64; 4], offsets: &[f32; 4], clip: bool, image: [usize; 2]) -> [f64; 4] {
    let sides = [image[1], image[0]].map(|side| side as f64);
    let mut corners = [0.0; 4];
    for axis in 0..2 {
        let (centre, side) = (default[axis], default[axis + 2]);
        let [offset, log] = [offsets[axis], offsets[axis + 2]].map(f64::from);
        let centre = centre + offset * VARIANCES[0] * side;
        let half = side * (log * VARIANCES[1]).exp().min(MOST_GROWTH) / 2.0;
        let ends = [centre - half, centre + half].map(|v| if clip { v.clamp(0.0, 1.0) } else { v });
        (corners[axis], corners[axis + 2]) = (ends[0] * sides[axis], ends[1] * sides[axis]);
    }
    corners
}

/// Intersection over union of two boxes; 0 where there is no area.
fn overlap(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let area = |b: &[f64; 4]| (b[2] - b[0]) * (b[3] - b[1]);
    let side = |axis: usize| (a[axis + 2].min(b[axis + 2]) - a[axis].max(b[axis])).max(0.0);
    let shared = side(0) * side(1);
    if shared > 0.0 { shared / (area(a) + area(b) - shared) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two maps of 1x2 and 1x1 positions with boxes of one ratio and of none.
    const TWO: Detector = Detector {
        levels: &[
            Level { step: Some(0.5), scale: 0.2, next: 0.8, ratios: &[4.0] },
            Level { step: None, scale: 0.9, next: 1.6, ratios: &[] },
        ],
        score: 0.3,
        overlap: 0.5,
        candidates: None,
        kept: 10,
        clip: true,
    };

    #[test]
    fn default_boxes_come_by_map_position_and_shape() {
        let boxes = default_boxes(&TWO, &[[1, 2], [1, 1]]);
        let want = [
            [0.25, 0.25, 0.2, 0.2],
            [0.25, 0.25, 0.4, 0.4],
            [0.25, 0.25, 0.4, 0.1],
            [0.25, 0.25, 0.1, 0.4],
            [0.75, 0.25, 0.2, 0.2],
            [0.75, 0.25, 0.4, 0.4],
            [0.75, 0.25, 0.4, 0.1],
            [0.75, 0.25, 0.1, 0.4],
            [0.5, 0.5, 0.9, 0.9],
            [0.5, 0.5, 1.0, 1.0], // sqrt(0.9 * 1.6) = 1.2
        ];
        assert_eq!(boxes.len(), want.len());
        for (got, want) in boxes.iter().flatten().zip(want.iter().flatten()) {
            assert!((got - want).abs() < 1e-12, "{boxes:?}");
        }
    }

    /// Outputs of [`TWO`] of three classes, all background but for what `edit` changes by row.
    fn outputs(edit: &[(usize, [f32; 3], [f32; 4])]) -> BTreeMap<String, Tensor> {
        let (mut logits, mut offsets) = (vec![[5.0, 0.0, 0.0]; 10], vec![[0.0; 4]; 10]);
        for (row, logit, offset) in edit {
            (logits[*row], offsets[*row]) = (*logit, *offset);
        }
        let tensor = |w, c, data: &[f32]| Tensor::new(Shape::new(1, 1, w, c), data.to_vec()).unwrap();
        [
            ("cls_logits.0", tensor(2, 12, logits[..8].as_flattened())),
            ("cls_logits.1", tensor(1, 6, logits[8..].as_flattened())),
            ("bbox_regression.0", tensor(2, 16, offsets[..8].as_flattened())),
            ("bbox_regression.1", tensor(1, 8, offsets[8..].as_flattened())),
        ]
        .map(|(name, tensor)| (name.to_string(), tensor))
        .into()
    }

    #[test]
    fn boxes_are_moved_scaled_and_clipped() {
        assert_eq!(detect(&outputs(&[]), &TWO, [100, 200]).unwrap(), [vec![]]);
        // Its centre by half its width to the right, twice as high.
        let twice = (2.0_f32.ln() / 0.2, 5.0);
        let got = detect(&outputs(&[(4, [0.0, 0.0, 9.0], [twice.1, 0.0, 0.0, twice.0])]), &TWO, [100, 200]).unwrap();
        let [found] = got[0][..] else { panic!("{got:?}") };
        assert_eq!(found.class, 2);
        assert!(found.score > 0.999);
        for (got, want) in found.bbox.iter().zip([150.0, 5.0, 190.0, 45.0]) {
            assert!((got - want).abs() < 1e-4, "{found:?}");
        }
        let whole = detect(&outputs(&[(9, [0.0, 9.0, 0.0], [0.0, 0.0, 900.0, 9.0])]), &TWO, [100, 200]).unwrap();
        assert_eq!(whole[0][0].bbox, [0.0, 0.0, 200.0, 100.0]);
        assert_eq!(whole[0][0].scaled([2.0, 0.5]).bbox, [0.0, 0.0, 400.0, 50.0]);
    }

    #[test]
    fn of_overlapping_boxes_of_a_class_the_best_is_left() {
        let sure = |class: usize, logit: f32| std::array::from_fn(|c| if c == class { logit } else { 0.0 });
        // Boxes 8 and 9 share 81 %; box 1 shares 16 / 81 with box 8.
        let edit = [(8, sure(1, 8.0), [0.0; 4]), (9, sure(1, 9.0), [0.0; 4]), (1, sure(1, 7.0), [0.0; 4])];
        let boxes = |edit: &[_], detector: &Detector| {
            let found = detect(&outputs(edit), detector, [100, 100]).unwrap().remove(0);
            found.iter().map(|d| (d.class, (d.bbox[2] - d.bbox[0]).round() as usize)).collect::<Vec<_>>()
        };
        assert_eq!(boxes(&edit, &TWO), [(1, 100), (1, 40)]);
        assert_eq!(boxes(&edit, &Detector { overlap: 0.82, ..TWO }), [(1, 100), (1, 90), (1, 40)]);
        assert_eq!(boxes(&edit, &Detector { overlap: 0.82, candidates: Some(2), ..TWO }), [(1, 100), (1, 90)]);
        assert_eq!(boxes(&edit, &Detector { kept: 1, ..TWO }), [(1, 100)]);
        // Other classes do not count, and equally probable ones come by box.
        let edit = [(8, sure(2, 9.0), [0.0; 4]), (9, sure(1, 9.0), [0.0; 4])];
        assert_eq!(boxes(&edit, &TWO), [(2, 90), (1, 100)]);
    }

    #[test]
    fn wrong_outputs_are_typed_errors() {
        let mut missing = outputs(&[]);
        missing.remove("cls_logits.1");
        assert!(matches!(detect(&missing, &TWO, [9, 9]), Err(Error::Unknown { .. })));
        let mut narrow = outputs(&[]);
        narrow.insert("bbox_regression.1".into(), Tensor::zeros(Shape::new(1, 1, 1, 7)));
        let error = detect(&narrow, &TWO, [9, 9]).unwrap_err().to_string();
        assert!(error.starts_with("bbox_regression.1: must have 1 images and 2 x 4 channels"), "{error}");
        let mut larger = outputs(&[]);
        larger.insert("bbox_regression.1".into(), Tensor::zeros(Shape::new(1, 2, 1, 8)));
        assert!(matches!(detect(&larger, &TWO, [9, 9]), Err(Error::BadInput { .. })));
        // NaN is no detection.
        let nan = outputs(&[(3, [f32::NAN, 9.0, 0.0], [0.0; 4])]);
        assert!(detect(&nan, &TWO, [9, 9]).unwrap()[0].is_empty());
    }
}
