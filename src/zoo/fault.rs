//! What is wrong with a table: the part, the field and the reason, before it becomes an error.

use crate::error::Error;

/// The most channels and pixels along an edge: far above any network, far below where sizes overflow.
pub(super) const MOST: usize = 1 << 14;
/// The largest window and stride.
pub(super) const MOST_STEP: usize = 255;
/// The most blocks in a stage.
pub(super) const MOST_BLOCKS: usize = 1000;

/// A field that cannot be so, in a table of stages.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    /// Number of the stage, where it is in one.
    pub stage: Option<usize>,
    /// Number of the block in the stage, where blocks differ.
    pub block: Option<usize>,
    /// The field, `kernel`, or `scaling.width` outside the stages.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// A [`Fault`] in `field` of a block where `wrong` holds.
pub(super) fn fault(field: &'static str, wrong: bool, problem: impl FnOnce() -> String) -> Result<(), Fault> {
    if wrong { Err(Fault { stage: None, block: None, field, problem: problem() }) } else { Ok(()) }
}

impl Fault {
    /// The same in a stage.
    pub(super) fn in_stage(self, stage: usize) -> Self {
        Self { stage: Some(stage), ..self }
    }

    /// The same in a block of a stage.
    pub(super) fn in_block(self, stage: usize, block: usize) -> Self {
        Self { stage: Some(stage), block: Some(block), ..self }
    }

    /// `stage 2, block 0, kernel`.
    pub(super) fn place(&self) -> String {
        let numbered = |what: &str, number: Option<usize>| number.map(|n| format!("{what} {n}, ")).unwrap_or_default();
        format!("{}{}{}", numbered("stage", self.stage), numbered("block", self.block), self.field)
    }

    /// The error that says so.
    pub(super) fn error(self, arch: &str) -> Error {
        Error::Architecture { arch: arch.into(), place: self.place(), problem: self.problem }
    }
}
