//! Values as JavaScript has them: plain objects and arrays.

use js_sys::Array;
use wasm_bindgen::prelude::*;

/// An object with these values by name.
pub fn object<const N: usize>(pairs: [(&str, JsValue); N]) -> JsValue {
    object_of(&pairs)
}

fn object_of(pairs: &[(&str, JsValue)]) -> JsValue {
    let object = js_sys::Object::new();
    for (key, value) in pairs {
        // Setting a property of a new object does not fail.
        let _ = js_sys::Reflect::set(&object, &(*key).into(), value);
    }
    object.into()
}

/// An object with the named number fields of a struct.
#[cfg(feature = "web-run")]
macro_rules! numbers {
    ($from:expr, $($field:ident)+) => {
        $crate::web::values::object([$((stringify!($field), wasm_bindgen::JsValue::from($from.$field as f64))),+])
    };
}
#[cfg(feature = "web-run")]
pub(super) use numbers;

pub fn list(values: impl Iterator<Item = JsValue>) -> JsValue {
    values.collect::<Array>().into()
}
