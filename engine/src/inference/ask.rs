//! What goes into an answer and what comes out: the prompt, the settings, the text and why it ended.

use serde::{Deserialize, Serialize};

use crate::data::chat_template::ChatTemplateError;
use crate::data::rows::{Kind, Message, Role};
use crate::data::template::{Part, Template};

/// What a person asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// Continued as it is, whatever the model was trained on.
    Text(String),
    /// A conversation that ends with what the person said.
    Chat(Vec<Message>),
    /// A prompt as in the training rows.
    Completion(String),
}

impl Prompt {
    /// What a model with this template is given. What does not suit its kind is put in its way as well as possible, so
    /// that any model answers anything.
    ///
    /// # Errors
    /// When the base model's own chat template refuses the conversation.
    pub fn parts(&self, template: &Template) -> Result<Vec<Part>, ChatTemplateError> {
        match (self, template.kind) {
            (Self::Text(text), _) | (Self::Completion(text), Kind::Text) => {
                Ok(vec![Part::Prompt(text.clone())])
            }
            (Self::Completion(text), Kind::Completion) => template.render_completion_prompt(text),
            (Self::Completion(text), Kind::Chat) => template.render_prompt(&[Message::new(Role::User, text)]),
            (Self::Chat(messages), Kind::Chat) => template.render_prompt(messages),
            (Self::Chat(messages), Kind::Completion) if template.own.is_some() => {
                template.render_prompt(messages)
            }
            (Self::Chat(messages), kind) => {
                let last = messages.iter().rev().find(|message| message.role == Role::User);
                let text = last.map(|message| message.content.as_str()).unwrap_or_default();
                match kind {
                    Kind::Completion => template.render_completion_prompt(text),
                    _ => Ok(vec![Part::Prompt(text.to_owned())]),
                }
            }
        }
    }
}

/// How to generate. Bounds are applied, not refused: this is what a slider hands over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerateParams {
    pub max_new_tokens: usize,
    /// 0 always takes the most likely token.
    pub temperature: f32,
    pub top_p: f32,
    /// 0 keeps all.
    pub top_k: usize,
    pub repetition_penalty: f32,
    /// Text that ends the answer, besides what the model's template names.
    pub stop: Vec<String>,
    pub seed: u64,
}

impl Default for GenerateParams {
    fn default() -> Self {
        Self {
            max_new_tokens: 256,
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            repetition_penalty: 1.0,
            stop: Vec::new(),
            seed: 0,
        }
    }
}

impl GenerateParams {
    /// What suits models trained on this kind of data: an answer is the most likely one, while text has to be drawn,
    /// because a small model that always takes the most likely token soon repeats itself.
    pub fn for_kind(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self { temperature: 0.7, top_p: 0.9, ..Self::default() },
            Kind::Completion | Kind::Chat => Self::default(),
        }
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// The model said so, or a stop string came.
    Stop,
    /// `max_new_tokens` were made.
    Length,
    /// The model's context is full.
    Context,
    /// The caller broke off.
    Cancelled,
}

/// A finished answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    pub text: String,
    /// Tokens made, the end-of-text token not counted.
    pub tokens: usize,
    pub prompt_tokens: usize,
    /// Tokens of the prompt's beginning that did not fit into the context.
    pub dropped_prompt_tokens: usize,
    pub finish_reason: FinishReason,
    /// From the first to the last new token; the prompt's pass is not counted.
    pub tokens_per_second: f64,
}
