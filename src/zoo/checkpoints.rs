//! Whose weights a model can take: facts that belong beside each registry entry.

use serde::Serialize;

/// Checkpoints of a model from one origin: how they name their tensors, and the licence they are published under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Checkpoints {
    /// The library or repository that defines the model so.
    pub origin: &'static str,
    /// The naming scheme, as `weights::Scheme` prints it.
    pub naming: &'static str,
    /// Whether the origin publishes weights trained on the model's task. Else these are the names of one's own.
    pub published: bool,
    /// SPDX identifier of the published weights' licence, where their origin states one.
    pub licence: Option<&'static str>,
}

impl Checkpoints {
    /// timm's published weights.
    pub const TIMM: Self = Self::of("timm").published("Apache-2.0");
    /// timm's names, without weights from there.
    pub const TIMM_NAMES: Self = Self::of("timm");
    /// torchvision's published weights.
    pub const TORCHVISION: Self = Self::of("torchvision").published("BSD-3-Clause");
    /// torchvision's names, without weights from there.
    pub const TORCHVISION_NAMES: Self = Self::of("torchvision");

    /// An origin whose naming scheme is called as it is, without published weights.
    pub const fn of(origin: &'static str) -> Self {
        Self { origin, naming: origin, published: false, licence: None }
    }

    /// The same with a naming scheme of another name.
    pub const fn named(mut self, naming: &'static str) -> Self {
        self.naming = naming;
        self
    }

    /// The same with published weights under a licence.
    pub const fn published(mut self, licence: &'static str) -> Self {
        self.published = true;
        self.licence = Some(licence);
        self
    }
}
