//! Softmax and top-k against their definitions, on any numbers.

use mbconv::vision::{softmax, top_k};
use proptest::prelude::*;

proptest! {
    #[test]
    fn softmax_is_a_distribution_that_keeps_the_order(logits in prop::collection::vec(-1e4f32..1e4, 1..300)) {
        let p = softmax(&logits);
        prop_assert_eq!(p.len(), logits.len());
        prop_assert!((p.iter().map(|v| f64::from(*v)).sum::<f64>() - 1.0).abs() < 1e-5);
        for i in 1..p.len() {
            let (up, down) = if logits[i - 1] <= logits[i] { (i, i - 1) } else { (i - 1, i) };
            prop_assert!(p[down] <= p[up] && p[down] >= 0.0);
        }
    }

    #[test]
    fn softmax_does_not_change_under_a_shift(logits in prop::collection::vec(-64i32..64, 1..50), shift in -1000i32..1000) {
        let at = |by: i32| softmax(&logits.iter().map(|v| (v + by) as f32).collect::<Vec<_>>());
        prop_assert_eq!(at(0), at(shift));
    }

    #[test]
    fn top_k_is_the_start_of_a_stable_sort(values in prop::collection::vec(prop::num::f32::ANY, 0..200), k in 0usize..250) {
        let mut want: Vec<usize> = (0..values.len()).collect();
        let key = |i: usize| if values[i].is_nan() { (1, 0.0) } else { (0, -values[i]) };
        want.sort_by(|a, b| key(*a).partial_cmp(&key(*b)).unwrap());
        want.truncate(k);
        let got: Vec<usize> = top_k(&values, k).iter().map(|p| p.0).collect();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn top_k_orders_ties_by_index(values in prop::collection::vec(0u8..4, 1..100), k in 1usize..100) {
        let values: Vec<f32> = values.into_iter().map(f32::from).collect();
        for pair in top_k(&values, k).windows(2) {
            prop_assert!(pair[0].1 > pair[1].1 || pair[0].1 == pair[1].1 && pair[0].0 < pair[1].0);
        }
    }

    #[test]
    fn nothing_panics(values in prop::collection::vec(prop::num::f32::ANY, 0..50)) {
        prop_assert_eq!(softmax(&values).len(), values.len());
    }
}
