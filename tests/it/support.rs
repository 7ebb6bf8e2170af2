//! What the integration tests share: golden files, adapters, comparison.

use mbconv::gpu::{Gpu, Select};
use mbconv::session::Bundle;
use mbconv::weights::{Checkpoint, Synthetic, bit_sum, make_input};
use mbconv::{Shape, Tensor, zoo};
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
        let file = Checkpoint::open(path(&format!("tests/goldens/{name}.safetensors"))).unwrap();
        let case: serde_json::Value = serde_json::from_str(&file.metadata()["case"]).unwrap();
        let (recipe, tensors) = Synthetic::from_golden(&file).unwrap();
        let state = recipe.state(&tensors).unwrap();
        let sum = tensors.iter().fold(0_u64, |sum, t| sum.wrapping_add(bit_sum(&state.read_f32(&t.0).unwrap())));
        assert_eq!(format!("{sum:016x}"), case["weights_bit_sum"], "{name}: weights");
        let number = |key: &str| case[key].as_u64().unwrap() as usize;
        let [n, c, h, w] = ["batch", "in_chans", "height", "width"].map(number);
        let nchw = make_input(&recipe.salt, [n, c, h, w]);
        assert_eq!(format!("{:016x}", bit_sum(&nchw)), case["input_bit_sum"], "{name}: input");
        let bundle = Bundle::new(zoo::find(case["arch"].as_str().unwrap()).unwrap(), state).unwrap();
        let input = Tensor::from_nchw(Shape::new(n, h, w, c), &nchw).unwrap();
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

/// Relative L2 error.
pub fn rel_l2(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let square = |v: f64| v * v;
    let norm: f64 = want.iter().map(|&w| square(f64::from(w))).sum();
    let difference: f64 = got.iter().zip(want).map(|(&g, &w)| square(f64::from(g) - f64::from(w))).sum();
    (difference / norm).sqrt()
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
