//! A model directory in the Hugging Face layout: `config.json` beside `model.safetensors` or its shards.
//!
//! Names are brought into one form (`transformer.h.0.…`), since published GPT-2 files come with and without the
//! `transformer.` prefix. Whether the tensors fit the configuration is checked by the model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{read_json, safetensors};
use crate::config::Gpt2Config;
use crate::error::FileError;
use crate::model::expected_tensors;
use crate::tensor::TensorMap;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

/// Reads and checks `config.json`.
pub fn read_config(directory: &Path) -> Result<Gpt2Config, FileError> {
    let path = directory.join("config.json");
    if !path.is_file() {
        return Err(FileError::Missing {
            path: directory.to_path_buf(),
            expected: "config.json".into(),
            advice: "Choose a model directory as transformers' save_pretrained writes it.".into(),
        });
    }
    let mut value: serde_json::Map<String, serde_json::Value> = read_json(&path)?;
    match value.get("model_type").and_then(|kind| kind.as_str()) {
        Some("gpt2") => {}
        Some(other) => {
            let message = format!("\"{other}\" models cannot be tuned by this engine; \"gpt2\" can");
            return Err(FileError::field(&path, "model_type", message));
        }
        None => return Err(FileError::field(&path, "model_type", "is missing; expected \"gpt2\"")),
    }
    // Files from before 2020 know the context length only by its old name.
    if let (false, Some(length)) = (value.contains_key("n_positions"), value.get("n_ctx").cloned()) {
        value.insert("n_positions".into(), length);
    }
    let config: Gpt2Config = serde_json::from_value(value.into())
        .map_err(|error| FileError::field(&path, "config", error.to_string()))?;
    config.validate().map_err(|error| FileError::field(&path, "config", error.to_string()))?;
    Ok(config)
}

/// The weight files of a directory: one, or all shards.
pub fn weight_files(directory: &Path) -> Result<Vec<PathBuf>, FileError> {
    if directory.join(SINGLE).is_file() {
        return Ok(vec![directory.join(SINGLE)]);
    }
    let index = directory.join(INDEX);
    if !index.is_file() {
        let pickled = directory.join("pytorch_model.bin").is_file();
        return Err(FileError::Missing {
            path: directory.to_path_buf(),
            expected: format!("{SINGLE} or {INDEX}"),
            advice: if pickled {
                "Convert pytorch_model.bin with save_pretrained(…, safe_serialization=True); pickle files can \
                 run code and are not read."
                    .into()
            } else {
                "Add the weights as safetensors to the directory.".into()
            },
        });
    }
    let ShardIndex { weight_map } = read_json(&index)?;
    let shards: BTreeSet<String> = weight_map.into_values().collect();
    if shards.is_empty() {
        return Err(FileError::field(&index, "weight_map", "names no file"));
    }
    shards
        .into_iter()
        .map(|name| {
            // A name from an uploaded file must not lead out of its directory.
            let plain = Path::new(&name).file_name().is_some_and(|file| file == name.as_str());
            if !plain {
                return Err(FileError::field(&index, "weight_map", format!("\"{name}\" is not a file name")));
            }
            let path = directory.join(&name);
            if path.is_file() {
                return Ok(path);
            }
            Err(FileError::Missing {
                path: directory.to_path_buf(),
                expected: format!("{name}, which {INDEX} names,"),
                advice: "Copy all shards of the model.".into(),
            })
        })
        .collect()
}

/// Reads all weights, in the engine's names.
pub fn read_tensors(directory: &Path, config: &Gpt2Config) -> Result<TensorMap, FileError> {
    let mut tensors = TensorMap::new();
    for file in weight_files(directory)? {
        for (name, tensor) in safetensors::read(&file, |name| !is_buffer(name))? {
            let name = canonical(name);
            // A tied output layer is the embedding under a second name.
            if name == "lm_head.weight" && config.tie_word_embeddings {
                continue;
            }
            if tensors.insert(name.clone(), tensor).is_some() {
                let message = "it occurs twice".to_owned();
                return Err(FileError::Tensor { path: file, tensor: name, message });
            }
        }
    }
    Ok(tensors)
}

/// Compares the headers of the weight files with the configuration, without reading a weight: a directory that
/// passes loads, as far as names and shapes go.
///
/// # Errors
/// The first tensor that is missing or has another shape, with its file.
pub fn check_shapes(directory: &Path, config: &Gpt2Config) -> Result<(), FileError> {
    let files = weight_files(directory)?;
    let mut found = BTreeMap::new();
    for file in &files {
        for (name, shape) in safetensors::read_shapes(file)? {
            found.insert(canonical(name), (file, shape));
        }
    }
    for (name, wanted) in expected_tensors(config) {
        match found.get(&name) {
            None => {
                let path = files.first().cloned().unwrap_or_else(|| directory.to_path_buf());
                return Err(FileError::Tensor { path, tensor: name, message: "it is missing".into() });
            }
            Some((file, shape)) if *shape != wanted => {
                let message = format!("its shape is {shape:?}, and config.json asks for {wanted:?}");
                return Err(FileError::Tensor { path: (*file).clone(), tensor: name, message });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn canonical(name: String) -> String {
    let bare = ["wte.", "wpe.", "h.", "ln_f."].iter().any(|start| name.starts_with(start));
    if bare { format!("transformer.{name}") } else { name }
}

/// Causal masks that early versions of `transformers` saved beside the weights.
fn is_buffer(name: &str) -> bool {
    name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias")
}
