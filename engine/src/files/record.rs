//! `llm_tuner.json`: travels with every tuned model and says how it was made and how to talk to it.
//!
//! The template is what matters at run time: a model answers well only when it is asked as it was trained.
//! The rest makes a run repeatable. Times are left out, so that the same run writes the same file.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::read_json;
use crate::data::template::Template;
use crate::error::FileError;

pub const FILE_NAME: &str = "llm_tuner.json";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub engine_version: String,
    /// `nano`, or what the base model calls itself.
    pub base_model: String,
    /// How prompts and answers are joined, and where an answer ends.
    pub template: Template,
    /// Whether the chat template among the model's files goes before the one above, except on plain text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_chat_template: bool,
    /// What that template took for today, and always will: the day on which the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template_date: Option<Date>,
    pub hyperparameters: BTreeMap<String, String>,
    pub data: Vec<DataFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Outcome>,
}

/// One file that the model was trained or evaluated on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// `training` or `validation`.
    pub channel: String,
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
    pub rows: u64,
}

/// Where a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub steps: u64,
    /// Mean over the last steps, in nats per predicted token.
    pub train_loss: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_loss: Option<f64>,
    /// Tokens that passed through the model in training.
    pub tokens: u64,
}

/// Reads the record of a model directory; a model from elsewhere has none.
pub fn read(directory: &Path) -> Result<Option<Record>, FileError> {
    let path = directory.join(FILE_NAME);
    if path.is_file() { read_json(&path).map(Some) } else { Ok(None) }
}

pub fn write(directory: &Path, record: &Record) -> Result<(), FileError> {
    let path = directory.join(FILE_NAME);
    let text = serde_json::to_vec_pretty(record).map_err(|error| FileError::json(&path, &error))?;
    std::fs::write(&path, text).map_err(FileError::io("write", &path))
}
