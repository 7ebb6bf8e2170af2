//! Writing safetensors files.

use crate::error::{Error, Result};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::HashMap;
#[cfg(not(target_arch = "wasm32"))]
use std::path::{Path, PathBuf};

/// Name, shape, and values in row-major order.
pub type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// The bytes of a safetensors file with these f32 tensors and metadata; `path` stands for it in errors.
///
/// # Errors
/// [`Error::Checkpoint`] for values whose number is not the shape's.
pub fn serialize(path: &str, tensors: &[NamedTensor], metadata: &[(&str, String)]) -> Result<Vec<u8>> {
    let problem = |problem: String| Error::Checkpoint { path: path.into(), problem };
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|t| t.2.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let mut views = Vec::new();
    for ((name, shape, _), bytes) in tensors.iter().zip(&bytes) {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|e| problem(format!("{name}: {e}")))?;
        views.push((name, view));
    }
    let metadata: HashMap<String, String> = metadata.iter().map(|(k, v)| (k.to_string(), v.clone())).collect();
    safetensors::serialize(views, (!metadata.is_empty()).then_some(metadata)).map_err(|e| problem(e.to_string()))
}

/// Writes f32 tensors and metadata to a safetensors file.
///
/// They are written to a temporary file beside `path` that is then renamed, so that no half-written file is left.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written, [`Error::Checkpoint`] for values whose number is not the shape's.
#[cfg(not(target_arch = "wasm32"))]
pub fn save(path: impl AsRef<Path>, tensors: &[NamedTensor], metadata: &[(&str, String)]) -> Result<()> {
    let path = path.as_ref();
    let file = serialize(&path.display().to_string(), tensors, metadata)?;
    let beside = beside(path).ok_or_else(|| Error::io(path, std::io::ErrorKind::IsADirectory.into()))?;
    let written = std::fs::write(&beside, file).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|e| {
        // Whatever is left of it; the error that counts is the first one.
        drop(std::fs::remove_file(&beside));
        Error::io(path, e)
    })
}

/// A name in the same folder that nobody else uses.
#[cfg(not(target_arch = "wasm32"))]
fn beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy();
    Some(path.with_file_name(format!(".{name}.{}.partial", std::process::id())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Checkpoint;

    #[test]
    fn what_is_saved_can_be_read_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let tensors = [
            ("a".to_string(), vec![2, 2], vec![1.0, -2.0, f32::MIN_POSITIVE, 3e38]),
            ("b".to_string(), vec![1], vec![7.0]),
        ];
        save(&path, &tensors, &[("made-by", "a test".to_string())]).unwrap();
        let file = Checkpoint::open(&path).unwrap();
        assert_eq!(file.read_f32("a").unwrap(), tensors[0].2);
        assert_eq!((file.shape("a"), file.shape("b")), (Some(&[2, 2][..]), Some(&[1][..])));
        assert_eq!(file.metadata()["made-by"], "a test");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let nowhere = dir.path().join("no/such/folder/x.safetensors");
        assert!(matches!(save(&nowhere, &[], &[]).unwrap_err(), Error::Io { .. }));
        let folder = dir.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        assert!(save(&folder, &[], &[]).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let wrong = [("a".to_string(), vec![2], vec![1.0])];
        assert!(matches!(save(dir.path().join("y"), &wrong, &[]).unwrap_err(), Error::Checkpoint { .. }));
    }
}
