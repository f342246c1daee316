//! `config.json` of a model, as Hugging Face writes it: read, checked, and written back; and the description of the
//! model that the passes work from.
//!
//! Each family has a file of its own here. Not for the files around it (see `files`) and not for training settings.

mod gpt2;
mod llama;
mod rope;

pub use gpt2::Gpt2Config;
pub use llama::LlamaConfig;
pub use rope::Rotary;

use serde::Serialize;
use serde_json::{Map, Value};

/// Why a `config.json` cannot be used. Each variant names the field, so that a person can go and look.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    #[error("config.json: {field} is {value}, but must be {must}")]
    Bounds { field: &'static str, value: String, must: &'static str },
    #[error("config.json: {field} = {value} is not supported by this engine; it supports {supported}")]
    Unsupported { field: &'static str, value: String, supported: &'static str },
    #[error("config.json: {field} ({value}) is not a multiple of {of} ({divisor})")]
    NotAMultiple { field: &'static str, value: usize, of: &'static str, divisor: usize },
    #[error("config.json: {field} is missing; expected {expected}")]
    Missing { field: &'static str, expected: &'static str },
    #[error("config.json: {message}")]
    Unreadable { message: String },
}

impl ConfigError {
    /// The field that is wrong, where it is known.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Bounds { field, .. }
            | Self::Unsupported { field, .. }
            | Self::NotAMultiple { field, .. }
            | Self::Missing { field, .. } => Some(field),
            Self::Unreadable { .. } => None,
        }
    }
}

/// The non-linearity of the feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))`, GPT-2's own.
    GeluTanh,
    /// `x Φ(x)` with the error function.
    GeluErf,
    /// `gate · σ(gate) · up` (Shazeer 2020), of two products side by side.
    SwiGlu,
}

impl Activation {
    /// Products of the block's input that make one output.
    pub fn inputs(self) -> usize {
        match self {
            Self::GeluTanh | Self::GeluErf => 1,
            Self::SwiGlu => 2,
        }
    }
}

/// Shares that dropout strikes in training.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Dropouts {
    pub embedding: f32,
    pub attention: f32,
    /// What a block adds to the residual stream.
    pub residual: f32,
}

/// A decoder-only transformer in numbers, whatever its family: all that the passes need beside the weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Width of the residual stream.
    pub width: usize,
    pub layers: usize,
    pub heads: usize,
    /// Heads of keys and values; each serves `heads / kv_heads` heads of queries.
    pub kv_heads: usize,
    pub head_width: usize,
    /// Width of the feed-forward block.
    pub inner: usize,
    pub vocab: usize,
    /// Longest sequence, in tokens.
    pub positions: usize,
    pub norm_epsilon: f32,
    /// How queries and keys are rotated by their position; `None` where positions are a table of weights.
    pub rotary: Option<Rotary>,
    pub activation: Activation,
    /// Attention scores are multiplied by this.
    pub attention_scale: f32,
    pub dropout: Dropouts,
}

impl Architecture {
    /// Width of all heads' outputs.
    pub fn attention_width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Width of the keys, and of the values.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_width
    }

    /// Width of queries, keys and values beside each other.
    pub fn qkv_width(&self) -> usize {
        self.attention_width() + 2 * self.kv_width()
    }

    /// Width of what the activation reads.
    pub fn mlp_width(&self) -> usize {
        self.activation.inputs() * self.inner
    }
}

/// The configuration of a model of any family.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ModelConfig {
    Gpt2(Gpt2Config),
    Llama(LlamaConfig),
}

impl From<Gpt2Config> for ModelConfig {
    fn from(config: Gpt2Config) -> Self {
        Self::Gpt2(config)
    }
}

impl From<LlamaConfig> for ModelConfig {
    fn from(config: LlamaConfig) -> Self {
        Self::Llama(config)
    }
}

impl ModelConfig {
    /// The values of `model_type` that are known.
    pub const MODEL_TYPES: &str = "gpt2, llama, mistral and qwen2";

    /// Reads and checks the contents of a `config.json`.
    pub fn from_json(map: Map<String, Value>) -> Result<Self, ConfigError> {
        let config = match map.get("model_type").and_then(Value::as_str) {
            None => {
                return Err(ConfigError::Missing { field: "model_type", expected: Self::MODEL_TYPES });
            }
            Some("gpt2") => Self::Gpt2(Gpt2Config::from_json(map)?),
            Some("llama" | "mistral" | "qwen2") => Self::Llama(LlamaConfig::from_json(map)?),
            Some(other) => {
                return Err(ConfigError::Unsupported {
                    field: "model_type",
                    value: format!("\"{other}\""),
                    supported: Self::MODEL_TYPES,
                });
            }
        };
        config.validate()?;
        Ok(config)
    }

    /// Checks that the numbers make a model and that every switch is one the engine implements.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::Gpt2(config) => config.validate(),
            Self::Llama(config) => config.validate(),
        }
    }

    /// What the passes work from.
    ///
    /// # Errors
    /// As [`ModelConfig::validate`].
    pub fn architecture(&self) -> Result<Architecture, ConfigError> {
        match self {
            Self::Gpt2(config) => config.architecture(),
            Self::Llama(config) => config.architecture(),
        }
    }

    /// What people call the family.
    pub fn family(&self) -> &'static str {
        match self {
            Self::Gpt2(_) => "GPT-2",
            Self::Llama(config) => config.family(),
        }
    }

    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Gpt2(config) => config.vocab_size,
            Self::Llama(config) => config.vocab_size,
        }
    }

    /// Longest sequence, in tokens.
    pub fn positions(&self) -> usize {
        match self {
            Self::Gpt2(config) => config.n_positions,
            Self::Llama(config) => config.positions(),
        }
    }

    pub fn layers(&self) -> usize {
        match self {
            Self::Gpt2(config) => config.n_layer,
            Self::Llama(config) => config.num_hidden_layers,
        }
    }

    /// Width of the keys of one layer, and of its values.
    pub fn kv_width(&self) -> usize {
        match self {
            Self::Gpt2(config) => config.n_embd,
            Self::Llama(config) => config.kv_heads() * config.head_width(),
        }
    }

    /// Number of weights of the base model; a tied head counts once.
    pub fn parameter_count(&self) -> usize {
        match self {
            Self::Gpt2(config) => config.parameter_count(),
            Self::Llama(config) => config.parameter_count(),
        }
    }

    pub fn tied(&self) -> bool {
        match self {
            Self::Gpt2(config) => config.tie_word_embeddings,
            Self::Llama(config) => config.tie_word_embeddings,
        }
    }

    /// What the model was called where it came from.
    pub fn name(&self) -> Option<&str> {
        let (Self::Gpt2(Gpt2Config { other, .. }) | Self::Llama(LlamaConfig { other, .. })) = self;
        other.get("_name_or_path").and_then(Value::as_str)
    }

    /// Sets dropout wherever the family has it: GPT-2 on embeddings, attention and residuals, the Llama family on
    /// attention alone.
    pub fn set_dropout(&mut self, p: f32) {
        match self {
            Self::Gpt2(config) => {
                (config.embd_pdrop, config.attn_pdrop, config.resid_pdrop) = (p, p, p);
            }
            Self::Llama(config) => config.attention_dropout = p,
        }
    }

    /// Layers that get an adapter when nobody names any: PEFT's own choice for the family.
    pub fn default_lora_modules(&self) -> Vec<String> {
        let modules: &[&str] = match self {
            Self::Gpt2(_) => &["c_attn"],
            Self::Llama(_) => &["q_proj", "v_proj"],
        };
        modules.iter().map(|&module| module.to_owned()).collect()
    }

    /// Whether the family's dense layers keep their weights as `[in, out]`, which PEFT has to be told.
    pub fn fan_in_fan_out(&self) -> bool {
        matches!(self, Self::Gpt2(_))
    }

    /// As it is written beside weights in f32, whatever the base's file said.
    pub fn saved(&self) -> Self {
        let mut config = self.clone();
        let (architecture, field, other) = match &mut config {
            Self::Gpt2(config) => ("GPT2LMHeadModel", &mut config.architectures, &mut config.other),
            Self::Llama(config) => (config.causal_model(), &mut config.architectures, &mut config.other),
        };
        *field = Some(vec![architecture.into()]);
        other.remove("torch_dtype");
        other.insert("dtype".into(), "float32".into());
        config
    }

    /// `bos_token_id` and `eos_token_id`, as the file has them.
    pub fn special_tokens(&self) -> [Value; 2] {
        match self {
            Self::Gpt2(config) => [config.bos_token_id.into(), config.eos_token_id.into()],
            Self::Llama(config) => [config.bos_token_id.clone(), config.eos_token_id.clone()],
        }
    }
}

fn between(
    field: &'static str,
    value: usize,
    low: usize,
    high: usize,
    must: &'static str,
) -> Result<(), ConfigError> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::Bounds { field, value: value.to_string(), must })
    }
}

/// A share that dropout may strike.
fn share(field: &'static str, p: f32) -> Result<(), ConfigError> {
    if (0.0..1.0).contains(&p) {
        Ok(())
    } else {
        Err(ConfigError::Bounds { field, value: p.to_string(), must: "at least 0 and below 1" })
    }
}

fn unreadable(error: &serde_json::Error) -> ConfigError {
    ConfigError::Unreadable { message: error.to_string() }
}
