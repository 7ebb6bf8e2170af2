//! Blocks of your own: four networks built part by part, counted, run with random weights and verified.
//!
//! `examples/sandglass.toml` and `examples/hybrid.toml` are two of them as files, for the program's `describe` and
//! `verify`.
//!
//! ```sh
//! cargo run --release --example own_block
//! ```

use mbconv::gpu::{Gpu, Select};
use mbconv::graph::Activation::{HardSigmoid, HardSwish, Identity, Relu, Relu6};
use mbconv::graph::{Builder, ConvArgs, Value};
use mbconv::session::{Bundle, verify};
use mbconv::weights::{Synthetic, make_input};
use mbconv::zoo::{self, Block, Head, Model, Network, Squeeze, Stem, Width};
use mbconv::{Shape, Tensor};
use std::sync::Arc;

const SIDE: usize = 96;

fn main() -> mbconv::Result<()> {
    let gpu = pollster::block_on(Gpu::open(&Select::Auto))?;
    println!("{}", gpu.facts());
    let networks = [
        ("sandglass", sandglass()),
        ("inverted", inverted_residual()),
        ("hybrid", hybrid()),
        ("mixed", mixed_windows()),
    ];
    for (name, network) in networks {
        let model = Model::custom(name, network).at(SIDE);
        let file = format!("{}/examples/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        if std::path::Path::new(&file).exists() {
            let same = zoo::from_file(file.as_ref())?.build(&Default::default())?;
            assert_eq!(same, model.build(&Default::default())?, "the file says the same");
        }
        check(&gpu, model)?;
    }

    // Wiring that cannot be is an error that names the place.
    let wrong = Network::new(STEM).stage(2, Block::sandglass(6.0, 96).groups(5));
    println!("{}", Model::custom("wrong", wrong).build(&Default::default()).unwrap_err());
    Ok(())
}

const STEM: Stem = Stem { out: 32, stride: 2, act: Relu6 };

/// Depthwise, reduce, expand, depthwise; of a stage's blocks the first alone has the stride.
fn sandglass() -> Network {
    Network::new(STEM)
        .stage(1, Block::sandglass(2.0, 96).stride(2))
        .stage(1, Block::sandglass(6.0, 144))
        .stage(3, Block::sandglass(6.0, 192).stride(2))
        .stage(3, Block::sandglass(6.0, 288).stride(2).identity(0.5)) // half of the channels take the shortcut
        .stage(1, Block::sandglass(6.0, 384))
}

fn inverted_residual() -> Network {
    Network::new(STEM)
        .stage(1, Block::inverted_residual(1.0, 16))
        .stage(2, Block::inverted_residual(6.0, 24).stride(2))
        .stage(3, Block::inverted_residual(6.0, 40).stride(2).kernel(5).act(HardSwish).se(0.25))
        .stage(2, Block::inverted_residual(6.0, 96).stride(2))
        .head(Head::Conv(640, Relu6))
}

/// Fused-MBConv early, then sandglasses with 5x5 windows and squeeze-and-excitation: in no paper.
fn hybrid() -> Network {
    let se = Squeeze { hidden: Width::OfHidden(0.5), act: Relu, gate: HardSigmoid };
    Network::new(STEM)
        .stage(2, Block::fused(4.0, 48).stride(2).act(HardSwish))
        .stage(3, Block::sandglass(4.0, 128).stride(2).kernel(5).act(HardSwish).squeeze(se))
        .stage(3, Block::sandglass(4.0, 256).stride(2).kernel(5).act(HardSwish).squeeze(se))
        .head(Head::Conv(512, HardSwish))
}

fn mixed_windows() -> Network {
    Network::new(STEM)
        .stage(1, Block::inverted_residual(4.0, 64).stride(2))
        .own_stage(2, |b, x, _| mixed(b, x, [3, 5]))
        .stage(1, Block::inverted_residual(4.0, 128).stride(2))
        .own_stage(3, |b, x, r| mixed(b, x, [3, 5 + 2 * (r % 2)]))
}

/// A block from the operations themselves: half of the channels under each window. Names are the block's own.
fn mixed(b: &mut Builder, x: Value, kernels: [usize; 2]) -> mbconv::Result<Value> {
    let half = x.channels / 2;
    let (first, second) = (b.slice("first", x, 0, half)?, b.slice("second", x, half, x.channels - half)?);
    let first = b.conv("conv_small", first, ConvArgs::depthwise(first.channels, kernels[0], 1))?;
    let second = b.conv("conv_large", second, ConvArgs::depthwise(second.channels, kernels[1], 1))?;
    let y = b.concat("concat", first, second)?;
    let y = b.bn_act("bn1", y, HardSwish)?;
    let y = b.squeeze_excite("se", y, x.channels / 4, Relu, HardSigmoid)?;
    let y = b.conv("conv_pw", y, ConvArgs::pointwise(x.channels))?;
    let y = b.bn_act("bn2", y, Identity)?;
    b.add("residual", y, x)
}

/// Counts it, gives it weights by a rule and compares every dispatch, then the whole network, with the CPU reference.
fn check(gpu: &Arc<Gpu>, model: Model) -> mbconv::Result<()> {
    let name = model.name.clone();
    let counts = model.build(&model.options())?.counts(SIDE, SIDE)?;
    let bundle = Bundle::synthetic(model.clone(), &model.options(), &Synthetic::default())?;
    let input = Tensor::from_nchw(Shape::new(1, SIDE, SIDE, 3), &make_input("own", [1, 3, SIDE, SIDE]))?;
    let report = pollster::block_on(verify(gpu, &gpu.target(), &bundle, &input, |_, _| {}))?;
    let worst = report.checks().map(|c| c.rel_l2 / c.bound).fold(0.0, f64::max);
    print!("{name}: {} parameters, {} multiply-adds at {SIDE}x{SIDE}, ", counts.params, counts.madds);
    match report.first_failure() {
        None => println!("{} values right, the worst at {:.0} % of its bound", report.checks().count(), 100.0 * worst),
        Some(c) => println!("step {} ({}) is off by {:.1e}", c.step, c.label, c.rel_l2),
    }
    Ok(())
}
