//! The CPU reference in the browser, and reference files. Only in the module that the package loads on demand.

use super::engine::{Engine, promise, tensor};
use super::error::js;
use super::values::{list, object};
use crate::kernels::{AdapterClass, KernelKey};
use crate::passes;
use crate::plan::{Plan, Target, WeightLayout};
use crate::session::{Bundle, Check, Golden, verify};
use crate::tensor::Dtype;
use crate::weights::{Checkpoint, Synthetic, serialize};
use crate::zoo;
use js_sys::{Array, Float32Array, Function, Promise, Uint8Array};
use std::collections::BTreeSet;
use std::sync::Arc;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
impl Engine {
    /// Compares every dispatch of the model `arch` with the weights of a safetensors file, stored as `dtype`, with the
    /// CPU reference, then the whole network, on a normalised NHWC input. `progress(step, steps)` is called before
    /// each. [`crate::session::Report`]'s checks.
    ///
    /// # Errors
    /// Those of [`Bundle::new`] and [`verify`].
    pub fn verify(
        &self,
        arch: String,
        bytes: Vec<u8>,
        dtype: Option<String>,
        input: Vec<f32>,
        shape: Vec<u32>,
        progress: Function,
    ) -> Promise {
        let (gpu, target) = (Arc::clone(&self.0), self.target(dtype.as_deref()));
        promise(async move {
            let bundle = Bundle::new(zoo::find(&arch)?, Checkpoint::from_bytes(arch, bytes)?)?;
            let report = |step: usize, steps: usize| {
                // What a listener throws is its own affair.
                let _ = progress.call2(&JsValue::NULL, &(step as u32).into(), &(steps as u32).into());
            };
            let report = verify(&gpu, &target?, &bundle, &tensor(input, &shape)?, report).await?;
            Ok(list(report.checks().map(check)))
        })
    }
}

fn check(c: &Check) -> JsValue {
    object([
        ("step", (c.step as u32).into()),
        ("label", c.label.as_str().into()),
        ("kernel", c.key.as_str().into()),
        ("shape", c.shape.as_str().into()),
        ("maxAbs", c.max_abs.into()),
        ("relL2", c.rel_l2.into()),
        ("bound", c.bound.into()),
        ("passes", c.passes().into()),
    ])
}

/// Makes the model of a reference file: `[name, weights as a safetensors file, input, its shape, expected logits]`.
///
/// # Errors
/// Those of [`Golden::new`].
#[wasm_bindgen]
pub fn golden(file: Vec<u8>) -> Result<Array, JsValue> {
    let golden = Checkpoint::from_bytes("reference file", file).and_then(|file| Golden::new(&file)).map_err(js)?;
    let bytes = file_of(golden.bundle.weights.checkpoint()).map_err(js)?;
    let shape = golden.input.shape;
    Ok([
        JsValue::from(golden.bundle.model.name.as_str()),
        Uint8Array::from(bytes.as_slice()).into(),
        Float32Array::from(golden.input.data.as_slice()).into(),
        [shape.n, shape.h, shape.w, shape.c].iter().map(|&s| JsValue::from(s as u32)).collect::<Array>().into(),
        Float32Array::from(golden.logits.data.as_slice()).into(),
    ]
    .into_iter()
    .collect())
}

/// A model's weights made by a rule, as a safetensors file: for measuring and for trying things.
///
/// # Errors
/// [`crate::Error::Unknown`].
#[wasm_bindgen]
pub fn synthetic(arch: &str) -> Result<Vec<u8>, JsValue> {
    let graph = zoo::find(arch).and_then(|model| model.build(&model.options()));
    let weights = graph.and_then(|graph| Synthetic::default().state_of(&graph));
    weights.and_then(|state| file_of(&state)).map_err(js)
}

/// Every kernel that registered models run at their own size within WebGPU's default limits:
/// `[key, WGSL, [name, value, ...] of its constants]` each.
///
/// # Errors
/// [`crate::Error::Limit`] for a model that these limits do not allow, and those of [`Plan::new`].
#[wasm_bindgen]
pub fn kernels() -> Result<Array, JsValue> {
    let mut keys = BTreeSet::new();
    for model in zoo::models() {
        let graph = passes::run(&model.build(&model.options()).map_err(js)?, &[]).0;
        for class in [AdapterClass::Gpu, AdapterClass::Software, AdapterClass::SwiftShader] {
            for dtype in [Dtype::F32, Dtype::F16] {
                let target = Target { class, dtype, ..Target::web() };
                let [h, w] = model.preprocess.size;
                let plan = WeightLayout::new(&graph, &target)
                    .and_then(|layout| Plan::new(&graph, &layout, &target, [1, h, w], &[]));
                keys.extend(plan.map_err(js)?.steps.into_iter().map(|step| step.launch.key));
            }
        }
    }
    let kernel = |key: KernelKey| {
        let constants = key.consts.iter().flat_map(|&(name, value)| [JsValue::from(name), value.into()]);
        let source = crate::kernels::source(&key).map(String::from);
        Array::of3(&key.to_string().into(), &source.into(), &constants.collect::<Array>())
    };
    Ok(keys.into_iter().map(kernel).collect())
}

fn file_of(checkpoint: &Checkpoint) -> crate::Result<Vec<u8>> {
    let tensor = |name: &str| {
        let shape = checkpoint.shape(name).unwrap_or_default().to_vec();
        Ok((name.to_string(), shape, checkpoint.read_f32(name)?.into_owned()))
    };
    serialize("weights", &checkpoint.names().map(tensor).collect::<crate::Result<Vec<_>>>()?, &[])
}
