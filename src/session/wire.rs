//! A model as bytes: what a device needs of it (graph, places of the weights in their file, preprocessing), so that the
//! module which runs networks in a browser knows no architecture and no checkpoint's names.

use super::Bundle;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::weights::Place;
use crate::wire::{Codec, Wire, wire_enum, wire_struct};
use crate::zoo::{CropMode, Interpolation, Preprocess};

struct Network {
    graph: Graph,
    places: Vec<Place>,
    preprocess: Preprocess,
}

wire_struct!(Network { graph, places, preprocess });
wire_enum!(CropMode { Center, Squash });
wire_enum!(Interpolation { Bilinear, Bicubic });

impl Wire for Preprocess {
    fn blank() -> Self {
        Self::default()
    }

    fn wire<C: Codec>(&mut self, codec: &mut C) {
        self.size.iter_mut().for_each(|side| side.wire(codec));
        self.crop_pct.wire(codec);
        self.crop_mode.wire(codec);
        self.interpolation.wire(codec);
        for statistic in [&mut self.mean, &mut self.std] {
            let mut values = statistic.to_vec();
            values.wire(codec);
            *statistic = values.into();
        }
    }
}

impl Bundle {
    /// The bytes from which [`Bundle::from_network`] makes it again, with the file of its weights.
    ///
    /// # Errors
    /// [`Error::BadInput`] for weights that are not from a file, or a graph that passes have changed.
    pub(crate) fn network(&self) -> Result<Vec<u8>> {
        let places = self.weights.places(&self.graph)?;
        let mut network = Network { graph: self.graph.clone(), places, preprocess: self.preprocess.clone() };
        crate::wire::encode(&mut network)
            .ok_or_else(|| Error::bad(&self.graph.name, "the graph is not as it was built"))
    }
}

impl Bundle<()> {
    /// What [`Bundle::network`] wrote, with the bytes of the file of weights that it was made for; `path` names that in
    /// errors.
    ///
    /// # Errors
    /// [`Error::BadInput`] for other bytes, [`Error::Checkpoint`] or [`Error::Mismatch`] for a file with less or other
    /// values than there must be.
    pub(crate) fn from_network(network: &[u8], path: String, bytes: Vec<u8>) -> Result<Self> {
        let network = crate::wire::decode::<Network>(network);
        let Network { graph, places, preprocess } =
            network.ok_or_else(|| Error::bad("network", "not written by this version of the package"))?;
        graph.verify()?;
        let weights = crate::weights::Weights::at_places(&graph, places, path, bytes)?;
        Ok(Self { model: (), graph, weights, preprocess, labels: crate::vision::Labels::none() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{Checkpoint, Synthetic, serialize};
    use crate::wire::{decode, encode};
    use crate::zoo;

    #[test]
    fn every_registered_graph_crosses() {
        for model in zoo::models() {
            let graph = model.build(&model.options()).unwrap();
            let bytes = encode(&mut graph.clone()).unwrap();
            assert_eq!(decode::<Graph>(&bytes), Some(graph), "{}", model.name);
        }
    }

    fn bundle() -> (Bundle, Vec<u8>) {
        let model = zoo::find("mobilenetv3_small_050").unwrap();
        let state = Synthetic::default().state_of(&model.build(&model.options()).unwrap()).unwrap();
        let values = |n: &str| state.read_f32(n).unwrap().into_owned();
        let tensors = state.names().map(|n| (n.to_string(), state.shape(n).unwrap().to_vec(), values(n)));
        let file = serialize("file", &tensors.collect::<Vec<_>>(), &[]).unwrap();
        let head = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let header = Checkpoint::from_header("file", &file[..head], file.len()).unwrap();
        (Bundle::new(model, header).unwrap(), file)
    }

    #[test]
    fn a_bundle_crosses_without_its_values() {
        let (bundle, file) = bundle();
        let network = bundle.network().unwrap();
        assert!(network.len() < 20_000, "{} bytes", network.len());
        let here = Bundle::from_network(&network, "file".into(), file.clone()).unwrap();
        assert_eq!((&here.graph, &here.preprocess), (&bundle.graph, &bundle.preprocess));
        let whole = Bundle::new(bundle.model.clone(), Checkpoint::from_bytes("file", file).unwrap()).unwrap();
        for id in 0..here.graph.params.len() {
            assert_eq!(here.weights.values(&here.graph, id).unwrap(), whole.weights.values(&whole.graph, id).unwrap());
        }
    }

    #[test]
    fn another_network_or_file_is_an_error() {
        let (bundle, file) = bundle();
        let network = bundle.network().unwrap();
        let error = |network: &[u8], file: &[u8]| {
            Bundle::from_network(network, "file".into(), file.to_vec()).map(|_| ()).unwrap_err()
        };
        assert!(matches!(error(&network[1..], &file), Error::BadInput { .. }));
        assert!(matches!(error(&network, &file[..file.len() - 1]), Error::Checkpoint { .. }));
        let mut spoiled = file.clone();
        let at = spoiled.len() - 4;
        spoiled[at..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(matches!(error(&network, &spoiled), Error::Mismatch { .. }));
    }
}
