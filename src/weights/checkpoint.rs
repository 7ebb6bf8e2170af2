//! Readable sets of named tensors, usually a safetensors file. The only user of the `safetensors` crate.

use super::header;
use super::platform::{self, FileBytes};
use crate::error::{Error, Result};
use half::{bf16, f16};
use safetensors::Dtype;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// Named tensors with shapes and metadata, read on demand.
///
/// Values are stored row-major in PyTorch's axis order. F32, F16, BF16 and F64 can be read; a tensor of
/// another type is an error only when it is read.
pub struct Checkpoint {
    path: String,
    bytes: Bytes,
    entries: Vec<Entry>,
    /// Places of the entries, by name.
    by_name: Vec<usize>,
    metadata: BTreeMap<String, String>,
}

pub(super) enum Bytes {
    Memory(Cow<'static, [u8]>),
    File(FileBytes),
    /// Not here: of the file only the header was given.
    Elsewhere,
}

pub(super) struct Entry {
    pub name: String,
    pub shape: Vec<usize>,
    pub data: Data,
}

pub(super) enum Data {
    /// Little-endian values at these bytes of the file.
    Stored(Dtype, Range<usize>),
    Memory(Vec<f32>),
    /// Made anew at every reading.
    Recipe(Recipe),
}

/// Makes a tensor's values, as many as its shape has.
pub(super) type Recipe = Box<dyn Fn() -> Vec<f32> + Send + Sync>;

/// What a header says: tensors and metadata.
type Declared = (Vec<Entry>, BTreeMap<String, String>);

impl Checkpoint {
    /// Opens a safetensors file; on native targets it is mapped into memory, not read.
    ///
    /// The file must not be changed while it is open.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::Checkpoint`] when it is not a complete safetensors file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
        let info = file.metadata().map_err(|e| Error::io(path, e))?;
        if info.is_dir() {
            return Err(Error::io(path, std::io::ErrorKind::IsADirectory.into()));
        }
        let name = path.display().to_string();
        if info.len() == 0 {
            return Err(Error::Checkpoint { path: name, problem: "the file is empty".into() });
        }
        let bytes = platform::file_bytes(file).map_err(|e| Error::io(path, e))?;
        Self::whole(name, Bytes::File(bytes))
    }

    /// The same from the bytes of a safetensors file; `path` names them in errors.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when they are not a complete safetensors file.
    pub fn from_bytes(path: impl Into<String>, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self> {
        Self::whole(path.into(), Bytes::Memory(bytes.into()))
    }

    /// The same from a file's first bytes, of which the header is needed, and its `size`: names, shapes and metadata.
    /// Values cannot be read.
    ///
    /// # Errors
    /// As [`Checkpoint::from_bytes`].
    pub fn from_header(path: impl Into<String>, head: &[u8], size: usize) -> Result<Self> {
        Self::declared(path.into(), Bytes::Elsewhere, header::parse(head, size))
    }

    /// Tensors in memory: name, shape and values in row-major order; `path` names them in errors.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a repeated name, or values whose number is not the shape's.
    pub fn from_tensors(
        path: impl Into<String>,
        tensors: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>,
    ) -> Result<Self> {
        let path = path.into();
        let mut entries = Vec::new();
        for (name, shape, values) in tensors {
            if count(&shape) != Some(values.len()) {
                let problem = format!("{name} {shape:?} is given {} values", values.len());
                return Err(Error::Checkpoint { path, problem });
            }
            entries.push(Entry { name, shape, data: Data::Memory(values) });
        }
        Self::with_entries(path, Bytes::Memory(Cow::Borrowed(&[])), entries, BTreeMap::new())
    }

    /// Tensors that are made when they are read: name, shape and recipe; `path` names them in errors.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a repeated name.
    pub(super) fn from_recipes(
        path: String,
        tensors: impl IntoIterator<Item = (String, Vec<usize>, Recipe)>,
    ) -> Result<Self> {
        let entry = |(name, shape, recipe)| Entry { name, shape, data: Data::Recipe(recipe) };
        let entries = tensors.into_iter().map(entry).collect();
        Self::with_entries(path, Bytes::Memory(Cow::Borrowed(&[])), entries, BTreeMap::new())
    }

    /// Gives back the memory that a mapped file's values took so far; they are read from the file again when needed.
    pub fn release(&self) {
        if let Bytes::File(bytes) = &self.bytes {
            platform::release(bytes);
        }
    }

    /// The safetensors file it was made from, where there is one.
    pub fn bytes(&self) -> Option<&[u8]> {
        Some(self.bytes.get()).filter(|bytes| !bytes.is_empty())
    }

    fn whole(path: String, bytes: Bytes) -> Result<Self> {
        let declared = header::parse(bytes.get(), bytes.get().len());
        Self::declared(path, bytes, declared)
    }

    fn declared(path: String, bytes: Bytes, declared: Result<Declared, String>) -> Result<Self> {
        match declared {
            Ok((entries, metadata)) => Self::with_entries(path, bytes, entries, metadata),
            Err(problem) => Err(Error::Checkpoint { path, problem }),
        }
    }

    pub(super) fn with_entries(
        path: String,
        bytes: Bytes,
        entries: Vec<Entry>,
        metadata: BTreeMap<String, String>,
    ) -> Result<Self> {
        let mut by_name: Vec<usize> = (0..entries.len()).collect();
        by_name.sort_unstable_by(|&a, &b| entries[a].name.cmp(&entries[b].name));
        if let Some(twice) = by_name.windows(2).find(|w| entries[w[0]].name == entries[w[1]].name) {
            let problem = format!("two tensors are named {}", entries[twice[0]].name);
            return Err(Error::Checkpoint { path, problem });
        }
        Ok(Self { path, bytes, entries, by_name, metadata })
    }

    /// The file, or what stands for it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tensors' names in the order of their data.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|e| e.name.as_str())
    }

    /// Shape of a tensor, `None` when there is none of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.position(name).map(|i| self.entries[i].shape.as_slice())
    }

    /// Type of a tensor's stored values (`F32`, `BF16`, ...), `None` when there is none of that name.
    pub fn dtype(&self, name: &str) -> Option<String> {
        self.position(name).map(|i| match &self.entries[i].data {
            Data::Stored(dtype, _) => dtype.to_string(),
            Data::Memory(_) | Data::Recipe(_) => Dtype::F32.to_string(),
        })
    }

    /// The file's own metadata.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// A tensor's values, borrowed where they are stored as f32, otherwise converted (F64 is rounded).
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when there is no such tensor or its type is not F32, F16, BF16 or F64.
    pub fn read_f32(&self, name: &str) -> Result<Cow<'_, [f32]>> {
        self.f32_of(self.entry(name)?)
    }

    /// A tensor's values without any loss.
    ///
    /// # Errors
    /// As [`Checkpoint::read_f32`].
    pub fn read_f64(&self, name: &str) -> Result<Vec<f64>> {
        self.f64_of(self.entry(name)?)
    }

    /// As [`Checkpoint::read_f32`], of a tensor of this checkpoint.
    pub(super) fn f32_of<'a>(&'a self, entry: &'a Entry) -> Result<Cow<'a, [f32]>> {
        let (dtype, bytes) = match &entry.data {
            Data::Memory(values) => return Ok(Cow::Borrowed(values)),
            Data::Recipe(make) => return Ok(Cow::Owned(make())),
            Data::Stored(dtype, range) => (*dtype, self.stored(entry, range)?),
        };
        if dtype == Dtype::F32
            && cfg!(target_endian = "little")
            && let Ok(values) = bytemuck::try_cast_slice(bytes)
        {
            return Ok(Cow::Borrowed(values));
        }
        match dtype {
            Dtype::F32 => Ok(Cow::Owned(convert(bytes, f32::from_le_bytes))),
            Dtype::F64 => Ok(Cow::Owned(convert(bytes, |b| f64::from_le_bytes(b) as f32))),
            Dtype::F16 => Ok(Cow::Owned(convert(bytes, |b| f16::from_le_bytes(b).to_f32()))),
            Dtype::BF16 => Ok(Cow::Owned(convert(bytes, |b| bf16::from_le_bytes(b).to_f32()))),
            _ => Err(self.error(format!("{} is {dtype}; F32, F16, BF16 or F64 can be read", entry.name))),
        }
    }

    /// As [`Checkpoint::read_f64`], of a tensor of this checkpoint.
    pub(super) fn f64_of(&self, entry: &Entry) -> Result<Vec<f64>> {
        if let Data::Stored(Dtype::F64, range) = &entry.data {
            return Ok(convert(self.stored(entry, range)?, f64::from_le_bytes));
        }
        Ok(self.f32_of(entry)?.iter().map(|&v| f64::from(v)).collect())
    }

    fn stored(&self, entry: &Entry, range: &Range<usize>) -> Result<&[u8]> {
        let bytes = self.bytes.get().get(range.clone());
        bytes.ok_or_else(|| self.error(format!("the values of {} are not in it", entry.name)))
    }

    /// Whether values can be read; else it was made of a header.
    pub(super) fn has_values(&self) -> bool {
        !matches!(self.bytes, Bytes::Elsewhere)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Place of a tensor among [`Checkpoint::entries`].
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        let at = self.by_name.binary_search_by(|&i| self.entries[i].name.as_str().cmp(name));
        at.ok().map(|at| self.by_name[at])
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        let found = self.position(name).map(|i| &self.entries[i]);
        found.ok_or_else(|| self.error(format!("there is no tensor named {name}")))
    }

    pub(super) fn error(&self, problem: String) -> Error {
        Error::Checkpoint { path: self.path.clone(), problem }
    }
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Checkpoint({}, {} tensors)", self.path, self.entries.len())
    }
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::File(bytes) => bytes,
            Self::Elsewhere => &[],
        }
    }
}

/// Number of values of a shape, `None` when it is beyond any memory.
pub(super) fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &d| product.checked_mul(d))
}

fn convert<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&b| value(b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{TensorView, serialize};

    /// A file with one tensor of each type.
    fn file() -> Vec<u8> {
        let bytes: [(&str, Dtype, Vec<u8>); 5] = [
            ("f32", Dtype::F32, [1.5f32, -2.25].iter().flat_map(|v| v.to_le_bytes()).collect()),
            ("f64", Dtype::F64, [0.1f64, 1e-3].iter().flat_map(|v| v.to_le_bytes()).collect()),
            ("f16", Dtype::F16, [0.5f32, 6e-8].iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect()),
            ("bf16", Dtype::BF16, [3.0f32, 1e30].iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect()),
            ("i64", Dtype::I64, [7i64, 8].iter().flat_map(|v| v.to_le_bytes()).collect()),
        ];
        let views = bytes.iter().map(|(name, dtype, data)| (name, TensorView::new(*dtype, vec![2], data).unwrap()));
        serialize(views, Some([("key".to_string(), "value".to_string())].into())).unwrap()
    }

    fn problem(bytes: impl Into<Cow<'static, [u8]>>) -> String {
        Checkpoint::from_bytes("net.safetensors", bytes).unwrap_err().to_string()
    }

    #[test]
    fn every_float_type_is_read_from_bytes_and_from_a_mapped_file() {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&path, file()).unwrap();
        for c in [Checkpoint::from_bytes("memory", file()).unwrap(), Checkpoint::open(path.path()).unwrap()] {
            assert!(matches!(c.read_f32("f32").unwrap(), Cow::Borrowed([1.5, -2.25])));
            assert_eq!(*c.read_f32("f64").unwrap(), [0.1f32, 1e-3]);
            assert_eq!(c.read_f64("f64").unwrap(), [0.1f64, 1e-3]);
            assert_eq!(*c.read_f32("f16").unwrap(), [0.5, f16::from_f32(6e-8).to_f32()]);
            assert_eq!(*c.read_f32("bf16").unwrap(), [3.0, bf16::from_f32(1e30).to_f32()]);
            assert_eq!(c.read_f64("f32").unwrap(), [1.5, -2.25]);
            assert!(c.read_f32("i64").unwrap_err().to_string().contains("i64 is I64"));
            assert!(c.read_f32("none").unwrap_err().to_string().contains("no tensor named none"));
            assert_eq!(c.dtype("bf16").as_deref(), Some("BF16"));
            assert_eq!(c.metadata()["key"], "value");
            assert_eq!(c.names().count(), 5);
        }
    }

    #[test]
    fn values_need_no_alignment() {
        // One more space in the header moves every value by one byte.
        let whole = file();
        let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        let mut moved = (length as u64 + 1).to_le_bytes().to_vec();
        moved.extend(&whole[8..8 + length]);
        moved.push(b' ');
        moved.extend(&whole[8 + length..]);
        let c = Checkpoint::from_bytes("moved", moved).unwrap();
        assert_eq!(*c.read_f32("f32").unwrap(), [1.5, -2.25]);
        assert_eq!(c.read_f64("f64").unwrap(), [0.1, 1e-3]);
    }

    #[test]
    fn a_header_alone_says_the_same_but_values() {
        let (whole, size) = (file(), file().len());
        let head = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        let (all, c) = (
            Checkpoint::from_bytes("net", whole.clone()).unwrap(),
            Checkpoint::from_header("net", &whole[..head], size).unwrap(),
        );
        assert!(all.names().eq(c.names()) && all.metadata() == c.metadata());
        assert!(c.names().all(|n| all.shape(n) == c.shape(n) && all.dtype(n) == c.dtype(n)));
        assert!(c.read_f32("f32").is_err() && c.read_f64("f64").is_err() && c.bytes().is_none());
        for (head, size) in [(head - 1, size), (head, size - 1), (head, size + 1), (3, 3), (0, 0)] {
            let error = Checkpoint::from_header("net", &whole[..head], size).unwrap_err();
            assert!(matches!(error, Error::Checkpoint { .. }), "{error}");
        }
    }

    #[test]
    fn no_file_cut_anywhere_is_accepted() {
        let whole = file();
        for len in 0..whole.len() {
            let message = problem(whole[..len].to_vec());
            assert!(message.contains("truncated") || message.contains("too few"), "{len}: {message}");
        }
        let mut longer = whole;
        longer.push(0);
        assert!(problem(longer).contains("1 bytes follow the last tensor"));
    }

    #[test]
    fn no_changed_byte_of_a_header_is_a_panic() {
        let whole = file();
        let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        for at in 0..header {
            for value in *b"\0\x01\xff0919{}[]\",:-" {
                let mut bytes = whole.clone();
                bytes[at] = value;
                if let Ok(c) = Checkpoint::from_bytes("changed", bytes) {
                    for name in c.names() {
                        let count = count(c.shape(name).unwrap()).unwrap();
                        assert!(
                            c.read_f32(name).is_ok_and(|v| v.len() == count)
                                || c.dtype(name).unwrap().contains(['I', 'U', 'C'])
                        );
                        let _ = c.read_f64(name);
                    }
                }
            }
        }
    }

    #[test]
    fn headers_that_lie_are_errors() {
        let with = |header: &str, data: usize| {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.bytes());
            bytes.resize(bytes.len() + data, 0);
            problem(bytes)
        };
        let tensor =
            |shape: &str, end: &str| format!(r#"{{"w":{{"dtype":"F32","shape":[{shape}],"data_offsets":[0,{end}]}}}}"#);
        assert!(with(&tensor("2", "12"), 12).contains("the header is not valid"));
        assert!(with(&tensor("2", "8"), 4).contains("truncated: its tensors take 8 bytes, the file has 4"));
        assert!(with(&tensor("4294967296,4294967296,4", "8"), 8).contains("not valid"));
        assert!(with(&tensor("-1", "8"), 8).contains("not valid"));
        assert!(with("{", 0).contains("not valid"));
        assert!(with("[]", 0).contains("not valid"));
        assert!(problem(vec![0xff; 64]).contains("truncated, or another format"));
    }

    #[test]
    fn files_of_other_formats_are_named() {
        assert!(problem(b"PK\x03\x04 and more".as_slice()).contains("a zip archive, probably PyTorch's"));
        assert!(problem(b"\x80\x02\x8a\x0a and more".as_slice()).contains("a pickle"));
        assert!(problem(b"<!DOCTYPE html>".as_slice()).contains("a web page"));
        assert!(problem(b"version https://git-lfs.github.com/spec/v1".as_slice()).contains("Git LFS pointer"));
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Checkpoint::open(folder.path()), Err(Error::Io { .. })));
        assert!(matches!(Checkpoint::open(folder.path().join("none")), Err(Error::Io { .. })));
        let empty = folder.path().join("empty");
        std::fs::write(&empty, []).unwrap();
        assert!(Checkpoint::open(&empty).unwrap_err().to_string().contains("the file is empty"));
    }

    #[test]
    fn tensors_in_memory_are_checked() {
        let tensor = |name: &str, len| (name.to_string(), vec![2, 2], vec![0.0; len]);
        assert!(Checkpoint::from_tensors("m", [tensor("a", 4)]).is_ok());
        assert!(Checkpoint::from_tensors("m", [tensor("a", 3)]).is_err());
        assert!(Checkpoint::from_tensors("m", [tensor("a", 4), tensor("a", 4)]).is_err());
    }
}
