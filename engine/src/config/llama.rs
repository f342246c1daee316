//! `config.json` of the Llama family: Llama and SmolLM, Mistral, Qwen2.

use super::rope::{self, Rotary};
use super::{Activation, Architecture, ConfigError, Dropouts, between, share, unreadable};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Hyperparameters of a model of the Llama family. Field names and defaults are those of `transformers.LlamaConfig`,
/// and of `MistralConfig` and `Qwen2Config` where `model_type` says so; keys that the engine does not use are kept in
/// `other` and written back unchanged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LlamaConfig {
    /// `llama`, `mistral` or `qwen2`.
    pub model_type: String,
    pub architectures: Option<Vec<String>>,
    pub vocab_size: usize,
    pub hidden_size: usize,
    /// Width of the feed-forward block.
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    /// Heads of keys and values; `null` means as many as of queries.
    pub num_key_value_heads: Option<usize>,
    /// Width of one head; `null` means `hidden_size / num_attention_heads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    pub hidden_act: String,
    pub max_position_embeddings: usize,
    pub initializer_range: f32,
    pub rms_norm_eps: f32,
    pub tie_word_embeddings: bool,
    /// Llama's biases of the four attention layers. Qwen2 has those of queries, keys and values always.
    pub attention_bias: bool,
    pub mlp_bias: bool,
    pub attention_dropout: f32,
    /// How positions rotate queries and keys, as `transformers` 5 writes it …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<Map<String, Value>>,
    /// … and as older versions do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sliding_window: Option<usize>,
    /// Qwen2's; Mistral's window is in use whenever there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_sliding_window: Option<bool>,
    /// A number, or null.
    pub bos_token_id: Value,
    /// A number, a list of them, or null.
    pub eos_token_id: Value,
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

impl Default for LlamaConfig {
    /// Llama 7B, which is also what `transformers` assumes for missing keys.
    fn default() -> Self {
        Self {
            model_type: "llama".into(),
            architectures: Some(vec!["LlamaForCausalLM".into()]),
            vocab_size: 32_000,
            hidden_size: 4096,
            intermediate_size: 11_008,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: None,
            head_dim: None,
            hidden_act: "silu".into(),
            max_position_embeddings: 2048,
            initializer_range: 0.02,
            rms_norm_eps: 1e-6,
            tie_word_embeddings: false,
            attention_bias: false,
            mlp_bias: false,
            attention_dropout: 0.0,
            rope_parameters: None,
            rope_theta: None,
            rope_scaling: None,
            sliding_window: None,
            use_sliding_window: None,
            bos_token_id: 1.into(),
            eos_token_id: 2.into(),
            other: BTreeMap::new(),
        }
    }
}

/// Where the family's other members assume something else for a missing key.
fn defaults(model_type: &str) -> Vec<(&'static str, Value)> {
    match model_type {
        "mistral" => vec![
            ("intermediate_size", 14_336.into()),
            ("num_key_value_heads", 8.into()),
            ("max_position_embeddings", (4096 * 32).into()),
            ("sliding_window", 4096.into()),
        ],
        "qwen2" => vec![
            ("vocab_size", 151_936.into()),
            ("intermediate_size", 22_016.into()),
            ("num_key_value_heads", 32.into()),
            ("max_position_embeddings", 32_768.into()),
            ("bos_token_id", Value::Null),
            ("eos_token_id", Value::Null),
        ],
        _ => Vec::new(),
    }
}

impl LlamaConfig {
    /// Reads the contents of a `config.json`, unchecked.
    pub(super) fn from_json(mut map: Map<String, Value>) -> Result<Self, ConfigError> {
        let model_type = map.get("model_type").and_then(Value::as_str).unwrap_or_default().to_owned();
        for (key, value) in defaults(&model_type) {
            map.entry(key).or_insert(value);
        }
        serde_json::from_value(map.into()).map_err(|error| unreadable(&error))
    }

    /// Checks that the numbers make a model and that every switch is one the engine implements.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !["llama", "mistral", "qwen2"].contains(&self.model_type.as_str()) {
            return Err(ConfigError::Unsupported {
                field: "model_type",
                value: self.model_type.clone(),
                supported: "llama, mistral and qwen2",
            });
        }
        between("vocab_size", self.vocab_size, 1, 1 << 24, "between 1 and 16,777,216")?;
        between("hidden_size", self.hidden_size, 1, 1 << 16, "between 1 and 65,536")?;
        between("intermediate_size", self.intermediate_size, 1, 1 << 18, "between 1 and 262,144")?;
        between("num_hidden_layers", self.num_hidden_layers, 1, 1 << 10, "between 1 and 1,024")?;
        between("num_attention_heads", self.num_attention_heads, 1, 1 << 10, "between 1 and 1,024")?;
        between("num_key_value_heads", self.kv_heads(), 1, 1 << 10, "between 1 and 1,024")?;
        let positions = self.max_position_embeddings;
        between("max_position_embeddings", positions, 1, 1 << 24, "between 1 and 16,777,216")?;
        if let Some(window) = self.window() {
            between("sliding_window", window, 1, usize::MAX, "at least 1")?;
        }
        let multiple = |field, value: usize, of, divisor| {
            if value.is_multiple_of(divisor) {
                Ok(())
            } else {
                Err(ConfigError::NotAMultiple { field, value, of, divisor })
            }
        };
        if self.head_dim.is_none() {
            multiple("hidden_size", self.hidden_size, "num_attention_heads", self.num_attention_heads)?;
        }
        multiple("num_attention_heads", self.num_attention_heads, "num_key_value_heads", self.kv_heads())?;
        between("head_dim", self.head_width(), 2, 1 << 12, "between 2 and 4,096")?;
        if !self.head_width().is_multiple_of(2) {
            let value = self.head_width().to_string();
            let must = "even, because halves of a head are rotated";
            return Err(ConfigError::Bounds { field: "head_dim", value, must });
        }
        share("attention_dropout", self.attention_dropout)?;
        if !(self.rms_norm_eps > 0.0 && self.rms_norm_eps < 1.0) {
            return Err(ConfigError::Bounds {
                field: "rms_norm_eps",
                value: self.rms_norm_eps.to_string(),
                must: "above 0 and below 1",
            });
        }
        if !["silu", "swish"].contains(&self.hidden_act.as_str()) {
            return Err(ConfigError::Unsupported {
                field: "hidden_act",
                value: self.hidden_act.clone(),
                supported: "silu",
            });
        }
        self.rotary().map(drop)
    }

    /// What the passes work from.
    ///
    /// # Errors
    /// As [`LlamaConfig::validate`].
    pub fn architecture(&self) -> Result<Architecture, ConfigError> {
        self.validate()?;
        Ok(Architecture {
            width: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            kv_heads: self.kv_heads(),
            head_width: self.head_width(),
            inner: self.intermediate_size,
            vocab: self.vocab_size,
            positions: self.positions(),
            norm_epsilon: self.rms_norm_eps,
            rotary: Some(self.rotary()?),
            activation: Activation::SwiGlu,
            attention_scale: 1.0 / (self.head_width() as f32).sqrt(),
            dropout: Dropouts { attention: self.attention_dropout, ..Dropouts::default() },
        })
    }

    fn rotary(&self) -> Result<Rotary, ConfigError> {
        let positions = self.max_position_embeddings;
        match (&self.rope_parameters, &self.rope_scaling) {
            (Some(parameters), _) => {
                rope::rotary("rope_parameters", parameters, None, self.head_width(), positions)
            }
            (None, scaling) => {
                let none = Map::new();
                let scaling = scaling.as_ref().unwrap_or(&none);
                rope::rotary("rope_scaling", scaling, self.rope_theta, self.head_width(), positions)
            }
        }
    }

    /// Tokens back that attention sees, where that is limited at all.
    fn window(&self) -> Option<usize> {
        let used = match self.model_type.as_str() {
            "mistral" => true,
            "qwen2" => self.use_sliding_window.unwrap_or(false),
            _ => false,
        };
        self.sliding_window.filter(|_| used)
    }

    /// Longest sequence, in tokens. Within a sliding window attention is full attention, so the window is the limit.
    pub fn positions(&self) -> usize {
        self.window().unwrap_or(usize::MAX).min(self.max_position_embeddings)
    }

    pub fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of one head.
    pub fn head_width(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Whether queries, keys and values have biases.
    pub(crate) fn qkv_bias(&self) -> bool {
        self.model_type == "qwen2" || self.output_bias()
    }

    /// Whether attention's last layer has a bias.
    pub(crate) fn output_bias(&self) -> bool {
        self.model_type == "llama" && self.attention_bias
    }

    /// Whether the feed-forward block has biases.
    pub(crate) fn inner_bias(&self) -> bool {
        self.model_type == "llama" && self.mlp_bias
    }

    pub(super) fn family(&self) -> &'static str {
        match self.model_type.as_str() {
            "mistral" => "Mistral",
            "qwen2" => "Qwen2",
            _ => "Llama",
        }
    }

    /// The class of `transformers` that loads it.
    pub(super) fn causal_model(&self) -> &'static str {
        match self.model_type.as_str() {
            "mistral" => "MistralForCausalLM",
            "qwen2" => "Qwen2ForCausalLM",
            _ => "LlamaForCausalLM",
        }
    }

    /// Number of weights of the base model; a tied head counts once.
    pub fn parameter_count(&self) -> usize {
        let (d, f) = (self.hidden_size, self.intermediate_size);
        let (q, kv) = (self.num_attention_heads * self.head_width(), self.kv_heads() * self.head_width());
        let bias = |wanted, n| if wanted { n } else { 0 };
        let attention =
            2 * d * q + 2 * d * kv + bias(self.qkv_bias(), q + 2 * kv) + bias(self.output_bias(), d);
        let feed_forward = 3 * d * f + bias(self.inner_bias(), 2 * f + d);
        let tables = if self.tie_word_embeddings { 1 } else { 2 };
        tables * self.vocab_size * d + self.num_hidden_layers * (2 * d + attention + feed_forward) + d
    }
}

#[cfg(test)]
mod tests {
    use super::super::ModelConfig;
    use super::*;

    fn read(text: &str) -> Result<ModelConfig, ConfigError> {
        ModelConfig::from_json(serde_json::from_str(text).unwrap())
    }

    const SMOLLM2: &str = r#"{"model_type":"llama","vocab_size":49152,"hidden_size":576,"intermediate_size":1536,
        "num_hidden_layers":30,"num_attention_heads":9,"num_key_value_heads":3,"max_position_embeddings":8192,
        "rope_theta":100000,"rope_scaling":null,"rms_norm_eps":1e-5,"tie_word_embeddings":true,"rope_interleaved":false}"#;

    const QWEN: &str = r#"{"model_type":"qwen2","hidden_size":896,"intermediate_size":4864,"num_hidden_layers":24,
        "num_attention_heads":14,"num_key_value_heads":2,"rope_theta":1000000.0,"tie_word_embeddings":true,
        "sliding_window":32768,"max_window_layers":21,"use_sliding_window":false}"#;

    #[test]
    fn models_have_their_published_sizes() {
        assert_eq!(read(SMOLLM2).unwrap().parameter_count(), 134_515_008);
        assert_eq!(read(QWEN).unwrap().parameter_count(), 494_032_768);
        assert_eq!(LlamaConfig::default().parameter_count(), 6_738_415_616);
        let mistral = read(r#"{"model_type":"mistral"}"#).unwrap();
        assert_eq!(mistral.parameter_count(), 7_241_732_096);
        assert_eq!((mistral.positions(), mistral.family()), (4096, "Mistral"), "the window is the limit");
        assert_eq!(read(QWEN).unwrap().positions(), 32_768);
    }

    #[test]
    fn what_is_not_used_is_written_back_and_nothing_is_made_up() {
        let back = serde_json::to_value(read(QWEN).unwrap()).unwrap();
        assert_eq!(back["max_window_layers"], 21);
        assert_eq!(back["rope_theta"], 1_000_000.0);
        assert_eq!(back["eos_token_id"], Value::Null);
        assert!(back.get("rope_parameters").is_none() && back.get("head_dim").is_none());
        let new = r#"{"model_type":"llama","rope_parameters":{"rope_type":"default","rope_theta":5e5},"eos_token_id":[1,2]}"#;
        let back = serde_json::to_value(read(new).unwrap()).unwrap();
        assert_eq!(back["rope_parameters"]["rope_theta"], 5e5);
        assert_eq!(back["eos_token_id"][1], 2);
        assert!(back.get("rope_theta").is_none());
    }

    #[test]
    fn old_and_new_files_turn_positions_alike() {
        let scaling = r#""factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":512"#;
        let of = |rope: String| {
            read(&format!(r#"{{"model_type":"llama",{rope}}}"#)).unwrap().architecture().unwrap()
        };
        let new = of(format!(r#""rope_parameters":{{"rope_type":"llama3","rope_theta":5e5,{scaling}}}"#));
        let old = of(format!(r#""rope_theta":5e5,"rope_scaling":{{"rope_type":"llama3",{scaling}}}"#));
        assert_eq!(new, old);
        assert_ne!(new, of(r#""rope_theta":5e5"#.into()));
    }

    #[test]
    fn each_refusal_names_its_field() {
        for (field, json) in [
            ("num_attention_heads", r#"{"num_attention_heads":6,"hidden_size":24,"num_key_value_heads":4}"#),
            ("hidden_size", r#"{"num_attention_heads":5,"hidden_size":24}"#),
            ("num_key_value_heads", r#"{"num_key_value_heads":0}"#),
            ("head_dim", r#"{"head_dim":7}"#),
            ("vocab_size", r#"{"vocab_size":0}"#),
            ("attention_dropout", r#"{"attention_dropout":1.0}"#),
            ("hidden_act", r#"{"hidden_act":"gelu"}"#),
            ("rms_norm_eps", r#"{"rms_norm_eps":0}"#),
            ("rope_scaling", r#"{"rope_scaling":{"type":"longrope","factor":2}}"#),
            ("rope_scaling", r#"{"rope_scaling":{"type":"linear","factor":"two"}}"#),
            ("rope_parameters", r#"{"rope_parameters":{"rope_type":"llama3","factor":8}}"#),
            ("rope_parameters", r#"{"rope_parameters":{"rope_theta":-1}}"#),
            ("rope_parameters", r#"{"rope_parameters":{"rope_theta":1e-320}}"#),
            ("rope_scaling", r#"{"rope_scaling":{"type":"linear","factor":1e-320}}"#),
            ("rope_parameters", r#"{"rope_parameters":{"rope_theta":1e4,"partial_rotary_factor":0.5}}"#),
            ("expected usize", r#"{"hidden_size":"wide"}"#),
        ] {
            let mut map: Map<String, Value> = serde_json::from_str(json).unwrap();
            map.insert("model_type".into(), "llama".into());
            let message = ModelConfig::from_json(map).unwrap_err().to_string();
            assert!(message.contains(field), "{field}: {message}");
        }
        assert!(read("{}").unwrap_err().to_string().contains("model_type"));
        assert!(read(r#"{"model_type":"mamba"}"#).unwrap_err().to_string().contains("mamba"));
    }
}
