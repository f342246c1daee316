//! How a row becomes text, and which parts of that text are to be learned.
//!
//! A template is data, recorded beside the model, so that whoever talks to the model asks exactly as it was
//! trained. Parts are tokenised one by one: where a prompt ends and an answer begins is then the same in
//! training, where the answer is known, and in use, where it is not.
//!
//! A base model with a chat template of its own is asked by that one: see [`super::chat_template`]. Prompts and
//! completions are then conversations of two turns; plain text is plain text.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::chat_template::{ChatTemplate, ChatTemplateError, Source, Stop, Written};
use super::rows::{Kind, Message, Role, Row};
use crate::error::NextStep;
use crate::tokenizer::{Tokenizer, TokenizerError};

/// Begins and ends documents in the GPT-2 family.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// How the turns of a conversation, or a prompt and its completion, are joined.
///
/// `{content}` stands for what a person wrote. Every answer is followed by the end-of-text token. Where `own` is set,
/// only `kind` and `stop` count beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    pub kind: Kind,
    /// What precedes an answer in a prompt and completion row.
    pub prompt: String,
    pub system: String,
    pub user: String,
    /// Models made before tools could speak have none.
    #[serde(default = "tool_turn")]
    pub tool: String,
    /// What precedes an answer in a conversation.
    pub assistant: String,
    /// Text that ends an answer, besides the end-of-text token.
    pub stop: Vec<String>,
    /// The base model's chat template, which lies in the model's files.
    #[serde(skip)]
    pub own: Option<Arc<ChatTemplate>>,
}

/// A piece of a row's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Given, not learned.
    Prompt(String),
    /// Learned.
    Answer(String),
    /// The end-of-text token, learned where `learned` is set.
    End { learned: bool },
    /// A conversation by the base model's chat template, special tokens and answers marked.
    Written(Written),
}

/// Why a model's own chat template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OwnTemplateError {
    #[error(transparent)]
    Template(#[from] ChatTemplateError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

impl NextStep for OwnTemplateError {
    fn next_step(&self) -> String {
        match self {
            Self::Template(error) => error.next_step(),
            Self::Tokenizer(error) => error.next_step(),
        }
    }
}

impl Template {
    /// Plain separators that any byte-level tokenizer cuts into few tokens.
    pub fn for_kind(kind: Kind) -> Self {
        Self {
            kind,
            prompt: "{content}\n###\n".into(),
            system: "System:\n{content}\n\n".into(),
            user: "User:\n{content}\n\n".into(),
            tool: tool_turn(),
            assistant: "Assistant:\n".into(),
            stop: match kind {
                Kind::Text => Vec::new(),
                Kind::Completion => vec!["\n###\n".into()],
                Kind::Chat => vec!["\n\nUser:\n".into()],
            },
            own: None,
        }
    }

    /// The template for training a base model: its own where it has one and the rows can be conversations.
    ///
    /// `date` is what its template takes for today.
    pub fn of_base(
        kind: Kind,
        directory: &Path,
        date: Option<Date>,
        tokenizer: &Tokenizer,
    ) -> Result<Self, OwnTemplateError> {
        if kind == Kind::Text {
            return Ok(Self::for_kind(kind));
        }
        let ours = Self::for_kind(kind);
        // A model that was tuned here carries ours as a chat template.
        let written = Self::for_kind(Kind::Chat).jinja();
        let source = Source::read(directory).map_err(ChatTemplateError::from)?;
        Ok(match source.filter(|source| Some(&source.template) != written.as_ref()) {
            Some(source) => ours.with_own(ChatTemplate::new(source, date, tokenizer.special_names()?)?),
            None => ours,
        })
    }

    /// The same for a model with a chat template.
    pub fn with_own(mut self, own: ChatTemplate) -> Self {
        self.stop = match own.stop() {
            Stop::Text(text) => vec![text.clone()],
            Stop::Token(_) | Stop::None => Vec::new(),
        };
        self.own = Some(Arc::new(own));
        self
    }

    /// The token that ends an answer, besides the end-of-text token.
    pub fn stop_token(&self) -> Option<&str> {
        match self.own.as_ref()?.stop() {
            Stop::Token(name) => Some(name),
            Stop::Text(_) | Stop::None => None,
        }
    }

    /// The sequences that a row is learned as, each in parts: one, but for chat templates that write a conversation
    /// differently as it goes on.
    pub fn sequences(&self, row: &Row) -> Result<Vec<Vec<Part>>, ChatTemplateError> {
        let (Some(own), Some(messages)) = (&self.own, conversation(row)) else {
            return Ok(vec![self.render(row)]);
        };
        let written = own.sequences(&messages)?;
        Ok(written
            .into_iter()
            .map(|written| {
                let ended = written.ended;
                let mut parts = vec![Part::Written(written)];
                if !ended {
                    parts.push(Part::End { learned: true });
                }
                parts
            })
            .collect())
    }

    /// What the last answer of a row is an answer to, and that answer.
    pub fn question(&self, row: &Row) -> Result<(Vec<Part>, String), ChatTemplateError> {
        if let (Some(own), Some(messages)) = (&self.own, conversation(row)) {
            let last = messages.iter().rposition(Message::learned).unwrap_or(messages.len());
            let expected = messages.get(last).map(|message| message.content.clone()).unwrap_or_default();
            return Ok((vec![Part::Written(own.prompt(&messages[..last])?)], expected));
        }
        let mut parts = self.render(row);
        let last = parts.iter().rposition(|part| matches!(part, Part::Answer(_))).unwrap_or(parts.len());
        let expected = match parts.get(last) {
            Some(Part::Answer(text)) => text.clone(),
            _ => String::new(),
        };
        parts.truncate(last);
        Ok((parts, expected))
    }

    /// A row in parts by our own template, answers marked.
    fn render(&self, row: &Row) -> Vec<Part> {
        match row {
            Row::Text(text) => vec![Part::Answer(text.clone()), Part::End { learned: true }],
            Row::Completion { prompt, completion } => vec![
                Part::Prompt(fill(&self.prompt, prompt)),
                Part::Answer(completion.clone()),
                Part::End { learned: true },
            ],
            Row::Chat(messages) => self.turns(messages),
        }
    }

    /// What the model is given so that it continues with an answer.
    pub fn render_prompt(&self, messages: &[Message]) -> Result<Vec<Part>, ChatTemplateError> {
        if let Some(own) = &self.own {
            return Ok(vec![Part::Written(own.prompt(messages)?)]);
        }
        let mut parts = self.turns(messages);
        parts.push(Part::Prompt(self.assistant.clone()));
        Ok(parts)
    }

    /// The prompt of a prompt and completion model.
    pub fn render_completion_prompt(&self, prompt: &str) -> Result<Vec<Part>, ChatTemplateError> {
        match &self.own {
            Some(own) => Ok(vec![Part::Written(own.prompt(&[Message::new(Role::User, prompt)])?)]),
            None => Ok(vec![Part::Prompt(fill(&self.prompt, prompt))]),
        }
    }

    fn turns(&self, messages: &[Message]) -> Vec<Part> {
        let mut parts = Vec::with_capacity(messages.len() * 3);
        for message in messages {
            match message.role {
                Role::System => parts.push(Part::Prompt(fill(&self.system, &message.content))),
                Role::User => parts.push(Part::Prompt(fill(&self.user, &message.content))),
                Role::Tool => parts.push(Part::Prompt(fill(&self.tool, &message.content))),
                Role::Assistant => {
                    let (content, learned) = (message.content.clone(), message.learned());
                    parts.push(Part::Prompt(self.assistant.clone()));
                    parts.push(if learned { Part::Answer(content) } else { Part::Prompt(content) });
                    parts.push(Part::End { learned });
                }
            }
        }
        parts
    }

    /// The fixed text of the template, so that a tokenizer trained on the data knows it. Tools are rare, and what
    /// announces them is not worth a token of its own.
    pub fn literals(&self) -> Vec<String> {
        let used: &[&String] = match self.kind {
            Kind::Text => &[],
            Kind::Completion => &[&self.prompt],
            Kind::Chat => &[&self.system, &self.user, &self.assistant],
        };
        used.iter().map(|text| text.replace("{content}", "")).collect()
    }

    /// The same as a Jinja template for `transformers`' `apply_chat_template`; only for conversations, and only where
    /// the base model has none, whose files are kept.
    pub fn jinja(&self) -> Option<String> {
        if self.kind != Kind::Chat || self.own.is_some() {
            return None;
        }
        let quote = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n");
        let turn = |text: &str| match text.split_once("{content}") {
            Some((before, after)) => {
                format!("{{{{ '{}' + message['content'] + '{}' }}}}", quote(before), quote(after))
            }
            None => format!("{{{{ '{}' }}}}", quote(text)),
        };
        Some(format!(
            "{{% for message in messages %}}{{% if message['role'] == 'system' %}}{}{{% elif message['role'] == \
             'user' %}}{}{{% elif message['role'] == 'tool' %}}{}{{% else %}}{{{{ '{}' + message['content'] + \
             eos_token }}}}{{% endif %}}{{% endfor %}}{{% if add_generation_prompt %}}{{{{ '{}' }}}}{{% endif %}}",
            turn(&self.system),
            turn(&self.user),
            turn(&self.tool),
            quote(&self.assistant),
            quote(&self.assistant),
        ))
    }
}

/// A row as a conversation; plain text is none.
fn conversation(row: &Row) -> Option<Cow<'_, [Message]>> {
    match row {
        Row::Text(_) => None,
        Row::Chat(messages) => Some(Cow::Borrowed(messages)),
        Row::Completion { prompt, completion } => Some(Cow::Owned(vec![
            Message::new(Role::User, prompt),
            Message::new(Role::Assistant, completion),
        ])),
    }
}

fn tool_turn() -> String {
    "Tool:\n{content}\n\n".into()
}

fn fill(template: &str, content: &str) -> String {
    template.replacen("{content}", content, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_and_their_ends_are_learned() {
        let template = Template::for_kind(Kind::Completion);
        let row = Row::Completion { prompt: "2 {content} 2".into(), completion: "4".into() };
        let parts = template.render(&row);
        assert_eq!(
            parts,
            [
                Part::Prompt("2 {content} 2\n###\n".into()),
                Part::Answer("4".into()),
                Part::End { learned: true }
            ]
        );
    }

    #[test]
    fn tools_and_answers_of_weight_0_are_read_and_not_learned() {
        let line = r#"{"messages": [{"role": "user", "content": "How warm?"},
            {"role": "assistant", "content": "I look.", "weight": 0},
            {"role": "tool", "name": "thermometer", "content": "21"},
            {"role": "assistant", "content": "21 degrees.", "weight": 1}]}"#;
        let parts = Template::for_kind(Kind::Chat).render(&Row::parse(line).unwrap());
        let prompt = |text: &str| Part::Prompt(text.into());
        assert_eq!(
            parts,
            [
                prompt("User:\nHow warm?\n\n"),
                prompt("Assistant:\n"),
                prompt("I look."),
                Part::End { learned: false },
                prompt("Tool:\n21\n\n"),
                prompt("Assistant:\n"),
                Part::Answer("21 degrees.".into()),
                Part::End { learned: true },
            ]
        );
    }

    #[test]
    fn a_template_of_a_model_made_before_tools_is_read() {
        let mut saved = serde_json::to_value(Template::for_kind(Kind::Chat)).unwrap();
        saved.as_object_mut().unwrap().remove("tool");
        let template: Template = serde_json::from_value(saved).unwrap();
        assert_eq!(template, Template::for_kind(Kind::Chat));
    }

    #[test]
    fn a_conversations_prompt_is_the_beginning_of_its_row() {
        let template = Template::for_kind(Kind::Chat);
        let turn = |role, content: &str| Message::new(role, content);
        let messages = vec![turn(Role::System, "Be brief."), turn(Role::User, "Hi")];
        let mut whole = messages.clone();
        whole.push(turn(Role::Assistant, "Hello"));
        let row = template.render(&Row::Chat(whole));
        let prompt = template.render_prompt(&messages).unwrap();
        assert_eq!(row[..prompt.len()], prompt);
        assert_eq!(row[prompt.len()..], [Part::Answer("Hello".into()), Part::End { learned: true }]);
    }
}
