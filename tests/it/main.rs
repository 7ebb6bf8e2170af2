//! Integration tests: the crate from outside, on the files of `assets/`, `tests/goldens/` and `tests/fixtures/`.

mod checkpoints;
mod cli;
mod detectors;
mod documentation;
mod goldens;
mod gpu;
mod halves;
mod kernels;
mod own_networks;
mod plans;
mod preprocess;
mod properties;
mod registry;
mod rooms;
mod shaders;
mod small;
mod support;
mod tuning;
mod units;
mod vision;
