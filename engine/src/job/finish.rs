//! The result: a directory that `transformers` or `peft` loads, and that says how it was made.

use std::path::Path;

use serde_json::json;

use super::card;
use super::error::JobError;
use super::layout::JobDirectory;
use super::prepare::Prepared;
use crate::checkpoint::Progress;
use crate::config::ModelConfig;
use crate::error::FileError;
use crate::files::peft::AdapterConfig;
use crate::files::record::{Outcome, Record};
use crate::files::{atomic, huggingface, peft, record, safetensors};
use crate::lora::LoraConfig;
use crate::model::Model;
use crate::tensor::TensorMap;

/// Writes `model/` and puts it in place whole.
///
/// LoRA gives an adapter; with `merge_adapter`, a whole model with the adapter in `adapter/` beside it.
pub fn write(
    layout: &JobDirectory,
    prepared: &Prepared,
    model: Model,
    progress: &Progress,
) -> Result<(), JobError> {
    let record = Record {
        engine_version: env!("CARGO_PKG_VERSION").into(),
        base_model: prepared.base_name.clone(),
        template: prepared.template.clone(),
        own_chat_template: prepared.template.own.is_some(),
        chat_template_date: prepared.template.own.as_ref().and_then(|own| own.date()),
        hyperparameters: prepared.hyperparameters.to_strings(),
        data: prepared.files.clone(),
        result: Some(Outcome {
            steps: progress.step,
            train_loss: progress.train_loss,
            eval_loss: progress.eval_loss,
            tokens: progress.tokens,
        }),
    };
    atomic::replace_directory(&layout.model(), |directory| {
        let h = &prepared.hyperparameters;
        let config = model.config().clone();
        let positions = config.positions();
        match model.lora().cloned() {
            None => whole_model(directory, &model)?,
            Some(lora) if h.merge_adapter => {
                let inner = directory.join("adapter");
                std::fs::create_dir(&inner).map_err(FileError::io("create", &inner))?;
                adapter(&inner, &model, &lora, &prepared.base_name)?;
                let tensors = model.lora_tensor_map();
                // Both at once would take more memory than training did.
                drop(model);
                let merged = merged(config, &lora, tensors, layout)?;
                whole_model(directory, &merged)?;
            }
            Some(lora) => adapter(directory, &model, &lora, &prepared.base_name)?,
        }
        // How the base generates holds for what was tuned from it; it may name further tokens that end an answer.
        let from = layout.base_model().join(huggingface::GENERATION);
        if from.is_file() {
            let to = directory.join(huggingface::GENERATION);
            std::fs::copy(&from, &to).map_err(FileError::io("write", &to))?;
        }
        prepared.tokenizer.save(directory, &prepared.template, positions)?;
        record::write(directory, &record)?;
        write_text(&directory.join("README.md"), &card::render(&record, h.lora.is_some()))
    })
}

/// The base once more, with the adapter folded in: training may have rounded its own copy.
fn merged(
    config: ModelConfig,
    lora: &LoraConfig,
    adapter: TensorMap,
    layout: &JobDirectory,
) -> Result<Model, JobError> {
    let tensors = huggingface::read_tensors(&layout.base_model(), &config)?;
    let mut model = Model::from_tensors(config, tensors)?;
    // The seed is of no matter: all values are replaced.
    model.attach_lora(lora, 0)?;
    model.load_lora_tensors(adapter)?;
    model.merge_lora();
    Ok(model)
}

/// Weights, configuration and how to generate.
fn whole_model(directory: &Path, model: &Model) -> Result<(), JobError> {
    safetensors::write(&directory.join("model.safetensors"), model.tensors())?;
    let config = model.config().saved();
    write_json(&directory.join("config.json"), &config)?;
    let [begin, end] = config.special_tokens();
    let generation = json!({ "bos_token_id": begin, "eos_token_id": end, "use_cache": true });
    write_json(&directory.join(huggingface::GENERATION), &generation)
}

fn adapter(directory: &Path, model: &Model, lora: &LoraConfig, base: &str) -> Result<(), JobError> {
    let config = AdapterConfig::new(model.config(), lora, base.to_owned());
    Ok(peft::write(directory, &config, &model.lora_tensor_map())?)
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), JobError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| FileError::json(path, &error))?;
    write_text(path, &text)
}

fn write_text(path: &Path, text: &str) -> Result<(), JobError> {
    Ok(std::fs::write(path, text).map_err(FileError::io("write", path))?)
}
