//! Why a model cannot be loaded or cannot answer.

use std::path::PathBuf;

use crate::data::chat_template::ChatTemplateError;
use crate::data::template::OwnTemplateError;
use crate::error::{FileError, NextStep, short};
use crate::model::ModelError;
use crate::tokenizer::TokenizerError;

#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    ChatTemplate(#[from] ChatTemplateError),
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Weights, an adapter's or a model's, and what describes them.
    #[error("{}: it does not fit: {source}", path.display())]
    Unfit { path: PathBuf, source: ModelError },
    #[error("this model is an adapter for \"{}\", and no base model directory was given", short(base))]
    BaseNeeded { base: String },
    #[error("{} holds no adapter", directory.display())]
    NotAnAdapter { directory: PathBuf },
}

impl From<OwnTemplateError> for InferenceError {
    fn from(error: OwnTemplateError) -> Self {
        match error {
            OwnTemplateError::Template(error) => error.into(),
            OwnTemplateError::Tokenizer(error) => error.into(),
        }
    }
}

impl NextStep for InferenceError {
    fn next_step(&self) -> String {
        match self {
            Self::File(error) => error.next_step(),
            Self::Tokenizer(error) => error.next_step(),
            Self::ChatTemplate(error) => error.next_step(),
            Self::NotAnAdapter { .. } => "Load it as a model of its own.".into(),
            Self::Model(_) | Self::Unfit { .. } => {
                "Use the model's own config.json, weights and tokenizer together.".into()
            }
            Self::BaseNeeded { .. } => {
                "Choose the base model that the adapter was trained on, or save it merged.".into()
            }
        }
    }
}
