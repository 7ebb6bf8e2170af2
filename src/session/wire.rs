//! A model as bytes: what a device needs of it (the graph behind all passes, places of the weights in their file,
//! preprocessing), so that the module which runs networks in a browser knows no architecture, no pass and no checkpoint's
//! names.

use super::Bundle;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::weights::Place;
use crate::wire::{Codec, Wire, wire_enum, wire_struct};
use crate::zoo::{CropMode, Interpolation, Preprocess};

/// What [`Bundle::network`] writes.
pub(crate) struct Network {
    /// Behind all passes.
    pub graph: Graph,
    /// Of its weights in their file.
    pub places: Vec<Place>,
    /// What the model expects of an image.
    pub preprocess: Preprocess,
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
    /// The bytes of a [`Network`] with the values of these names among its outputs.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name that the network does not have, [`Error::BadInput`] for weights that are not from a
    /// file.
    pub(crate) fn network(&self, names: &[String]) -> Result<Vec<u8>> {
        let graph = self.fused(names)?;
        let places = self.weights.places(&graph)?;
        let mut network = Network { graph, places, preprocess: self.preprocess.clone() };
        crate::wire::encode(&mut network).ok_or_else(|| Error::bad(&self.graph.name, "has what is in no list"))
    }
}

impl Network {
    /// What [`Bundle::network`] wrote.
    ///
    /// # Errors
    /// [`Error::BadInput`] for other bytes, [`Error::Architecture`].
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let network = crate::wire::decode::<Self>(bytes);
        let network = network.ok_or_else(|| Error::bad("network", "not written by this version of the package"))?;
        network.graph.verify()?;
        Ok(network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes;
    use crate::weights::{Checkpoint, Synthetic, Weights, serialize};
    use crate::wire::{decode, encode};
    use crate::zoo;

    #[test]
    fn every_registered_graph_crosses() {
        for model in zoo::models() {
            let graph = model.build(&model.options()).unwrap();
            for mut graph in [passes::run(&graph, &[]).0, graph] {
                graph.aliases.clear();
                let bytes = encode(&mut graph.clone()).unwrap();
                assert_eq!(decode::<Graph>(&bytes), Some(graph), "{}", model.name);
            }
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
        for names in [&[][..], &["blocks.1".to_string()]] {
            let bytes = bundle.network(names).unwrap();
            assert!(bytes.len() < 20_000, "{} bytes", bytes.len());
            let here = Network::read(&bytes).unwrap();
            let weights = Weights::at_places(&here.graph, here.places, "file".into(), file.clone()).unwrap();
            let fused = bundle.fused(names).unwrap();
            assert_eq!((&here.graph.nodes, &here.graph.outputs), (&fused.nodes, &fused.outputs));
            assert_eq!(here.graph.outputs.len(), bundle.graph.outputs.len() + names.len());
            assert_eq!(here.preprocess, bundle.preprocess);
            let whole =
                Bundle::new(bundle.model.clone(), Checkpoint::from_bytes("file", file.clone()).unwrap()).unwrap();
            for id in 0..fused.params.len() {
                assert_eq!(weights.values(&here.graph, id).unwrap(), whole.weights.values(&fused, id).unwrap());
            }
        }
        assert!(matches!(bundle.network(&["blocks.99".into()]), Err(Error::Unknown { .. })));
    }

    #[test]
    fn another_network_or_file_is_an_error() {
        let (bundle, file) = bundle();
        let network = bundle.network(&[]).unwrap();
        let error = |network: &[u8], file: &[u8]| {
            let at_places = |n: Network| Weights::at_places(&n.graph, n.places, "file".into(), file.to_vec());
            let weights = Network::read(network).and_then(at_places);
            weights.map(|_| ()).unwrap_err()
        };
        assert!(matches!(error(&network[1..], &file), Error::BadInput { .. }));
        assert!(matches!(error(&network, &file[..file.len() - 1]), Error::Checkpoint { .. }));
        let mut spoiled = file.clone();
        let at = spoiled.len() - 4;
        spoiled[at..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(matches!(error(&network, &spoiled), Error::Mismatch { .. }));
    }
}
