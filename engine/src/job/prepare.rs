//! From a job's directory to a model, a tokenizer and tokenised data.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::error::JobError;
use super::inputs;
use super::layout::JobDirectory;
use super::report::Reporter;
use crate::checkpoint::{self, Checkpoint, Fingerprint};
use crate::config::{Gpt2Config, ModelConfig};
use crate::data::chat_template::Source;
use crate::data::rows::{self, Kind};
use crate::data::template::Template;
use crate::data::tokens::TokenSet;
use crate::error::FileError;
use crate::files::huggingface;
use crate::files::record::DataFile;
use crate::hyperparameters::{Base, FieldError, Hyperparameters};
use crate::kernels::tier::Tier;
use crate::lora;
use crate::model::Model;
use crate::tokenizer::{TRAINING_SAMPLE_BYTES, Tokenizer};

/// All that training needs beside the model itself.
pub struct Prepared {
    pub hyperparameters: Hyperparameters,
    pub base: Base,
    /// What the base model calls itself.
    pub base_name: String,
    pub template: Template,
    pub tokenizer: Tokenizer,
    pub training: TokenSet,
    pub validation: Option<TokenSet>,
    pub files: Vec<DataFile>,
    pub fingerprint: Fingerprint,
    /// Where to go on from.
    pub checkpoint: Option<Checkpoint>,
}

pub fn prepare(
    layout: &JobDirectory,
    mut hyperparameters: Hyperparameters,
    report: &mut Reporter<'_>,
) -> Result<(Prepared, Model), JobError> {
    let base = inputs::base(layout);
    // One pass over everything: wrong lines show before anything is computed, and the sample is at hand.
    let channels = read_channels(layout)?;
    refuse_patience_without_validation(&hyperparameters, &channels)?;
    let (config, weights_hash) = match base {
        Base::Nano => (None, "nano".to_owned()),
        Base::Model => {
            let config = huggingface::read_config(&layout.base_model())?;
            let hash = base_hash(layout, &config, channels.kind)?;
            choose_modules(&mut hyperparameters, &config)?;
            (Some(config), hash)
        }
    };
    let fingerprint = fingerprint(&hyperparameters, &channels.files, weights_hash);
    let checkpoint = checkpoint::newest(&layout.checkpoints(), &fingerprint)?;

    let tokenizer = match (&checkpoint, base) {
        (_, Base::Model) => Tokenizer::load(&layout.base_model())?,
        (Some(checkpoint), Base::Nano) => checkpoint.tokenizer()?,
        (None, Base::Nano) => {
            report.log("Training a tokenizer on the data.");
            Tokenizer::for_data(&channels.sample, &Template::for_kind(channels.kind))?
        }
    };
    drop(channels.sample);
    let template = match base {
        Base::Nano => Template::for_kind(channels.kind),
        Base::Model => {
            let began = checkpoint.as_ref().and_then(|checkpoint| checkpoint.progress.chat_template_date);
            let today = began.unwrap_or_else(|| report.today());
            Template::of_base(channels.kind, &layout.base_model(), Some(today), &tokenizer)?
        }
    };
    if template.own.is_some() {
        report.log("The base model's own chat template is used.");
    }
    let mut config = config.unwrap_or_else(|| nano(&tokenizer, &hyperparameters));
    tokenizer.check_fits(config.vocab_size())?;
    if let Some(dropout) = hyperparameters.dropout {
        config.set_dropout(dropout as f32);
    }
    if hyperparameters.max_sequence_length as usize > config.positions() {
        report.log(&format!(
            "max_sequence_length is {}, and the model has {} positions; rows are cut to those.",
            hyperparameters.max_sequence_length,
            config.positions()
        ));
        hyperparameters.max_sequence_length = config.positions() as u32;
    }

    let max_length = hyperparameters.max_sequence_length as usize;
    let (training, _) = TokenSet::read(&layout.training(), &tokenizer, &template, max_length)?;
    let validation = match channels.validates {
        true => Some(TokenSet::read(&layout.validation(), &tokenizer, &template, max_length)?.0),
        false => None,
    };
    tell_about_data(report, &training, validation.as_ref(), &tokenizer, &channels.files);

    let base_name = config.name().unwrap_or_default();
    let base_name = match base {
        Base::Nano => "nano".to_owned(),
        Base::Model if base_name.is_empty() => "base model".to_owned(),
        Base::Model => base_name.to_owned(),
    };
    let model = load_model(layout, base, config, &hyperparameters, checkpoint.as_ref())?;
    report.log(&format!(
        "The model has {} weights, of which {} are trained.",
        model.parameter_count(),
        model.trainable_parameter_count()
    ));
    let prepared = Prepared {
        hyperparameters,
        base,
        base_name,
        template,
        tokenizer,
        training,
        validation,
        files: channels.files,
        fingerprint,
        checkpoint,
    };
    Ok((prepared, model))
}

/// The built-in small model, for the tokenizer that was made for the data.
fn nano(tokenizer: &Tokenizer, hyperparameters: &Hyperparameters) -> ModelConfig {
    let preset = Gpt2Config::nano(tokenizer.vocab_size());
    let end = Some(tokenizer.end_of_text());
    ModelConfig::Gpt2(Gpt2Config {
        // What lies beyond the longest sequence would never be trained, and answers would end in noise.
        n_positions: preset.n_positions.min(hyperparameters.max_sequence_length as usize),
        bos_token_id: end,
        eos_token_id: end,
        ..preset
    })
}

struct Channels {
    kind: Kind,
    /// Text for the tokenizer, at most about [`TRAINING_SAMPLE_BYTES`].
    sample: Vec<String>,
    files: Vec<DataFile>,
    validates: bool,
}

fn read_channels(layout: &JobDirectory) -> Result<Channels, JobError> {
    let (mut kind, mut sample, mut sampled) = (Kind::Text, Vec::new(), 0);
    let mut files = rows::read(&layout.training(), None, |row| {
        kind = row.kind();
        for text in row.texts() {
            if sampled < TRAINING_SAMPLE_BYTES {
                sampled += text.len();
                sample.push(text.to_owned());
            }
        }
        true
    })?;
    let validates = layout.validation().is_dir();
    if validates {
        files.extend(rows::read(&layout.validation(), Some(kind), |_| true)?);
    }
    Ok(Channels { kind, sample, files, validates })
}

fn refuse_patience_without_validation(
    hyperparameters: &Hyperparameters,
    channels: &Channels,
) -> Result<(), JobError> {
    if hyperparameters.early_stopping_patience.is_none() || channels.validates {
        return Ok(());
    }
    Err(JobError::Hyperparameters(vec![FieldError {
        field: "early_stopping_patience".into(),
        message: "needs validation data, and there is none; add some or switch it off".into(),
    }]))
}

/// Fills in the layers with an adapter where they were left to the model, and refuses those that it lacks.
fn choose_modules(hyperparameters: &mut Hyperparameters, config: &ModelConfig) -> Result<(), JobError> {
    let Some(lora) = &mut hyperparameters.lora else { return Ok(()) };
    lora.target_modules = lora.on(config).target_modules;
    lora::check_modules(config, &lora.target_modules).map_err(|error| {
        let (field, message) = ("lora_target_modules".into(), error.to_string());
        JobError::Hyperparameters(vec![FieldError { field, message }])
    })
}

fn load_model(
    layout: &JobDirectory,
    base: Base,
    config: ModelConfig,
    hyperparameters: &Hyperparameters,
    checkpoint: Option<&Checkpoint>,
) -> Result<Model, JobError> {
    let weights = checkpoint.map(Checkpoint::weights).transpose()?;
    let Some(lora) = &hyperparameters.lora else {
        return Ok(match (weights, base) {
            (Some(weights), _) => Model::from_tensors(config, weights)?,
            (None, Base::Nano) => Model::init(config, hyperparameters.seed)?,
            (None, Base::Model) => {
                let tensors = huggingface::read_tensors(&layout.base_model(), &config)?;
                Model::from_tensors(config, tensors)?
            }
        });
    };
    let weights_of_base = huggingface::read_frozen(&layout.base_model(), &config, Tier::chosen())?;
    let mut model = Model::from_weights(config, weights_of_base)?;
    let lora = lora.on(model.config());
    model.attach_lora(&lora, hyperparameters.seed)?;
    if let Some(weights) = weights {
        model.load_lora_tensors(weights)?;
    }
    Ok(model)
}

fn fingerprint(hyperparameters: &Hyperparameters, files: &[DataFile], base: String) -> Fingerprint {
    let mut settings = hyperparameters.to_strings();
    // The number of threads changes no bit of the result.
    settings.remove("threads");
    let hash = |text: String| Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    Fingerprint { settings: hash(format!("{settings:?}")), data: hash(format!("{files:?}")), base }
}

/// Configuration, chat template and sizes: cheap even for large weights, and enough to notice another model.
fn base_hash(layout: &JobDirectory, config: &ModelConfig, kind: Kind) -> Result<String, JobError> {
    let mut text = format!("{config:?}");
    // With another chat template the same rows are other tokens.
    if kind != Kind::Text
        && let Some(source) = Source::read(&layout.base_model())?
    {
        text += &source.template;
    }
    for path in huggingface::weight_files(&layout.base_model())? {
        let length = std::fs::metadata(&path).map_err(FileError::io("read", &path))?.len();
        text += &format!(" {} {length}", path.file_name().unwrap_or_default().to_string_lossy());
    }
    Ok(Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The first batch as the model sees it, and the figures that explain a surprising result.
fn tell_about_data(
    report: &mut Reporter<'_>,
    training: &TokenSet,
    validation: Option<&TokenSet>,
    tokenizer: &Tokenizer,
    files: &[DataFile],
) {
    let rows: u64 = files.iter().filter(|file| file.channel == "training").map(|file| file.rows).sum();
    report.event(
        "data",
        json!({
            "kind": training.kind(),
            "rows": rows,
            "sequences": training.sequences(),
            "tokens_per_epoch": training.tokens(),
            "predicted_per_epoch": training.predicted(),
            "truncated_rows": training.truncated,
            "validation_sequences": validation.map_or(0, TokenSet::sequences),
            "vocab_size": tokenizer.vocab_size(),
        }),
    );
    report.log(&format!(
        "{rows} rows, {} tokens per epoch, of which {} are learned; a vocabulary of {} tokens.",
        training.tokens(),
        training.predicted(),
        tokenizer.vocab_size()
    ));
    if training.truncated > 0 {
        let share = 100.0 * training.truncated as f64 / rows.max(1) as f64;
        report.log(&format!(
            "{} rows ({share:.1} %) are longer than max_sequence_length and were cut.",
            training.truncated
        ));
    }
}
