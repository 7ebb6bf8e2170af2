//! Every registered model at a small resolution: every adapter against the CPU reference.

use crate::support::{fitting, gpus, rel_l2};
use mbconv::session::{Bundle, Device, Session};
use mbconv::weights::{Synthetic, make_input};
use mbconv::{Shape, Tensor, cpu, zoo};
use pollster::block_on;

/// Relative L2 error of a whole network on a GPU against our own reference.
const BOUND: f64 = 5e-5;

#[test]
fn every_model_at_a_small_resolution() {
    let gpus = gpus();
    for model in zoo::models() {
        let (name, options) = (model.name.clone(), model.options());
        let [n, h, w] = [1, 64, 48];
        if fitting(&name, [n, h, w]) != [n, h, w] {
            // It runs at its own size only, which its reference case does.
            continue;
        }
        let bundle = Bundle::synthetic(model, &options, &Synthetic::default()).unwrap();
        let x = Tensor::from_nchw(Shape::new(n, h, w, 3), &make_input("input", [n, 3, h, w])).unwrap();
        let want = cpu::run(&bundle.graph, &bundle.weights, &x).unwrap();
        for gpu in &gpus {
            let session = block_on(Session::new(Device::Gpu(gpu.clone()), bundle.clone())).unwrap();
            let got = block_on(session.run(&x)).unwrap();
            for (output, want) in &want {
                let error = rel_l2(&got.get(output).unwrap().data, &want.data);
                println!("{name} {output} on {}: {error:.1e} (bound {BOUND:.0e})", gpu.facts());
                assert!(error <= BOUND, "{name}, {output} on {}: off by {error:.1e}", gpu.facts());
            }
        }
    }
}
