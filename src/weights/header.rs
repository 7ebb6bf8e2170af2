//! The header of a safetensors file: which tensors there are, and where.

use super::checkpoint::{Data, Entry};
use crate::json::Json;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, SafeTensorError, TensorInfo};
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use std::collections::BTreeMap;

/// The longest header that is read, the limit of the format's own library.
const MAX_HEADER: u64 = 100_000_000;

/// The tensors and metadata that a file's header declares, or what is wrong with the file.
///
/// `head` is the file's beginning, with the whole header where the file has it; `size` is the file's.
pub(super) fn parse(head: &[u8], size: usize) -> Result<(Vec<Entry>, BTreeMap<String, String>), String> {
    if let Some(kind) = foreign(head) {
        return Err(format!("it is {kind}"));
    }
    let Some((length, rest)) = head.split_first_chunk() else {
        return Err(format!("{size} bytes are too few for a header"));
    };
    let header_len = u64::from_le_bytes(*length);
    let header = usize::try_from(header_len.min(MAX_HEADER)).ok().and_then(|length| rest.get(..length));
    let Some(header) = header.filter(|header| header.len() as u64 == header_len) else {
        let follow = size.saturating_sub(8);
        return Err(format!(
            "it claims a header of {header_len} bytes where {follow} follow: truncated, or another format"
        ));
    };
    let (tensors, metadata) = declared(header).map_err(|problem| format!("the header is not valid: {problem}"))?;
    let start = 8 + header.len();
    let data = size.saturating_sub(start);
    let entry = |(name, info): &(String, TensorInfo)| {
        // Checked below: until then a place may be beyond any memory.
        let range = start.saturating_add(info.data_offsets.0)..start.saturating_add(info.data_offsets.1);
        Entry { name: name.clone(), shape: info.shape.clone(), data: Data::Stored(info.dtype, range) }
    };
    let entries = tensors.iter().map(entry).collect();
    let checked = Metadata::new(None, tensors).map_err(|e| format!("the header is not valid: {}", wrong(e)))?;
    if checked.data_len() > data {
        return Err(format!("truncated: its tensors take {} bytes, the file has {}", checked.data_len(), data));
    }
    if checked.data_len() < data {
        return Err(format!("{} bytes follow the last tensor", data - checked.data_len()));
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
