//! The driver's pipeline cache, kept between processes by whoever asks for it: the library touches no disk.

use crate::kernels::KernelKey;
use std::collections::BTreeSet;

/// What the driver compiles goes into it, and comes from it.
pub struct PipelineCache {
    driver: wgpu::PipelineCache,
    /// The pipelines that were in it when it was made.
    had: BTreeSet<String>,
    /// Size of the driver's data where nothing is in it.
    #[cfg(not(target_arch = "wasm32"))]
    empty: usize,
}

impl PipelineCache {
    /// For `ComputePipelineDescriptor::cache`.
    pub fn driver(&self) -> &wgpu::PipelineCache {
        &self.driver
    }

    /// Whether this pipeline was in it.
    pub fn had(&self, key: &KernelKey) -> bool {
        self.had.contains(&key.to_string())
    }
}

/// Browsers keep what they compile themselves.
#[cfg(not(target_arch = "wasm32"))]
mod native {
    use super::PipelineCache;
    use crate::error::Result;
    use crate::gpu::{Gpu, checked};
    use crate::kernels;
    use std::collections::BTreeSet;

    /// The first line of what is kept; the driver's data follow.
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Header {
        version: u32,
        /// Name, backend and driver.
        adapter: String,
        /// [`kernels::fingerprint`].
        kernels: String,
        /// What is in the data.
        pipelines: BTreeSet<String>,
        /// [`kernels::fingerprint_of`] of the data.
        checksum: String,
    }

    const VERSION: u32 = 1;

    /// The pipelines and the driver's data in what was kept; nothing where it is broken, or of another adapter, driver or
    /// kernel set.
    fn read<'a>(kept: &'a [u8], adapter: &str, kernels: &str) -> Option<(BTreeSet<String>, &'a [u8])> {
        let end = kept.iter().position(|&byte| byte == b'\n')?;
        let (line, data) = (&kept[..end], &kept[end + 1..]);
        let header: Header = serde_json::from_slice(line).ok()?;
        let same = header.version == VERSION && header.adapter == adapter && header.kernels == kernels;
        (same && header.checksum == kernels::fingerprint_of([data])).then_some((header.pipelines, data))
    }

    impl Gpu {
        /// Lets the driver take pipelines from `kept`, which [`Gpu::pipeline_cache`] returned in an earlier process (empty: from
        /// nothing), and collect for the next. To be called before anything is compiled, once. What is broken or of
        /// another adapter, driver or kernel set counts as empty; so does what wgpu or the driver refuses. Where the backend
        /// has no such cache (all but Vulkan) nothing happens.
        ///
        /// # Errors
        /// [`crate::Error::DeviceLost`], [`crate::Error::Gpu`].
        ///
        /// # Safety
        /// `kept` must be what [`Gpu::pipeline_cache`] returned: drivers trust it, and one whose bytes somebody forged can make
        /// them do anything. Damage by accident is found out by a checksum. Keep it where only the user can write.
        pub async unsafe fn use_pipeline_cache(&self, kept: &[u8]) -> Result<()> {
            if !self.device().features().contains(wgpu::Features::PIPELINE_CACHE) || self.pipeline_cache.get().is_some()
            {
                return Ok(());
            }
            let create = |data: Option<&[u8]>| {
                let fallback = data.is_none();
                // SAFETY: data are of an earlier `get_data`, as the caller promises. Those of another driver or device are
                // refused by wgpu, which compares vendor, device and driver build with its own header before them.
                unsafe {
                    self.device().create_pipeline_cache(&wgpu::PipelineCacheDescriptor {
                        label: Some("mbconv"),
                        data,
                        fallback,
                    })
                }
            };
            let driver = checked(self, "creating a pipeline cache", || create(None)).await?;
            let empty = driver.get_data().map_or(0, |data| data.len());
            let mut cache = PipelineCache { driver, had: BTreeSet::new(), empty };
            if let Some((had, data)) = read(kept, &self.facts().to_string(), &kernels::fingerprint())
                && let Ok(driver) = checked(self, "reading the pipeline cache", || create(Some(data))).await
            {
                cache = PipelineCache { driver, had, empty };
            }
            // Somebody else was quicker: theirs is as good.
            let _ = self.pipeline_cache.set(cache);
            Ok(())
        }

        /// What to keep for [`Gpu::use_pipeline_cache`] in the next process. None where nothing was compiled that was not
        /// in it, where the backend has no such cache, and where the driver puts nothing in it (Mesa's software driver has
        /// a cache of its own instead).
        pub fn pipeline_cache(&self) -> Option<Vec<u8>> {
            let cache = self.pipeline_cache.get()?;
            let new = self.compiled_keys().iter().any(|key| !cache.had.contains(key));
            let data = cache.driver.get_data().filter(|data| new && data.len() > cache.empty)?;
            Some(self.with_header(cache, &data))
        }

        /// The driver's data behind what tells whose they are.
        fn with_header(&self, cache: &PipelineCache, data: &[u8]) -> Vec<u8> {
            let header = Header {
                version: VERSION,
                adapter: self.facts().to_string(),
                kernels: kernels::fingerprint(),
                pipelines: cache.had.iter().cloned().chain(self.compiled_keys()).collect(),
                checksum: kernels::fingerprint_of([data]),
            };
            let mut kept = serde_json::to_vec(&header).unwrap_or_default();
            kept.push(b'\n');
            kept.extend(data);
            kept
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::gpu::Select;
        use crate::kernels::{AdapterClass, KernelKey, global_pool, resize_normalize};
        use crate::tensor::Dtype;
        use pollster::block_on;
        use std::sync::Arc;

        /// A new device that takes pipelines from `kept`; says so where there is none with such a cache.
        fn open(kept: &[u8]) -> Option<Arc<Gpu>> {
            let wanted = std::env::var_os("MBCONV_SKIP_GPU").is_none();
            let gpu = wanted.then(|| block_on(Gpu::open(&Select::Auto)).unwrap());
            let gpu = gpu.filter(|gpu| gpu.device().features().contains(wgpu::Features::PIPELINE_CACHE));
            if gpu.is_none() {
                eprintln!("SKIPPED: no GPU with a pipeline cache, or MBCONV_SKIP_GPU is set");
            }
            let gpu = gpu?;
            // SAFETY: of `kept` in the tests below, either everything is an earlier device's, or this very code refuses it
            // for its header or checksum; or wgpu does, since its own header is missing.
            unsafe { block_on(gpu.use_pipeline_cache(kept)).unwrap() };
            Some(gpu)
        }

        /// How many pipelines there are after compiling these, and how many of them came from the cache.
        fn compile(gpu: &Gpu, keys: &[KernelKey]) -> (usize, usize) {
            block_on(gpu.compile(keys)).unwrap();
            (gpu.compiled().pipelines, gpu.compiled().from_cache)
        }

        #[test]
        fn a_device_takes_pipelines_from_what_another_left_and_nothing_else() {
            let mut keys = resize_normalize::keys(Dtype::F32).to_vec();
            let two = keys.len();
            let pool = global_pool::launch(&global_pool::Args { n: 1, pixels: 9, c: 8 }, AdapterClass::Gpu).unwrap();
            keys.push(pool.key);

            let Some(first) = open(&[]) else { return };
            assert_eq!(compile(&first, &keys[..two]), (two, 0));
            let cache = first.pipeline_cache.get().unwrap();
            let data = cache.driver.get_data().unwrap();
            let kept = first.with_header(cache, &data);
            let header = kept.len() - data.len();
            println!("{}: {} bytes, {} of an empty cache", first.facts(), data.len(), cache.empty);
            // Kept is only what the driver filled, as many drivers do not.
            assert_eq!(first.pipeline_cache(), (data.len() > cache.empty).then(|| kept.clone()));

            let second = open(&kept).unwrap();
            assert_eq!(compile(&second, &keys), (keys.len(), two));
            // A third has them all, and nothing new to keep.
            let third = open(&second.with_header(second.pipeline_cache.get().unwrap(), &data)).unwrap();
            assert_eq!((compile(&third, &keys), third.pipeline_cache()), ((keys.len(), keys.len()), None));

            let text = String::from_utf8(kept[..header].to_vec()).unwrap();
            let with = |from: &str, to: &str| {
                assert!(text.contains(from), "{text}");
                [text.replacen(from, to, 1).as_bytes(), &data].concat()
            };
            let mut flipped = kept.clone();
            flipped[header + data.len() / 2] ^= 1;
            let foreign = first.with_header(cache, b"what another program left");
            for (what, broken) in [
                ("another adapter", with(&first.facts().to_string(), "another adapter")),
                ("another kernel set", with(&kernels::fingerprint(), "0123456789abcdef")),
                ("another format", with("\"version\":1", "\"version\":2")),
                ("a flipped bit", flipped),
                ("a file cut short", kept[..header + data.len() / 2].to_vec()),
                ("a header cut short", kept[..header / 2].to_vec()),
                ("no header", data),
                ("foreign data", foreign),
            ] {
                assert_eq!(compile(&open(&broken).unwrap(), &keys[..two]), (two, 0), "{what}");
            }
        }
    }
}
