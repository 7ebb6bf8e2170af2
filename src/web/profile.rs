//! Where the time of an inference goes.

use super::engine::promise;
use super::model::{Loaded, Model};
use super::values::{list, object};
use crate::clock::Clock;
use crate::error::Result;
use crate::gpu::Executor;
use js_sys::Promise;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
impl Model {
    /// Times every step on what is in the input: milliseconds in the order of [`Model::describe`], and whether
    /// they are by the GPU's clock.
    ///
    /// # Errors
    /// Those of [`Executor::profile`].
    pub fn profile(&self, n: usize) -> Promise {
        let model = Rc::clone(&self.0);
        promise(async move {
            let executor = model.executor(n).await?;
            let times = executor.profile().await;
            model.resident.give_back(executor)?;
            let times = times?;
            let milliseconds = times.iter().map(|t| (t.time.as_secs_f64() * 1e3).into());
            Ok(object([("ms", list(milliseconds)), ("gpuClock", times.iter().all(|t| t.gpu_clock).into())]))
        })
    }

    /// The phases of one inference on a picture, each waited for, in milliseconds: upload with resize, network, readback.
    ///
    /// # Errors
    /// Those of [`Model::run_images`].
    pub fn phases(&self, image: JsValue, size: Vec<u32>) -> Promise {
        let model = Rc::clone(&self.0);
        promise(async move {
            let mut executor = model.executor(1).await?;
            let phases = model.phases_on(&mut executor, image, &size).await;
            model.resident.give_back(executor)?;
            Ok(list(phases?.into_iter().map(JsValue::from)))
        })
    }
}

impl Loaded {
    async fn phases_on(&self, executor: &mut Executor, image: JsValue, size: &[u32]) -> Result<Vec<f64>> {
        let gpu = self.resident.gpu();
        let mut laps = Vec::new();
        let mut start = Clock::now();
        let mut lap = || {
            laps.push(start.elapsed().as_secs_f64() * 1e3);
            start = Clock::now();
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
