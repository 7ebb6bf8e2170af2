//! The program from outside: its real binary, its output, its exit codes.
#![cfg(feature = "cli")]

mod bad_input;
mod bench;
mod commands;
mod detect;
mod profile;
mod tune;

use crate::support::path;
use mbconv::weights::{Checkpoint, NamedTensor, Synthetic, save};
use mbconv::zoo::{self, Options};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How a run of the program ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    /// Its stdout, after success without a word on stderr.
    #[track_caller]
    fn quiet(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:?}");
        self.out
    }

    /// Its stdout as JSON, after success.
    #[track_caller]
    fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }

    /// The one line on stderr that says what went wrong, after exit code 1. Nothing may be on stdout but a header.
    #[track_caller]
    fn error(self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        let line = self.err.strip_prefix("error: ").and_then(|e| e.strip_suffix('\n')).map(str::to_string);
        let line = line.unwrap_or_else(|| panic!("not an error line: {self:?}"));
        assert!(!line.contains('\n') && !line.contains("panicked"), "{line}");
        println!("{line}");
        line
    }

    /// What clap or the program says about wrong arguments, after exit code 2.
    #[track_caller]
    fn usage(self) -> String {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert!(self.err.starts_with("error: ") && self.err.contains("--help"), "{self:?}");
        assert_eq!(self.out, "");
        self.err
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbconv"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).env("MBCONV_PIPELINE_CACHE", "off");
    command
}

fn finish(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn mbconv(args: &[&str]) -> Ended {
    finish(&mut command(args))
}

fn mbconv_reading(stdin: &[u8], args: &[&str]) -> Ended {
    let mut child = command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may end before it has read everything.
    drop(child.stdin.take().unwrap().write_all(stdin));
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// On a machine without any adapter, as far as wgpu can tell.
fn mbconv_without_gpu(args: &[&str]) -> Ended {
    let hidden =
        [("VK_ICD_FILENAMES", "/nonexistent"), ("VK_DRIVER_FILES", "/nonexistent"), ("WGPU_BACKEND", "vulkan")];
    finish(command(args).envs(hidden))
}

/// False where GPU tests are switched off (see `support::gpus`).
fn gpu_wanted() -> bool {
    let wanted = std::env::var_os("MBCONV_SKIP_GPU").is_none();
    if !wanted {
        eprintln!("SKIPPED: MBCONV_SKIP_GPU is set");
    }
    wanted
}

/// A folder with a small architecture and its weights, for tests that need files.
struct Files {
    dir: tempfile::TempDir,
}

/// Three blocks with everything: depthwise-separable, squeeze-and-excitation, residual.
const TINY: &str = r#"
head = 64
scaling = { width = 1.0, depth = 1.0, resolution = 32 }
stages = [
    { kernel = 3, repeats = 1, in = 16, out = 16, expand = 1, stride = 1, se = 0.25 },
    { kernel = 5, repeats = 2, in = 16, out = 24, expand = 4, stride = 2, se = 0.25 },
]
"#;

/// The classes of the small network's weights.
const CLASSES: usize = 7;

impl Files {
    /// `tiny.toml` and `tiny.safetensors` (three channels, seven classes).
    fn new() -> Self {
        let files = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::write(files.at("tiny.toml"), TINY).unwrap();
        save(files.at("tiny.safetensors"), &files.tensors(), &[]).unwrap();
        files
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        std::fs::write(self.at(name), bytes).unwrap();
        self.path(name)
    }

    /// The tensors of `tiny.safetensors`.
    fn tensors(&self) -> Vec<NamedTensor> {
        let options = Options { num_classes: CLASSES, ..Options::default() };
        let graph = zoo::from_file(&self.at("tiny.toml")).unwrap().build(&options).unwrap();
        all_tensors(&Synthetic::default().state_of(&graph).unwrap())
    }

    /// Writes an input of this shape (NCHW) and returns its values.
    fn input(&self, name: &str, shape: [usize; 4]) -> Vec<f32> {
        let values = mbconv::weights::make_input("cli", shape);
        save(self.at(name), &[("input".into(), shape.to_vec(), values.clone())], &[]).unwrap();
        values
    }

    /// Names of everything in the folder.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn all_tensors(file: &Checkpoint) -> Vec<NamedTensor> {
    let tensor = |n: &str| (n.to_string(), file.shape(n).unwrap().to_vec(), file.read_f32(n).unwrap().into_owned());
    file.names().map(tensor).collect()
}

/// A safetensors file of any header and bytes.
fn raw_safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn exists(path: &str) -> bool {
    Path::new(path).exists()
}
