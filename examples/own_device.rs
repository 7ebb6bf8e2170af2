//! Run the network on a device that the application owns, between the application's own shaders.
//!
//! A frame lies in a texture, as in a game or behind a camera. A shader of ours writes it into the network's input
//! buffer, the network runs, another shader of ours takes the best class out of its output buffer. Pixels and logits
//! never leave the GPU: eight bytes come back.
//!
//! ```sh
//! cargo run --release --example own_device
//! ```

use mbconv::gpu::Gpu;
use mbconv::preprocess;
use mbconv::session::{Bundle, Device, Session};
use mbconv::wgpu::{self, util::DeviceExt}; // the wgpu that the crate is built on

const SHADERS: &str = "
@group(0) @binding(0) var frame: texture_2d<f32>;
@group(0) @binding(1) var<storage, read_write> pixels: array<vec4<f32>>;

// NHWC with channels padded to a multiple of four: an RGB pixel is a vec4 whose last value is 0.
@compute @workgroup_size(8, 8) fn prepare(@builtin(global_invocation_id) at: vec3<u32>) {
    let size = textureDimensions(frame);
    if any(at.xy >= size) { return; }
    let rgb = (textureLoad(frame, at.xy, 0).rgb - 0.5) / 0.5; // this model's mean and deviation
    pixels[at.y * size.x + at.x] = vec4(rgb, 0.0);
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> best: vec2<u32>;

@compute @workgroup_size(1) fn decide() {
    var at = 0u;
    for (var i = 1u; i < arrayLength(&logits); i++) { at = select(at, i, logits[i] > logits[at]); }
    best = vec2(at, bitcast<u32>(logits[at]));
}";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pollster::block_on(run())
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    // The application's device. The network needs no feature, and no more than WebGPU's default limits.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await?;
    let (device, queue) = adapter.request_device(&wgpu::DeviceDescriptor::default()).await?;

    let gpu = Gpu::from_device(device.clone(), queue.clone());
    let session = Session::new(Device::Gpu(gpu), Bundle::embedded()?).await?;
    let [h, w] = session.bundle().preprocess.size;
    // An executor for one image of this size, with input and output buffers that stay on the GPU.
    let mut network = session.executor([1, h, w]).await?;
    let source = wgpu::ShaderSource::Wgsl(SHADERS.into());
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
    let shader = |entry, first, second| {
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry),
            layout: None,
            module: &module,
            entry_point: Some(entry),
            compilation_options: Default::default(),
            cache: None,
        });
        let entries = [(0, first), (1, second)].map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource });
        let layout = &pipeline.get_bind_group_layout(0);
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
        (pipeline, group)
    };
    let buffer = |usage| {
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 8, usage, mapped_at_creation: false })
    };
    let best = buffer(wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let answer = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let frame = photo_as_texture(&device, &queue, &session)?;
    let view = frame.create_view(&Default::default());
    let view = wgpu::BindingResource::TextureView(&view);
    let prepare = shader("prepare", view, network.input_buffer().as_entire_binding());
    let decide = shader("decide", network.output_buffer("logits")?.as_entire_binding(), best.as_entire_binding());

    // One frame: our shader, the network's submission, our shader. The queue keeps the order; nothing waits.
    let submit = |(pipeline, group): &(wgpu::ComputePipeline, wgpu::BindGroup), grid: [u32; 2]| {
        let mut encoder = device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, group, &[]);
        pass.dispatch_workgroups(grid[0], grid[1], 1);
        drop(pass);
        encoder.copy_buffer_to_buffer(&best, 0, &answer, 0, 8);
        queue.submit([encoder.finish()]);
    };
    submit(&prepare, [w.div_ceil(8) as u32, h.div_ceil(8) as u32]);
    network.submit()?;
    submit(&decide, [1, 1]);

    answer.map_async(wgpu::MapMode::Read, .., |result| result.expect("the device is alive"));
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let [class, logit]: [u32; 2] = bytemuck::pod_read_unaligned(&answer.get_mapped_range(..)?);
    let label = session.bundle().labels.name(class as usize);
    println!("{}: {label} ({class}), logit {:.3}", adapter.get_info().name, f32::from_bits(logit));
    Ok(())
}

/// Stands in for whatever the application has on the GPU: a photograph, resized and cropped, as a texture.
fn photo_as_texture(device: &wgpu::Device, queue: &wgpu::Queue, session: &Session) -> mbconv::Result<wgpu::Texture> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/coffee.png");
    let photo = preprocess::image::decode_file(file, &Default::default())?;
    let photo = preprocess::resize_crop(&photo, &session.bundle().preprocess)?;
    let rgba: Vec<u8> = photo.data().chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
    let size = wgpu::Extent3d { width: photo.width() as u32, height: photo.height() as u32, depth_or_array_layers: 1 };
    let descriptor = wgpu::TextureDescriptor {
        label: None,
        size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    };
    Ok(device.create_texture_with_data(queue, &descriptor, Default::default(), &rgba))
}
