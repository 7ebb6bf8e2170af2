//! An EfficientNet of your own: a table of stages, compound scaling, then the same proof as for a published model.
//!
//! `examples/custom.toml` is this network as a file, for the program's `describe` and `verify`.
//!
//! ```sh
//! cargo run --release --example custom_architecture
//! ```

use mbconv::gpu::{Gpu, Select};
use mbconv::session::{Bundle, verify};
use mbconv::weights::{Synthetic, make_input};
use mbconv::zoo::efficientnet::{BlockArgs, EfficientNet, Scaling};
use mbconv::zoo::{self, Model, Options};
use mbconv::{Shape, Tensor};

fn main() -> mbconv::Result<()> {
    // As in the paper's table 1: kernel, repeats, channels in and out, expansion, stride, squeeze-excite share.
    let stage =
        BlockArgs { kernel: 3, repeats: 1, input: 24, out: 16, expand: 1, skip: true, stride: 1, se: Some(0.25) };
    let stages = vec![
        stage,
        BlockArgs { repeats: 2, input: 16, out: 32, expand: 4, stride: 2, se: None, ..stage },
        BlockArgs { kernel: 7, repeats: 2, input: 32, out: 64, expand: 4, stride: 2, ..stage },
        BlockArgs { kernel: 5, repeats: 3, input: 64, out: 128, expand: 6, stride: 2, skip: false, ..stage },
    ];
    // phi = 1: 1.1 times the channels, 1.2 times the blocks, 1.15 times the resolution.
    let arch = EfficientNet { stages, head: 512, ..EfficientNet::scaled(Scaling::compound(1.0)) };
    let model = Model::custom("custom", arch);

    // The file says the same.
    let file = zoo::from_file(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/custom.toml").as_ref())?;
    assert_eq!(file.build(&Options::default())?, model.build(&Options::default())?);

    // A graph needs no weights to be counted. 10 classes instead of ImageNet's 1000.
    let options = Options { num_classes: 10, ..Options::default() };
    let side = model.resolution;
    let counts = model.build(&options)?.counts(side, side)?;
    println!("{side}x{side}: {} parameters, {} multiply-adds", counts.params, counts.madds);

    // Weights by a rule, the same on every machine; Bundle::new(model, checkpoint) takes trained ones.
    let bundle = Bundle::synthetic(model, &options, &Synthetic::default())?;
    let shape = Shape::new(1, 128, 128, 3);
    let input = Tensor::from_nchw(shape, &make_input("custom", [shape.n, shape.c, shape.h, shape.w]))?;

    // Every dispatch against the CPU reference on the same inputs, then the whole network.
    let report = pollster::block_on(async {
        let gpu = Gpu::open(&Select::Auto).await?;
        println!("{}", gpu.facts());
        verify(&gpu, &gpu.target(), &bundle, &input, |_, _| {}).await
    })?;
    for check in &report.end_to_end {
        println!("{}: relative L2 error {:.1e}, bound {:.0e}", check.label, check.rel_l2, check.bound);
    }
    match report.first_failure() {
        None => println!("all {} values within their bounds", report.checks().count()),
        Some(step) => println!("step {} ({}, {}) is off: {:.1e}", step.step, step.label, step.key, step.rel_l2),
    }
    Ok(())
}
