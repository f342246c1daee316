//! Reading a model's directory: weights, and how the model was trained to be asked.

use std::path::Path;

use super::InferenceError;
use crate::data::chat_template::{ChatTemplate, Source};
use crate::data::rows::Kind;
use crate::data::template::Template;
use crate::error::FileError;
use crate::files::huggingface;
use crate::files::record::Record;
use crate::kernels::tier::Tier;
use crate::model::Model;
use crate::tokenizer::Tokenizer;

pub(super) fn weights(directory: &Path) -> Result<Model, InferenceError> {
    let config = huggingface::read_config(directory)?;
    let weights = huggingface::read_frozen(directory, &config, Tier::chosen())?;
    let path = || huggingface::weights_file(directory);
    Model::from_weights(config, weights).map_err(|source| InferenceError::Unfit { path: path(), source })
}

/// As the model was trained to be asked.
pub(super) fn template(
    model_dir: &Path,
    base_dir: Option<&Path>,
    record: Option<&Record>,
    tokenizer: &Tokenizer,
) -> Result<Template, InferenceError> {
    let Some(record) = record else {
        return Ok(match Source::read(model_dir)? {
            Some(_) => Template::of_base(Kind::Chat, model_dir, None, tokenizer)?,
            None => Template::for_kind(Kind::Text),
        });
    };
    if !record.own_chat_template {
        return Ok(record.template.clone());
    }
    let source = match (Source::read(model_dir)?, base_dir) {
        (None, Some(base_dir)) => Source::read(base_dir)?,
        (source, _) => source,
    };
    let source = source.ok_or_else(|| FileError::Missing {
        path: model_dir.to_path_buf(),
        expected: "the chat template that the model was trained with".into(),
        advice: "Copy tokenizer_config.json and chat_template.jinja of the base model into it.".into(),
    })?;
    let own = ChatTemplate::new(source, record.chat_template_date, tokenizer.special_names()?)?;
    Ok(record.template.clone().with_own(own))
}
