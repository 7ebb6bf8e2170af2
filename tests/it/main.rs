//! Integration tests: the crate from outside, on the files of `assets/`, `tests/goldens/` and `tests/fixtures/`.

mod cpu_goldens;
mod goldens;
mod preprocess;
mod support;
mod vision;
