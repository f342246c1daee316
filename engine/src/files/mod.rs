//! Files in and out: the Hugging Face layout, PEFT adapters, and writing that is never half done.
//!
//! - [`safetensors`]: one file of named tensors, read with every claim of its header checked;
//! - [`huggingface`]: a model directory (`config.json`, weights in one file or in shards);
//! - [`peft`]: a LoRA adapter directory;
//! - [`atomic`]: files and directories that appear whole or not at all;
//! - [`record`]: `llm_tuner.json`, which travels with a model and says how it was made.
//!
//! What the tensors mean is the model's business; tokenizer files are [`crate::tokenizer`]'s.

pub mod atomic;
pub mod huggingface;
pub mod peft;
pub mod record;
pub mod safetensors;

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::FileError;

/// Reads a JSON file; mistakes keep their line and column.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    let text = std::fs::read(path).map_err(FileError::io("read", path))?;
    serde_json::from_slice(&text).map_err(|error| FileError::json(path, &error))
}
