//! rten on the CPU, with the threads that `RTEN_NUM_THREADS` says.

use rten_tensor::NdTensor;
use rten_tensor::prelude::*;

fn main() {
    let case = common::Case::from_args();
    case.measure("rten", || {
        let mut options = rten::ModelOptions::with_all_ops();
        options.prepack_weights(true);
        let model = options.load_file(format!("{}/model.onnx", case.folder)).unwrap();
        let case = &case;
        move || {
            let input = NdTensor::from_data(case.shape, case.input.clone());
            let output: NdTensor<f32, 2> = model.run_one(input.into(), None).unwrap().try_into().unwrap();
            output.to_vec()
        }
    });
}
