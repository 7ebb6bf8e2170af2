//! A clock that exists everywhere: `Instant` panics in browsers, where time is measured in JavaScript.

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use std::time::Instant as Clock;

#[cfg(target_arch = "wasm32")]
pub(crate) struct Clock;

#[cfg(target_arch = "wasm32")]
impl Clock {
    pub(crate) fn now() -> Self {
        Self
    }

    pub(crate) fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}
