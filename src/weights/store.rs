//! The weights of one graph: every parameter checked against a checkpoint, read when asked for.

use super::checkpoint::Entry;
use super::{Checkpoint, Naming, Synthetic, platform};
use crate::error::{Error, Result};
use crate::graph::{BatchNorm, Graph, ParamId, Source};
use crate::json::number;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The values of a graph's parameters, before and after the passes (which only combine stored parameters).
///
/// Values are in PyTorch's order (OIHW, or `[out, in]`). Cloning shares the checkpoint.
#[derive(Clone, Debug)]
pub struct Weights {
    checkpoint: Arc<Checkpoint>,
    /// The graph's name of each stored parameter, sorted, and the tensor's place in the checkpoint.
    places: Arc<[(String, usize)]>,
}

impl Weights {
    /// The weights of `graph` from a checkpoint named by `naming` (see [`Naming::of`]).
    ///
    /// Everything is checked: each stored parameter is there with the right shape and a readable type, and
    /// finite; there is no further tensor but `num_batches_tracked`. A linear layer's `[out, in]` and a 1x1
    /// convolution's `[out, in, 1, 1]` stand for each other.
    ///
    /// # Errors
    /// [`Error::Mismatch`] that lists every tensor at fault; its `looks_like` is left to the caller.
    pub fn new(graph: &Graph, checkpoint: impl Into<Arc<Checkpoint>>, naming: &Naming) -> Result<Self> {
        let checkpoint = checkpoint.into();
        let Match { places, problems } = Match::new(graph, &checkpoint, naming);
        Self::checked(graph, checkpoint, places, problems)
    }

    /// With the values looked at where they are there, and `problems` known before.
    pub(super) fn checked(
        graph: &Graph,
        checkpoint: Arc<Checkpoint>,
        mut places: Vec<(String, usize)>,
        mut problems: Vec<String>,
    ) -> Result<Self> {
        places.sort_unstable();
        if checkpoint.has_values() {
            let problem = |i: usize| value_problem(&checkpoint, places[i].1);
            problems.extend(platform::map(places.len(), problem).into_iter().flatten());
        }
        if problems.is_empty() {
            return Ok(Self { checkpoint, places: places.into() });
        }
        Err(Error::Mismatch { path: checkpoint.path().into(), arch: graph.name.clone(), problems, looks_like: None })
    }

    /// How many tensors keep `checkpoint` from fitting `graph`: 0 when names and shapes all agree.
    ///
    /// Values are not looked at. A checkpoint whose naming is unknown does not fit at all: `usize::MAX`.
    pub fn fit(graph: &Graph, checkpoint: &Checkpoint) -> usize {
        Naming::of(checkpoint).map_or(usize::MAX, |naming| Match::new(graph, checkpoint, &naming).problems.len())
    }

    /// Synthetic weights for `graph` under its own names.
    ///
    /// # Errors
    /// Those of [`Synthetic::state`].
    pub fn synthetic(graph: &Graph, recipe: &Synthetic) -> Result<Self> {
        Self::new(graph, recipe.state_of(graph)?, &Naming::timm())
    }

    /// Weights from values in memory, by the graph's own names.
    ///
    /// # Errors
    /// As [`Weights::new`]; a tensor with a wrong number of values is a wrong shape.
    pub fn from_memory(graph: &Graph, tensors: BTreeMap<String, Vec<f32>>) -> Result<Self> {
        let shapes: BTreeMap<&str, &Vec<usize>> = graph.params.iter().map(|p| (p.name.as_str(), &p.shape)).collect();
        let tensors = tensors.into_iter().map(|(name, values)| {
            let shape = shapes.get(name.as_str()).filter(|s| s.iter().product::<usize>() == values.len());
            let shape = shape.map_or_else(|| vec![values.len()], |s| s.to_vec());
            (name, shape, values)
        });
        Self::new(graph, Checkpoint::from_tensors("weights in memory", tensors)?, &Naming::timm())
    }

    /// The checkpoint behind them.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// A parameter's values as f32: borrowed where stored so, folded in f64 and rounded once where folded.
    ///
    /// `graph` is the one these weights were made for, or what passes made of it.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a parameter that is not part of these weights, or whose folded values are not
    /// finite; [`Error::Checkpoint`] when the checkpoint cannot be read.
    pub fn values(&self, graph: &Graph, id: ParamId) -> Result<Cow<'_, [f32]>> {
        let param = graph.params.get(id).ok_or_else(|| no_param(graph, id))?;
        if param.source == Source::Checkpoint {
            let values = self.checkpoint.f32_of(self.stored(&param.name)?)?;
            return if values.len() == param.len() {
                Ok(values)
            } else {
                Err(wrong_len(&param.name, param.len(), values.len()))
            };
        }
        let values: Vec<f32> = self.values_f64(graph, id)?.iter().map(|&v| v as f32).collect();
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(Cow::Owned(values)),
            Some(at) => {
                Err(Error::bad(&param.name, format!("folding the batch norm gives {} at {at}", number(values[at]))))
            }
        }
    }

    /// The same in f64: as stored, or folded and not rounded.
    ///
    /// # Errors
    /// As [`Weights::values`].
    pub fn values_f64(&self, graph: &Graph, id: ParamId) -> Result<Vec<f64>> {
        let param = graph.params.get(id).ok_or_else(|| no_param(graph, id))?;
        let values = match &param.source {
            Source::Checkpoint => self.checkpoint.f64_of(self.stored(&param.name)?)?,
            Source::FoldedWeight { weight, bn } => {
                let (scale, _) = self.scale_and_mean(graph, bn)?;
                let mut values = weight.map_or_else(|| Ok(vec![1.0; scale.len()]), |w| self.stored_f64(graph, w))?;
                let row = values.len() / scale.len().max(1);
                for (values, scale) in values.chunks_mut(row.max(1)).zip(&scale) {
                    values.iter_mut().for_each(|v| *v *= scale);
                }
                values
            }
            Source::FoldedBias { bias, bn } => {
                let (scale, mean) = self.scale_and_mean(graph, bn)?;
                let mut values = self.stored_f64(graph, bn.beta)?;
                let bias = bias.map(|b| self.stored_f64(graph, b)).transpose()?;
                for (c, v) in values.iter_mut().enumerate() {
                    let bias = bias.as_ref().map_or(Some(&0.0), |b| b.get(c));
                    let (Some(bias), Some(mean), Some(scale)) = (bias, mean.get(c), scale.get(c)) else {
                        return Err(Error::bad(&param.name, "the batch norm's vectors differ in length"));
                    };
                    *v += (bias - mean) * scale;
                }
                values
            }
        };
        if values.len() == param.len() { Ok(values) } else { Err(wrong_len(&param.name, param.len(), values.len())) }
    }

    /// `gamma / sqrt(var + eps)` and the mean.
    fn scale_and_mean(&self, graph: &Graph, bn: &BatchNorm) -> Result<(Vec<f64>, Vec<f64>)> {
        let gamma = self.stored_f64(graph, bn.gamma)?;
        let var = self.stored_f64(graph, bn.var)?;
        let scale = gamma.iter().zip(&var).map(|(g, v)| g / (v + bn.eps).sqrt()).collect();
        Ok((scale, self.stored_f64(graph, bn.mean)?))
    }

    /// A folded parameter's ingredient, which must be stored: folds of folds do not exist.
    fn stored_f64(&self, graph: &Graph, id: ParamId) -> Result<Vec<f64>> {
        match graph.params.get(id) {
            Some(param) if param.source == Source::Checkpoint => self.values_f64(graph, id),
            Some(param) => {
                Err(Error::bad(&param.name, "a batch norm is folded into a parameter that is folded itself"))
            }
            None => Err(no_param(graph, id)),
        }
    }

    /// The tensor of a stored parameter.
    pub(super) fn stored(&self, param: &str) -> Result<&Entry> {
        let place = self.places.binary_search_by(|place| place.0.as_str().cmp(param));
        place
            .map(|place| &self.checkpoint.entries()[self.places[place].1])
            .map_err(|_| Error::bad(param, format!("{} has no such parameter", self.checkpoint.path())))
    }
}

fn no_param(graph: &Graph, id: ParamId) -> Error {
    Error::bad(&graph.name, format!("there is no parameter {id}, only {}", graph.params.len()))
}

fn wrong_len(name: &str, want: usize, got: usize) -> Error {
    Error::bad(name, format!("needs {want} values, has {got}"))
}

/// A graph's stored parameters laid over a checkpoint's tensors, by name, shape and type.
struct Match {
    /// The tensor's place in the checkpoint for each parameter that fits, by its name.
    places: Vec<(String, usize)>,
    problems: Vec<String>,
}

impl Match {
    fn new(graph: &Graph, checkpoint: &Checkpoint, naming: &Naming) -> Self {
        let file_names = naming.map(graph);
        let (mut places, mut problems, mut expected) = (Vec::new(), Vec::new(), HashSet::new());
        for param in graph.stored_params() {
            let Some(Some(name)) = file_names.get(&param.name) else {
                problems.push(format!("{} has no name in the {} scheme", param.name, naming.scheme));
                continue;
            };
            expected.insert(name.as_str());
            let Some(place) = checkpoint.position(name) else {
                problems.push(format!("{name} {:?} is missing", param.shape));
                continue;
            };
            let shape = checkpoint.entries()[place].shape.as_slice();
            let dtype = checkpoint.dtype(name).unwrap_or_default();
            if !same_matrix(shape, &param.shape) {
                problems.push(format!("{name} is {shape:?}, must be {:?}", param.shape));
            } else if !["F32", "F16", "BF16", "F64"].contains(&dtype.as_str()) {
                problems.push(format!("{name} is {dtype}, must be F32, F16, BF16 or F64"));
            } else {
                places.push((param.name.clone(), place));
            }
        }
        for name in checkpoint.names() {
            if !expected.contains(name) && !name.ends_with("num_batches_tracked") {
                problems.push(format!("{name} {:?} is unexpected", checkpoint.shape(name).unwrap_or_default()));
            }
        }
        Self { places, problems }
    }
}

/// Equal, or equal but for trailing ones of a matrix: `[out, in]` and `[out, in, 1, 1]`.
fn same_matrix(a: &[usize], b: &[usize]) -> bool {
    let matrix = |s: &[usize]| match *s {
        [out, input] | [out, input, 1, 1] => Some([out, input]),
        _ => None,
    };
    a == b || (matrix(a).is_some() && matrix(a) == matrix(b))
}

/// What is wrong with a tensor's values: some are not finite, or a variance is negative.
fn value_problem(checkpoint: &Checkpoint, place: usize) -> Option<String> {
    let entry = &checkpoint.entries()[place];
    let name = &entry.name;
    let values = match checkpoint.f32_of(entry) {
        Ok(values) => values,
        Err(error) => return Some(error.to_string()),
    };
    let count = |bad: fn(&f32) -> bool, what: &str| {
        let first = values.iter().position(bad)?;
        let all = values[first..].iter().filter(|v| bad(v)).count();
        Some(format!("{name} holds {all} {what} (the first, {}, at {first})", number(values[first])))
    };
    let finite = count(|v| !v.is_finite(), "values that are not finite as f32");
    finite.or_else(|| if name.ends_with("running_var") { count(|v| *v < 0.0, "negative variances") } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, Builder, ConvArgs, Op, Param};
    use crate::tensor::Padding;

    fn graph(classes: usize) -> Graph {
        let mut b = Builder::new("net", 3, Padding::Symmetric, 1e-3);
        let x = b.conv("conv_stem", b.input(), ConvArgs::dense(4, 3, 2).with_bias()).unwrap();
        let x = b.bn_act("bn1", x, Activation::Relu).unwrap();
        let x = b.global_pool("pool", x).unwrap();
        let x = b.linear("classifier", x, classes).unwrap();
        b.output("logits", x);
        b.finish().unwrap()
    }

    /// Synthetic tensors of the graph, changed by `edit`.
    fn tensors(graph: &Graph, edit: impl FnOnce(&mut Vec<(String, Vec<usize>, Vec<f32>)>)) -> Checkpoint {
        let state = Synthetic::default().state_of(graph).unwrap();
        let tensor = |n: &str| (n.to_string(), state.shape(n).unwrap().to_vec(), state.read_f32(n).unwrap().to_vec());
        let mut tensors = state.names().map(tensor).collect();
        edit(&mut tensors);
        Checkpoint::from_tensors("net.safetensors", tensors).unwrap()
    }

    fn problems(graph: &Graph, checkpoint: Checkpoint) -> Vec<String> {
        match Weights::new(graph, checkpoint, &Naming::timm()) {
            Err(Error::Mismatch { problems, .. }) => problems,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_problems_are_listed_at_once() {
        let g = graph(5);
        let broken = tensors(&g, |t| {
            t[0].2[3] = f32::NAN;
            t[0].2[5] = f32::INFINITY;
            t.remove(1);
            t.push(("extra.weight".into(), vec![1], vec![0.0]));
            t.push(("bn1.num_batches_tracked".into(), vec![], vec![7.0]));
            t.iter_mut().filter(|t| t.0 == "bn1.running_var").for_each(|t| t.2[2] = -0.5);
            t.iter_mut().filter(|t| t.0 == "classifier.weight").for_each(|t| t.1 = vec![4, 5]);
        });
        let want = [
            "conv_stem.bias [4] is missing",
            "classifier.weight is [4, 5], must be [5, 4]",
            "extra.weight [1] is unexpected",
            "bn1.running_var holds 1 negative variances (the first, -0.5, at 2)",
            "conv_stem.weight holds 2 values that are not finite as f32 (the first, NaN, at 3)",
        ];
        assert_eq!(problems(&g, broken), want);
    }

    #[test]
    fn every_problem_is_kept_and_a_very_long_list_printed_in_part() {
        let g = graph(5);
        let extra = |i| (format!("extra.{i}"), vec![1], vec![0.0]);
        let error = Weights::new(&g, tensors(&g, |t| t.extend((0..157).map(extra))), &Naming::timm()).unwrap_err();
        let Error::Mismatch { problems, .. } = &error else { panic!("{error}") };
        assert_eq!(problems.len(), 157);
        let text = error.to_string();
        assert!(text.contains("extra.99 ") && text.ends_with("; and 57 more"), "{text}");
    }

    #[test]
    fn fit_counts_what_differs() {
        let g = graph(5);
        assert_eq!(Weights::fit(&g, &tensors(&g, |_| {})), 0);
        assert_eq!(Weights::fit(&graph(6), &tensors(&g, |_| {})), 2);
        let foreign = Checkpoint::from_tensors("m", [("a".into(), vec![1], vec![0.0])]).unwrap();
        assert_eq!(Weights::fit(&g, &foreign), usize::MAX);
        assert!(Naming::of(&foreign).unwrap_err().to_string().contains("conv_stem.weight (timm)"));
    }

    #[test]
    fn a_linear_layer_may_be_stored_as_a_convolution() {
        let g = graph(5);
        let conv =
            tensors(&g, |t| t.iter_mut().filter(|t| t.0 == "classifier.weight").for_each(|t| t.1 = vec![5, 4, 1, 1]));
        let weights = Weights::new(&g, conv, &Naming::timm()).unwrap();
        let id = g.params.iter().position(|p| p.name == "classifier.weight").unwrap();
        assert_eq!(weights.values(&g, id).unwrap().len(), 20);
    }

    #[test]
    fn batch_norms_fold_in_f64_and_round_once() {
        let mut g = graph(5);
        let Op::BatchNorm(bn) = g.nodes[2].op else { panic!("{:?}", g.nodes[2]) };
        let weights = Weights::synthetic(&g, &Synthetic::default()).unwrap();
        let read = |id: usize| weights.values(&g, id).unwrap().to_vec();
        let (w, b) = (read(0), read(1));
        let [gamma, beta, mean, var] = [bn.gamma, bn.beta, bn.mean, bn.var].map(read);
        let scale = |c: usize| f64::from(gamma[c]) / (f64::from(var[c]) + 1e-3).sqrt();
        let weight = Source::FoldedWeight { weight: Some(0), bn };
        g.params.push(Param { name: "folded.weight".into(), shape: g.params[0].shape.clone(), source: weight });
        let bias = |bias| Param { name: "folded".into(), shape: vec![4], source: Source::FoldedBias { bias, bn } };
        g.params.extend([bias(Some(1)), bias(None)]);
        let id = g.params.len() - 3;
        let folded = weights.values(&g, id).unwrap();
        for (i, v) in folded.iter().enumerate() {
            assert_eq!(*v, (f64::from(w[i]) * scale(i / 27)) as f32);
        }
        for c in 0..4 {
            let want = |b: f32| (f64::from(beta[c]) + (f64::from(b) - f64::from(mean[c])) * scale(c)) as f32;
            assert_eq!(weights.values(&g, id + 1).unwrap()[c], want(b[c]));
            assert_eq!(weights.values(&g, id + 2).unwrap()[c], want(0.0));
        }
        assert!(weights.values(&g, 99).is_err());
        assert!(weights.values(&graph(7), g.params.len() - 4).is_err());
    }

    #[test]
    fn weights_in_memory_go_by_the_graphs_names() {
        let g = graph(5);
        let tensors: BTreeMap<String, Vec<f32>> =
            g.params.iter().map(|p| (p.name.clone(), vec![0.5; p.len()])).collect();
        assert!(Weights::from_memory(&g, tensors.clone()).is_ok());
        let short = tensors.into_iter().map(|(n, v)| (n, v[1..].to_vec())).collect();
        let error = Weights::from_memory(&g, short).unwrap_err().to_string();
        assert!(error.contains("conv_stem.weight is [107], must be [4, 3, 3, 3]"), "{error}");
    }
}
