//! What tells one kernel set from another: measurements and compiled pipelines are of one alone.

use super::{FAMILIES, Storage, Words};
use crate::tensor::Dtype;

/// Changes with every shader's text and with this crate's version. (Rows of the tables are known by what is in them.)
pub fn fingerprint() -> String {
    let storages = [Dtype::F32, Dtype::F16]
        .into_iter()
        .flat_map(|dtype| [Words::Plain, Words::Half, Words::Wide].map(|words| Storage::new(dtype, dtype, words)));
    let preludes = storages.flat_map(Storage::prelude);
    let texts = FAMILIES.iter().flat_map(|family| family.parts.iter().copied()).chain(preludes);
    fingerprint_of(texts.chain([env!("CARGO_PKG_VERSION")]).map(str::as_bytes))
}

/// 64 bits of some bytes, as hexadecimal digits: FNV-1a (Fowler, Noll, Vo; draft-eastlake-fnv), the same in every build.
pub fn fingerprint_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = parts.into_iter().flatten().fold(0xcbf2_9ce4_8422_2325, step);
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::fingerprint_of;

    #[test]
    fn fnv_1a() {
        // Test vectors of the draft, appendix C.
        for (bytes, want) in [("", "cbf29ce484222325"), ("a", "af63dc4c8601ec8c"), ("foobar", "85944171f73967e8")] {
            assert_eq!(fingerprint_of([bytes.as_bytes()]), want);
        }
    }
}
