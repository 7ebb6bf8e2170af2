//! Pictures that a browser shows, to the network's input without passing through wasm.

use super::engine::promise;
use super::model::{Loaded, Model, outputs};
use crate::error::{Error, Result};
use crate::gpu::{Executor, ExternalImageSource, Resizer};
use js_sys::Promise;
use std::rc::Rc;
use std::sync::Arc;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
impl Model {
    /// Runs a batch of pictures, each `HTMLImageElement`, `HTMLVideoElement`, `HTMLCanvasElement`, `ImageBitmap`,
    /// `ImageData`, `OffscreenCanvas` or `VideoFrame`, of `sizes` `[width, height, ...]`.
    ///
    /// # Errors
    /// [`Error::BadInput`] for another object, and those of [`crate::session::Session::run`].
    pub fn run_images(&self, images: Vec<JsValue>, sizes: Vec<u32>) -> Promise {
        let model = Rc::clone(&self.0);
        promise(async move {
            let mut executor = model.executor(images.len()).await?;
            let outputs = model.run_images_on(&mut executor, &images, &sizes).await;
            model.resident.give_back(executor)?;
            outputs
        })
    }
}

impl Loaded {
    async fn run_images_on(&self, executor: &mut Executor, images: &[JsValue], sizes: &[u32]) -> Result<JsValue> {
        self.upload(executor, images, sizes).await?;
        let (tensors, timing) = executor.run(None).await?;
        Ok(outputs(executor.plan().outputs.iter().map(|o| &o.0).zip(&tensors), timing))
    }

    /// Queues the pictures for the executor's input.
    pub(super) async fn upload(&self, executor: &Executor, images: &[JsValue], sizes: &[u32]) -> Result<()> {
        for (i, (image, size)) in images.iter().zip(sizes.as_chunks::<2>().0).enumerate() {
            let resizer = self.resizer(size.map(|side| side as usize), images.len()).await?;
            resizer.write_external(&source(image)?, executor, i)?;
        }
        Ok(())
    }

    async fn resizer(&self, picture: [usize; 2], images: usize) -> Result<Arc<Resizer>> {
        let known = self.resizer.borrow().clone();
        if let Some(resizer) = known.filter(|r| r.picture() == picture && r.images() >= images) {
            return Ok(resizer);
        }
        let resizer = Arc::new(self.resident.resizer(&self.preprocess, picture, images).await?);
        *self.resizer.borrow_mut() = Some(Arc::clone(&resizer));
        Ok(resizer)
    }
}

fn source(image: &JsValue) -> Result<ExternalImageSource> {
    let class = class_of(image);
    macro_rules! try_each {
        ($($variant:ident $class:ident)*) => {
            // Not `dyn_ref` alone: a class that this browser or worker lacks must not be asked about.
            $(if class == stringify!($variant) {
                return Ok(ExternalImageSource::$variant(image.clone().unchecked_into::<web_sys::$class>()));
            })*
        };
    }
    try_each!(ImageBitmap ImageBitmap ImageData ImageData HTMLImageElement HtmlImageElement
        HTMLVideoElement HtmlVideoElement HTMLCanvasElement HtmlCanvasElement OffscreenCanvas OffscreenCanvas
        VideoFrame VideoFrame);
    Err(Error::bad("image", format!("a {class} is not a picture")))
}

/// The name in `Object.prototype.toString`, which is the same whatever window the object is from.
fn class_of(value: &JsValue) -> String {
    let text = String::from(js_sys::Object::from(value.clone()).to_string());
    text.strip_prefix("[object ").and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text).to_string()
}
