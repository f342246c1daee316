//! Why a tokenizer cannot be loaded, trained or used.

use std::path::PathBuf;

use crate::error::{FileError, NextStep, short};

#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{}: not a usable tokenizer: {}", path.display(), short(message))]
    Invalid { path: PathBuf, message: String },
    #[error(
        "the tokenizer has {tokenizer} tokens, but config.json's \"vocab_size\" is {model}: \
         token {largest} has no embedding"
    )]
    Mismatch { tokenizer: usize, model: usize, largest: u32 },
    #[error("the tokenizer could not be trained on the data: {message}")]
    Training { message: String },
    #[error("{}: text could not be turned into tokens: {}", path.display(), short(message))]
    Encoding { path: PathBuf, message: String },
}

impl NextStep for TokenizerError {
    fn next_step(&self) -> String {
        match self {
            Self::File(error) => error.next_step(),
            Self::Invalid { .. } => "Copy the tokenizer files of the base model again.".into(),
            Self::Mismatch { .. } => {
                "Use the tokenizer that the base model was trained with, from the same directory.".into()
            }
            Self::Training { .. } => {
                "Check the data for unusual characters; if they are fine, report this as an error.".into()
            }
            Self::Encoding { .. } => {
                "Copy the tokenizer files of the base model again; if they are whole, check the \
                 text for unusual characters."
                    .into()
            }
        }
    }
}
