//! What the surface tells JavaScript: JSON texts, and arrays of numbers.

use super::Model;
use super::error::js;
use crate::error::Result;
use crate::gpu::{Gpu, Timing};
use crate::passes;
use crate::plan::{Plan, WeightLayout};
use crate::session::GpuSession;
use crate::tensor::Tensor;
use crate::zoo;
use js_sys::{Array, Float32Array};
use serde_json::json;
use wasm_bindgen::prelude::*;

pub fn facts(gpu: &Gpu) -> String {
    let facts = gpu.facts();
    json!({ "facts": facts, "class": format!("{:?}", facts.class()), "pipelines": gpu.compiled_pipelines() })
        .to_string()
}

pub fn models() -> String {
    let row = |model: &zoo::Model| {
        json!({
            "name": model.name, "family": model.family, "resolution": model.resolution, "cite": model.cite,
            "published": model.published.as_ref().map(|p| json!({ "params": p.params, "madds": p.madds, "top1": p.top1 })),
        })
    };
    serde_json::Value::Array(zoo::models().iter().map(row).collect()).to_string()
}

pub fn describe(session: &GpuSession, n: usize) -> Result<String> {
    let bundle = session.bundle();
    let (graph, _) = passes::run(&bundle.graph, &[]);
    let target = session.target();
    let plan = Plan::new(&graph, &WeightLayout::new(&graph, target)?, target, bundle.native(n), &[])?;
    let steps = plan.steps.iter().zip(&plan.labels);
    Ok(json!({
        "name": bundle.model.name,
        "family": bundle.model.family,
        "cite": bundle.model.cite,
        "input": bundle.native(n).into_iter().chain([bundle.graph.in_channels]).collect::<Vec<_>>(),
        "classes": bundle.num_classes(),
        "labels": bundle.labels.own(),
        "preprocess": bundle.preprocess,
        "counters": plan.counters,
        "steps": steps.map(|(step, label)| json!({
            "label": label,
            "kernel": step.launch.key.to_string(),
            "grid": step.launch.grid,
            "shape": step.writes.first().map(|w| plan.values[w.1].shape.to_string()),
            "bytes": step.bytes,
            "madds": step.madds,
        })).collect::<Vec<_>>(),
    })
    .to_string())
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
    /// Times every step on what is in the input, JSON: milliseconds in the order of [`Model::describe`], and whether
    /// they are by the GPU's clock.
    ///
    /// # Errors
    /// Those of [`crate::gpu::Executor::profile`].
    pub async fn profile(&self, n: usize) -> Result<String, JsValue> {
        let executor = self.session.executor(self.session.bundle().native(n)).await.map_err(js)?;
        let times = executor.profile().await;
        self.session.give_back(executor).map_err(js)?;
        let times = times.map_err(js)?;
        let milliseconds: Vec<f64> = times.iter().map(|t| t.time.as_secs_f64() * 1e3).collect();
        Ok(json!({ "ms": milliseconds, "gpuClock": times.iter().all(|t| t.gpu_clock) }).to_string())
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
