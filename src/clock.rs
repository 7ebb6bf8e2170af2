//! A clock that exists everywhere: `Instant` panics in browsers, where time is measured in JavaScript.

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use std::time::Instant as Clock;

#[cfg(target_arch = "wasm32")]
pub(crate) use browser::Clock;

#[cfg(target_arch = "wasm32")]
mod browser {
    use std::time::Duration;

    #[cfg(feature = "web")]
    #[wasm_bindgen::prelude::wasm_bindgen]
    extern "C" {
        /// Milliseconds since the page or worker started.
        #[wasm_bindgen(js_namespace = performance)]
        fn now() -> f64;
    }

    /// Without the feature `web` there is no clock to ask: nothing takes any time.
    #[cfg(not(feature = "web"))]
    fn now() -> f64 {
        0.0
    }

    pub(crate) struct Clock(f64);

    impl Clock {
        pub(crate) fn now() -> Self {
            Self(now())
        }

        pub(crate) fn elapsed(&self) -> Duration {
            Duration::from_nanos(((now() - self.0) * 1e6) as u64)
        }
    }
}
