//! Host tensors, activation shapes and the one padding rule of the crate.

use crate::error::{Error, Result};

/// Shape of an activation: batch, height, width, channels.
///
/// Every activation of the engine is stored in this order (NHWC); on the GPU the
/// channels are padded to a multiple of four ([`Shape::c4`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Images in the batch.
    pub n: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

/// How a value is stored on the GPU; it is computed with in f32 either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit IEEE 754.
    #[default]
    F32,
    /// 16-bit IEEE 754: 11 bits of precision, up to 65,504.
    F16,
}

impl Dtype {
    /// Bytes of one value.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }

    /// The name in kernel keys and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }
}

impl Shape {
    /// `[n, h, w, c]`.
    pub const fn new(n: usize, h: usize, w: usize, c: usize) -> Self {
        Self { n, h, w, c }
    }

    /// Number of values without channel padding.
    pub const fn len(&self) -> usize {
        self.n * self.h * self.w * self.c
    }

    /// True when the shape holds no value.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Positions of one image (`h * w`).
    pub const fn pixels(&self) -> usize {
        self.h * self.w
    }

    /// Groups of four channels, rounded up.
    pub const fn c4(&self) -> usize {
        self.c.div_ceil(4)
    }

    /// Bytes of the tensor with channels padded to a multiple of four.
    pub const fn padded_bytes(&self, dtype: Dtype) -> u64 {
        (self.n * self.h * self.w * self.c4() * 4) as u64 * dtype.bytes()
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{}x{}x{}x{}", self.n, self.h, self.w, self.c))
    }
}

/// An f32 activation on the host, dense NHWC (channels not padded).
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Logical shape.
    pub shape: Shape,
    /// Values, `shape.len()` of them.
    pub data: Vec<f32>,
}

impl Tensor {
    /// A tensor of zeros.
    pub fn zeros(shape: Shape) -> Self {
        Self { shape, data: vec![0.0; shape.len()] }
    }

    /// Wraps `data`, whose length must equal `shape.len()`.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the length differs.
    pub fn new(shape: Shape, data: Vec<f32>) -> Result<Self> {
        if data.len() != shape.len() {
            return Err(Error::BadInput {
                what: "tensor".into(),
                problem: format!("shape {shape} (NHWC) needs {} values, got {}", shape.len(), data.len()),
            });
        }
        Ok(Self { shape, data })
    }

    /// From values in NCHW order, PyTorch's.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the length differs from `shape.len()`.
    pub fn from_nchw(shape: Shape, nchw: &[f32]) -> Result<Self> {
        let mut t = Self::new(shape, nchw.to_vec())?;
        permute(nchw, &mut t.data, shape.n, shape.c, shape.pixels());
        Ok(t)
    }

    /// The values in NCHW order, PyTorch's.
    pub fn to_nchw(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.data.len()];
        permute(&self.data, &mut out, self.shape.n, self.shape.pixels(), self.shape.c);
        out
    }

    /// The values with each pixel's channels padded with zeros to a multiple of four, the layout on the GPU.
    pub fn to_padded(&self) -> Vec<f32> {
        pad_channels(&self.data, self.shape.c)
    }

    /// Inverse of [`Tensor::to_padded`].
    ///
    /// # Errors
    /// [`Error::BadInput`] when `padded` has another length.
    pub fn from_padded(shape: Shape, padded: &[f32]) -> Result<Self> {
        let wanted = shape.padded_bytes(Dtype::F32) / 4;
        if padded.len() as u64 != wanted {
            let problem = format!("padded {shape} has {wanted} values, got {}", padded.len());
            return Err(Error::bad("tensor", problem));
        }
        let data = padded.chunks_exact(shape.c4() * 4).flat_map(|p| &p[..shape.c]).copied().collect();
        Ok(Self { shape, data })
    }
}

/// Rows of `c` values, each padded with zeros to a multiple of four.
pub fn pad_channels(dense: &[f32], c: usize) -> Vec<f32> {
    if c.is_multiple_of(4) {
        return dense.to_vec();
    }
    let c4 = c.div_ceil(4) * 4;
    let mut out = vec![0.0; dense.len() / c * c4];
    for (row, padded) in dense.chunks_exact(c).zip(out.chunks_exact_mut(c4)) {
        padded[..c].copy_from_slice(row);
    }
    out
}

/// `[n, a, b]` to `[n, b, a]`.
fn permute(src: &[f32], dst: &mut [f32], n: usize, a: usize, b: usize) {
    if n * a * b == 0 {
        return;
    }
    for (s, d) in src.chunks_exact(a * b).zip(dst.chunks_exact_mut(a * b)) {
        for (j, column) in d.chunks_exact_mut(a).enumerate() {
            for (i, v) in column.iter_mut().enumerate() {
                *v = s[i * b + j];
            }
        }
    }
}

/// How a convolution or pooling window is padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// `(kernel - 1) / 2` on every side, whatever the input size (PyTorch's usual form).
    Symmetric,
    /// TensorFlow's SAME: output `ceil(input / stride)`, an odd extra row or column at the end.
    Same,
    /// The zeros that SAME puts around maps whose size the stride divides, around maps of every size: what networks do
    /// that decide on their padding once, for the size of an even image (MobileNeXt's variants with squeeze-excite).
    SameFixed,
    /// No zeros (TensorFlow's VALID).
    #[serde(skip_deserializing)]
    Valid,
}

/// A window's placement along one axis, see [`window`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Output positions.
    pub out: usize,
    /// Zeros before the first input position.
    pub before: usize,
    /// Zeros after the last input position that some window touches.
    pub after: usize,
}

/// The one padding function: output size and zeros before and after, along one axis.
///
/// `None` when the window does not fit the padded input or `kernel` or `stride` is 0.
///
/// Symmetric: `out = (input + 2p - kernel) / stride + 1`, `p = (kernel - 1) / 2` (torch.nn.Conv2d).
/// Same: `out = ceil(input / stride)`, `total = max((out - 1) * stride + kernel - input, 0)`,
/// `total / 2` before (tf.nn.conv2d). Fixed: `total = max(kernel - stride, 0)`, split in the same way. Valid: none.
pub const fn window(padding: Padding, input: usize, kernel: usize, stride: usize) -> Option<Window> {
    if input == 0 || kernel == 0 || stride == 0 {
        return None;
    }
    match padding {
        Padding::Symmetric => {
            let p = (kernel - 1) / 2;
            if input + 2 * p < kernel {
                return None;
            }
            Some(Window { out: (input + 2 * p - kernel) / stride + 1, before: p, after: p })
        }
        Padding::Same => {
            let out = input.div_ceil(stride);
            let total = ((out - 1) * stride + kernel).saturating_sub(input);
            Some(Window { out, before: total / 2, after: total - total / 2 })
        }
        Padding::Valid if input < kernel => None,
        Padding::Valid => Some(Window { out: (input - kernel) / stride + 1, before: 0, after: 0 }),
        Padding::SameFixed => {
            let total = kernel.saturating_sub(stride);
            if input + total < kernel {
                return None;
            }
            Some(Window { out: (input + total - kernel) / stride + 1, before: total / 2, after: total - total / 2 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_is_asymmetric_on_even_inputs_and_exact_on_odd_ones() {
        // 224 -> 112 with 3x3 stride 2: one zero, at the end.
        assert_eq!(window(Padding::Same, 224, 3, 2), Some(Window { out: 112, before: 0, after: 1 }));
        // EfficientNet-B1: 15 -> 8 and B7: 75 -> 38.
        assert_eq!(window(Padding::Same, 15, 5, 2), Some(Window { out: 8, before: 2, after: 2 }));
        assert_eq!(window(Padding::Same, 75, 5, 2), Some(Window { out: 38, before: 2, after: 2 }));
        assert_eq!(window(Padding::Symmetric, 15, 5, 2), Some(Window { out: 8, before: 2, after: 2 }));
    }

    #[test]
    fn fixed_padding_is_sames_where_the_stride_divides_and_the_same_zeros_elsewhere() {
        for (input, kernel, stride) in [(224, 3, 2), (14, 5, 2), (7, 5, 1), (9, 1, 3)] {
            assert_eq!(window(Padding::SameFixed, input, kernel, stride), window(Padding::Same, input, kernel, stride));
        }
        assert_eq!(window(Padding::SameFixed, 15, 5, 2), Some(Window { out: 7, before: 1, after: 2 }));
        assert_eq!(window(Padding::SameFixed, 1, 3, 2), None);
    }

    #[test]
    fn without_padding_windows_stay_inside() {
        assert_eq!(window(Padding::Valid, 5, 3, 1), Some(Window { out: 3, before: 0, after: 0 }));
        assert_eq!(window(Padding::Valid, 8, 3, 2), Some(Window { out: 3, before: 0, after: 0 }));
        assert_eq!(window(Padding::Valid, 2, 3, 1), None);
    }

    #[test]
    fn a_kernel_smaller_than_its_stride_does_not_underflow() {
        assert_eq!(window(Padding::Same, 7, 1, 2), Some(Window { out: 4, before: 0, after: 0 }));
        assert_eq!(window(Padding::Same, 8, 1, 4), Some(Window { out: 2, before: 0, after: 0 }));
    }

    #[test]
    fn an_even_kernel_can_be_larger_than_its_input() {
        assert_eq!(window(Padding::Symmetric, 1, 4, 1), None);
        assert_eq!(window(Padding::Symmetric, 0, 3, 1), None);
    }

    #[test]
    fn layouts_round_trip() {
        let shape = Shape::new(2, 2, 3, 5);
        let nchw: Vec<f32> = (0..shape.len()).map(|v| v as f32).collect();
        let t = Tensor::from_nchw(shape, &nchw).unwrap();
        assert_eq!(t.data[1], 6.0); // channel 1 of the first pixel
        assert_eq!(t.to_nchw(), nchw);
        let padded = t.to_padded();
        assert_eq!(padded.len(), 2 * 2 * 3 * 8);
        assert_eq!(Tensor::from_padded(shape, &padded).unwrap(), t);
        assert!(Tensor::from_padded(shape, &padded[1..]).is_err());
    }
}
