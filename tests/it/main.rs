//! Integration tests: the crate from outside, on the files of `assets/`, `tests/goldens/` and `tests/fixtures/`.

mod goldens;
mod plans;
mod preprocess;
mod support;
mod vision;
