//! `config.json` of the GPT-2 family.

use super::{Activation, Architecture, ConfigError, Dropouts, between, share, unreadable};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Hyperparameters of a GPT-2 model. Field names and defaults are those of `transformers.GPT2Config`;
/// keys that the engine does not use are kept in `other` and written back unchanged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gpt2Config {
    pub model_type: String,
    pub architectures: Option<Vec<String>>,
    pub vocab_size: usize,
    /// Longest sequence, in tokens. Old files call it `n_ctx`.
    pub n_positions: usize,
    pub n_embd: usize,
    pub n_layer: usize,
    pub n_head: usize,
    /// Width of the feed-forward block; `null` means `4 * n_embd`.
    pub n_inner: Option<usize>,
    pub activation_function: String,
    pub resid_pdrop: f32,
    pub embd_pdrop: f32,
    pub attn_pdrop: f32,
    pub layer_norm_epsilon: f32,
    pub initializer_range: f32,
    pub tie_word_embeddings: bool,
    pub scale_attn_weights: bool,
    pub scale_attn_by_inverse_layer_idx: bool,
    pub reorder_and_upcast_attn: bool,
    pub add_cross_attention: bool,
    pub bos_token_id: Option<u32>,
    pub eos_token_id: Option<u32>,
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

impl Default for Gpt2Config {
    /// GPT-2 124M, which is also what `transformers` assumes for missing keys.
    fn default() -> Self {
        Self {
            model_type: "gpt2".into(),
            architectures: Some(vec!["GPT2LMHeadModel".into()]),
            vocab_size: 50257,
            n_positions: 1024,
            n_embd: 768,
            n_layer: 12,
            n_head: 12,
            n_inner: None,
            activation_function: "gelu_new".into(),
            resid_pdrop: 0.1,
            embd_pdrop: 0.1,
            attn_pdrop: 0.1,
            layer_norm_epsilon: 1e-5,
            initializer_range: 0.02,
            tie_word_embeddings: true,
            scale_attn_weights: true,
            scale_attn_by_inverse_layer_idx: false,
            reorder_and_upcast_attn: false,
            add_cross_attention: false,
            bos_token_id: Some(50256),
            eos_token_id: Some(50256),
            other: BTreeMap::new(),
        }
    }
}

impl Gpt2Config {
    /// The built-in preset for training from nothing on a CPU: 4 layers, 192 wide, at most 1,024 tokens of context
    /// (a job makes it as long as its longest sequence). Token 0 begins and ends a document, as in the tokenizers that the engine trains itself.
    pub fn nano(vocab_size: usize) -> Self {
        Self {
            vocab_size,
            n_positions: 1024,
            n_embd: 192,
            n_layer: 4,
            n_head: 6,
            resid_pdrop: 0.0,
            embd_pdrop: 0.0,
            attn_pdrop: 0.0,
            bos_token_id: Some(0),
            eos_token_id: Some(0),
            ..Self::default()
        }
    }

    /// Reads the contents of a `config.json`, unchecked.
    pub(super) fn from_json(mut map: Map<String, Value>) -> Result<Self, ConfigError> {
        // Files from before 2020 know the context length only by its old name.
        if let (false, Some(length)) = (map.contains_key("n_positions"), map.get("n_ctx").cloned()) {
            map.insert("n_positions".into(), length);
        }
        serde_json::from_value(map.into()).map_err(|error| unreadable(&error))
    }

    /// Checks that the numbers make a model and that every switch is one the engine implements.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.model_type != "gpt2" {
            return Err(ConfigError::Unsupported {
                field: "model_type",
                value: self.model_type.clone(),
                supported: "gpt2",
            });
        }
        between("vocab_size", self.vocab_size, 1, 1 << 24, "between 1 and 16,777,216")?;
        between("n_positions", self.n_positions, 1, 1 << 20, "between 1 and 1,048,576")?;
        between("n_embd", self.n_embd, 1, 1 << 16, "between 1 and 65,536")?;
        between("n_layer", self.n_layer, 1, 1 << 10, "between 1 and 1,024")?;
        between("n_head", self.n_head, 1, 1 << 10, "between 1 and 1,024")?;
        between("n_inner", self.inner(), 1, 1 << 18, "between 1 and 262,144")?;
        if !self.n_embd.is_multiple_of(self.n_head) {
            return Err(ConfigError::NotAMultiple {
                field: "n_embd",
                value: self.n_embd,
                of: "n_head",
                divisor: self.n_head,
            });
        }
        share("resid_pdrop", self.resid_pdrop)?;
        share("embd_pdrop", self.embd_pdrop)?;
        share("attn_pdrop", self.attn_pdrop)?;
        if !(self.layer_norm_epsilon > 0.0 && self.layer_norm_epsilon < 1.0) {
            return Err(ConfigError::Bounds {
                field: "layer_norm_epsilon",
                value: self.layer_norm_epsilon.to_string(),
                must: "above 0 and below 1",
            });
        }
        self.activation()?;
        let unsupported = |field, set: bool, supported| {
            if set {
                Err(ConfigError::Unsupported { field, value: "true".into(), supported })
            } else {
                Ok(())
            }
        };
        unsupported(
            "scale_attn_by_inverse_layer_idx",
            self.scale_attn_by_inverse_layer_idx,
            "false (scores scaled by the head's width only)",
        )?;
        unsupported(
            "reorder_and_upcast_attn",
            self.reorder_and_upcast_attn,
            "false (attention is in f32 anyway)",
        )?;
        unsupported("add_cross_attention", self.add_cross_attention, "false (decoder-only models)")
    }

    /// The activation function by its Hugging Face name.
    pub fn activation(&self) -> Result<Activation, ConfigError> {
        match self.activation_function.as_str() {
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            "gelu" => Ok(Activation::GeluErf),
            other => Err(ConfigError::Unsupported {
                field: "activation_function",
                value: other.into(),
                supported: "gelu_new, gelu_pytorch_tanh and gelu",
            }),
        }
    }

    /// Width of the feed-forward block.
    pub fn inner(&self) -> usize {
        self.n_inner.unwrap_or(4 * self.n_embd)
    }

    /// What the passes work from.
    ///
    /// # Errors
    /// As [`Gpt2Config::validate`].
    pub fn architecture(&self) -> Result<Architecture, ConfigError> {
        self.validate()?;
        let head_width = self.n_embd / self.n_head;
        Ok(Architecture {
            width: self.n_embd,
            layers: self.n_layer,
            heads: self.n_head,
            kv_heads: self.n_head,
            head_width,
            inner: self.inner(),
            vocab: self.vocab_size,
            positions: self.n_positions,
            norm_epsilon: self.layer_norm_epsilon,
            rotary: None,
            activation: self.activation()?,
            attention_scale: if self.scale_attn_weights { 1.0 / (head_width as f32).sqrt() } else { 1.0 },
            dropout: Dropouts {
                embedding: self.embd_pdrop,
                attention: self.attn_pdrop,
                residual: self.resid_pdrop,
            },
        })
    }

    /// Number of weights of the base model; a tied head counts once.
    pub fn parameter_count(&self) -> usize {
        let (d, f) = (self.n_embd, self.inner());
        let norms = 4 * d;
        let attention = d * 3 * d + 3 * d + d * d + d;
        let feed_forward = d * f + f + f * d + d;
        let head = if self.tie_word_embeddings { 0 } else { self.vocab_size * d };
        (self.vocab_size + self.n_positions) * d
            + self.n_layer * (norms + attention + feed_forward)
            + 2 * d
            + head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpt2_has_its_published_size() {
        assert_eq!(Gpt2Config::default().parameter_count(), 124_439_808);
        Gpt2Config::default().validate().unwrap();
    }

    #[test]
    fn unknown_keys_survive_a_round_trip_and_null_inner_is_four_times() {
        let text =
            r#"{"n_ctx": 1024, "n_inner": null, "task_specific_params": {"a": 1}, "n_embd": 8, "n_head": 2}"#;
        let config: Gpt2Config = serde_json::from_str(text).unwrap();
        assert_eq!(config.inner(), 32);
        let back = serde_json::to_value(&config).unwrap();
        assert_eq!(back["task_specific_params"]["a"], 1);
        assert_eq!(back["n_ctx"], 1024);
    }

    #[test]
    fn each_refusal_names_its_field() {
        type Spoil = fn(&mut Gpt2Config);
        let cases: [(&str, Spoil); 6] = [
            ("n_head", |c| c.n_head = 7),
            ("vocab_size", |c| c.vocab_size = 0),
            ("attn_pdrop", |c| c.attn_pdrop = 1.0),
            ("activation_function", |c| c.activation_function = "relu".into()),
            ("scale_attn_by_inverse_layer_idx", |c| c.scale_attn_by_inverse_layer_idx = true),
            ("reorder_and_upcast_attn", |c| c.reorder_and_upcast_attn = true),
        ];
        for (field, spoil) in cases {
            let mut config = Gpt2Config::default();
            spoil(&mut config);
            let message = config.validate().unwrap_err().to_string();
            assert!(message.contains(field), "{message}");
        }
    }
}
