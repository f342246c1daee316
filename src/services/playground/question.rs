//! What may be asked of a model, and its limits.

use crate::{
    domain::field::FieldError,
    services::error::{ServiceError, ServiceResult},
};
use llm_tuner_engine::{
    data::rows::{Kind, Message},
    inference::{GenerateParams, Prompt},
};
use serde::{Deserialize, Serialize};

/// Longest prompt and messages, in characters.
const MAX_PROMPT: usize = 100_000;

/// Which of the two is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    #[default]
    Tuned,
    /// What it was tuned from.
    Base,
}

/// One turn of a conversation.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    pub content: String,
}

/// What is asked. Exactly one of `prompt` and `messages`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The model's id, or `endpoint:` and the id of one that is hosted.
    pub model: String,
    #[serde(default)]
    pub side: Side,
    #[serde(default)]
    pub prompt: String,
    #[serde(default)]
    pub messages: Vec<Turn>,
    /// 1 to 2,048; 256 by default.
    pub max_new_tokens: Option<usize>,
    /// 0 to 2; 0 always takes the most likely token. By default 0, and 0.7 for a model of plain text, which would
    /// only repeat itself.
    pub temperature: Option<f32>,
    /// Above 0, to 1; by default 1, and 0.9 for a model of plain text.
    pub top_p: Option<f32>,
    /// 0 keeps all; 0 by default.
    pub top_k: Option<usize>,
    /// 1 to 2; 1 by default.
    pub repetition_penalty: Option<f32>,
    /// Texts that end the answer.
    #[serde(default)]
    pub stop: Vec<String>,
    pub seed: Option<u64>,
}

impl Question {
    /// What was asked for, and where nothing was, what suits a model of this kind.
    pub(in crate::services) fn params(&self, kind: Kind) -> GenerateParams {
        let defaults = GenerateParams::for_kind(kind);
        GenerateParams {
            max_new_tokens: self.max_new_tokens.unwrap_or(defaults.max_new_tokens),
            temperature: self.temperature.unwrap_or(defaults.temperature),
            top_p: self.top_p.unwrap_or(defaults.top_p),
            top_k: self.top_k.unwrap_or(defaults.top_k),
            repetition_penalty: self.repetition_penalty.unwrap_or(defaults.repetition_penalty),
            stop: self.stop.clone(),
            seed: self.seed.unwrap_or(defaults.seed),
        }
    }

    /// The prompt.
    ///
    /// # Errors
    /// `Invalid` with all mistakes at once.
    pub(in crate::services) fn check(&self) -> ServiceResult<Prompt> {
        let mut errors = Vec::new();
        let mut wrong = |field: &str, message: &str| errors.push(FieldError::new(field, message));
        let length = self.prompt.chars().count()
            + self.messages.iter().map(|turn| turn.content.chars().count()).sum::<usize>();
        if self.prompt.is_empty() == self.messages.is_empty() {
            wrong("prompt", "Type something to ask.");
        }
        if length > MAX_PROMPT {
            wrong("prompt", "A prompt has at most 100,000 characters.");
        }
        // The defaults are within their bounds, whatever the model.
        let params = self.params(Kind::Chat);
        if !(1..=2_048).contains(&params.max_new_tokens) {
            wrong("max_new_tokens", "New tokens are 1 to 2,048.");
        }
        if !(0.0..=2.0).contains(&params.temperature) {
            wrong("temperature", "The temperature is 0 to 2.");
        }
        if !(params.top_p > 0.0 && params.top_p <= 1.0) {
            wrong("top_p", "Top-p is above 0 and at most 1.");
        }
        if !(1.0..=2.0).contains(&params.repetition_penalty) {
            wrong("repetition_penalty", "The repetition penalty is 1 to 2.");
        }
        if params.stop.len() > 8 || params.stop.iter().any(|stop| stop.is_empty() || stop.len() > 200) {
            wrong("stop", "At most 8 stop texts of 1 to 200 characters.");
        }
        let messages: Option<Vec<Message>> = self
            .messages
            .iter()
            .map(|turn| {
                let role = serde_json::from_value(serde_json::Value::String(turn.role.clone())).ok()?;
                Some(Message::new(role, turn.content.clone()))
            })
            .collect();
        if messages.is_none() {
            wrong("messages", "A message's role is system, user, assistant or tool.");
        }
        let prompt = match messages {
            Some(messages) if !messages.is_empty() => Prompt::Chat(messages),
            _ => Prompt::Completion(self.prompt.clone()),
        };
        if errors.is_empty() { Ok(prompt) } else { Err(ServiceError::Invalid(errors)) }
    }
}
