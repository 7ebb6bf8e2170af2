//! How values lie in buffers: the first lines of every shader, `shaders/common/read_*.wgsl` and `write_*.wgsl`.

use super::text::wgsl;
use crate::tensor::Dtype;

const READ_F32: &str = wgsl!("common/read_f32.wgsl");
const READ_F16: &str = wgsl!("common/read_f16.wgsl");
const READ_HALF: &str = wgsl!("common/read_half.wgsl");
const WRITE_F32: &str = wgsl!("common/write_f32.wgsl");
const WRITE_F16: &str = wgsl!("common/write_f16.wgsl");
const WRITE_HALF: &str = wgsl!("common/write_half.wgsl");

/// How a kernel stores activations and weights. It computes in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Storage {
    /// f32.
    #[default]
    F32,
    /// f16, two in a `u32`: on every device.
    Packed,
    /// The same with an f32 result.
    PackedToF32,
    /// f16, on devices whose shaders have it.
    Half,
    /// The same with an f32 result.
    HalfToF32,
}

impl Storage {
    /// For operands of type `read` and a result of type `write`; `half` where shaders have f16.
    pub const fn new(read: Dtype, write: Dtype, half: bool) -> Self {
        match (read, write) {
            (Dtype::F32, _) => Self::F32,
            (Dtype::F16, Dtype::F16) if half => Self::Half,
            (Dtype::F16, Dtype::F32) if half => Self::HalfToF32,
            (Dtype::F16, Dtype::F16) => Self::Packed,
            (Dtype::F16, Dtype::F32) => Self::PackedToF32,
        }
    }

    /// The name in kernel keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Packed => "f16",
            Self::PackedToF32 => "f16-f32",
            Self::Half => "half",
            Self::HalfToF32 => "half-f32",
        }
    }

    /// The WGSL types and conversions.
    pub(super) const fn prelude(self) -> [&'static str; 2] {
        let (read, write) = match self {
            Self::F32 => (READ_F32, WRITE_F32),
            Self::Packed => (READ_F16, WRITE_F16),
            Self::PackedToF32 => (READ_F16, WRITE_F32),
            Self::Half => (READ_HALF, WRITE_HALF),
            Self::HalfToF32 => (READ_HALF, WRITE_F32),
        };
        [read, write]
    }
}
