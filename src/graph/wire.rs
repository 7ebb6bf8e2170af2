//! Graphs as bytes, as they were built or as passes left them. Further names of values stay behind: whoever wants such
//! a value makes it an output ([`Graph::with_outputs`]).

use super::{
    Activation, BatchNorm, Conv2d, ConvArgs, Graph, Join, Node, Op, Param, Pool, PoolKind, Source, SqueezeExcite,
};
use crate::tensor::Padding;
use crate::wire::{Codec, Wire, wire_enum, wire_struct};
use std::collections::BTreeMap;

wire_struct!(Node { name, op, inputs });
wire_struct!(Param { name, shape, source });
wire_struct!(BatchNorm { gamma, beta, mean, var, eps });
wire_struct!(SqueezeExcite { reduce_weight, reduce_bias, expand_weight, expand_bias, hidden, act, gate });
wire_struct!(Pool { kind, kernel, stride, padding });
wire_enum!(PoolKind { Max, Average });
wire_enum!(Padding { Symmetric, Same, SameFixed, Valid });
wire_enum!(Activation { Identity, Relu, Relu6, Swish, Sigmoid, HardSwish, HardSigmoid });

impl Wire for Graph {
    fn blank() -> Self {
        let (nodes, params, outputs, aliases) = (Vec::new(), Vec::new(), Vec::new(), BTreeMap::new());
        Self { name: String::new(), in_channels: 0, nodes, params, outputs, aliases }
    }

    fn wire<C: Codec>(&mut self, codec: &mut C) {
        self.name.wire(codec);
        self.in_channels.wire(codec);
        self.nodes.wire(codec);
        self.params.wire(codec);
        self.outputs.wire(codec);
    }
}

impl Wire for Source {
    fn blank() -> Self {
        Self::Checkpoint
    }

    fn wire<C: Codec>(&mut self, codec: &mut C) {
        let bn = BatchNorm::blank();
        codec.variant(
            self,
            &[Self::Checkpoint, Self::FoldedWeight { weight: None, bn }, Self::FoldedBias { bias: None, bn }],
        );
        match self {
            Self::Checkpoint => {}
            Self::FoldedWeight { weight: of, bn } | Self::FoldedBias { bias: of, bn } => {
                of.wire(codec);
                bn.wire(codec);
            }
        }
    }
}

impl Wire for Conv2d {
    fn blank() -> Self {
        Self::plain(0, None, ConvArgs::pointwise(0), Padding::Symmetric)
    }

    fn wire<C: Codec>(&mut self, codec: &mut C) {
        for number in [
            &mut self.weight,
            &mut self.out,
            &mut self.kernel,
            &mut self.stride,
            &mut self.dilation,
            &mut self.groups,
            &mut self.shuffle,
        ] {
            number.wire(codec);
        }
        for flag in [&mut self.gate, &mut self.keep_input, &mut self.pool] {
            flag.wire(codec);
        }
        self.bias.wire(codec);
        self.first.wire(codec);
        self.padding.wire(codec);
        self.act.wire(codec);
        self.join.wire(codec);
    }
}

impl Wire for Join {
    fn blank() -> Self {
        Self::None
    }

    fn wire<C: Codec>(&mut self, codec: &mut C) {
        codec.variant(self, &[Self::None, Self::Add, Self::AddFirst(0), Self::AddThenAct, Self::Interleave]);
        if let Self::AddFirst(channels) = self {
            channels.wire(codec);
        }
    }
}

impl Wire for Op {
    fn blank() -> Self {
        Self::Input
    }

    fn wire<C: Codec>(&mut self, codec: &mut C) {
        let all = [
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
            Self::SqueezeExcite(SqueezeExcite::blank()),
        ];
        codec.variant(self, &all);
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
            Self::SqueezeExcite(se) => se.wire(codec),
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
        let crossed = Graph { aliases: BTreeMap::new(), ..graph };
        assert_eq!(decode::<Graph>(&bytes), Some(crossed));
        assert!((0..bytes.len()).all(|end| decode::<Graph>(&bytes[..end]).is_none()));
    }

    #[test]
    fn what_passes_make_crosses() {
        let mut b = Builder::new("net", 3, Padding::Same, 1e-3);
        let x = b.conv("conv", b.input(), ConvArgs::dense(8, 3, 2)).unwrap();
        let x = b.bn_act("bn", x, Activation::Identity).unwrap();
        b.output("logits", x);
        let built = b.finish().unwrap();
        let crosses = |change: &dyn Fn(&mut Graph)| {
            let mut graph = built.clone();
            change(&mut graph);
            assert_ne!(graph, built);
            let bytes = encode(&mut graph.clone()).unwrap();
            assert_eq!(decode::<Graph>(&bytes), Some(graph));
        };
        let conv: [fn(&mut Conv2d); 10] = [
            |c| c.act = Activation::Relu,
            |c| c.gate = true,
            |c| c.pool = true,
            |c| c.first = Some(0),
            |c| c.keep_input = true,
            |c| c.shuffle = 2,
            |c| c.join = Join::Add,
            |c| c.join = Join::AddFirst(3),
            |c| c.join = Join::AddThenAct,
            |c| c.join = Join::Interleave,
        ];
        for change in conv {
            crosses(&|graph| {
                let Op::Conv2d(conv) = &mut graph.nodes[1].op else { panic!("{graph:?}") };
                change(conv);
            });
        }
        let Op::BatchNorm(bn) = built.nodes[2].op else { panic!("{built:?}") };
        for of in [None, Some(0)] {
            crosses(&|graph| graph.params[0].source = Source::FoldedWeight { weight: of, bn });
            crosses(&|graph| graph.params[0].source = Source::FoldedBias { bias: of, bn });
        }
        let (act, gate) = (Activation::Relu, Activation::HardSigmoid);
        let [reduce_weight, reduce_bias, expand_weight, expand_bias] = [1, 2, 3, 4];
        let se = SqueezeExcite { reduce_weight, reduce_bias, expand_weight, expand_bias, hidden: 9, act, gate };
        crosses(&|graph| graph.nodes[1].op = Op::SqueezeExcite(se));
    }
}
