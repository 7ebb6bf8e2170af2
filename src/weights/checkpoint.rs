//! Readable sets of named tensors, usually a safetensors file. The only user of the `safetensors` crate.

use super::platform::{self, FileBytes};
use crate::error::{Error, Result};
use crate::json::Json;
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, SafeTensorError, TensorInfo};
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

/// The longest header that is read, the limit of the format's own library.
const MAX_HEADER: u64 = 100_000_000;

/// Named tensors with shapes and metadata, read on demand.
///
/// Values are stored row-major in PyTorch's axis order. F32, F16, BF16 and F64 can be read; a tensor of
/// another type is an error only when it is read.
pub struct Checkpoint {
    path: String,
    bytes: Bytes,
    entries: Vec<Entry>,
    index: HashMap<String, usize>,
    metadata: BTreeMap<String, String>,
}

enum Bytes {
    Memory(Cow<'static, [u8]>),
    File(FileBytes),
}

struct Entry {
    name: String,
    shape: Vec<usize>,
    data: Data,
}

enum Data {
    /// Little-endian values at these bytes of the file.
    Stored(Dtype, Range<usize>),
    Memory(Vec<f32>),
    /// Made anew at every reading.
    Recipe(Recipe),
}

/// Makes a tensor's values, as many as its shape has.
pub(super) type Recipe = Box<dyn Fn() -> Vec<f32> + Send + Sync>;

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
        Self::parse(name, Bytes::File(bytes))
    }

    /// The same from the bytes of a safetensors file; `path` names them in errors.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when they are not a complete safetensors file.
    pub fn from_bytes(path: impl Into<String>, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self> {
        Self::parse(path.into(), Bytes::Memory(bytes.into()))
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

    fn parse(path: String, bytes: Bytes) -> Result<Self> {
        match parse_header(bytes.get()) {
            Ok((entries, metadata)) => Self::with_entries(path, bytes, entries, metadata),
            Err(problem) => Err(Error::Checkpoint { path, problem }),
        }
    }

    fn with_entries(
        path: String,
        bytes: Bytes,
        entries: Vec<Entry>,
        metadata: BTreeMap<String, String>,
    ) -> Result<Self> {
        let mut index = HashMap::with_capacity(entries.len());
        for (i, entry) in entries.iter().enumerate() {
            if index.insert(entry.name.clone(), i).is_some() {
                return Err(Error::Checkpoint { path, problem: format!("two tensors are named {}", entry.name) });
            }
        }
        Ok(Self { path, bytes, entries, index, metadata })
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
        self.index.get(name).map(|&i| self.entries[i].shape.as_slice())
    }

    /// Type of a tensor's stored values (`F32`, `BF16`, ...), `None` when there is none of that name.
    pub fn dtype(&self, name: &str) -> Option<String> {
        self.index.get(name).map(|&i| match &self.entries[i].data {
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
        match &self.entry(name)?.data {
            Data::Memory(values) => Ok(Cow::Borrowed(values)),
            Data::Recipe(make) => Ok(Cow::Owned(make())),
            Data::Stored(Dtype::F32, range) => {
                let bytes = &self.bytes.get()[range.clone()];
                if cfg!(target_endian = "little")
                    && let Ok(values) = bytemuck::try_cast_slice(bytes)
                {
                    return Ok(Cow::Borrowed(values));
                }
                Ok(Cow::Owned(convert(bytes, f32::from_le_bytes)))
            }
            Data::Stored(Dtype::F64, range) => {
                Ok(Cow::Owned(convert(&self.bytes.get()[range.clone()], |b| f64::from_le_bytes(b) as f32)))
            }
            Data::Stored(dtype, range) => self.halves(name, *dtype, range).map(Cow::Owned),
        }
    }

    /// A tensor's values without any loss.
    ///
    /// # Errors
    /// As [`Checkpoint::read_f32`].
    pub fn read_f64(&self, name: &str) -> Result<Vec<f64>> {
        if let Data::Stored(Dtype::F64, range) = &self.entry(name)?.data {
            return Ok(convert(&self.bytes.get()[range.clone()], f64::from_le_bytes));
        }
        Ok(self.read_f32(name)?.iter().map(|&v| f64::from(v)).collect())
    }

    fn halves(&self, name: &str, dtype: Dtype, range: &Range<usize>) -> Result<Vec<f32>> {
        let bytes = &self.bytes.get()[range.clone()];
        match dtype {
            Dtype::F16 => Ok(convert(bytes, |b| f16::from_le_bytes(b).to_f32())),
            Dtype::BF16 => Ok(convert(bytes, |b| bf16::from_le_bytes(b).to_f32())),
            _ => Err(self.error(format!("{name} is {dtype}; F32, F16, BF16 or F64 can be read"))),
        }
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        let found = self.index.get(name).map(|&i| &self.entries[i]);
        found.ok_or_else(|| self.error(format!("there is no tensor named {name}")))
    }

    fn error(&self, problem: String) -> Error {
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

/// The tensors and metadata that a file's header declares, or what is wrong with the file.
fn parse_header(bytes: &[u8]) -> Result<(Vec<Entry>, BTreeMap<String, String>), String> {
    if let Some(kind) = foreign(bytes) {
        return Err(format!("it is {kind}"));
    }
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Err(format!("{} bytes are too few for a header", bytes.len()));
    };
    let header_len = u64::from_le_bytes(*length);
    if header_len > MAX_HEADER.min(rest.len() as u64) {
        return Err(format!(
            "it claims a header of {header_len} bytes where {} follow: truncated, or another format",
            rest.len()
        ));
    }
    let (header, data) = rest.split_at(header_len as usize);
    let (tensors, metadata) = declared(header).map_err(|problem| format!("the header is not valid: {problem}"))?;
    let start = bytes.len() - data.len();
    let entry = |(name, info): &(String, TensorInfo)| {
        // Checked below: until then a place may be beyond any memory.
        let range = start.saturating_add(info.data_offsets.0)..start.saturating_add(info.data_offsets.1);
        Entry { name: name.clone(), shape: info.shape.clone(), data: Data::Stored(info.dtype, range) }
    };
    let entries = tensors.iter().map(entry).collect();
    let checked = Metadata::new(None, tensors).map_err(|e| format!("the header is not valid: {}", wrong(e)))?;
    if checked.data_len() > data.len() {
        return Err(format!("truncated: its tensors take {} bytes, the file has {}", checked.data_len(), data.len()));
    }
    if checked.data_len() < data.len() {
        return Err(format!("{} bytes follow the last tensor", data.len() - checked.data_len()));
    }
    Ok((entries, metadata))
}

/// Names with shape and place, in the order of their data.
type Tensors = Vec<(String, TensorInfo)>;

/// What the header's JSON says: `{name: {dtype, shape, data_offsets}, ..., "__metadata__": {key: text}}`.
fn declared(header: &[u8]) -> Result<(Tensors, BTreeMap<String, String>), String> {
    let json = Json::parse(str::from_utf8(header).map_err(|_| "it is not UTF-8")?)?;
    let (mut tensors, mut metadata) = (Vec::new(), BTreeMap::new());
    for (name, value) in json.as_object().ok_or("it is no object")?.iter() {
        if name == "__metadata__" {
            for (key, value) in value.as_object().ok_or("its metadata is no object")?.iter() {
                let value = value.as_str().ok_or_else(|| format!("metadata {key} is no text"))?;
                metadata.insert(key.clone(), value.to_string());
            }
        } else {
            let info = tensor_info(value).ok_or_else(|| format!("{name} is {value}"))?;
            tensors.push((name.clone(), info));
        }
    }
    tensors.sort_by_key(|tensor| tensor.1.data_offsets);
    Ok((tensors, metadata))
}

fn tensor_info(value: &Json) -> Option<TensorInfo> {
    let numbers = |key: &str| value.get(key)?.as_list()?.iter().map(Json::as_usize).collect::<Option<Vec<_>>>();
    let dtype = StrDeserializer::<serde::de::value::Error>::new(value.get("dtype")?.as_str()?);
    let &[start, end] = numbers("data_offsets")?.as_slice() else { return None };
    Some(TensorInfo { dtype: Dtype::deserialize(dtype).ok()?, shape: numbers("shape")?, data_offsets: (start, end) })
}

fn wrong(error: SafeTensorError) -> String {
    match error {
        SafeTensorError::InvalidOffset(name) => format!("{name} does not begin where the tensor before it ends"),
        SafeTensorError::TensorInvalidInfo => "a tensor's place and shape disagree".into(),
        _ => "a tensor's shape is beyond any memory".into(),
    }
}

/// What the file is when it opens like something people often take for a safetensors file.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    const OPENINGS: [(&[u8], &str); 5] = [
        (b"PK\x03\x04", "a zip archive, probably PyTorch's own format; save it with safetensors.torch.save_file"),
        (b"\x80\x02", "a pickle, probably PyTorch's own format; save it with safetensors.torch.save_file"),
        (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
        (b"\x89HDF\r\n", "an HDF5 file (Keras)"),
        (b"<", "a web page"),
    ];
    // A header opens with its length and '{', so that a length whose bytes read as one of these is not meant.
    let plausible = bytes.get(8) == Some(&b'{');
    OPENINGS.iter().find(|o| !plausible && bytes.starts_with(o.0)).map(|o| o.1)
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
