//! Compare two pictures by what the network sees: the cosine of their feature vectors.
//!
//! ```sh
//! cargo run --release --example embed [IMAGE IMAGE]
//! ```

use mbconv::gpu::{Gpu, Select};
use mbconv::preprocess::{self, DecodeLimits};
use mbconv::session::{Bundle, Device, Session};
use mbconv::{Shape, Tensor};

fn main() -> mbconv::Result<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    match given.as_slice() {
        [a, b] => pollster::block_on(compare(a, b)),
        _ => pollster::block_on(compare(&asset("chelsea.png"), &asset("coffee.png"))),
    }
}

async fn compare(a: &str, b: &str) -> mbconv::Result<()> {
    let session = Session::new(Device::Gpu(Gpu::open(&Select::Auto).await?), Bundle::embedded()?).await?;
    let facts = &session.bundle().preprocess;
    let load = |file: &str| preprocess::load(file, facts, 3, &DecodeLimits::default());

    // Both pictures in one batch: the same dispatches, each over twice the data.
    let batch = stack(&[load(a)?, load(b)?])?;
    // The embedding is the pooled feature vector in front of the classifier, [N, 1, 1, features].
    let features = session.embed(&batch).await?;
    let (x, y) = features.data.split_at(features.shape.c);

    println!("{a}\n{b}");
    println!("{} features each, cosine similarity {:.3}", features.shape.c, cosine(x, y));
    Ok(())
}

/// One batch from single pictures of one shape: NHWC, so the images simply follow each other.
fn stack(images: &[Tensor]) -> mbconv::Result<Tensor> {
    let shape = Shape { n: images.len(), ..images[0].shape };
    Tensor::new(shape, images.iter().flat_map(|t| t.data.iter().copied()).collect())
}

fn cosine(x: &[f32], y: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(x, y) / (dot(x, x) * dot(y, y)).sqrt()
}

fn asset(name: &str) -> String {
    format!("{}/assets/{name}", env!("CARGO_MANIFEST_DIR"))
}
