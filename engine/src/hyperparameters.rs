//! The settings of a training run: names, bounds, defaults, and their form as text.
//!
//! SageMaker hands every hyperparameter over as a string, and so does a web form; this module turns such a map
//! into typed values and reports *all* mistakes at once. It does no I/O, so that a web server can check a form with the very rules that the training process will apply.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::ModelConfig;
use crate::lora::LoraConfig;

mod parse;

/// What is being tuned, as far as defaults are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The built-in small GPT-2, trained from nothing.
    Nano,
    /// All weights of an existing model.
    Full,
    /// Low-rank adapters over a frozen existing model.
    Lora,
}

/// Where the weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    Nano,
    /// A model directory in the Hugging Face layout.
    Model,
}

/// How long to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TrainingLength {
    /// Passes over the training data; fractions are allowed.
    Epochs(f64),
    /// Optimizer steps.
    Steps(u64),
}

/// How the learning rate falls after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LrScheduler {
    Linear,
    Cosine,
    Constant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    AdamW,
    Adam,
    Sgd,
}

/// Low-rank adaptation (Hu et al. 2021): the update of a weight is `alpha / r * A * B`.
#[derive(Debug, Clone, PartialEq)]
pub struct Lora {
    pub r: u32,
    pub alpha: f64,
    pub dropout: f64,
    /// Names of linear layers, as PEFT understands them, or its word `all-linear`; empty leaves the choice to the
    /// model, see [`crate::config::ModelConfig::default_lora_modules`].
    pub target_modules: Vec<String>,
}

/// All settings of a run, each within its bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Hyperparameters {
    /// Peak of the schedule.
    pub learning_rate: f64,
    /// Rows (or windows of plain text) per forward and backward pass.
    pub batch_size: u32,
    /// Passes whose gradients are added up before one optimizer step.
    pub gradient_accumulation_steps: u32,
    pub length: TrainingLength,
    /// In tokens; longer rows are cut. The default is for plain text, whose windows have this length; who knows the
    /// rows' lengths sets it by them.
    pub max_sequence_length: u32,
    pub weight_decay: f64,
    /// Share of all steps during which the learning rate rises from 0.
    pub warmup_ratio: f64,
    pub lr_scheduler: LrScheduler,
    pub optimizer: Optimizer,
    /// Gradients with a larger global norm are scaled down to it; 0 switches this off.
    pub max_grad_norm: f64,
    pub seed: u64,
    /// Dropout wherever the family has it (embeddings, attention, residuals); `None` leaves what the base model's
    /// `config.json` says: 0.1 in GPT-2's, 0 in most of the Llama family's.
    pub dropout: Option<f64>,
    /// `None` trains all weights.
    pub lora: Option<Lora>,
    /// Keep only each block's input and compute the block again in the backward pass: less memory, a third to a half more
    /// work.
    pub gradient_checkpointing: bool,
    /// With LoRA: also fold the adapter into the base and save a whole model.
    pub merge_adapter: bool,
    /// Steps between evaluations; `None` makes about ten in a run.
    pub eval_steps: Option<u64>,
    /// Steps between checkpoints; `None` makes about ten in a run.
    pub checkpoint_steps: Option<u64>,
    /// Evaluations without improvement after which training ends; `None` never ends early.
    pub early_stopping_patience: Option<u32>,
    /// CPU threads; `None` takes all.
    pub threads: Option<u32>,
}

/// One setting that is wrong, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

/// Every name that [`Hyperparameters::parse`] knows, in the order in which a form shows them.
pub const NAMES: [&str; 23] = [
    "learning_rate",
    "epochs",
    "max_steps",
    "max_sequence_length",
    "batch_size",
    "gradient_accumulation_steps",
    "gradient_checkpointing",
    "lr_scheduler",
    "warmup_ratio",
    "optimizer",
    "weight_decay",
    "max_grad_norm",
    "dropout",
    "seed",
    "lora",
    "lora_r",
    "lora_alpha",
    "lora_dropout",
    "lora_target_modules",
    "merge_adapter",
    "eval_steps",
    "checkpoint_steps",
    "early_stopping_patience",
];

impl Hyperparameters {
    /// Settings that work for most data.
    pub fn defaults_for(preset: Preset) -> Self {
        let nano = Self {
            learning_rate: 1.5e-3,
            batch_size: 8,
            gradient_accumulation_steps: 1,
            length: TrainingLength::Epochs(6.0),
            max_sequence_length: 256,
            weight_decay: 0.01,
            warmup_ratio: 0.03,
            lr_scheduler: LrScheduler::Cosine,
            optimizer: Optimizer::AdamW,
            max_grad_norm: 1.0,
            seed: 42,
            dropout: Some(0.0),
            lora: None,
            gradient_checkpointing: false,
            merge_adapter: false,
            eval_steps: None,
            checkpoint_steps: None,
            early_stopping_patience: None,
            threads: None,
        };
        let pretrained = Self {
            batch_size: 4,
            gradient_accumulation_steps: 2,
            length: TrainingLength::Epochs(3.0),
            max_sequence_length: 512,
            dropout: None,
            ..nano.clone()
        };
        match preset {
            Preset::Nano => nano,
            Preset::Full => Self { learning_rate: 2e-5, ..pretrained },
            Preset::Lora => Self {
                learning_rate: 2e-4,
                // Dropout belongs to the adapter: the frozen model is run as it was published.
                dropout: Some(0.0),
                lora: Some(Lora { r: 8, alpha: 16.0, dropout: 0.05, target_modules: Vec::new() }),
                ..pretrained
            },
        }
    }

    /// Reads settings handed over as text; what is absent or empty takes its default.
    ///
    /// LoRA is on by default for an existing model and impossible for nano. Unknown names are refused;
    /// SageMaker's own (`sagemaker_…`) are passed over. Values may be JSON-encoded once more (`"\"cosine\""`),
    /// as SageMaker's Python SDK does.
    ///
    /// # Errors
    /// All mistakes at once, in the order of [`NAMES`], unknown names last.
    pub fn parse(values: &BTreeMap<String, String>, base: Base) -> Result<Self, Vec<FieldError>> {
        parse::parse(values, base)
    }

    /// The inverse of [`Hyperparameters::parse`].
    pub fn to_strings(&self) -> BTreeMap<String, String> {
        let mut map: BTreeMap<String, String> = [
            ("learning_rate", self.learning_rate.to_string()),
            ("batch_size", self.batch_size.to_string()),
            ("gradient_accumulation_steps", self.gradient_accumulation_steps.to_string()),
            ("gradient_checkpointing", self.gradient_checkpointing.to_string()),
            ("max_sequence_length", self.max_sequence_length.to_string()),
            ("weight_decay", self.weight_decay.to_string()),
            ("warmup_ratio", self.warmup_ratio.to_string()),
            ("lr_scheduler", self.lr_scheduler.as_str().to_owned()),
            ("optimizer", self.optimizer.as_str().to_owned()),
            ("max_grad_norm", self.max_grad_norm.to_string()),
            ("seed", self.seed.to_string()),
            ("lora", self.lora.is_some().to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let mut put = |name: &str, value: String| map.insert(name.to_owned(), value);
        match self.length {
            TrainingLength::Epochs(epochs) => put("epochs", epochs.to_string()),
            TrainingLength::Steps(steps) => put("max_steps", steps.to_string()),
        };
        if let Some(dropout) = self.dropout {
            put("dropout", dropout.to_string());
        }
        if let Some(lora) = &self.lora {
            put("lora_r", lora.r.to_string());
            put("lora_alpha", lora.alpha.to_string());
            put("lora_dropout", lora.dropout.to_string());
            if !lora.target_modules.is_empty() {
                put("lora_target_modules", lora.target_modules.join(","));
            }
            put("merge_adapter", self.merge_adapter.to_string());
        }
        let optional = [
            ("eval_steps", self.eval_steps),
            ("checkpoint_steps", self.checkpoint_steps),
            ("early_stopping_patience", self.early_stopping_patience.map(u64::from)),
            ("threads", self.threads.map(u64::from)),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                put(name, value.to_string());
            }
        }
        map
    }

    /// Optimizer steps for so many rows (or windows of plain text); at least 1.
    pub fn total_steps(&self, rows: u64) -> u64 {
        match self.length {
            TrainingLength::Steps(steps) => steps,
            TrainingLength::Epochs(epochs) => {
                let per_step = f64::from(self.batch_size) * f64::from(self.gradient_accumulation_steps);
                (epochs * rows as f64 / per_step).ceil().max(1.0) as u64
            }
        }
    }
}

impl Lora {
    /// The adapter that these settings ask for on a model.
    pub fn on(&self, config: &ModelConfig) -> LoraConfig {
        let open = self.target_modules.is_empty();
        LoraConfig {
            r: self.r as usize,
            alpha: self.alpha as f32,
            dropout: self.dropout as f32,
            target_modules: if open { config.default_lora_modules() } else { self.target_modules.clone() },
        }
    }
}

impl LrScheduler {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Cosine => "cosine",
            Self::Constant => "constant",
        }
    }
}

impl Optimizer {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AdamW => "adamw",
            Self::Adam => "adam",
            Self::Sgd => "sgd",
        }
    }
}

impl Serialize for Hyperparameters {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_strings().serialize(serializer)
    }
}
