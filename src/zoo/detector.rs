//! What the outputs of detectors mean: facts that belong beside their registry entries.

/// What a detector's outputs mean: its default boxes, and which of them become detections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detector {
    /// The maps that boxes are predicted from.
    pub levels: &'static [Level],
    /// A class counts where its probability is over this.
    pub score: f64,
    /// Of boxes of one class that overlap more than this (intersection over union), the most probable one counts.
    pub overlap: f64,
    /// How many boxes of a class may count, the most probable ones; `None` for all.
    pub candidates: Option<usize>,
    /// How many detections there are at most, of all classes.
    pub kept: usize,
    /// Boxes end at the picture's edge.
    pub clip: bool,
}

/// The default boxes at each position of a map, in shares of the picture's sides: a square of edge `scale`, one of
/// edge `sqrt(scale * next)`, and for each ratio one so much wider than high and one so much higher than wide, both of
/// area `scale^2`. No side is over 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// From one position's boxes to the next's; `None` where the map divides the picture evenly.
    pub step: Option<f64>,
    /// Edge of the first square.
    pub scale: f64,
    /// The other factor of the second square's area.
    pub next: f64,
    /// Widths over heights.
    pub ratios: &'static [f64],
}

impl Level {
    /// Boxes at each position.
    pub const fn boxes(&self) -> usize {
        2 + 2 * self.ratios.len()
    }

    /// Of a network for pictures of `side` pixels; step and edges in pixels.
    const fn of(side: f64, step: f64, scale: f64, next: f64, ratios: &'static [f64]) -> Self {
        Self { step: Some(step / side), scale: scale / side, next: next / side, ratios }
    }

    const fn even(scale: f64, next: f64) -> Self {
        Self { step: None, scale, next, ratios: &[2.0, 3.0] }
    }
}

/// torchvision's of SSD300.
pub(super) const SSD300: Detector = Detector {
    levels: &[
        Level::of(300.0, 8.0, 21.0, 45.0, &[2.0]),
        Level::of(300.0, 16.0, 45.0, 99.0, &[2.0, 3.0]),
        Level::of(300.0, 32.0, 99.0, 153.0, &[2.0, 3.0]),
        Level::of(300.0, 64.0, 153.0, 207.0, &[2.0, 3.0]),
        Level::of(300.0, 100.0, 207.0, 261.0, &[2.0]),
        Level::of(300.0, 300.0, 261.0, 315.0, &[2.0]),
    ],
    score: 0.01,
    overlap: 0.45,
    candidates: Some(400),
    kept: 200,
    clip: true,
};

/// torchvision's of SSDLite: six scales from 0.2 to 0.95.
pub(super) const SSDLITE_TORCHVISION: Detector = Detector {
    levels: &[
        Level::even(0.2, 0.35),
        Level::even(0.35, 0.5),
        Level::even(0.5, 0.65),
        Level::even(0.65, 0.8),
        Level::even(0.8, 0.95),
        Level::even(0.95, 1.0),
    ],
    score: 0.001,
    overlap: 0.55,
    candidates: Some(300),
    kept: 300,
    clip: true,
};

/// That of MobileNeXt's authors.
pub(super) const SSDLITE: Detector = Detector {
    levels: &[
        Level::of(320.0, 16.0, 45.0, 120.0, &[2.0, 3.0]),
        Level::of(320.0, 32.0, 90.0, 180.0, &[2.0, 3.0]),
        Level::of(320.0, 64.0, 135.0, 220.0, &[2.0, 3.0]),
        Level::of(320.0, 120.0, 180.0, 260.0, &[2.0, 3.0]),
        Level::of(320.0, 160.0, 225.0, 300.0, &[2.0, 3.0]),
        Level::of(320.0, 320.0, 270.0, 320.0, &[2.0, 3.0]),
    ],
    score: 0.01,
    overlap: 0.45,
    candidates: None,
    kept: 100,
    clip: false,
};
