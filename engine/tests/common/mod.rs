//! Fixtures made by PyTorch: where the interpreter is, and how the files are read.
#![allow(dead_code, reason = "each test file uses a part of this")]

use llm_tuner_engine::files::huggingface;
use llm_tuner_engine::model::{Batch, Model};
use llm_tuner_engine::tensor::{Tensor, TensorMap};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The interpreter that `cargo xtask test` prepares. There is no skipping: without it the tests fail.
fn python() -> PathBuf {
    if let Some(path) = std::env::var_os("LLM_TUNER_TEST_PYTHON") {
        return path.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(Path::new(&home).join(".cache"))
    });
    let path = cache.expect("HOME is set").join("llm-tuner/pytest-venv/bin/python");
    assert!(
        path.exists(),
        "no Python with torch, transformers and peft at {}: run `cargo xtask test`, which installs it",
        path.display()
    );
    path
}

/// Runs a script of `tests/python` with a fresh directory as its argument.
pub fn fixtures(script: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
    let output = Command::new(python())
        .arg(script)
        .arg(directory.path())
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .expect("the interpreter starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    directory
}

#[derive(Deserialize)]
pub struct BatchFile {
    ids: Vec<u32>,
    targets: Vec<u32>,
    lengths: Vec<usize>,
}

impl From<BatchFile> for Batch {
    fn from(file: BatchFile) -> Self {
        Self { ids: file.ids, targets: file.targets, lengths: file.lengths }
    }
}

pub fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> T {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub fn read_tensors(path: &Path) -> TensorMap {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |view: safetensors::tensor::TensorView<'_>| Tensor {
        shape: view.shape().to_vec(),
        data: view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(),
    };
    file.iter().map(|(name, view)| (name.to_owned(), tensor(view))).collect()
}

pub fn read_model(directory: &Path) -> Model {
    let config = huggingface::read_config(directory).unwrap();
    Model::from_tensors(config, read_tensors(&directory.join("model.safetensors"))).unwrap()
}
