//! How a hosted model wants to be asked: with the template that it was trained with, as text, because a container
//! takes nothing else.

use super::Endpoints;
use crate::{
    domain::{job::BaseModel, model::Model},
    services::error::ServiceResult,
    storage::StorageError,
};
use futures::TryStreamExt;
use llm_tuner_engine::{
    data::{
        rows::Kind,
        template::{END_OF_TEXT, Part, Template},
    },
    files::record::{FILE_NAME, Record},
    inference::Prompt,
};
use std::sync::{Arc, PoisonError};

/// What JumpStart's own script puts before an answer, when it trains on instructions.
const RESPONSE: &str = "\n\n### Response:\n";
/// Small files of a model are read whole up to this size.
const LONGEST: usize = 4 * 1024 * 1024;
/// Manners kept; they are small, and the same models are asked again and again.
const KEPT: usize = 200;

pub(super) struct Manner {
    /// `None`: the model was not trained with one of ours.
    pub template: Option<Template>,
    /// What ends an answer within a conversation.
    end: String,
    /// What follows a prompt where there is no template.
    after: &'static str,
}

impl Manner {
    pub fn kind(&self) -> Kind {
        match &self.template {
            Some(template) => template.kind,
            None if self.after.is_empty() => Kind::Text,
            None => Kind::Completion,
        }
    }

    pub fn stop(&self) -> Vec<String> {
        self.template.as_ref().map(|template| template.stop.clone()).unwrap_or_default()
    }

    /// The prompt as the model reads it.
    pub fn text(&self, prompt: &Prompt) -> String {
        match (&self.template, prompt) {
            (Some(template), _) => self.joined(&prompt.parts(template)),
            (None, Prompt::Text(text) | Prompt::Completion(text)) => format!("{text}{}", self.after),
            (None, Prompt::Chat(_)) => self.joined(&prompt.parts(&Template::for_kind(Kind::Chat))),
        }
    }

    fn joined(&self, parts: &[Part]) -> String {
        parts
            .iter()
            .map(|part| match part {
                Part::Prompt(text) | Part::Answer(text) => text.as_str(),
                Part::End { .. } => self.end.as_str(),
            })
            .collect()
    }
}

impl Endpoints {
    /// Read once from the model's own files, which never change.
    pub(super) async fn manner(&self, model: &Model) -> ServiceResult<Arc<Manner>> {
        let kept = self.parts.manners.lock().unwrap_or_else(PoisonError::into_inner).get(&model.id).cloned();
        if let Some(manner) = kept {
            return Ok(manner);
        }
        let record = self.small_file(model, FILE_NAME).await?;
        let template = record
            .and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok())
            .map(|record| record.template);
        let end =
            self.small_file(model, "tokenizer_config.json").await?.and_then(|bytes| end_of_text(&bytes));
        let manner = Arc::new(Manner {
            after: if template.is_none() && self.trained_on_instructions(model).await? {
                RESPONSE
            } else {
                ""
            },
            template,
            end: end.unwrap_or_else(|| END_OF_TEXT.to_owned()),
        });
        let mut kept = self.parts.manners.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(model.id.clone(), Arc::clone(&manner));
        Ok(manner)
    }

    async fn small_file(&self, model: &Model, name: &str) -> ServiceResult<Option<Vec<u8>>> {
        let small = |bytes: u64| usize::try_from(bytes).is_ok_and(|bytes| bytes <= LONGEST);
        if !model.files.iter().any(|file| file.path == name && small(file.bytes)) {
            return Ok(None);
        }
        let content = match self.parts.storage.get(&format!("{}/{name}", model.prefix), None).await {
            Ok(content) => content,
            Err(StorageError::NotFound) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let collected = content.try_fold(Vec::new(), |mut all, chunk| async move {
            all.extend_from_slice(&chunk);
            Ok(all)
        });
        Ok(Some(collected.await.map_err(|error| StorageError::Io(error.to_string()))?))
    }

    async fn trained_on_instructions(&self, model: &Model) -> ServiceResult<bool> {
        if !matches!(model.base, BaseModel::JumpStart { .. }) {
            return Ok(false);
        }
        let job = self.parts.store.job(&model.job_id).await?;
        let settings = job.map(|job| job.spec.hyperparameters).unwrap_or_default();
        Ok(settings.get("instruction_tuned").is_some_and(|value| value == "True"))
    }
}

/// `"eos_token": "</s>"`, or an object with its content.
fn end_of_text(tokenizer: &[u8]) -> Option<String> {
    let config: serde_json::Value = serde_json::from_slice(tokenizer).ok()?;
    let end = &config["eos_token"];
    end.as_str().or_else(|| end["content"].as_str()).map(str::to_owned)
}
