//! Networks of one's own: what blocks make of a table, and what keeps a network from being built.

use mbconv::graph::Activation::{Identity, Relu6};
use mbconv::graph::{ConvArgs, Counts};
use mbconv::zoo::{Block, Ends, Head, Kind, Model, Network, Options, Skip, Squeeze, Stem, Width};
use mbconv::{Error, Padding, Result};

const STEM: Stem = Stem { out: 32, stride: 2, act: Relu6 };

fn counts(network: Network, side: usize) -> Counts {
    Model::custom("own", network).build(&Options::default()).unwrap().counts(side, side).unwrap()
}

fn error(network: Network) -> String {
    network.build("own", &Options::default()).unwrap_err().to_string()
}

/// torchvision's and the authors' counts, from the reference files of mobilenetv2_100 and mobilenext_100.
#[test]
fn published_networks_in_blocks_count_as_published() {
    let mobilenet_v2 = Network::new(STEM)
        .stage(1, Block::new(Kind::Linear, 16))
        .stage(2, Block::inverted_residual(6.0, 24).stride(2))
        .stage(3, Block::inverted_residual(6.0, 32).stride(2))
        .stage(4, Block::inverted_residual(6.0, 64).stride(2))
        .stage(3, Block::inverted_residual(6.0, 96))
        .stage(3, Block::inverted_residual(6.0, 160).stride(2))
        .stage(1, Block::inverted_residual(6.0, 320))
        .head(Head::Conv(1280, Relu6));
    assert_eq!(counts(mobilenet_v2, 224), Counts { params: 3_504_872, madds: 300_774_272 });

    let wide = |out| Block::sandglass(6.0, out);
    let first = |hidden, ends, out| Block::new(Kind::Sandglass(ends), out).hidden(hidden);
    let mobilenext = Network::new(STEM)
        .stage(1, Block::sandglass(2.0, 96).stride(2))
        .stage(1, wide(144).hidden(32))
        .stage(1, first(32, Ends::Last, 192).stride(2))
        .stage(2, wide(192))
        .stage(1, first(48, Ends::Last, 288).stride(2))
        .stage(2, wide(288))
        .stage(1, first(64, Ends::Neither, 384))
        .stage(3, wide(384))
        .stage(1, first(96, Ends::Last, 576).stride(2))
        .stage(3, wide(576))
        .stage(1, first(160, Ends::Neither, 960))
        .stage(2, wide(960))
        .stage(1, wide(1280).hidden(208));
    assert_eq!(counts(mobilenext, 224), Counts { params: 3_535_416, madds: 311_342_592 });
}

#[test]
fn channels_inside_are_rounded_down_and_never_none() {
    let hidden = |block: Block| {
        let graph = Network::new(STEM).stage(1, block).build("own", &Options::default()).unwrap();
        graph.params.iter().find(|p| p.name.contains("conv_reduce.weight")).unwrap().shape[0]
    };
    assert_eq!(hidden(Block::sandglass(6.0, 32)), 5);
    assert_eq!(hidden(Block::sandglass(32.0 / 3.0, 32)), 3, "what is a whole number but for rounding is one");
    assert_eq!(hidden(Block::sandglass(100.0, 32)), 1);
}

#[test]
fn wrong_blocks_name_stage_block_and_field() {
    let sandglass = Block::sandglass(4.0, 32);
    let squeeze = |hidden| Squeeze { hidden, act: Relu6, gate: Relu6 };
    for (repeats, block, says) in [
        (2, sandglass.groups(5), "stage 1, block 0, groups: 5: must divide"),
        (2, sandglass.groups(0), "stage 1, block 0, groups: 0"),
        (
            2,
            sandglass.stride(2).skip(Skip::Always),
            "stage 1, block 0, skip: the shortcut is wanted always, but stride 2",
        ),
        (
            1,
            Block { out: 48, ..sandglass }.skip(Skip::Always),
            "block 0, skip: the shortcut is wanted always, but 32 channels come in and 48 go out",
        ),
        (1, sandglass.kernel(0), "stage 1, block 0, kernel: 0"),
        (1, sandglass.kernel(256), "stage 1, block 0, kernel: 256"),
        (1, sandglass.kernel(4), "stage 1, block 0, kernel: 4: an even window"),
        (2, Block::inverted_residual(2.0, 32).stride(2).kernel(2), "stage 1, block 1, kernel: 2: an even window"),
        (1, sandglass.stride(0), "stage 1, block 0, stride: 0"),
        (1, sandglass.hidden(0), "stage 1, block 0, hidden: 0"),
        (1, Block::sandglass(0.0, 32), "stage 1, block 0, hidden: a share"),
        (1, Block::sandglass(4.0, 0), "stage 1, block 0, out: 0"),
        (1, Block::inverted_residual(1e9, 32), "stage 1, block 0, hidden: 32000000000 channels"),
        (1, sandglass.squeeze(squeeze(Width::Channels(0))), "stage 1, block 0, se: 0 channels"),
        (1, sandglass.squeeze(squeeze(Width::OfInput(f64::NAN))), "stage 1, block 0, se: a share"),
        (1, sandglass.identity(-0.1), "stage 1, block 0, identity: -0.1"),
        (0, sandglass, "stage 1, repeats: 0"),
        (usize::MAX, sandglass, "stage 1, repeats: too many"),
    ] {
        let error = error(Network::new(STEM).stage(1, sandglass).stage(repeats, block));
        assert!(error.starts_with("architecture own, stage 1, ") && error.contains(says), "{says}: {error}");
    }
    assert!(error(Network::new(Stem { out: 0, ..STEM })).contains("own, stem.out: 0"));
    assert!(error(Network::new(STEM).head(Head::Conv(0, Relu6))).contains("own, head.out: 0"));
    assert!(error(Network::new(STEM).bn_eps(0.0)).contains("own, bn_eps: 0"));
}

/// TensorFlow's padding takes any window; a window of two that moves by two loses nothing under symmetric padding.
#[test]
fn even_windows_that_keep_the_size_are_built() {
    let even = Network::new(STEM).stage(2, Block::inverted_residual(2.0, 32).kernel(4)).padding(Padding::Same);
    counts(even, 32);
    counts(Network::new(STEM).stage(1, Block::inverted_residual(2.0, 64).stride(2).kernel(2)), 32);
}

#[test]
fn the_shortcut_takes_its_share_of_the_channels() {
    let adds = |block: Block| {
        let graph = Network::new(STEM).stage(1, block).build("own", &Options::default()).unwrap();
        graph.nodes.iter().find(|n| n.name == "blocks.0.0.residual").map(|n| format!("{:?}", n.op))
    };
    let block = Block::sandglass(4.0, 32);
    assert_eq!(adds(block).unwrap(), "Add { channels: None }");
    assert_eq!(adds(block.skip(Skip::Always).identity(0.25)).unwrap(), "Add { channels: Some(8) }");
    assert_eq!(adds(block.skip(Skip::Never)), None);
    assert_eq!(adds(block.identity(0.0)), None);
    assert_eq!(adds(block.stride(2)), None);
}

#[test]
fn blocks_of_ones_own_have_scoped_names_and_placed_errors() {
    let plain = Network::new(STEM).stage(1, Block::sandglass(4.0, 32));
    let network = plain.clone().own_stage(2, |b, x, r| {
        let y = b.conv("conv_dw", x, ConvArgs::depthwise(x.channels, 3 + 2 * r, 1))?;
        let y = b.bn_act("bn1", y, Identity)?;
        b.add("residual", y, x)
    });
    let graph = network.build("own", &Options::default()).unwrap();
    let shape = |name: &str| graph.params.iter().find(|p| p.name == name).map(|p| p.shape.clone());
    assert_eq!(shape("blocks.1.0.conv_dw.weight"), Some(vec![32, 1, 3, 3]));
    assert_eq!(shape("blocks.1.1.conv_dw.weight"), Some(vec![32, 1, 5, 5]));
    assert!(graph.find("blocks.1.1").is_ok() && graph.find("blocks.1").is_ok());

    let mismatch = plain.clone().own_stage(2, |b, x, r| {
        let y = b.conv("conv", x, ConvArgs::pointwise(x.channels + 8 * r))?;
        b.add("residual", y, x)
    });
    let got = error(mismatch);
    assert!(got.contains("stage 1, block 1, blocks.1.1.residual: the operands have 40 and 32 channels"), "{got}");
    let odd =
        plain.clone().own_stage(1, |b, x, _| b.conv("conv", x, ConvArgs { groups: 3, ..ConvArgs::pointwise(32) }));
    let got = error(odd);
    assert!(got.contains("stage 1, block 0, blocks.1.0.conv: 3 groups must divide 32"), "{got}");
    let other = plain.own_stage(1, |_, _, _| Err(Error::bad("my block", "no idea")));
    let got = error(other);
    assert!(got.contains("stage 1, block 0: my block: no idea"), "{got}");
}

/// What depends on the input's size is an error once the size is known.
#[test]
fn sizes_that_do_not_fit_name_stage_and_block() {
    let shapes = |network: Network, side| -> Result<()> {
        network.build("own", &Options::default())?.shapes(1, side, side).map(|_| ())
    };
    let plain = Network::new(STEM).stage(1, Block::sandglass(4.0, 32).stride(2));
    let strided = plain.clone().own_stage(1, |b, x, _| {
        let y = b.conv("conv", x, ConvArgs::dense(32, 3, 2))?;
        b.add("residual", y, x)
    });
    let got = shapes(strided, 32).unwrap_err().to_string();
    assert!(got.contains("node blocks.1.0.residual (stage 1, block 0): ") && got.contains("must be 1x4x4x32"), "{got}");

    let large = plain.padding(Padding::SameFixed).stage(1, Block::inverted_residual(2.0, 32).kernel(5).stride(2));
    assert!(shapes(large.clone(), 32).is_ok());
    let got = shapes(large, 4).unwrap_err().to_string();
    assert!(got.contains("node blocks.1.0.conv_dw (stage 1, block 0): a 5x5 window does not fit"), "{got}");
}
