//! Graphs as bytes: as they were built, before any pass.

use super::{Activation, BatchNorm, Conv2d, ConvArgs, Graph, Node, Op, Param, Pool, PoolKind, Source};
use crate::tensor::Padding;
use crate::wire::{Codec, Wire, wire_enum, wire_struct};

wire_struct!(Graph { name, in_channels, nodes, params, outputs, aliases });
wire_struct!(Node { name, op, inputs });
wire_struct!(Param { name, shape, source });
wire_struct!(BatchNorm { gamma, beta, mean, var, eps });
wire_struct!(Pool { kind, kernel, stride, padding });
wire_enum!(PoolKind { Max, Average });
wire_enum!(Padding { Symmetric, Same, SameFixed, Valid });
wire_enum!(Activation { Identity, Relu, Relu6, Swish, Sigmoid, HardSwish, HardSigmoid });

impl Wire for Source {
    fn blank() -> Self {
        Self::Checkpoint
    }

    fn wire<C: Codec>(&mut self, codec: &mut C) {
        if *self != Self::Checkpoint {
            codec.fail();
        }
    }
}

impl Wire for Conv2d {
    fn blank() -> Self {
        Self::plain(0, None, ConvArgs::pointwise(0), Padding::Symmetric)
    }

    fn wire<C: Codec>(&mut self, codec: &mut C) {
        if !self.is_plain() || self.act != Activation::Identity || self.gate || self.first.is_some() {
            return codec.fail();
        }
        for number in
            [&mut self.weight, &mut self.out, &mut self.kernel, &mut self.stride, &mut self.dilation, &mut self.groups]
        {
            number.wire(codec);
        }
        self.bias.wire(codec);
        self.padding.wire(codec);
    }
}

impl Wire for Op {
    fn blank() -> Self {
        Self::Input
    }

    fn wire<C: Codec>(&mut self, codec: &mut C) {
        let built = [
            Self::Input,
            Self::Conv2d(Conv2d::blank()),
            Self::BatchNorm(BatchNorm::blank()),
            Self::Activation(Activation::blank()),
            Self::L2Norm { scale: 0 },
            Self::GlobalAvgPool,
            Self::Pool(Pool::blank()),
            Self::Scale { residual: false },
            Self::Add { channels: None },
            Self::Concat,
            Self::Slice { first: 0, channels: 0 },
            Self::Shuffle { groups: 0 },
        ];
        codec.variant(self, &built);
        match self {
            Self::Input | Self::GlobalAvgPool | Self::Concat => {}
            Self::Conv2d(conv) => conv.wire(codec),
            Self::BatchNorm(bn) => bn.wire(codec),
            Self::Activation(act) => act.wire(codec),
            Self::L2Norm { scale } => scale.wire(codec),
            Self::Pool(pool) => pool.wire(codec),
            Self::Scale { residual } => residual.wire(codec),
            Self::Add { channels } => channels.wire(codec),
            Self::Slice { first, channels } => {
                first.wire(codec);
                channels.wire(codec);
            }
            Self::Shuffle { groups } => groups.wire(codec),
            Self::SqueezeExcite(_) => codec.fail(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Builder;
    use crate::wire::{decode, encode};

    #[test]
    fn every_operation_and_choice_crosses() {
        let mut b = Builder::new("all", 3, Padding::Same, 1e-3);
        let mut x = b.conv("conv", b.input(), ConvArgs::dense(8, 3, 2).with_bias()).unwrap();
        let acts = [
            Activation::Relu,
            Activation::Relu6,
            Activation::Swish,
            Activation::Sigmoid,
            Activation::HardSwish,
            Activation::HardSigmoid,
        ];
        for (i, act) in acts.into_iter().enumerate() {
            x = b.bn_act(&format!("bn{i}"), x, act).unwrap();
        }
        for padding in [Padding::Symmetric, Padding::SameFixed, Padding::Valid] {
            let name = format!("{padding:?}");
            x = b.padded(padding, |b| b.conv(&name, x, ConvArgs::depthwise(8, 3, 1).dilated(2))).unwrap();
        }
        x = b.squeeze_excite("se", x, 2, Activation::Relu, Activation::HardSigmoid).unwrap();
        x = b.l2_norm("norm", x, "norm.scale").unwrap();
        let half = b.slice("half", x, 4, 4).unwrap();
        x = b.pool("max", x, PoolKind::Max, 3, 2).unwrap();
        x = b.pool("average", x, PoolKind::Average, 2, 1).unwrap();
        x = b.shuffle("shuffle", x, 2).unwrap();
        x = b.add("add", x, x).unwrap();
        x = b.add_first("add_first", x, x, 3).unwrap();
        x = b.concat("concat", x, half).unwrap();
        x = b.linear("linear", x, 5).unwrap();
        b.unused_bn("unused", 7);
        b.output("logits", x);
        let graph = b.finish().unwrap();
        let bytes = encode(&mut graph.clone()).unwrap();
        assert_eq!(decode::<Graph>(&bytes), Some(graph));
        assert!((0..bytes.len()).all(|end| decode::<Graph>(&bytes[..end]).is_none()));
    }

    #[test]
    fn what_passes_made_does_not_cross() {
        let mut b = Builder::new("net", 3, Padding::Same, 1e-3);
        let x = b.conv("conv", b.input(), ConvArgs::dense(8, 3, 2)).unwrap();
        b.output("logits", x);
        let graph = b.finish().unwrap();
        let changed = |change: fn(&mut Conv2d)| {
            let mut graph = graph.clone();
            let Op::Conv2d(conv) = &mut graph.nodes[1].op else { panic!("{graph:?}") };
            change(conv);
            encode(&mut graph)
        };
        assert!(changed(|_| {}).is_some());
        let fused: [fn(&mut Conv2d); 4] =
            [|c| c.act = Activation::Relu, |c| c.gate = true, |c| c.pool = true, |c| c.first = Some(0)];
        assert!(fused.into_iter().all(|change| changed(change).is_none()));
    }
}
