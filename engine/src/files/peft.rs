//! A LoRA adapter directory as `peft` reads and writes it.
//!
//! `adapter_config.json` says how the adapter is built, `adapter_model.safetensors` holds `lora_A` `[r, in]` and
//! `lora_B` `[out, r]` for each adapted layer under `base_model.model.…`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use super::{read_json, safetensors};
use crate::config::ModelConfig;
use crate::error::FileError;
use crate::lora::LoraConfig;
use crate::tensor::TensorMap;

pub const CONFIG: &str = "adapter_config.json";
pub const WEIGHTS: &str = "adapter_model.safetensors";

/// The fields of `adapter_config.json` that matter here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterConfig {
    pub peft_type: String,
    #[serde(default)]
    pub task_type: Option<String>,
    #[serde(default)]
    pub base_model_name_or_path: Option<String>,
    pub r: u32,
    pub lora_alpha: f64,
    #[serde(default)]
    pub lora_dropout: f64,
    /// A list; or one word, such as PEFT's `all-linear`.
    #[serde(deserialize_with = "one_or_more")]
    pub target_modules: Vec<String>,
    /// GPT-2's `Conv1D` keeps its weights as `[in, out]`.
    #[serde(default)]
    pub fan_in_fan_out: bool,
    #[serde(default = "none")]
    pub bias: String,
    #[serde(default)]
    pub inference_mode: bool,
    #[serde(default)]
    pub use_rslora: bool,
    #[serde(default)]
    pub use_dora: bool,
    #[serde(default)]
    pub modules_to_save: Option<Vec<String>>,
    /// Layers whose rank or strength differs from the others'.
    #[serde(default)]
    pub rank_pattern: BTreeMap<String, u32>,
    #[serde(default)]
    pub alpha_pattern: BTreeMap<String, f64>,
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Targets {
        One(String),
        More(Vec<String>),
    }
    Ok(match Targets::deserialize(deserializer)? {
        Targets::One(target) => vec![target],
        Targets::More(targets) => targets,
    })
}

fn none() -> String {
    "none".to_owned()
}

impl AdapterConfig {
    /// An adapter on a model of this configuration, ready for inference.
    pub fn new(config: &ModelConfig, lora: &LoraConfig, base: String) -> Self {
        Self {
            peft_type: "LORA".into(),
            task_type: Some("CAUSAL_LM".into()),
            base_model_name_or_path: Some(base),
            r: lora.r as u32,
            lora_alpha: f64::from(lora.alpha),
            lora_dropout: f64::from(lora.dropout),
            target_modules: lora.target_modules.clone(),
            fan_in_fan_out: config.fan_in_fan_out(),
            bias: none(),
            inference_mode: true,
            use_rslora: false,
            use_dora: false,
            modules_to_save: None,
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
        }
    }

    /// As the model takes it; without dropout, which is training's matter.
    pub fn lora(&self) -> LoraConfig {
        LoraConfig {
            r: self.r as usize,
            alpha: self.lora_alpha as f32,
            dropout: 0.0,
            target_modules: self.target_modules.clone(),
        }
    }
}

/// Whether a directory holds an adapter rather than a whole model.
pub fn is_adapter(directory: &Path) -> bool {
    directory.join(CONFIG).is_file()
}

/// Writes both files into an existing directory.
pub fn write(directory: &Path, config: &AdapterConfig, tensors: &TensorMap) -> Result<(), FileError> {
    safetensors::write(&directory.join(WEIGHTS), safetensors::entries(tensors))?;
    let path = directory.join(CONFIG);
    let text = serde_json::to_vec_pretty(config).map_err(|error| FileError::json(&path, &error))?;
    std::fs::write(&path, text).map_err(FileError::io("write", &path))
}

/// Reads both files and refuses what would silently compute something else.
pub fn read(directory: &Path) -> Result<(AdapterConfig, TensorMap), FileError> {
    let path = directory.join(CONFIG);
    let config: AdapterConfig = read_json(&path)?;
    let unsupported = |field: &str, found: String, supported: &str| {
        Err(FileError::field(&path, field, format!("{found} is not supported; {supported} is")))
    };
    if config.peft_type != "LORA" {
        return unsupported("peft_type", format!("\"{}\"", config.peft_type), "\"LORA\"");
    }
    if config.use_rslora {
        return unsupported("use_rslora", "true".into(), "false");
    }
    if config.use_dora {
        return unsupported("use_dora", "true".into(), "false");
    }
    if config.bias != "none" {
        return unsupported("bias", format!("\"{}\"", config.bias), "\"none\"");
    }
    if config.modules_to_save.as_ref().is_some_and(|modules| !modules.is_empty()) {
        return unsupported("modules_to_save", "a list of modules".into(), "null");
    }
    for (field, empty) in
        [("rank_pattern", config.rank_pattern.is_empty()), ("alpha_pattern", config.alpha_pattern.is_empty())]
    {
        if !empty {
            return unsupported(field, "a value for some layers".into(), "{}");
        }
    }
    if config.r == 0 {
        return Err(FileError::field(&path, "r", "must be at least 1"));
    }
    let tensors = safetensors::read(&directory.join(WEIGHTS), |_| true)?;
    Ok((config, tensors))
}
