//! What the surface tells JavaScript: plain objects, and arrays of numbers.

use super::Model;
use super::error::js;
use crate::error::Result;
use crate::gpu::{Gpu, Timing};
use crate::kernels::AdapterClass;
use crate::passes;
use crate::plan::{Plan, WeightLayout};
use crate::session::GpuSession;
use crate::tensor::Tensor;
use crate::zoo;
use js_sys::{Array, Float32Array};
use wasm_bindgen::prelude::*;

/// An object with these values by name.
pub fn object<const N: usize>(pairs: [(&str, JsValue); N]) -> JsValue {
    let object = js_sys::Object::new();
    for (key, value) in pairs {
        // Setting a property of a new object does not fail.
        let _ = js_sys::Reflect::set(&object, &key.into(), &value);
    }
    object.into()
}

/// An object with the named number fields of a struct.
macro_rules! numbers {
    ($from:expr, $($field:ident)+) => {
        object([$((stringify!($field), JsValue::from($from.$field as f64))),+])
    };
}

fn list(values: impl Iterator<Item = JsValue>) -> JsValue {
    values.collect::<Array>().into()
}

pub fn facts(gpu: &Gpu) -> JsValue {
    let (facts, caps) = (gpu.facts(), &gpu.facts().caps);
    let class = match facts.class() {
        AdapterClass::Gpu => "Gpu",
        AdapterClass::Software => "Software",
        AdapterClass::SwiftShader => "SwiftShader",
        AdapterClass::SoftwareSubgroup => "SoftwareSubgroup",
    };
    let limits = numbers!(caps, max_buffer max_binding max_workgroups max_invocations max_workgroup_bytes);
    object([
        ("kernels", class.into()),
        ("pipelines", (gpu.compiled().pipelines as u32).into()),
        ("timestamps", facts.timestamps.into()),
        ("f16", facts.f16.into()),
        ("limits", limits),
        ("wasmBytes", ((core::arch::wasm32::memory_size::<0>() << 16) as f64).into()),
    ])
}

pub fn models() -> JsValue {
    let row = |model: zoo::Model| {
        let published = model.published.map_or(JsValue::NULL, |p| {
            object([("params", p.params.into()), ("madds", p.madds.into()), ("top1", p.top1.into())])
        });
        object([
            ("name", model.name.into()),
            ("family", model.family.into()),
            ("resolution", (model.resolution as u32).into()),
            ("cite", model.cite.into()),
            ("published", published),
        ])
    };
    list(zoo::models().into_iter().map(row))
}

pub fn describe(session: &GpuSession, n: usize) -> Result<JsValue> {
    let bundle = session.bundle();
    let (graph, _) = passes::run(&bundle.graph, &[]);
    let target = session.target();
    let plan = Plan::new(&graph, &WeightLayout::new(&graph, target)?, target, bundle.native(n), &[])?;
    let counters = &plan.counters;
    let steps = plan.steps.iter().zip(&plan.labels).map(|(step, label)| {
        object([
            ("label", label.into()),
            ("kernel", step.launch.key.to_string().into()),
            ("grid", list(step.launch.grid.into_iter().map(JsValue::from))),
            ("shape", step.writes.first().map(|w| plan.values[w.1].shape.to_string()).into()),
            ("bytes", (step.bytes as f64).into()),
            ("madds", (step.madds as f64).into()),
        ])
    });
    let input = bundle.native(n).into_iter().chain([bundle.graph.in_channels]);
    Ok(object([
        ("name", bundle.model.name.as_str().into()),
        ("family", bundle.model.family.into()),
        ("cite", bundle.model.cite.into()),
        ("input", list(input.map(|side| (side as u32).into()))),
        ("classes", (bundle.num_classes() as u32).into()),
        ("labels", bundle.labels.own().map(|names| list(names.iter().map(JsValue::from))).into()),
        ("preprocess", preprocess(&bundle.preprocess)),
        (
            "counters",
            numbers!(counters, dispatches pipelines bytes_moved weight_bytes intermediate_bytes live_set_bytes io_bytes madds),
        ),
        ("steps", list(steps)),
    ]))
}

fn preprocess(facts: &zoo::Preprocess) -> JsValue {
    // As they are written: 0.485, not its neighbour in f32.
    let floats = |values: &[f32]| list(values.iter().map(|&v| ((f64::from(v) * 1e7).round() / 1e7).into()));
    let crop_mode = match facts.crop_mode {
        zoo::CropMode::Center => "center",
        zoo::CropMode::Squash => "squash",
    };
    let interpolation = match facts.interpolation {
        zoo::Interpolation::Bilinear => "bilinear",
        zoo::Interpolation::Bicubic => "bicubic",
    };
    object([
        ("size", list(facts.size.iter().map(|&side| (side as u32).into()))),
        ("crop_pct", facts.crop_pct.into()),
        ("crop_mode", crop_mode.into()),
        ("interpolation", interpolation.into()),
        ("mean", floats(&facts.mean)),
        ("std", floats(&facts.std)),
    ])
}

/// `[milliseconds, GPU milliseconds or -1, name, shape, values, name, shape, values, ...]`.
pub fn outputs<'a>(values: impl Iterator<Item = (&'a String, &'a Tensor)>, timing: Timing) -> JsValue {
    let milliseconds = |t: std::time::Duration| t.as_secs_f64() * 1e3;
    let flat = Array::of2(&milliseconds(timing.total).into(), &timing.gpu.map_or(-1.0, milliseconds).into());
    for (name, tensor) in values {
        let shape = tensor.shape;
        flat.push(&name.as_str().into());
        flat.push(&[shape.n, shape.h, shape.w, shape.c].iter().map(|&s| JsValue::from(s as u32)).collect::<Array>());
        flat.push(&Float32Array::from(tensor.data.as_slice()));
    }
    flat.into()
}

#[wasm_bindgen]
impl Model {
    /// Times every step on what is in the input: milliseconds in the order of [`Model::describe`], and whether
    /// they are by the GPU's clock.
    ///
    /// # Errors
    /// Those of [`crate::gpu::Executor::profile`].
    pub async fn profile(&self, n: usize) -> Result<JsValue, JsValue> {
        let executor = self.session.executor(self.session.bundle().native(n)).await.map_err(js)?;
        let times = executor.profile().await;
        self.session.give_back(executor).map_err(js)?;
        let times = times.map_err(js)?;
        let milliseconds = times.iter().map(|t| (t.time.as_secs_f64() * 1e3).into());
        Ok(object([("ms", list(milliseconds)), ("gpuClock", times.iter().all(|t| t.gpu_clock).into())]))
    }

    /// The phases of one inference on a picture, each waited for, in milliseconds: upload with resize, network, readback.
    ///
    /// # Errors
    /// Those of [`Model::run_images`].
    pub async fn phases(&self, image: JsValue, size: Vec<u32>) -> Result<Vec<f64>, JsValue> {
        let mut executor = self.session.executor(self.session.bundle().native(1)).await.map_err(js)?;
        let phases = self.phases_on(&mut executor, image, &size).await;
        self.session.give_back(executor).map_err(js)?;
        phases.map_err(js)
    }

    async fn phases_on(&self, executor: &mut crate::gpu::Executor, image: JsValue, size: &[u32]) -> Result<Vec<f64>> {
        let gpu = self.session.gpu();
        let mut laps = Vec::new();
        let mut start = crate::clock::Clock::now();
        let mut lap = || {
            laps.push(start.elapsed().as_secs_f64() * 1e3);
            start = crate::clock::Clock::now();
        };
        self.upload(executor, &[image], size).await?;
        gpu.idle().await?;
        lap();
        executor.submit()?;
        gpu.idle().await?;
        lap();
        executor.read_outputs().await?;
        lap();
        Ok(laps)
    }
}
