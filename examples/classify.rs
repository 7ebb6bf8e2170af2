//! Classify a photograph with the model that is in the program: file to five best classes.
//!
//! ```sh
//! cargo run --release --example classify [IMAGE]
//! ```

use mbconv::gpu::{Gpu, Select};
use mbconv::preprocess::{self, DecodeLimits};
use mbconv::session::{Bundle, Device, Session};
use mbconv::vision;

fn main() -> mbconv::Result<()> {
    let file = std::env::args().nth(1).unwrap_or_else(|| asset("coffee.png"));
    pollster::block_on(classify(&file))
}

async fn classify(file: &str) -> mbconv::Result<()> {
    // A bundle is what belongs together: architecture, weights, preprocessing facts, labels.
    let bundle = Bundle::embedded()?;
    let photo = preprocess::load(file, &bundle.preprocess, bundle.graph.in_channels, &DecodeLimits::default())?;

    // A machine without a GPU still has the CPU reference.
    let device = match Gpu::open(&Select::Auto).await {
        Ok(gpu) => Device::Gpu(gpu),
        Err(error) => {
            eprintln!("{error}: running on the CPU reference");
            Device::Cpu
        }
    };
    // Weights are uploaded here, once. A session runs any number of batches, from any number of threads.
    let session = Session::new(device, bundle).await?;
    let output = session.run(&photo).await?;

    println!("{file}");
    for p in vision::classify(&output.get("logits")?.data, 5, &session.bundle().labels) {
        println!("{:6.2} %  {} ({})", 100.0 * p.probability, p.label, p.class);
    }
    Ok(())
}

fn asset(name: &str) -> String {
    format!("{}/assets/{name}", env!("CARGO_MANIFEST_DIR"))
}
