//! What JavaScript calls in a browser. Thin: everything is in `session`; facts and numbers cross the border as plain
//! objects and typed arrays. `web/index.js` is the package around it, and where users' documentation is.
//!
//! It is compiled three times, into a module for each feature, of which a page loads what it needs: `web-run` plans and
//! runs a network that it gets as bytes; `web-zoo` makes these, behind all passes, from a checkpoint's header;
//! `web-reference` verifies.

#[cfg(any(feature = "web-run", feature = "web-reference"))]
mod engine;
mod error;
#[cfg(feature = "web-run")]
mod image;
#[cfg(feature = "web-run")]
mod model;
#[cfg(feature = "web-run")]
mod profile;
#[cfg(feature = "web-reference")]
mod reference;
mod values;
#[cfg(feature = "web-zoo")]
mod zoo;
