//! Synthetic weights and inputs that any language can regenerate: a value follows from a salt, the tensor's
//! name, shape and role, and the element's index alone.
//!
//! Bits: `seed` is FNV-1a 64 over `salt/name`, element `i` is the splitmix64 finaliser of
//! `seed + (i + 1) * 0x9e3779b97f4a7c15`. The top 24 bits make `t`, a multiple of 2^-23 in [-1, 1).
//! Vectors are `center + half * t` ([`Role`]), weights `u * sqrt(3 / fan_in) * 2^exponent` where `u` mixes
//! each odd input channel with its even neighbour by `rho`. Every f32 operation is rounded on its own.

use super::checkpoint::count;
use super::{Checkpoint, platform};
use crate::error::{Error, Result};
use crate::graph::Graph;
use std::collections::{BTreeMap, HashMap};

/// A recipe for the values of every tensor of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Synthetic {
    /// Distinguishes one set of weights from another.
    pub salt: String,
    /// How much of an even input channel its odd neighbour takes away, 0 to 1 (1 or 0.5 in the reference files).
    pub rho: f64,
    /// Power of two on a weight, by tensor name; 0 where there is none.
    pub exponents: BTreeMap<String, i32>,
}

impl Default for Synthetic {
    /// Salt `mbconv-1`, rho 1, every exponent 0.
    fn default() -> Self {
        Self { salt: "mbconv-1".into(), rho: 1.0, exponents: BTreeMap::new() }
    }
}

/// The largest state that is generated, 4 GiB.
const MAX_VALUES: usize = 1 << 30;

/// A tensor's name and shape.
pub type NamedShape = (String, Vec<usize>);

impl Synthetic {
    /// The recipe and the tensors stated by the metadata of a reference file (`case` and `manifest`).
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when it has no such metadata.
    pub fn from_golden(golden: &Checkpoint) -> Result<(Self, Vec<NamedShape>)> {
        #[derive(serde::Deserialize)]
        struct Case {
            salt: String,
            rho: f64,
        }
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Row {
            Plain(String, Vec<usize>),
            Scaled(String, Vec<usize>, i32),
        }
        let problem = |problem: String| Error::Checkpoint { path: golden.path().into(), problem };
        let entry = |key: &str| {
            golden
                .metadata()
                .get(key)
                .ok_or_else(|| problem(format!("it has no metadata '{key}': not a reference file")))
        };
        let case: Case = serde_json::from_str(entry("case")?).map_err(|e| problem(format!("case: {e}")))?;
        let rows: Vec<Row> = serde_json::from_str(entry("manifest")?).map_err(|e| problem(format!("manifest: {e}")))?;
        let mut exponents = BTreeMap::new();
        let shapes = rows.into_iter().map(|row| match row {
            Row::Plain(name, shape) => (name, shape),
            Row::Scaled(name, shape, exponent) => {
                exponents.insert(name.clone(), exponent);
                (name, shape)
            }
        });
        let shapes = shapes.collect();
        Ok((Self { salt: case.salt, rho: case.rho, exponents }, shapes))
    }

    /// All tensors of a state with these names and shapes, in the same order, made anew at every reading;
    /// `num_batches_tracked` is left out.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a repeated name or more than 2^30 values in all.
    pub fn state(&self, tensors: &[NamedShape]) -> Result<Checkpoint> {
        let path = format!("synthetic weights '{}'", self.salt);
        let total = tensors.iter().try_fold(0usize, |sum, t| sum.checked_add(count(&t.1)?));
        if total.is_none_or(|total| total > MAX_VALUES) {
            return Err(Error::Checkpoint { path, problem: format!("more than {MAX_VALUES} values are asked for") });
        }
        let shapes: Shapes = tensors.iter().map(|t| (t.0.as_str(), t.1.as_slice())).collect();
        let recipe = std::sync::Arc::new(self.clone());
        let tensor = |(name, shape): &NamedShape| {
            let (recipe, role) = (std::sync::Arc::clone(&recipe), role_of(name, &shapes)?);
            let (of_name, of_shape) = (name.clone(), shape.clone());
            let make = move || recipe.fill(&of_name, &of_shape, role);
            Some((name.clone(), shape.clone(), Box::new(make) as super::checkpoint::Recipe))
        };
        Checkpoint::from_recipes(path, tensors.iter().filter_map(tensor))
    }

    /// The state of `graph` under its own names.
    ///
    /// # Errors
    /// As [`Synthetic::state`].
    pub fn state_of(&self, graph: &Graph) -> Result<Checkpoint> {
        let tensors: Vec<NamedShape> = graph.stored_params().map(|p| (p.name.clone(), p.shape.clone())).collect();
        self.state(&tensors)
    }

    fn fill(&self, name: &str, shape: &[usize], role: Role) -> Vec<f32> {
        let mut values = unit(&self.salt, name, shape.iter().product());
        let Role::Vector { center, half } = role else {
            self.scale_weight(&mut values, shape, self.exponents.get(name).copied().unwrap_or(0));
            return values;
        };
        for v in &mut values {
            *v *= half;
            if center != 0.0 {
                *v += center;
            }
        }
        values
    }

    fn scale_weight(&self, values: &mut [f32], shape: &[usize], exponent: i32) {
        let window: usize = shape[2..].iter().product();
        let fan_in = shape[1] * window;
        if fan_in == 0 {
            return;
        }
        let (keep, take) = ((1.0 - self.rho) as f32, self.rho as f32);
        if take != 0.0 {
            for output in values.chunks_exact_mut(fan_in) {
                for pair in output.chunks_exact_mut(2 * window) {
                    let (even, odd) = pair.split_at_mut(window);
                    for (o, e) in odd.iter_mut().zip(even) {
                        *o = keep * *o - take * *e;
                    }
                }
            }
        }
        let scale = (3.0 / fan_in as f64).sqrt() as f32 * 2f32.powi(exponent);
        for v in values {
            *v *= scale;
        }
    }
}

/// The input image of a salt, `[n, c, h, w]` in NCHW order: blocks of 1, 8, 64 and 512 pixels, values in [-2, 2).
pub fn make_input(salt: &str, [n, c, h, w]: [usize; 4]) -> Vec<f32> {
    let scales = [(1, 0.5), (8, 0.25), (64, 0.25), (512, 1.0)].map(|(size, weight)| {
        let (rows, columns) = (h.div_ceil(size), w.div_ceil(size));
        let mut t = unit(salt, &format!("input/{size}"), n * c * rows * columns);
        t.iter_mut().for_each(|v| *v *= weight);
        (size, rows, columns, t)
    });
    let mut image = vec![0f32; n * c * h * w];
    platform::for_chunks(&mut image, w, |row, values| {
        let (plane, y) = (row / h, row % h);
        for (x, v) in values.iter_mut().enumerate() {
            let [a, b, c, d] = &scales;
            let at = |(size, rows, columns, t): &(usize, usize, usize, Vec<f32>)| {
                t[(plane * rows + y / size) * columns + x / size]
            };
            *v = ((at(a) + at(b)) + at(c)) + at(d);
        }
    });
    image
}

/// Sum modulo 2^64 of the bit patterns of f32 values: equal sums mean, in practice, equal values.
pub fn bit_sum(values: &[f32]) -> u64 {
    values.iter().fold(0u64, |sum, v| sum.wrapping_add(u64::from(v.to_bits())))
}

/// What a tensor is for, which decides its distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    /// Two or more dimensions, the second being the input.
    Weight,
    /// `center + half * t`.
    Vector { center: f32, half: f32 },
}

impl Role {
    const GAMMA: Self = Self::Vector { center: 1.0, half: 0.5 };
    const BETA: Self = Self::Vector { center: 0.0, half: 0.2 };
    const MEAN: Self = Self::BETA;
    const VAR: Self = Self::GAMMA;
    /// The bias of a widening 1x1 convolution, as squeeze-and-excitation's second: keeps gates half open.
    const GATE: Self = Self::GAMMA;
    const BIAS: Self = Self::Vector { center: 0.0, half: 0.1 };
    const SCALE: Self = Self::Vector { center: 20.0, half: 5.0 };
}

type Shapes<'a> = HashMap<&'a str, &'a [usize]>;

/// Role of a tensor among the others of its state; `None` for counters, which have no effect.
fn role_of(name: &str, shapes: &Shapes) -> Option<Role> {
    let (prefix, leaf) = name.rsplit_once('.').unwrap_or(("", name));
    if leaf == "num_batches_tracked" {
        return None;
    }
    let sibling = |leaf: &str| shapes.get(format!("{prefix}.{leaf}").as_str()).copied();
    if sibling("running_mean").is_some() {
        match leaf {
            "weight" => return Some(Role::GAMMA),
            "bias" => return Some(Role::BETA),
            "running_mean" => return Some(Role::MEAN),
            "running_var" => return Some(Role::VAR),
            _ => {}
        }
    }
    if shapes.get(name).is_some_and(|s| s.len() >= 2) {
        return Some(Role::Weight);
    }
    Some(match (leaf, sibling("weight")) {
        ("bias", Some(&[out, input, 1, 1])) if out >= 3 * input => Role::GATE,
        ("bias", _) => Role::BIAS,
        _ => Role::SCALE,
    })
}

fn seed(salt: &str, name: &str) -> u64 {
    let bytes = salt.bytes().chain(*b"/").chain(name.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

fn bits(seed: u64, index: u64) -> u64 {
    let z = seed.wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The first `count` unit values of a name.
fn unit(salt: &str, name: &str, count: usize) -> Vec<f32> {
    let seed = seed(salt, name);
    let step = 1.0 / f32::from(1u16 << 12) / f32::from(1u16 << 11);
    (0..count as u64).map(|i| (bits(seed, i) >> 40) as f32 * step - 1.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(values: &[f32]) -> Vec<String> {
        values.iter().map(|v| format!("{:08x}", v.to_bits())).collect()
    }

    #[test]
    fn the_rule_meets_its_test_vectors() {
        let s = seed("mbconv-1", "conv_stem.weight");
        assert_eq!(s, 0xf783_ae1e_e775_f56b);
        let got = [0, 1, 863].map(|i| bits(s, i));
        assert_eq!(got, [0x92af_eb71_0f71_dd46, 0xe295_dd74_d95a_9dd3, 0xd80b_6600_bd42_6c60]);
        let t = unit("mbconv-1", "conv_stem.weight", 4);
        assert_eq!(hex(&t), ["3e157f58", "3f452bba", "3f67995e", "bf488502"]);

        let recipe = |rho, name: &str, e| Synthetic { rho, exponents: [(name.into(), e)].into(), ..Default::default() };
        let stem = recipe(1.0, "conv_stem.weight", 1).fill("conv_stem.weight", &[32, 3, 3, 3], Role::Weight);
        assert_eq!(hex(&stem[8..14]), ["3e40a826", "bdc75476", "bf03727c", "bf1a663f", "3f05ae02", "3e852710"]);
        let fc = recipe(0.5, "fc.weight", -2).fill("fc.weight", &[4, 5], Role::Weight);
        assert_eq!(hex(&fc[..5]), ["be1b09f4", "3cd94258", "bd9e2bfb", "3e0986e9", "3d49bf97"]);
        let var = Synthetic::default().fill("bn1.running_var", &[4], Role::VAR);
        assert_eq!(hex(&var), ["3f899644", "3f567dda", "3f0a5b54", "3f971f1c"]);
        let beta = Synthetic::default().fill("bn1.bias", &[4], Role::BETA);
        assert_eq!(hex(&beta), ["bdd803fd", "3db72ab3", "be3f92ab", "be38d85f"]);
        let image = make_input("mbconv-1", [1, 2, 9, 10]);
        let picked = [0, 1, 2, 177, 178, 179].map(|i: usize| image[i]);
        assert_eq!(hex(&picked), ["be952b86", "be83bae2", "3d2f4500", "3f89e66a", "3f24dbff", "3f36e89a"]);
    }

    #[test]
    fn roles_follow_from_names_and_shapes() {
        let state: [(&str, &[usize]); 9] = [
            ("bn.weight", &[4]),
            ("bn.running_mean", &[4]),
            ("bn.num_batches_tracked", &[]),
            ("se.weight", &[12, 4, 1, 1]),
            ("se.bias", &[12]),
            ("fc.weight", &[12, 4]),
            ("fc.bias", &[12]),
            ("norm.weight", &[4]),
            ("bn.running_var", &[4]),
        ];
        let shapes: Shapes = state.into_iter().collect();
        let role = |name| role_of(name, &shapes);
        assert_eq!(role("bn.weight"), Some(Role::GAMMA));
        assert_eq!(role("bn.running_mean"), Some(Role::MEAN));
        assert_eq!(role("bn.running_var"), Some(Role::VAR));
        assert_eq!(role("bn.num_batches_tracked"), None);
        assert_eq!(role("se.weight"), Some(Role::Weight));
        assert_eq!(role("se.bias"), Some(Role::GATE));
        assert_eq!(role("fc.bias"), Some(Role::BIAS));
        assert_eq!(role("norm.weight"), Some(Role::SCALE));
    }

    #[test]
    fn a_state_beyond_all_memory_is_an_error() {
        for shape in [vec![usize::MAX, 2], vec![1 << 20, 1 << 11]] {
            assert!(Synthetic::default().state(&[("w".into(), shape)]).is_err());
        }
    }

    #[test]
    fn whole_states_and_inputs_have_the_reference_bit_sums() {
        for case in ["efficientnet_b0", "tf_efficientnet_lite0", "tv_efficientnet_b0"] {
            let path = format!("{}/tests/goldens/{case}.safetensors", env!("CARGO_MANIFEST_DIR"));
            let golden = Checkpoint::open(path).unwrap();
            let facts: serde_json::Value = serde_json::from_str(&golden.metadata()["case"]).unwrap();
            let (recipe, tensors) = Synthetic::from_golden(&golden).unwrap();
            let state = recipe.state(&tensors).unwrap();
            let sum = state.names().fold(0u64, |s, n| s.wrapping_add(bit_sum(&state.read_f32(n).unwrap())));
            assert_eq!(format!("{sum:016x}"), facts["weights_bit_sum"], "{case}");
            let size = |key: &str| facts[key].as_u64().unwrap() as usize;
            let image = make_input(&recipe.salt, ["batch", "in_chans", "height", "width"].map(size));
            assert_eq!(format!("{:016x}", bit_sum(&image)), facts["input_bit_sum"], "{case}");
        }
    }
}
