//! Pictures to tensors, against Pillow and timm.
#![cfg(feature = "images")]

mod decode;
mod pillow;

use std::path::PathBuf;

use mbconv::preprocess::{DecodeLimits, Pixels, image};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn picture(name: &str) -> Pixels {
    image::decode_file(path(name), &DecodeLimits::default()).unwrap()
}

fn fnv1a64(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}
