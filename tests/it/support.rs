//! What the integration tests share: golden files, adapters, comparison.

use mbconv::Tensor;
use mbconv::gpu::{Gpu, Select};
use mbconv::session::{self, Bundle};
use mbconv::weights::{Checkpoint, Naming, Weights, bit_sum};
use std::path::PathBuf;
use std::sync::Arc;

/// A file of the repository.
pub fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// A reference case: PyTorch's outputs in float64 for weights and an input that a rule regenerates.
pub struct Golden {
    pub file: Checkpoint,
    pub case: serde_json::Value,
    pub bundle: Bundle,
    pub input: Tensor,
}

impl Golden {
    /// Loads `tests/goldens/<name>.safetensors` and regenerates its weights and input, checking both checksums.
    pub fn load(name: &str) -> Self {
        let path = path(&format!("tests/goldens/{name}.safetensors"));
        let file = Checkpoint::open(&path).unwrap();
        let case: serde_json::Value = serde_json::from_str(&file.metadata()["case"]).unwrap();
        let (bundle, input) = session::Golden::model_and_input(&file).unwrap();
        let bundle = kept(bundle);
        let state = bundle.weights.checkpoint();
        let sum = state.names().fold(0_u64, |sum, n| sum.wrapping_add(bit_sum(&state.read_f32(n).unwrap())));
        assert_eq!(format!("{sum:016x}"), case["weights_bit_sum"], "{name}: weights");
        assert_eq!(format!("{:016x}", bit_sum(&input.to_nchw())), case["input_bit_sum"], "{name}: input");
        Self { file, case, bundle, input }
    }

    /// The expected logits.
    pub fn logits(&self) -> Vec<f32> {
        self.file.read_f32("logits").unwrap().into_owned()
    }

    /// Recorded mid-network modules in their own names.
    pub fn taps(&self) -> Vec<String> {
        let taps = self.case["taps"].as_array().unwrap();
        taps.iter().map(|t| t[0].as_str().unwrap().to_string()).collect()
    }
}

/// Three tests of each reference case: the CPU reference, every GPU, and the counts, by functions of the module around.
macro_rules! cases {
    ($($name:ident)*) => {
        pub const CASES: &[&str] = &[$(stringify!($name)),*];
        $(mod $name {
            #[test]
            fn cpu() {
                super::cpu_meets_pytorch(stringify!($name));
            }

            #[test]
            fn gpu() {
                super::gpu_meets_pytorch(stringify!($name));
            }

            #[test]
            fn counts() {
                super::counts_are_pytorchs(stringify!($name));
            }
        })*
    };
}
pub(crate) use cases;

/// The same model with its weights in memory: those that a rule makes are made anew at every reading.
pub fn kept(bundle: Bundle) -> Bundle {
    let state = bundle.weights.checkpoint();
    let tensor = |n: &str| (n.into(), state.shape(n).unwrap().to_vec(), state.read_f32(n).unwrap().into_owned());
    let tensors = Checkpoint::from_tensors(state.path(), state.names().map(tensor)).unwrap();
    let naming = Naming::of(&tensors).unwrap();
    Bundle { weights: Weights::new(&bundle.graph, tensors, &naming).unwrap(), ..bundle }
}

/// Relative L2 error.
pub fn rel_l2(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let square = |v: f64| v * v;
    let norm: f64 = want.iter().map(|&w| square(f64::from(w))).sum();
    let difference: f64 = got.iter().zip(want).map(|(&g, &w)| square(f64::from(g) - f64::from(w))).sum();
    (difference / norm).sqrt()
}

/// A shape that the model takes: the last windows of SSD300 have no padding, and need its own size.
pub fn fitting(model: &str, [n, h, w]: [usize; 3]) -> [usize; 3] {
    let least = if model == "ssd300_vgg16" { 300 } else { 1 };
    [n, h.max(least), w.max(least)]
}

/// Indices of the five largest values.
pub fn top5(logits: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order.truncate(5);
    order
}

/// Every adapter there is. `MBCONV_SKIP_GPU=1` skips the GPU tests, loudly; without it a machine without any
/// adapter fails them.
pub fn gpus() -> Vec<Arc<Gpu>> {
    if std::env::var_os("MBCONV_SKIP_GPU").is_some() {
        eprintln!("SKIPPED: MBCONV_SKIP_GPU is set, no GPU test runs");
        return Vec::new();
    }
    let list = pollster::block_on(Gpu::list());
    assert!(
        !list.is_empty(),
        "no GPU adapter: install a driver (Debian: mesa-vulkan-drivers) or set MBCONV_SKIP_GPU=1"
    );
    (0..list.len()).map(|i| pollster::block_on(Gpu::open(&Select::Index(i))).unwrap()).collect()
}
