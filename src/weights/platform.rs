//! What differs between native targets and wasm32: threads and memory-mapped files.
//!
//! The rest of the rooms `weights` and `cpu` is the same code everywhere; on wasm32 the loops below
//! run on the calling thread and files are read whole.

#[cfg(not(target_arch = "wasm32"))]
mod imp {
    use rayon::prelude::*;

    /// The bytes of a file.
    pub type FileBytes = memmap2::Mmap;

    pub fn file_bytes(file: std::fs::File) -> std::io::Result<FileBytes> {
        // SAFETY: the map is read-only and private to the `Checkpoint` that holds it. What remains is a
        // file that another program changes while it is open: values may then change under the reader,
        // which never relies on them for memory safety, and a file made shorter raises SIGBUS as for
        // every user of mmap. `Checkpoint::open` documents that.
        unsafe { memmap2::Mmap::map(&file) }
    }

    pub fn release(bytes: &FileBytes) {
        // SAFETY: the map is of a file and never written, so the pages that go come back with the same content.
        #[cfg(unix)]
        let _ = unsafe { bytes.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        #[cfg(not(unix))]
        let _ = bytes;
    }

    pub fn map<R: Send>(count: usize, f: impl Fn(usize) -> R + Sync + Send) -> Vec<R> {
        (0..count).into_par_iter().map(f).collect()
    }

    pub fn for_chunks<T: Send>(data: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Sync + Send) {
        data.par_chunks_mut(size).enumerate().for_each(|(i, chunk)| f(i, chunk));
    }
}

#[cfg(target_arch = "wasm32")]
mod imp {
    /// The bytes of a file.
    pub type FileBytes = Vec<u8>;

    pub fn file_bytes(mut file: std::fs::File) -> std::io::Result<FileBytes> {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut bytes)?;
        Ok(bytes)
    }

    pub fn release(_: &FileBytes) {}

    pub fn map<R: Send>(count: usize, f: impl Fn(usize) -> R + Sync + Send) -> Vec<R> {
        (0..count).map(f).collect()
    }

    pub fn for_chunks<T: Send>(data: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Sync + Send) {
        data.chunks_mut(size).enumerate().for_each(|(i, chunk)| f(i, chunk));
    }
}

pub(super) use imp::{FileBytes, file_bytes, release};

/// `f(0)`, `f(1)`, ... `f(count - 1)` in that order, computed on all threads.
pub(crate) fn map<R: Send>(count: usize, f: impl Fn(usize) -> R + Sync + Send) -> Vec<R> {
    imp::map(count, f)
}

/// Calls `f(i, chunk)` for consecutive chunks of `size` items (the last may be shorter), on all threads.
/// An empty `data` has no chunk; `size` 0 counts as 1.
pub(crate) fn for_chunks<T: Send>(data: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Sync + Send) {
    imp::for_chunks(data, size.max(1), f);
}
