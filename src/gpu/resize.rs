//! Pictures on the device to an executor's input, through the kernel family `resize_normalize`.

use super::{Executor, Gpu, checked, mapping};
use crate::error::{Error, Result};
use crate::kernels::resize_normalize::{self, Resampling, Tile};
use crate::kernels::{Launch, Role};
use std::sync::Arc;

/// Pixels of a tile: larger pictures go to the device in parts, so that any picture takes the same memory.
const TILE_PIXELS: usize = 16 << 20;
/// WebGPU wants rows of a copy between textures and buffers this far apart.
const ROW_PIXELS: usize = 64;
const PARAMS_STRIDE: u64 = 256;

/// Resizes, crops and normalises pictures of one size into an executor's input.
pub struct Resizer {
    gpu: Arc<Gpu>,
    resampling: Resampling,
    tiles: Vec<Tile>,
    /// Pixels between rows of [`Resizer::tile`].
    pitch: usize,
    tile: wgpu::Buffer,
    narrow: wgpu::Buffer,
    weights: [wgpu::Buffer; 2],
    params: wgpu::Buffer,
    launches: Vec<Launch>,
    #[cfg(target_arch = "wasm32")]
    texture: wgpu::Texture,
}

impl Resizer {
    /// Compiles and allocates for pictures of `resampling.picture` and batches of up to `images`.
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::OutOfMemory`], [`Error::Gpu`].
    pub async fn new(gpu: &Arc<Gpu>, resampling: Resampling, images: usize) -> Result<Self> {
        gpu.compile(&resize_normalize::keys(resampling.dtype)).await?;
        let max_side = gpu.device().limits().max_texture_dimension_2d as usize;
        let tiles = resampling.tiles(max_side, TILE_PIXELS)?;
        let doing = format!("preparing pictures of {} x {} pixels", resampling.picture[0], resampling.picture[1]);
        checked(gpu, &doing, || Self::allocate(gpu, resampling, tiles, images)).await?
    }

    fn allocate(gpu: &Arc<Gpu>, resampling: Resampling, tiles: Vec<Tile>, images: usize) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let pitch = tiles.iter().map(|t| t.xs.len()).max().unwrap_or(1).next_multiple_of(ROW_PIXELS);
        let rows = tiles.iter().map(|t| t.ys.len()).max().unwrap_or(1);
        let mut launches = Vec::new();
        for tile in &tiles {
            launches.push(resampling.along_x(tile, pitch)?);
        }
        for image in 0..images {
            launches.push(resampling.along_y(image)?);
        }
        let create = |label, bytes: usize, usage| {
            gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: bytes as u64,
                usage,
                mapped_at_creation: false,
            })
        };
        let filled = |label, content: &[u8], usage: Usage| {
            let buffer = create(label, content.len(), usage | Usage::COPY_DST);
            gpu.queue().write_buffer(&buffer, 0, content);
            buffer
        };
        let mut params = vec![0; launches.len() * PARAMS_STRIDE as usize];
        for (slot, launch) in params.chunks_exact_mut(PARAMS_STRIDE as usize).zip(&launches) {
            slot[..launch.params.len()].copy_from_slice(&launch.params);
        }
        let narrow = resampling.needed_rows().len() * resampling.columns.len() * 4;
        Ok(Self {
            tile: create("picture", pitch * rows * 4, Usage::STORAGE | Usage::COPY_DST),
            narrow: create("resized along x", narrow, Usage::STORAGE),
            weights: [resampling.pack_columns(), resampling.pack_rows()]
                .map(|packed| filled("resampling", bytemuck::cast_slice(&packed), Usage::STORAGE)),
            params: filled("resize params", &params, Usage::UNIFORM),
            #[cfg(target_arch = "wasm32")]
            texture: gpu.device().create_texture(&wgpu::TextureDescriptor {
                label: Some("picture"),
                size: wgpu::Extent3d {
                    width: (pitch as u32).min(gpu.device().limits().max_texture_dimension_2d),
                    height: rows as u32,
                    depth_or_array_layers: 1,
                },
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: wgpu::TextureFormat::Rgba8Unorm,
                // What a copy from outside asks of its destination.
                usage: wgpu::TextureUsages::COPY_DST
                    | wgpu::TextureUsages::COPY_SRC
                    | wgpu::TextureUsages::RENDER_ATTACHMENT,
                view_formats: &[],
            }),
            gpu: Arc::clone(gpu),
            resampling,
            tiles,
            pitch,
            launches,
        })
    }

    /// Columns and rows of the pictures it takes.
    pub fn picture(&self) -> [usize; 2] {
        self.resampling.picture
    }

    /// The largest batch it fills.
    pub fn images(&self) -> usize {
        self.launches.len() - self.tiles.len()
    }

    /// Queues picture `image` of the executor's batch: RGBA, 8 bits a channel, rows from the top; alpha is ignored.
    ///
    /// # Errors
    /// [`Error::BadInput`] for another size than [`Resizer::picture`], or an executor of another input size.
    pub fn write_rgba(&self, rgba: &[u8], executor: &Executor, image: usize) -> Result<()> {
        let [width, height] = self.picture();
        if rgba.len() != width * height * 4 {
            let problem = format!("{} bytes are not {width} x {height} RGBA pixels", rgba.len());
            return Err(Error::bad("image", problem));
        }
        self.write(executor, image, |tile, _| {
            for (row, y) in tile.ys.clone().enumerate() {
                let line = &rgba[(y * width + tile.xs.start) * 4..][..tile.xs.len() * 4];
                self.gpu.queue().write_buffer(&self.tile, (row * self.pitch * 4) as u64, line);
            }
        })
    }

    /// Queues picture `image` of the executor's batch from whatever a browser shows; alpha is ignored.
    ///
    /// # Errors
    /// As [`Resizer::write_rgba`]; what the browser refuses is reported by its uncaptured-error event.
    #[cfg(target_arch = "wasm32")]
    pub fn write_external(&self, source: &wgpu::ExternalImageSource, executor: &Executor, image: usize) -> Result<()> {
        self.write(executor, image, |tile, encoder| {
            let size =
                wgpu::Extent3d { width: tile.xs.len() as u32, height: tile.ys.len() as u32, depth_or_array_layers: 1 };
            let texture = self.texture.as_image_copy();
            self.gpu.queue().copy_external_image_to_texture(
                &wgpu::CopyExternalImageSourceInfo {
                    source: source.clone(),
                    origin: wgpu::Origin2d { x: tile.xs.start as u32, y: tile.ys.start as u32 },
                    flip_y: false,
                },
                texture.to_tagged(wgpu::PredefinedColorSpace::Srgb, false),
                size,
            );
            let layout = wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(self.pitch as u32 * 4),
                rows_per_image: None,
            };
            let buffer = wgpu::TexelCopyBufferInfo { buffer: &self.tile, layout };
            encoder.copy_texture_to_buffer(texture, buffer, size);
        })
    }

    fn write(
        &self,
        executor: &Executor,
        image: usize,
        mut upload: impl FnMut(&Tile, &mut wgpu::CommandEncoder),
    ) -> Result<()> {
        let input = executor.plan().input;
        let dtype = executor.plan().values[0].dtype;
        let [columns, rows] = [self.resampling.columns.len(), self.resampling.rows.len()];
        if [input.h, input.w] != [rows, columns]
            || image >= input.n.min(self.images())
            || dtype != self.resampling.dtype
        {
            let problem = format!(
                "this resizer makes {rows} x {columns} (H x W) in {}, not image {image} of {input} (NHWC) in {}",
                self.resampling.dtype.name(),
                dtype.name()
            );
            return Err(Error::bad("image", problem));
        }
        let last = self.tiles.len() - 1;
        for (i, tile) in self.tiles.iter().enumerate() {
            let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
            upload(tile, &mut encoder);
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                self.dispatch(&mut pass, i, [&self.tile, &self.weights[0], &self.narrow])?;
                if i == last {
                    let buffers = [&self.narrow, &self.weights[1], executor.input_buffer()];
                    self.dispatch(&mut pass, self.tiles.len() + image, buffers)?;
                }
            }
            self.gpu.queue().submit([encoder.finish()]);
        }
        Ok(())
    }

    fn dispatch(&self, pass: &mut wgpu::ComputePass, slot: usize, buffers: [&wgpu::Buffer; 3]) -> Result<()> {
        let launch = &self.launches[slot];
        let missing = || mapping("resizing", format!("{} is not compiled", launch.key));
        let pipeline = self.gpu.pipeline(&launch.key).ok_or_else(missing)?;
        let params = wgpu::BufferBinding {
            buffer: &self.params,
            offset: slot as u64 * PARAMS_STRIDE,
            size: std::num::NonZeroU64::new(launch.params.len() as u64),
        };
        let resource = |role: Role| match role {
            Role::Params => wgpu::BindingResource::Buffer(params.clone()),
            Role::Input => buffers[0].as_entire_binding(),
            Role::Weights => buffers[1].as_entire_binding(),
            _ => buffers[2].as_entire_binding(),
        };
        let entries: Vec<_> = (pipeline.bindings.iter())
            .map(|&role| wgpu::BindGroupEntry { binding: role as u32, resource: resource(role) })
            .collect();
        let group = self.gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(resize_normalize::NAME),
            layout: &pipeline.layout,
            entries: &entries,
        });
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, &group, &[]);
        let [x, y, z] = launch.grid;
        pass.dispatch_workgroups(x, y, z);
        Ok(())
    }
}

impl Drop for Resizer {
    /// Browsers free what nobody refers to when they please, which is late.
    fn drop(&mut self) {
        let [columns, rows] = &self.weights;
        for buffer in [&self.tile, &self.narrow, columns, rows, &self.params] {
            buffer.destroy();
        }
        #[cfg(target_arch = "wasm32")]
        self.texture.destroy();
    }
}
