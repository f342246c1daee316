//! The result: a directory that `transformers` or `peft` loads, and that says how it was made.

use std::path::Path;

use serde_json::json;

use super::card;
use super::error::JobError;
use super::layout::JobDirectory;
use super::prepare::Prepared;
use crate::checkpoint::Progress;
use crate::error::FileError;
use crate::files::peft::AdapterConfig;
use crate::files::record::{Outcome, Record};
use crate::files::{atomic, huggingface, peft, record, safetensors};
use crate::lora::LoraConfig;
use crate::model::Model;

/// Writes `model/` and puts it in place whole.
///
/// LoRA gives an adapter; with `merge_adapter`, a whole model with the adapter in `adapter/` beside it.
pub fn write(
    layout: &JobDirectory,
    prepared: &Prepared,
    mut model: Model,
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
        match model.lora().cloned() {
            None => whole_model(directory, &model)?,
            Some(lora) if h.merge_adapter => {
                let inner = directory.join("adapter");
                std::fs::create_dir(&inner).map_err(FileError::io("create", &inner))?;
                adapter(&inner, &model, &lora, &prepared.base_name)?;
                model.merge_lora();
                whole_model(directory, &model)?;
            }
            Some(lora) => adapter(directory, &model, &lora, &prepared.base_name)?,
        }
        // How the base generates holds for what was tuned from it; it may name further tokens that end an answer.
        let from = layout.base_model().join(huggingface::GENERATION);
        if from.is_file() {
            let to = directory.join(huggingface::GENERATION);
            std::fs::copy(&from, &to).map_err(FileError::io("write", &to))?;
        }
        prepared.tokenizer.save(directory, &prepared.template, model.config().positions())?;
        record::write(directory, &record)?;
        write_text(&directory.join("README.md"), &card::render(&record, h.lora.is_some()))
    })
}

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
