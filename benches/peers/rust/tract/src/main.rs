//! tract on the CPU, with a thread for every core.

use tract_linalg::multithread::{Executor, set_default_executor};
use tract_onnx::prelude::*;

fn main() {
    let case = common::Case::from_args();
    set_default_executor(Executor::multithread(std::thread::available_parallelism().unwrap().get()));
    case.measure("tract-onnx", || {
        let path = format!("{}/model.onnx", case.folder);
        let model = tract_onnx::onnx().model_for_path(path).unwrap().into_optimized().unwrap().into_runnable().unwrap();
        let case = &case;
        move || {
            let input = Tensor::from_shape(&case.shape, &case.input).unwrap();
            let output = model.run(tvec!(input.into())).unwrap();
            output[0].to_plain_array_view::<f32>().unwrap().iter().copied().collect()
        }
    });
}
