//! Every registered model at a small resolution: every adapter, stored as f32 and as f16, against the CPU reference.

use crate::halves;
use crate::support::{fitting, gpus, kept, rel_l2};
use mbconv::session::{Bundle, Session, end_to_end_bound};
use mbconv::weights::{Synthetic, make_input};
use mbconv::{Shape, Tensor, cpu, zoo};
use pollster::block_on;

#[test]
fn every_model_at_a_small_resolution() {
    let gpus = gpus();
    for model in zoo::models() {
        let (name, options) = (model.name.clone(), model.options());
        let small = [1, 64, 48];
        let [n, h, w] = fitting(&name, small);
        let bundle = kept(Bundle::synthetic(model, &options, &Synthetic::default()).unwrap());
        let x = Tensor::from_nchw(Shape::new(n, h, w, 3), &make_input("input", [n, 3, h, w])).unwrap();
        let want = cpu::run(&bundle.graph, &bundle.weights, &x).unwrap();
        for gpu in &gpus {
            // What runs at its own size only does so in f32 as a reference case.
            let exact = ([n, h, w] == small).then(|| gpu.target());
            for target in exact.into_iter().chain(halves::targets(gpu).pop()) {
                let dtype = target.dtype;
                let session = block_on(Session::with_target(gpu.clone(), bundle.clone(), target)).unwrap();
                let got = block_on(session.run(&x)).unwrap();
                let dispatches = block_on(session.executor([n, h, w])).unwrap().plan().steps.len();
                let bound = end_to_end_bound(dtype, dispatches);
                for (output, want) in &want {
                    let error = rel_l2(&got.get(output).unwrap().data, &want.data);
                    println!("{name} {output} in {dtype:?} on {}: {error:.1e} (bound {bound:.0e})", gpu.facts());
                    assert!(error <= bound, "{name}, {output} in {dtype:?} on {}: off by {error:.1e}", gpu.facts());
                }
            }
        }
    }
}
