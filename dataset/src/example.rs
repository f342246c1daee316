//! What a row becomes once it is understood: the three shapes that the engine trains on. Serialising one gives
//! the engine's JSON (`{"text"}`, `{"prompt","completion"}` or `{"messages"}`). Not for reading files: those
//! come in many formats, which `parse` knows.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::finding::clipped;

/// One training example. Borrows from the line that it was read from where nothing had to be unescaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Example<'a> {
    Text { text: Cow<'a, str> },
    Completion { prompt: Cow<'a, str>, completion: Cow<'a, str> },
    Chat { messages: Vec<Message<'a>> },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message<'a> {
    pub role: Role,
    pub content: Cow<'a, str>,
    /// Kept in what is written, and not read by training: the check says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// 0: the model reads this answer and does not learn it. 1 or absent: it learns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    User,
    Assistant,
    Tool,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        }
    }
}

/// An example and the line of the file (from 1) on which it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub line: u64,
    pub example: Example<'static>,
}

impl<'a> Example<'a> {
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Example::Text { text: text.into() }
    }

    pub fn completion(prompt: impl Into<Cow<'a, str>>, completion: impl Into<Cow<'a, str>>) -> Self {
        Example::Completion { prompt: prompt.into(), completion: completion.into() }
    }

    /// The same example, owning its text.
    pub fn into_owned(self) -> Example<'static> {
        match self {
            Example::Text { text } => Example::Text { text: own(text) },
            Example::Completion { prompt, completion } => {
                Example::Completion { prompt: own(prompt), completion: own(completion) }
            }
            Example::Chat { messages } => {
                Example::Chat { messages: messages.into_iter().map(Message::into_owned).collect() }
            }
        }
    }

    /// For showing: at most so many messages, and so many characters of each text. Says whether anything is
    /// missing.
    pub(crate) fn clipped(self, messages_shown: usize, characters: usize) -> (Example<'static>, bool) {
        let mut missing = false;
        let mut clip = |text: Cow<'a, str>| {
            let start = clipped(&text, characters);
            missing |= start.len() < text.len();
            Cow::Owned(start.to_owned())
        };
        let example = match self {
            Example::Text { text } => Example::Text { text: clip(text) },
            Example::Completion { prompt, completion } => {
                Example::Completion { prompt: clip(prompt), completion: clip(completion) }
            }
            Example::Chat { messages } => {
                let all = messages.len();
                let shown = messages.into_iter().take(messages_shown).map(|message| Message {
                    role: message.role,
                    content: clip(message.content),
                    name: message.name.map(&mut clip),
                    weight: message.weight,
                });
                let messages: Vec<_> = shown.collect();
                missing |= messages.len() < all;
                Example::Chat { messages }
            }
        };
        (example, missing)
    }

    /// Every piece of text in order, the question before the answer.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        let (first, second, messages): (Option<&str>, Option<&str>, &[Message<'a>]) = match self {
            Example::Text { text } => (Some(text), None, &[]),
            Example::Completion { prompt, completion } => (Some(prompt), Some(completion), &[]),
            Example::Chat { messages } => (None, None, messages),
        };
        first.into_iter().chain(second).chain(messages.iter().map(|message| message.content.as_ref()))
    }

    /// What the model is asked first: the prompt, or the first message of the user.
    pub fn prompt(&self) -> Option<&str> {
        match self {
            Example::Text { .. } => None,
            Example::Completion { prompt, .. } => Some(prompt),
            Example::Chat { messages } => messages
                .iter()
                .find(|message| message.role == Role::User)
                .map(|message| message.content.as_ref()),
        }
    }

    /// What the model shall say: the completion, or the last message of the assistant.
    pub fn answer(&self) -> Option<&str> {
        match self {
            Example::Text { .. } => None,
            Example::Completion { completion, .. } => Some(completion),
            Example::Chat { messages } => messages
                .iter()
                .rev()
                .find(|message| message.role == Role::Assistant)
                .map(|message| message.content.as_ref()),
        }
    }
}

impl Message<'_> {
    pub fn into_owned(self) -> Message<'static> {
        Message { role: self.role, content: own(self.content), name: self.name.map(own), weight: self.weight }
    }
}

impl<'a> Message<'a> {
    pub fn new(role: Role, content: impl Into<Cow<'a, str>>) -> Self {
        Self { role, content: content.into(), name: None, weight: None }
    }
}

fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}
