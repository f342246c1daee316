//! The chat template of a base model: conversations written as the model was taught to read them.
//!
//! It is Jinja, in `chat_template.jinja` or in `tokenizer_config.json`, and is rendered as `transformers`'
//! `apply_chat_template` does. What of it is an answer is found by asking: the conversation up to an answer, with what
//! the template puts before one, must be the beginning of the conversation with that answer in it. An answer ends
//! with the last token of its own that the template writes after it (`<|im_end|>`, `</s>`); line breaks beyond that are
//! the template's and are not learned.
//!
//! Some templates write earlier answers differently once later turns follow, for example without their reasoning.
//! Such a conversation is learned as several sequences, one for each answer, each as the model will be asked for it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use minijinja::ErrorKind;
use serde::Serialize;
use serde_json::{Map, Value};

use super::rows::{Message, Role};
use crate::error::{FileError, NextStep, short};
use crate::files::read_json;
use crate::tokenizer::written::{self, SpecialNames};

mod jinja;
use jinja::Jinja;

/// Where a template may be; the first that is there counts.
pub const FILE: &str = "chat_template.jinja";
pub const CONFIG: &str = "tokenizer_config.json";
/// An answer and the question after it, for asking a template what it writes between; no template has these words.
const ANSWER: &str = "Qx7a";
const NEXT: &str = "Qx7n";
pub const TOKENS: &str = "special_tokens_map.json";

#[derive(Debug, thiserror::Error)]
pub enum ChatTemplateError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{}: the chat template is not valid: {}", path.display(), short(message))]
    Invalid { path: PathBuf, message: String },
    #[error("{}: the chat template takes too long: it was stopped after a million steps, or 64 MiB of text", path.display())]
    Endless { path: PathBuf },
    /// What it raises itself, or a field that it misses.
    #[error(
        "{}: the base model's chat template refuses the conversation that begins with \"{beginning}\": {}",
        path.display(),
        short(message)
    )]
    Refused { path: PathBuf, beginning: String, message: String },
    #[error(
        "{}: the chat template asks for an answer in another way than it writes a given one (in the conversation that \
         begins with \"{beginning}\"), so that answers cannot be told from the rest",
        path.display()
    )]
    Differs { path: PathBuf, beginning: String },
}

impl NextStep for ChatTemplateError {
    fn next_step(&self) -> String {
        match self {
            Self::File(error) => error.next_step(),
            Self::Invalid { .. } | Self::Endless { .. } => {
                "Copy the base model's tokenizer files again, or put a working template into chat_template.jinja.".into()
            }
            Self::Refused { .. } => {
                "Change the rows that it refuses (most templates want user and assistant in turn, after at most one \
                 system message), or choose another base model."
                    .into()
            }
            Self::Differs { .. } => {
                "Choose another base model, or put a template without that difference into chat_template.jinja."
                    .into()
            }
        }
    }
}

/// Text that a template wrote, in which special tokens count; see [`crate::tokenizer::written`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub text: String,
    /// What is to be learned: bytes of `text`, in order and apart from each other.
    pub answers: Vec<Range<usize>>,
    /// Whether it ends with a token, or not with an answer. If not, an end-of-text token is due there, or the model
    /// would never learn to stop.
    pub ended: bool,
}

impl Written {
    /// As `apply_chat_template` gives it.
    pub fn plain(&self) -> String {
        written::plain(&self.text)
    }
}

/// What the files of a model say about its chat template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    pub template: String,
    /// `bos_token`, `eos_token` and their like, which templates write.
    pub tokens: BTreeMap<String, String>,
    /// The file that it comes from, for errors.
    pub path: PathBuf,
}

impl Source {
    /// Looks into a model's directory; `None` where it has no chat template.
    pub fn read(directory: &Path) -> Result<Option<Self>, FileError> {
        let config = directory.join(CONFIG);
        let map = directory.join(TOKENS);
        let file = directory.join(FILE);
        let object = |path: &Path| -> Result<Map<String, Value>, FileError> {
            if path.is_file() { read_json(path) } else { Ok(Map::new()) }
        };
        let jinja = match file.is_file() {
            true => Some(std::fs::read_to_string(&file).map_err(FileError::io("read", &file))?),
            false => None,
        };
        Self::of(directory, jinja, &object(&config)?, &object(&map)?)
    }

    /// The same from the contents of `chat_template.jinja`, `tokenizer_config.json` and `special_tokens_map.json`.
    pub fn of(
        directory: &Path,
        jinja: Option<String>,
        config: &Map<String, Value>,
        map: &Map<String, Value>,
    ) -> Result<Option<Self>, FileError> {
        let (template, path) = match (jinja, config.get("chat_template")) {
            (Some(template), _) => (template, directory.join(FILE)),
            (None, None | Some(Value::Null)) => return Ok(None),
            (None, Some(value)) => {
                let path = directory.join(CONFIG);
                let named =
                    || value.as_array()?.iter().find(|one| one["name"] == "default")?["template"].as_str();
                let Some(template) = value.as_str().or_else(named) else {
                    let message = "must be a template, or a list of them of which one is named \"default\"";
                    return Err(FileError::field(&path, "chat_template", message));
                };
                (template.to_owned(), path)
            }
        };
        let mut tokens = BTreeMap::new();
        for (name, value) in map.iter().chain(config).filter(|(name, _)| name.ends_with("_token")) {
            if let Some(token) = value.as_str().or_else(|| value["content"].as_str()) {
                tokens.insert(name.clone(), token.to_owned());
            }
        }
        Ok(Some(Self { template, tokens, path }))
    }
}

/// A chat template, ready for use.
pub struct ChatTemplate {
    source: Source,
    date: Option<Date>,
    jinja: Jinja,
    names: SpecialNames,
    /// What it writes after an answer; `None` where it would not say.
    after: Option<String>,
    /// How much of that belongs to the answer.
    end: usize,
    /// Whether that is a token.
    marked: bool,
    stop: Stop,
}

/// What ends an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A special token.
    Token(String),
    /// Text with which the next turn begins.
    Text(String),
    /// Nothing but the end-of-text token.
    None,
}

impl ChatTemplate {
    /// `date` is what the template takes for today; `names` are the tokenizer's special tokens.
    pub fn new(source: Source, date: Option<Date>, names: SpecialNames) -> Result<Self, ChatTemplateError> {
        let jinja = Jinja::new(&source.template, date).map_err(|error| match error.kind() {
            ErrorKind::OutOfFuel => ChatTemplateError::Endless { path: source.path.clone() },
            _ => ChatTemplateError::Invalid { path: source.path.clone(), message: words(&error) },
        })?;
        let mut template =
            Self { source, date, jinja, names, after: None, end: 0, marked: true, stop: Stop::None };
        template.learn_ends()?;
        Ok(template)
    }

    /// Finds out what ends an answer, by writing one.
    fn learn_ends(&mut self) -> Result<(), ChatTemplateError> {
        let marks = self.names.marks();
        let turns = [(Role::User, "Qx7q"), (Role::Assistant, ANSWER), (Role::User, NEXT)]
            .map(|(role, text)| Message::new(role, text));
        // A template that wants a system message first says so with an exception.
        let system = [vec![Message::new(Role::System, "Qx7s")], turns.to_vec()].concat();
        for messages in [&turns[..], &system[..]] {
            let given = &messages[..messages.len() - 1];
            let text = match self.render(given, false) {
                Ok(text) => text,
                Err(error @ ChatTemplateError::Endless { .. }) => return Err(error),
                Err(_) => continue,
            };
            let Some((_, after)) = text.rsplit_once(ANSWER) else { return Ok(()) };
            let found: Vec<_> = marks.find(after).map(|(range, name)| (range.end, name.to_owned())).collect();
            self.marked = !found.is_empty();
            self.end = found.last().map_or(after.len(), |(end, _)| *end);
            self.stop = match found.into_iter().next() {
                Some((_, name)) => Stop::Token(name),
                None => self.next_turn(messages, &marks),
            };
            self.after = Some(after.to_owned());
            return Ok(());
        }
        Ok(())
    }

    /// What stands between an answer and the next question, where no token does.
    fn next_turn(&self, messages: &[Message], marks: &SpecialNames) -> Stop {
        let text = self.render(messages, false).unwrap_or_default();
        let between = text.rsplit_once(ANSWER).and_then(|(_, rest)| rest.split_once(NEXT));
        match between.map(|(between, _)| between).filter(|between| !between.trim().is_empty()) {
            Some(between) => match marks.find(between).next() {
                Some((_, name)) => Stop::Token(name.to_owned()),
                None => Stop::Text(between.to_owned()),
            },
            None => Stop::None,
        }
    }

    /// What ends an answer, besides the model's end-of-text token.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// The day that it takes for today.
    pub fn date(&self) -> Option<Date> {
        self.date
    }

    /// The template itself.
    pub fn text(&self) -> &str {
        &self.source.template
    }

    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// A special token by its role, such as `bos_token`.
    pub fn token(&self, role: &str) -> Option<&str> {
        self.source.tokens.get(role).map(String::as_str)
    }

    /// A conversation that the model is to answer.
    pub fn prompt(&self, messages: &[Message]) -> Result<Written, ChatTemplateError> {
        Ok(Written { text: self.render(messages, true)?, answers: Vec::new(), ended: true })
    }

    /// A conversation that the model learns from: as one sequence, or as one for each answer.
    pub fn sequences(&self, messages: &[Message]) -> Result<Vec<Written>, ChatTemplateError> {
        let whole = self.render(messages, false)?;
        let mut answers = Vec::new();
        for (at, _) in messages.iter().enumerate().filter(|(_, message)| message.learned()) {
            let given = self.render(&messages[..at], true)?;
            let answered = match at + 1 == messages.len() {
                true => whole.clone(),
                false => self.render(&messages[..=at], false)?,
            };
            if !answered.starts_with(&given) {
                return Err(ChatTemplateError::Differs {
                    path: self.source.path.clone(),
                    beginning: beginning(messages),
                });
            }
            let range = given.len()..self.end_of_answer(&answered).max(given.len());
            answers.push((at, answered, range));
        }
        let consistent = answers.iter().all(|(_, answered, range)| whole.starts_with(&answered[..range.end]))
            && answers.windows(2).all(|pair| pair[0].2.end <= pair[1].2.start);
        if consistent {
            let last = answers.last().map_or(0, |(at, ..)| *at);
            let ranges = answers.into_iter().map(|(.., range)| range).collect();
            return Ok(vec![Written {
                text: whole,
                answers: ranges,
                ended: self.marked || last + 1 != messages.len(),
            }]);
        }
        Ok(answers
            .into_iter()
            .map(|(_, text, range)| Written { text, answers: vec![range], ended: self.marked })
            .collect())
    }

    fn end_of_answer(&self, answered: &str) -> usize {
        match &self.after {
            Some(after) if answered.ends_with(after.as_str()) => answered.len() - after.len() + self.end,
            _ => answered.len(),
        }
    }

    /// As `apply_chat_template` does, what people typed shielded.
    fn render(&self, messages: &[Message], ask: bool) -> Result<String, ChatTemplateError> {
        let turn =
            |message: &Message| Turn { role: message.role, content: self.names.shield(&message.content) };
        let context = Context {
            messages: messages.iter().map(turn).collect(),
            tools: (),
            documents: (),
            add_generation_prompt: ask,
            tokens: &self.source.tokens,
        };
        let path = || self.source.path.clone();
        self.jinja.render(context).map_err(|error| match error.kind() {
            ErrorKind::OutOfFuel | ErrorKind::WriteFailure => ChatTemplateError::Endless { path: path() },
            _ => ChatTemplateError::Refused {
                path: path(),
                beginning: beginning(messages),
                message: words(&error),
            },
        })
    }
}

/// What `transformers` hands to a template.
#[derive(Serialize)]
struct Context<'a> {
    messages: Vec<Turn>,
    tools: (),
    documents: (),
    add_generation_prompt: bool,
    #[serde(flatten)]
    tokens: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Turn {
    role: Role,
    content: String,
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("source", &self.source)
            .field("date", &self.date)
            .finish_non_exhaustive()
    }
}

impl PartialEq for ChatTemplate {
    fn eq(&self, other: &Self) -> bool {
        (&self.source.template, &self.source.tokens, self.date)
            == (&other.source.template, &other.source.tokens, other.date)
    }
}

impl Eq for ChatTemplate {}

/// The error's own words, with the line of the template.
fn words(error: &minijinja::Error) -> String {
    let what = match (error.kind(), error.detail()) {
        (ErrorKind::InvalidOperation, Some(detail)) => written::plain(detail),
        (kind, Some(detail)) => format!("{kind}: {}", written::plain(detail)),
        (kind, None) => kind.to_string(),
    };
    match error.line() {
        Some(line) => format!("{what} (line {line} of the template)"),
        None => what,
    }
}

fn beginning(messages: &[Message]) -> String {
    let text = messages
        .iter()
        .map(|message| message.content.trim())
        .find(|text| !text.is_empty())
        .unwrap_or_default();
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}
