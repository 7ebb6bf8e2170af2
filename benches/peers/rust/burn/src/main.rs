//! burn on wgpu with WGSL shaders, for the network that it was built with.

use burn::tensor::{Device, DeviceKind, Tensor, TensorData};

mod model {
    #![allow(clippy::all, unused)]
    include!(concat!(env!("OUT_DIR"), "/model/model.rs"));
}

fn main() {
    let case = common::Case::from_args();
    let device = Device::wgpu(DeviceKind::DefaultDevice);
    case.measure("burn", || {
        let model = model::Model::from_file(format!("{}/burn.bpk", case.folder), &device);
        let (case, device) = (&case, &device);
        move || {
            let input = Tensor::<4>::from_data(TensorData::new(case.input.clone(), case.shape), device);
            model.forward(input).into_data().to_vec::<f32>().unwrap()
        }
    });
}
