//! The device.

use super::error::js;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::plan::Target;
use crate::tensor::{Dtype, Shape, Tensor};
use js_sys::Promise;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

/// A device; models on it share compiled pipelines.
#[wasm_bindgen]
pub struct Engine(pub(super) Arc<Gpu>);

#[wasm_bindgen]
impl Engine {
    /// Opens what `navigator.gpu` offers at the moment of the call: a promise of an [`Engine`], rejected with
    /// [`crate::Error::NoAdapter`].
    pub fn open() -> Promise {
        let mut opening = Box::pin(Gpu::offered());
        // An `async fn` would first look at `navigator.gpu` in a later task.
        let asked = opening.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        promise(async move {
            let gpu = match asked {
                Poll::Ready(gpu) => gpu,
                Poll::Pending => opening.await,
            };
            Ok(Self(gpu?).into())
        })
    }

    /// Lets the browser compile what every classifier needs that is stored as `dtype`, while its network is under way.
    pub fn foresee(&self, dtype: Option<String>) {
        // Another `dtype` is refused by whoever loads the network.
        if let Some(key) = self.target(dtype.as_deref()).ok().and_then(|target| target.foreseen()) {
            self.0.foresee(key);
        }
    }
}

impl Engine {
    /// What plans are made for that store values as `dtype`: f32, which it is where nobody says, or f16.
    pub(super) fn target(&self, dtype: Option<&str>) -> Result<Target> {
        let dtype = match dtype {
            None | Some("f32") => Dtype::F32,
            Some("f16") => Dtype::F16,
            Some(other) => {
                let nearest = ["f32", "f16"].map(String::from).to_vec();
                return Err(Error::Unknown { kind: "dtype", name: other.into(), nearest });
            }
        };
        Ok(Target { dtype, ..self.0.target() })
    }
}

/// A promise of what `work` returns. Behind a pointer, so that the code which drives it is there once.
pub(super) fn promise(work: impl Future<Output = Result<JsValue>> + 'static) -> Promise {
    fn driven(work: Pin<Box<dyn Future<Output = Result<JsValue>>>>) -> Promise {
        future_to_promise(async move { work.await.map_err(js) })
    }
    driven(Box::pin(work))
}

/// A tensor from its values and `[N, H, W, C]`.
pub(super) fn tensor(data: Vec<f32>, shape: &[u32]) -> Result<Tensor> {
    let &[n, h, w, c] = shape else {
        return Err(Error::bad("shape", format!("{} numbers are not [N, H, W, C]", shape.len())));
    };
    let [n, h, w, c] = [n, h, w, c].map(|side| side as usize);
    Tensor::new(Shape::new(n, h, w, c), data)
}
