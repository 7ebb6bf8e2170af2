//! An 8-bit picture on the host.

use crate::error::{Error, Result};

/// An 8-bit picture, rows from the top, channels interleaved: RGB or grey. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    width: usize,
    height: usize,
    channels: usize,
    data: Vec<u8>,
}

impl Pixels {
    /// Wraps `height * width * channels` bytes; `channels` is 3 (RGB) or 1 (grey).
    ///
    /// # Errors
    /// [`Error::BadInput`] when a side is zero, the channels are others or the length differs.
    pub fn new(width: usize, height: usize, channels: usize, data: Vec<u8>) -> Result<Self> {
        let bad = |problem: String| Err(Error::bad("image", problem));
        if channels != 1 && channels != 3 {
            return bad(format!("{channels} channels; only 3 (RGB) and 1 (grey) are understood"));
        }
        match width.checked_mul(height).and_then(|p| p.checked_mul(channels)) {
            Some(n) if n > 0 && n == data.len() => Ok(Self { width, height, channels, data }),
            Some(0) => bad(format!("{width} x {height} pixels: there is nothing to see")),
            _ => bad(format!("{width} x {height} pixels of {channels} bytes do not make {} bytes", data.len())),
        }
    }

    /// From RGBA, as a browser's canvas gives it; alpha is dropped.
    ///
    /// # Errors
    /// [`Error::BadInput`] when a side is zero or `rgba` is not `width * height * 4` bytes long.
    pub fn from_rgba(width: usize, height: usize, rgba: &[u8]) -> Result<Self> {
        if width.checked_mul(height).and_then(|p| p.checked_mul(4)) != Some(rgba.len()) {
            return Err(Error::bad(
                "image",
                format!("{width} x {height} RGBA pixels do not make {} bytes", rgba.len()),
            ));
        }
        Self::new(width, height, 3, rgba.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect())
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// 3 (RGB) or 1 (grey).
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// All bytes, row by row.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The channels of one pixel.
    ///
    /// # Panics
    /// When `x` or `y` is outside the picture.
    pub fn at(&self, x: usize, y: usize) -> &[u8] {
        assert!(x < self.width && y < self.height, "({x}, {y}) is outside {} x {}", self.width, self.height);
        &self.data[(y * self.width + x) * self.channels..][..self.channels]
    }

    /// One channel of luma after ITU-R 601, in Pillow's 16-bit fixed point (`convert("L")`).
    pub fn to_luma(&self) -> Self {
        if self.channels == 1 {
            return self.clone();
        }
        let luma = |p: &[u8]| {
            let [r, g, b] = [p[0], p[1], p[2]].map(u32::from);
            ((19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16) as u8
        };
        Self { channels: 1, data: self.data.chunks_exact(3).map(luma).collect(), ..*self }
    }

    /// Three channels; grey is repeated.
    pub fn to_rgb(&self) -> Self {
        if self.channels == 3 {
            return self.clone();
        }
        Self { channels: 3, data: self.data.iter().flat_map(|&v| [v; 3]).collect(), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        for (w, h, c, n) in [(2, 2, 3, 11), (0, 2, 3, 0), (2, 0, 1, 0), (1, 1, 4, 4), (usize::MAX, 2, 3, 6)] {
            let e = Pixels::new(w, h, c, vec![0; n]).unwrap_err();
            assert!(matches!(e, Error::BadInput { .. }), "{e}");
        }
        assert!(Pixels::from_rgba(2, 1, &[0; 7]).is_err());
        assert!(Pixels::from_rgba(0, 0, &[]).is_err());
        assert_eq!(Pixels::from_rgba(1, 1, &[1, 2, 3, 4]).unwrap().data(), [1, 2, 3]);
    }

    #[test]
    fn luma_is_pillows() {
        // From PIL.Image.convert("L").
        for (rgb, l) in
            [([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([10, 200, 99], 132), ([255; 3], 255)]
        {
            assert_eq!(Pixels::new(1, 1, 3, rgb.to_vec()).unwrap().to_luma().data(), [l], "{rgb:?}");
        }
        let grey = Pixels::new(2, 1, 1, vec![7, 9]).unwrap();
        assert_eq!(grey.to_rgb().data(), [7, 7, 7, 9, 9, 9]);
        assert_eq!(grey.to_rgb().to_luma(), grey);
    }
}
