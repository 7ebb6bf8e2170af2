//! How values lie in buffers: the first lines of every shader, `shaders/common/read_*.wgsl` and `write_*.wgsl`.

use super::text::wgsl;
use crate::tensor::Dtype;

const READ_F32: &str = wgsl!("common/read_f32.wgsl");
const READ_F32_WIDE: &str = wgsl!("common/read_f32_wide.wgsl");
const READ_F16: &str = wgsl!("common/read_f16.wgsl");
const READ_F16_WIDE: &str = wgsl!("common/read_f16_wide.wgsl");
const READ_HALF: &str = wgsl!("common/read_half.wgsl");
const WRITE_F32: &str = wgsl!("common/write_f32.wgsl");
const WRITE_F16: &str = wgsl!("common/write_f16.wgsl");
const WRITE_HALF: &str = wgsl!("common/write_half.wgsl");

/// What shaders load values as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Words {
    /// Words of 32 bits: on every device.
    #[default]
    Plain,
    /// f16 as they are, on devices whose shaders have it.
    Half,
    /// Words of 64 bits, on devices whose shaders have such integers. A software adapter that loads lane by lane takes
    /// as long for a word of either width.
    Wide,
}

/// How a kernel stores activations and weights. It computes in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Storage {
    read: Dtype,
    write: Dtype,
    words: Words,
}

impl Storage {
    /// For operands of type `read` and a result of type `write`, on a device that has `words`.
    pub const fn new(read: Dtype, write: Dtype, words: Words) -> Self {
        match (read, words) {
            (Dtype::F32, Words::Half) => Self { read, write: Dtype::F32, words: Words::Plain },
            (Dtype::F32, _) => Self { read, write: Dtype::F32, words },
            (Dtype::F16, _) => Self { read, write, words },
        }
    }

    /// What operands and weights are loaded as. In browsers these are plain words, and their programs smaller for it.
    pub const fn words(self) -> Words {
        if cfg!(feature = "web") { Words::Plain } else { self.words }
    }

    /// The name in kernel keys.
    pub const fn name(self) -> &'static str {
        match (self.read, self.write, self.words()) {
            (Dtype::F32, _, Words::Plain | Words::Half) => "f32",
            (Dtype::F32, _, Words::Wide) => "f32-wide",
            (Dtype::F16, Dtype::F16, Words::Plain) => "f16",
            (Dtype::F16, Dtype::F32, Words::Plain) => "f16-f32",
            (Dtype::F16, Dtype::F16, Words::Half) => "half",
            (Dtype::F16, Dtype::F32, Words::Half) => "half-f32",
            (Dtype::F16, Dtype::F16, Words::Wide) => "f16-wide",
            (Dtype::F16, Dtype::F32, Words::Wide) => "f16-f32-wide",
        }
    }

    /// The WGSL types and conversions.
    pub(super) const fn prelude(self) -> [&'static str; 2] {
        let read = match (self.read, self.words()) {
            (Dtype::F32, Words::Plain | Words::Half) => READ_F32,
            (Dtype::F32, Words::Wide) => READ_F32_WIDE,
            (Dtype::F16, Words::Plain) => READ_F16,
            (Dtype::F16, Words::Half) => READ_HALF,
            (Dtype::F16, Words::Wide) => READ_F16_WIDE,
        };
        let write = match (self.write, self.words()) {
            (Dtype::F32, _) => WRITE_F32,
            (Dtype::F16, Words::Half) => WRITE_HALF,
            (Dtype::F16, _) => WRITE_F16,
        };
        [read, write]
    }
}
