//! Where the time of an inference goes.

use super::error::js;
use super::model::Model;
use super::values::{list, object};
use crate::clock::Clock;
use crate::error::Result;
use crate::gpu::Executor;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
impl Model {
    /// Times every step on what is in the input: milliseconds in the order of [`Model::describe`], and whether
    /// they are by the GPU's clock.
    ///
    /// # Errors
    /// Those of [`Executor::profile`].
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

    async fn phases_on(&self, executor: &mut Executor, image: JsValue, size: &[u32]) -> Result<Vec<f64>> {
        let gpu = self.session.gpu();
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
