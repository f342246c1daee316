//! A model directory in the Hugging Face layout: `config.json` beside `model.safetensors` or its shards.
//!
//! Names are brought into one form (`transformer.h.0.…`, `model.layers.0.…`), since published files come with and
//! without the prefix. Whether the tensors fit the configuration is checked by the model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{read_json, safetensors};
use crate::config::ModelConfig;
use crate::error::FileError;
use crate::kernels::tier::Tier;
use crate::model::{Values, WeightMap, canonical_name, expected_tensors, rounded_names};
use crate::tensor::{Tensor, TensorMap};

/// How the model generates unless it is told otherwise; what ends its answers.
pub const GENERATION: &str = "generation_config.json";
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

/// Reads and checks `config.json`.
pub fn read_config(directory: &Path) -> Result<ModelConfig, FileError> {
    let path = directory.join("config.json");
    if !path.is_file() {
        return Err(FileError::Missing {
            path: directory.to_path_buf(),
            expected: "config.json".into(),
            advice: "Choose a model directory as transformers' save_pretrained writes it.".into(),
        });
    }
    ModelConfig::from_json(read_json(&path)?).map_err(|error| {
        // The path says already which file it is.
        let message = error.to_string().replacen("config.json: ", "", 1);
        FileError::field(&path, error.field().unwrap_or("config"), message)
    })
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
                path: index.clone(),
                expected: format!("{name}, which it names,"),
                advice: "Copy all shards of the model.".into(),
            })
        })
        .collect()
}

/// The file that describes the weights: the one that holds them, or the index of the shards.
pub fn weights_file(directory: &Path) -> PathBuf {
    let single = directory.join(SINGLE);
    if single.is_file() { single } else { directory.join(INDEX) }
}

/// Reads all weights, in the engine's names.
pub fn read_tensors(directory: &Path, config: &ModelConfig) -> Result<TensorMap, FileError> {
    let mut tensors = TensorMap::new();
    read_each(directory, config, |name, tensor| tensors.insert(name, tensor).is_none())?;
    Ok(tensors)
}

/// Reads all weights of a model that is only read: for an adapter to be trained over, or to answer. What products of
/// the tier would round is rounded at once, tensor by tensor, so that memory never holds more.
pub fn read_frozen(directory: &Path, config: &ModelConfig, tier: Tier) -> Result<WeightMap, FileError> {
    let mut weights = WeightMap::new();
    let rounded = rounded_names(config, tier);
    read_each(directory, config, |name, Tensor { shape, data }| {
        let mut values = Values::from(data);
        if rounded.contains(&name)
            && let Some(rounded) = values.rounded()
        {
            values = rounded;
        }
        weights.insert(name, (shape, values)).is_none()
    })?;
    Ok(weights)
}

/// Hands over all weights in the engine's names; `keep` answers whether the name was new.
fn read_each(
    directory: &Path,
    config: &ModelConfig,
    mut keep: impl FnMut(String, Tensor) -> bool,
) -> Result<(), FileError> {
    for file in weight_files(directory)? {
        let wanted = |name: &str| canonical_name(config, name.to_owned()).is_some();
        let mut twice = None;
        safetensors::read_each(&file, wanted, |name, tensor| {
            if let Some(name) = canonical_name(config, name)
                && !keep(name.clone(), tensor)
            {
                twice = Some(name);
            }
        })?;
        if let Some(tensor) = twice {
            return Err(FileError::Tensor { path: file, tensor, message: "it occurs twice".to_owned() });
        }
    }
    Ok(())
}

/// Compares the headers of the weight files with the configuration, without reading a weight: a directory that
/// passes loads, as far as names and shapes go.
///
/// # Errors
/// The first tensor that is missing or has another shape, with its file.
pub fn check_shapes(directory: &Path, config: &ModelConfig) -> Result<(), FileError> {
    let files = weight_files(directory)?;
    let mut found = BTreeMap::new();
    for file in &files {
        for (name, shape) in safetensors::read_shapes(file)? {
            if let Some(name) = canonical_name(config, name) {
                found.insert(name, (file, shape));
            }
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
