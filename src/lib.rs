//! Mobile convnets (EfficientNet, MobileNet, MnasNet and relatives: [`zoo`]) through WGSL compute shaders on wgpu, and
//! a CPU reference that every layer is compared with.
//!
//! # Quick start
//!
//! ```no_run
//! # #[cfg(all(feature = "embedded", feature = "images"))]
//! # async fn quick_start() -> mbconv::Result<()> {
//! use mbconv::{gpu, preprocess, session, vision};
//!
//! let bundle = session::Bundle::embedded()?; // EfficientNet-Lite0; Bundle::open(path) for other weights
//! let photo = preprocess::load("photo.jpg", &bundle.preprocess, 3, &Default::default())?;
//! let device = session::Device::Gpu(gpu::Gpu::open(&gpu::Select::Auto).await?);
//! let session = session::Session::new(device, bundle).await?; // once; run it as often as you like
//! let output = session.run(&photo).await?;
//! for p in vision::classify(&output.get("logits")?.data, 5, &session.bundle().labels) {
//!     println!("{:6.2} %  {}", 100.0 * p.probability, p.label);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The API is `async` because a browser cannot block; a native program puts `pollster::block_on` around it.
//! The folder `examples/` shows embeddings, a device of your own, and an architecture of your own.
//!
//! # The one path
//!
//! ```text
//!  once per model      zoo ──► graph ──► passes ──► plan ──► gpu::Executor      buffers, bind groups,
//!  and device         tables   nodes    rewrites  dispatches, arenas            pipelines, first recording
//!                                ▲                              ▲
//!                             weights: names, checks      kernels: WGSL and its launches
//!
//!  once per image      photo ──► preprocess ──► run: write, submit, read ──► logits ──► vision
//!
//!  whenever asked      cpu evaluates the same graph, before and after the passes; verify compares
//!                      it with every dispatch, each on the same inputs
//! ```
//!
//! # Rooms
//!
//! Each module is a room with a short list of what it may import. `tests/it/rooms.rs` is that list, and enforces it.
//! [`error`], [`tensor`], `clock`, `json` and `wire` are everyone's.
//!
//! | room | may import | what lives there |
//! |---|---|---|
//! | [`error`], [`tensor`], `clock`, `json`, `wire` | | the one error enum; host tensors, shapes and the one padding rule; a clock that exists in browsers; JSON as a tree; values as bytes |
//! | [`graph`] | | the operations, nodes, shape inference and counts; parameters are names and shapes |
//! | [`zoo`] | `graph` | families as tables and wiring, the registry, preprocessing facts |
//! | [`weights`] | `graph` | checkpoints (alone in naming `safetensors`), naming schemes, checks, synthetic weights |
//! | [`passes`] | `graph` | the ordered list of graph rewrites, each with a report |
//! | [`cpu`] | `graph`, `weights` | the reference: one plain function an operation, sums in f64. Knows nothing of kernels |
//! | [`kernels`] | `graph` | a file a kernel family: variants, launch, weight packing, WGSL. Plain data |
//! | [`plan`] | `graph`, `kernels`, `weights` | dispatches (and which convolutions share one), buffers, weight ranges and exact counters. Plain data |
//! | [`draw`] | `graph`, `plan` | pictures as text: graphs, blocks with their dispatches, models as points |
//! | [`gpu`] | `graph`, `kernels`, `plan`, `weights` | devices, pipelines, executor; alone in naming `wgpu`. Never sees a model |
//! | [`preprocess`] | `zoo` | decode (alone in naming the image crates), resize, crop, normalise, as Pillow and timm do |
//! | [`vision`] | `zoo` | softmax, top-k, labels; default boxes, detections |
//! | [`session`] | all above | the facade: a model with its weights, on a device; verification, tuning |
//! | `cli` | all above | the `mbconv` program; thin |
//! | `web` | all above | what JavaScript calls in a browser (wasm32 only); thin |
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `cli` | yes | the program, `zoo::from_file` for architectures in TOML or JSON; turns on the next two |
//! | `embedded` | through `cli` | EfficientNet-Lite0's weights in the binary (9 MB), `Bundle::embedded` |
//! | `images` | through `cli` | decoding of photographs, `preprocess::load` |
//!
//! With `default-features = false` the library takes tensors and pixels, and checkpoints from files or memory.
#![warn(missing_docs)]
// A browser's handles stay on their thread; the same code shares them between threads elsewhere.
#![cfg_attr(target_arch = "wasm32", allow(clippy::arc_with_non_send_sync))]

mod clock;
mod json;
// Of the two directions a module of the web package goes one.
#[cfg(any(test, feature = "web"))]
#[cfg_attr(not(test), allow(dead_code))]
mod wire;

#[cfg(all(feature = "cli", not(target_arch = "wasm32")))]
pub mod cli;
pub mod cpu;
pub mod draw;
pub mod error;
pub mod gpu;
pub mod graph;
pub mod kernels;
pub mod passes;
pub mod plan;
pub mod preprocess;
pub mod session;
pub mod tensor;
pub mod vision;
#[cfg(all(feature = "web", target_arch = "wasm32"))]
pub mod web;
pub mod weights;
pub mod zoo;

pub use error::{Error, Result};
pub use tensor::{Padding, Shape, Tensor};
/// The wgpu this crate is built on, for [`gpu::Gpu::from_device`] and the executor's buffers: use it from here and
/// the versions match.
pub use wgpu;

/// The README's Rust is compiled with the tests.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../README.md")]
struct Readme;
