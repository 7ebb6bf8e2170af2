//! Softmax and the best classes.

use std::cmp::Ordering;

use super::Labels;

/// `exp(x) / sum(exp(x))`, summed in f64 after subtracting the maximum; as long as `logits`.
///
/// A NaN or +infinity anywhere makes every probability NaN; so do logits that are all -infinity.
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, |a, b| if b.is_nan() || b > a { b } else { a });
    let exps: Vec<f64> = logits.iter().map(|v| (f64::from(*v) - f64::from(max)).exp()).collect();
    let total: f64 = exps.iter().sum();
    exps.into_iter().map(|e| (e / total) as f32).collect()
}

/// The `k` largest values as `(index, value)`, largest first; all of them when there are fewer.
///
/// Equal values come by index; NaN comes last.
pub fn top_k(values: &[f32], k: usize) -> Vec<(usize, f32)> {
    let better = |a: &(usize, f32), b: &(usize, f32)| {
        let by_value = match (a.1.is_nan(), b.1.is_nan()) {
            (false, false) => b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal),
            (a, b) => a.cmp(&b),
        };
        by_value.then(a.0.cmp(&b.0))
    };
    let mut best: Vec<(usize, f32)> = Vec::new();
    for candidate in values.iter().copied().enumerate() {
        // Of equals the first stays in front; most values are behind the last of `k`.
        let at = best.partition_point(|b| better(b, &candidate).is_lt());
        if at < k {
            best.truncate(k - 1);
            best.insert(at, candidate);
        }
    }
    best
}

/// One recognised class.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Prediction {
    /// Index of the logit.
    pub class: usize,
    /// The class's name.
    pub label: String,
    /// Softmax probability.
    pub probability: f32,
}

/// The `k` most probable classes of one picture's logits, most probable first.
///
/// Ordered by logit, so that probabilities rounded to 0 or 1 lose no order.
pub fn classify(logits: &[f32], k: usize, labels: &Labels) -> Vec<Prediction> {
    let probabilities = softmax(logits);
    top_k(logits, k)
        .into_iter()
        .map(|(class, _)| Prediction {
            class,
            label: labels.name(class).into_owned(),
            probability: probabilities[class],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_of_known_logits() {
        let p = softmax(&[1.0, 2.0, 3.0]);
        for (p, want) in p.iter().zip([0.090_030_57, 0.244_728_47, 0.665_240_94]) {
            assert!((p - want).abs() < 1e-7);
        }
        assert!(softmax(&[]).is_empty());
        assert_eq!(softmax(&[-3e38]), [1.0]);
        assert_eq!(softmax(&[3e38, 3e38, -3e38]), [0.5, 0.5, 0.0]);
        assert_eq!(softmax(&[f32::NEG_INFINITY, 0.0]), [0.0, 1.0]);
        for bad in [[f32::NAN, 0.0], [0.0, f32::NAN], [f32::INFINITY, 0.0], [f32::NEG_INFINITY; 2]] {
            assert!(softmax(&bad).iter().all(|p| p.is_nan()), "{bad:?}");
        }
    }

    #[test]
    fn top_k_breaks_ties_by_index_and_puts_nan_last() {
        let v = [1.0, f32::NAN, 3.0, 1.0, -0.0, 0.0, f32::NEG_INFINITY];
        let order = |k| top_k(&v, k).iter().map(|p| p.0).collect::<Vec<_>>();
        assert_eq!(order(3), [2, 0, 3]);
        assert_eq!(order(5), [2, 0, 3, 4, 5]);
        assert_eq!(order(99), [2, 0, 3, 4, 5, 6, 1]);
        assert!(order(0).is_empty());
        assert!(top_k(&[], 5).is_empty());
    }

    #[test]
    fn predictions_carry_names() {
        let mut logits = vec![0.0; 1000];
        logits[967] = 20.0;
        logits[968] = 19.0;
        let p = classify(&logits, 2, &Labels::for_classes(1000));
        assert_eq!((p[0].class, p[0].label.as_str()), (967, "espresso"));
        assert_eq!((p[1].class, p[1].label.as_str()), (968, "cup"));
        assert!((p[0].probability - 0.731).abs() < 1e-3);
    }
}
