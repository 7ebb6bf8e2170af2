//! The CPU reference against PyTorch (timm, torchvision) in float64: logits and mid-network values of every
//! case in `tests/goldens/`, whose weights and inputs are regenerated from names.

use mbconv::graph::{Graph, NodeId};
use mbconv::tensor::{Shape, Tensor};
use mbconv::weights::{Checkpoint, Naming, Scheme, Synthetic, Weights, bit_sum, make_input};
use mbconv::{cpu, passes, zoo};
use std::collections::BTreeMap;

/// Relative L2 error that no value may exceed; the cases' own float32 error in PyTorch is up to 4e-6.
const LIMIT: f64 = 1e-5;

/// The facts of a case that the tests need.
#[derive(serde::Deserialize)]
struct Case {
    arch: String,
    bn_eps: Vec<f64>,
    batch: usize,
    in_chans: usize,
    height: usize,
    width: usize,
    num_classes: usize,
    params: u64,
    madds: u64,
    weights_bit_sum: String,
    input_bit_sum: String,
    taps: Vec<(String, Vec<usize>)>,
}

struct Golden {
    name: String,
    file: Checkpoint,
    case: Case,
    graph: Graph,
    weights: Weights,
    scheme: Scheme,
    input: Tensor,
}

impl Golden {
    fn load(name: &str) -> Self {
        let path = format!("{}/tests/goldens/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let file = Checkpoint::open(path).unwrap();
        let case: Case = serde_json::from_str(&file.metadata()["case"]).unwrap();
        let (recipe, tensors) = Synthetic::from_golden(&file).unwrap();
        let state = recipe.state(&tensors).unwrap();
        let sum = state.names().fold(0u64, |s, n| s.wrapping_add(bit_sum(&state.read_f32(n).unwrap())));
        assert_eq!(format!("{sum:016x}"), case.weights_bit_sum, "{name}");

        let naming = Naming::of(&state).unwrap();
        assert_eq!(naming.num_classes(&state), Some(case.num_classes), "{name}");
        assert_eq!(naming.in_channels(&state), Some(case.in_chans), "{name}");
        let options = zoo::Options {
            in_channels: case.in_chans,
            num_classes: case.num_classes,
            bn_eps: Some(case.bn_eps[0]),
        };
        let graph = zoo::build(&case.arch, &options).unwrap();
        let counts = graph.counts(case.height, case.width).unwrap();
        assert_eq!((counts.params, counts.madds), (case.params, case.madds), "{name}");
        let weights = Weights::new(&graph, state, &naming).unwrap();

        let image = make_input(&recipe.salt, [case.batch, case.in_chans, case.height, case.width]);
        assert_eq!(format!("{:016x}", bit_sum(&image)), case.input_bit_sum, "{name}");
        let shape = Shape::new(case.batch, case.height, case.width, case.in_chans);
        let input = Tensor::from_nchw(shape, &image).unwrap();
        Self { name: name.into(), file, case, graph, weights, scheme: naming.scheme, input }
    }

    /// Runs a form of the network and compares its logits and the taps that it still computes.
    fn compare(&self, graph: &Graph) {
        let taps: BTreeMap<NodeId, &str> = self.case.taps.iter().filter_map(|(tap, _)| {
            let module = self.scheme.canonical_module(&self.graph, tap).unwrap();
            Some((graph.find(&module).ok()?, tap.as_str()))
        }).collect();
        let outputs = cpu::run_with(graph, &self.weights, &self.input, |id, value| {
            if let Some(tap) = taps.get(&id) {
                self.compare_tap(tap, value);
            }
        });
        self.close("logits", &outputs.unwrap()["logits"].data, &self.floats("logits"));
        assert!(taps.len() + 2 > self.case.taps.len(), "{}: {taps:?} of {:?}", self.name, self.case.taps);
    }

    fn compare_tap(&self, tap: &str, value: &Tensor) {
        let shape = &self.case.taps.iter().find(|t| t.0 == tap).unwrap().1;
        let Shape { n, h, w, c } = value.shape;
        assert_eq!(*shape, [n, c, h, w], "{} {tap}", self.name);
        let nchw = value.to_nchw();
        self.close(&format!("{tap}#head"), &nchw[..64], &self.floats(&format!("{tap}#head")));
        let norm = nchw.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let stats = self.file.read_f64(&format!("{tap}#stats")).unwrap();
        assert!((norm / stats[2] - 1.0).abs() < LIMIT, "{} {tap}: norm {norm}, must be {}", self.name, stats[2]);
        let mut means = vec![0.0; c];
        value.data.chunks_exact(c).for_each(|p| means.iter_mut().zip(p).for_each(|(m, v)| *m += f64::from(*v)));
        let means: Vec<f32> = means.iter().map(|m| (m / (n * h * w) as f64) as f32).collect();
        self.close(&format!("{tap}#chan"), &means, &self.floats(&format!("{tap}#chan")));
    }

    fn floats(&self, tensor: &str) -> Vec<f32> {
        self.file.read_f32(tensor).unwrap().to_vec()
    }

    fn close(&self, what: &str, got: &[f32], want: &[f32]) {
        assert_eq!(got.len(), want.len(), "{} {what}", self.name);
        let square = |v: f64| v * v;
        let error: f64 = got.iter().zip(want).map(|(g, w)| square(f64::from(*g) - f64::from(*w))).sum();
        let error = (error / want.iter().map(|w| square(f64::from(*w))).sum::<f64>()).sqrt();
        assert!(error <= LIMIT, "{} {what}: relative L2 error {error:e}", self.name);
        if what == "logits" {
            println!("{}: relative L2 error {error:.1e}", self.name);
        }
    }
}

/// As built, then after the passes (with the parameters folded and everything fused).
fn meets_pytorch(name: &str) {
    let golden = Golden::load(name);
    golden.compare(&golden.graph);
    golden.compare(&passes::run(&golden.graph, &[]).0);
}

macro_rules! cases {
    ($($(#[$attribute:meta])* $name:ident)*) => {
        $(#[test] $(#[$attribute])* fn $name() {
            meets_pytorch(stringify!($name));
        })*

        #[test]
        fn every_golden_file_is_a_test() {
            let tests = [$(stringify!($name)),*];
            let folder = format!("{}/tests/goldens", env!("CARGO_MANIFEST_DIR"));
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|e| e == "safetensors") {
                    let name = path.file_stem().unwrap().to_str().unwrap();
                    assert!(tests.contains(&name), "{name} is not tested");
                }
            }
        }
    };
}

cases! {
    efficientnet_b0
    efficientnet_b1
    efficientnet_b2
    efficientnet_b3
    efficientnet_b4
    #[ignore = "10 seconds"] efficientnet_b5
    efficientnet_b5_128
    #[ignore = "20 seconds"] efficientnet_b6
    efficientnet_b6_128
    #[ignore = "half a minute"] efficientnet_b7
    efficientnet_b7_128
    tf_efficientnet_b0
    tf_efficientnet_b3
    tf_efficientnet_lite0
    tf_efficientnet_lite1
    tf_efficientnet_lite2
    tf_efficientnet_lite3
    tf_efficientnet_lite4
    tv_efficientnet_b0
}
