//! How a hosted model wants to be asked: with the template that it was trained with, as text, because a container
//! takes nothing else.

use super::Endpoints;
use crate::{
    domain::{job::BaseModel, model::Model},
    services::error::{ServiceError, ServiceResult},
    storage::StorageError,
};
use futures::TryStreamExt;
use llm_tuner_engine::{
    data::{
        chat_template::{CONFIG, ChatTemplate, ChatTemplateError, FILE, Source, TOKENS},
        rows::Kind,
        template::{END_OF_TEXT, Part, Template},
    },
    error::NextStep,
    files::record::{FILE_NAME, Record},
    inference::Prompt,
    tokenizer::written::SpecialNames,
};
use serde_json::{Map, Value};
use std::{
    path::Path,
    sync::{Arc, PoisonError},
};

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
    /// What a chat template may begin a conversation with.
    begin: Option<String>,
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
        let Some(template) = &self.template else { return Vec::new() };
        template.stop.iter().cloned().chain(template.stop_token().map(str::to_owned)).collect()
    }

    /// The prompt as the model reads it.
    ///
    /// # Errors
    /// `Refused` where the model's own chat template refuses the conversation.
    pub fn text(&self, prompt: &Prompt) -> ServiceResult<String> {
        let ours = Template::for_kind(Kind::Chat);
        let template = match (&self.template, prompt) {
            (Some(template), _) => template,
            (None, Prompt::Text(text) | Prompt::Completion(text)) => {
                return Ok(format!("{text}{}", self.after));
            }
            (None, Prompt::Chat(_)) => &ours,
        };
        let parts = prompt.parts(template).map_err(refused)?;
        Ok(self.joined(&parts))
    }

    fn joined(&self, parts: &[Part]) -> String {
        parts
            .iter()
            .map(|part| match part {
                Part::Prompt(text) | Part::Answer(text) => text.clone(),
                Part::End { .. } => self.end.clone(),
                Part::Written(written) => {
                    let text = written.plain();
                    // The container's tokenizer writes that token too, before any text.
                    match self.begin.as_deref().and_then(|begin| text.strip_prefix(begin)) {
                        Some(rest) => rest.to_owned(),
                        None => text,
                    }
                }
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
        let record = record.and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
        let config = self.small_file(model, CONFIG).await?;
        let end = config.as_deref().and_then(|bytes| token(bytes, "eos_token"));
        let begin = config.as_deref().and_then(|bytes| token(bytes, "bos_token"));
        let template = match record {
            Some(record) if record.own_chat_template => Some(self.own_template(model, record, config).await?),
            record => record.map(|record| record.template),
        };
        let manner = Arc::new(Manner {
            after: if template.is_none() && self.trained_on_instructions(model).await? {
                RESPONSE
            } else {
                ""
            },
            template,
            end: end.unwrap_or_else(|| END_OF_TEXT.to_owned()),
            begin,
        });
        let mut kept = self.parts.manners.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(model.id.clone(), Arc::clone(&manner));
        Ok(manner)
    }

    /// The base model's chat template, from the files that the model carries.
    async fn own_template(
        &self,
        model: &Model,
        record: Record,
        config: Option<Vec<u8>>,
    ) -> ServiceResult<Template> {
        let object = |bytes: Option<Vec<u8>>| {
            bytes
                .and_then(|bytes| serde_json::from_slice::<Map<String, Value>>(&bytes).ok())
                .unwrap_or_default()
        };
        let jinja = self.small_file(model, FILE).await?.and_then(|bytes| String::from_utf8(bytes).ok());
        let map = object(self.small_file(model, TOKENS).await?);
        let source = Source::of(Path::new(""), jinja, &object(config), &map)
            .map_err(|error| refused(ChatTemplateError::from(error)))?;
        let Some(source) = source else {
            return Err(ServiceError::refused(
                "model_broken",
                "This model can't be asked.",
                "The chat template that it was trained with is missing from its files.",
            ));
        };
        // The container reads special tokens wherever they stand, so that none are told apart here.
        let names = SpecialNames::new(source.tokens.values().cloned());
        let own = ChatTemplate::new(source, record.chat_template_date, names).map_err(refused)?;
        Ok(record.template.with_own(own))
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
fn token(tokenizer: &[u8], role: &str) -> Option<String> {
    let config: Value = serde_json::from_slice(tokenizer).ok()?;
    let token = &config[role];
    token.as_str().or_else(|| token["content"].as_str()).map(str::to_owned)
}

fn refused(error: ChatTemplateError) -> ServiceError {
    ServiceError::refused("template_refused", error.to_string(), error.next_step())
}
