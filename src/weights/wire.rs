//! Weights as bytes: not their values, but where these are in a file.

use super::Weights;
use super::checkpoint::{Bytes, Checkpoint, Data, Entry};
use crate::error::{Error, Result};
use crate::graph::{Graph, Param};
use crate::wire::{wire_enum, wire_struct};
use safetensors::Dtype;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where one stored parameter of a graph is.
pub(crate) struct Place {
    /// The file's name of it, where that is not the graph's.
    name: Option<String>,
    dtype: Dtype,
    /// From the first byte of the parameter before it to its own, or back: layers alike have distances alike.
    ahead: usize,
    back: usize,
}

wire_struct!(Place { name, dtype, ahead, back });
wire_enum!(Dtype { F32, F16, BF16, F64 });

impl Weights {
    /// The place of each stored parameter of `graph` in the file they are from, in order.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a parameter that is not in a file.
    pub(crate) fn places(&self, graph: &Graph) -> Result<Vec<Place>> {
        let mut last = 0;
        let mut place = |param: &Param| {
            let entry = self.stored(&param.name)?;
            let Data::Stored(dtype, range) = &entry.data else {
                return Err(Error::bad(&entry.name, "is not in a file"));
            };
            let name = (entry.name != param.name).then(|| entry.name.clone());
            let (ahead, back) = (range.start.saturating_sub(last), last.saturating_sub(range.start));
            last = range.start;
            Ok(Place { name, dtype: *dtype, ahead, back })
        };
        graph.stored_params().map(&mut place).collect()
    }

    /// The weights of `graph` at these places of the file `bytes`; `path` names it in errors. Their values are checked
    /// as [`Weights::new`] does.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a place outside the file, [`Error::Mismatch`] for values that are none.
    pub(crate) fn at_places(graph: &Graph, places: Vec<Place>, path: String, bytes: Vec<u8>) -> Result<Self> {
        let mut start = 0_usize;
        let entry = |(param, place): (&Param, Place)| {
            start = start.checked_add(place.ahead)?.checked_sub(place.back)?;
            let width = match place.dtype {
                Dtype::F64 => 8,
                Dtype::F32 => 4,
                _ => 2,
            };
            let end = param.len().checked_mul(width).and_then(|length| start.checked_add(length));
            let range = start..end.filter(|&end| end <= bytes.len())?;
            let name = place.name.unwrap_or_else(|| param.name.clone());
            Some(Entry { name, shape: param.shape.clone(), data: Data::Stored(place.dtype, range) })
        };
        let entries = graph.stored_params().zip(places).map_while(entry).collect::<Vec<_>>();
        if entries.len() < graph.stored_params().count() {
            let problem = "truncated: not all of its tensors are there".into();
            return Err(Error::Checkpoint { path, problem });
        }
        let checkpoint =
            Arc::new(Checkpoint::with_entries(path, Bytes::Memory(bytes.into()), entries, BTreeMap::new())?);
        let places = graph.stored_params().enumerate().map(|(i, param)| (param.name.clone(), i)).collect();
        Self::checked(graph, checkpoint, places, Vec::new())
    }
}
