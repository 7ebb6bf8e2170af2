//! A stage of a network: blocks from the tables, or from a function of one's own.

use super::blocks::{Block, block};
use super::fault::{Fault, MOST_BLOCKS, fault};
use crate::error::{Error, Result};
use crate::graph::{Builder, Value};
use crate::tensor::Padding;
use std::fmt;
use std::sync::Arc;

/// Blocks that follow one another.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Blocks of the kinds there are.
    Blocks(Vec<Block>),
    /// Blocks of one's own.
    Own(OwnBlocks),
}

/// Blocks that a function builds; equal to its clones.
#[derive(Clone)]
pub struct OwnBlocks {
    repeats: usize,
    build: Arc<BuildBlock>,
}

type BuildBlock = dyn Fn(&mut Builder, Value, usize) -> Result<Value> + Send + Sync;

impl Stage {
    /// `repeats` of a block, of which the first alone has the stride.
    pub fn repeat(repeats: usize, block: Block) -> Self {
        // One more than may be is enough to be refused.
        let repeats = repeats.min(MOST_BLOCKS + 1);
        Self::Blocks((0..repeats).map(|r| if r == 0 { block } else { block.stride(1) }).collect())
    }

    /// See [`super::Network::own_stage`].
    pub fn own(
        repeats: usize,
        build: impl Fn(&mut Builder, Value, usize) -> Result<Value> + Send + Sync + 'static,
    ) -> Self {
        Self::Own(OwnBlocks { repeats, build: Arc::new(build) })
    }

    /// How many blocks there are.
    pub fn repeats(&self) -> usize {
        match self {
            Self::Blocks(blocks) => blocks.len(),
            Self::Own(own) => own.repeats,
        }
    }

    /// Builds every block in a scope named by its number; `number` and `arch` are for errors.
    pub(super) fn build(
        &self,
        b: &mut Builder,
        mut x: Value,
        number: usize,
        padding: Padding,
        arch: &str,
    ) -> Result<Value> {
        self.check_repeats().map_err(|fault| fault.in_stage(number).error(arch))?;
        for r in 0..self.repeats() {
            let built = b.scope(&r.to_string(), |b| match self {
                Self::Blocks(blocks) => {
                    blocks[r].check(x.channels, padding).map_err(|fault| fault.in_block(number, r).error(arch))?;
                    block(b, x, &blocks[r])
                }
                Self::Own(own) => (own.build)(b, x, r).map_err(|error| within(error, number, r, arch)),
            });
            x = built?;
        }
        Ok(x)
    }

    pub(super) fn check_repeats(&self) -> Result<(), Fault> {
        let repeats = self.repeats();
        fault("repeats", !(1..=MOST_BLOCKS).contains(&repeats), || {
            format!("{}: must be 1 to {MOST_BLOCKS}", if repeats > MOST_BLOCKS { "too many" } else { "0" })
        })
    }
}

/// What went wrong in a block of one's own, with the block's place.
fn within(error: Error, stage: usize, block: usize, arch: &str) -> Error {
    let at = format!("stage {stage}, block {block}");
    match error {
        Error::Architecture { arch, place, problem } => {
            Error::Architecture { arch, place: format!("{at}, {place}"), problem }
        }
        other => Error::Architecture { arch: arch.into(), place: at, problem: other.to_string() },
    }
}

impl fmt::Debug for OwnBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnBlocks({})", self.repeats)
    }
}

impl PartialEq for OwnBlocks {
    fn eq(&self, other: &Self) -> bool {
        self.repeats == other.repeats && Arc::ptr_eq(&self.build, &other.build)
    }
}
