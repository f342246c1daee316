//! What the fields of one row mean, format by format.

use std::borrow::Cow;

use super::chat;
use super::json::{Entry, Value};
use super::text::joined;
use crate::example::{Example, Message, Role};
use crate::finding::{Code, Sink};
use crate::schema::{Format, Shape};

/// A row that is being read: its entries are taken out of it one by one.
pub struct Row<'r, 'a> {
    pub entries: &'r mut [Entry<'a>],
    pub sink: &'r mut dyn Sink,
    /// Numbers in place of text are worth a word. In tables they are not: a CSV has no types.
    pub strict: bool,
}

impl<'a> Row<'_, 'a> {
    /// The value of `key`; of several, the last, as most readers of JSON do.
    fn take(&mut self, key: &str) -> Option<Value<'a>> {
        let mut found = None;
        for (_, value) in self.entries.iter_mut().filter(|(known, _)| known == key) {
            if found.replace(std::mem::replace(value, Value::Null)).is_some() {
                self.sink.finding(Code::DuplicateKey, Some(key), &|| {
                    format!("The key \"{key}\" stands in this row more than once; the last one counts.")
                });
            }
        }
        found
    }

    pub fn required(&mut self, key: &str) -> Option<Cow<'a, str>> {
        let Some(value) = self.take(key) else {
            self.sink.finding(Code::MissingKey, Some(key), &|| {
                format!("The key \"{key}\", which the mapping of columns uses, is missing.")
            });
            return None;
        };
        self.value(key, value)
    }

    /// Absent, null and empty are the same.
    fn optional(&mut self, key: &str) -> Option<Cow<'a, str>> {
        match self.take(key) {
            None | Some(Value::Null) => Some(Cow::Borrowed("")),
            Some(value) => self.value(key, value),
        }
    }

    fn value(&mut self, key: &str, value: Value<'a>) -> Option<Cow<'a, str>> {
        let text = match value {
            Value::Text(text) => return Some(chat::clean(text, self.sink)),
            // An empty cell of a table.
            Value::Null if !self.strict => return Some(Cow::Borrowed("")),
            Value::Number(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            other => {
                self.sink.finding(Code::WrongType, Some(key), &|| {
                    format!("\"{key}\" is {}; it must be text in double quotes.", other.kind())
                });
                return None;
            }
        };
        if self.strict {
            self.sink.finding(Code::NumberForText, Some(key), &|| {
                format!("\"{key}\" is {text} without quotes; it is read as the text \"{text}\".")
            });
        }
        Some(Cow::Owned(text))
    }

    pub fn text(&mut self, text: Cow<'a, str>) -> Option<Example<'a>> {
        if text.trim().is_empty() {
            self.sink.finding(Code::EmptyText, None, &|| {
                "The text of this row is empty: there is nothing to learn from it.".to_owned()
            });
            return None;
        }
        Some(Example::Text { text })
    }

    pub fn pair(&mut self, prompt: &str, answer: &str) -> Option<Example<'a>> {
        let (prompt, answer) = (self.required(prompt), self.required(answer));
        self.answered(Cow::Borrowed(""), Vec::new(), prompt?, answer?, Shape::Completion)
    }

    pub fn dolly(&mut self) -> Option<Example<'a>> {
        let prompt = joined([self.required("instruction")?, self.optional("context")?]);
        let answer = self.required("response")?;
        self.answered(Cow::Borrowed(""), Vec::new(), prompt, answer, Shape::Completion)
    }

    pub fn alpaca(&mut self, shape: Shape) -> Option<Example<'a>> {
        let prompt = joined([self.required("instruction")?, self.optional("input")?]);
        let answer = self.required("output")?;
        let system = self.optional("system")?;
        let history = match self.take("history") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Pairs(pairs)) => pairs,
            Some(_) => {
                self.sink.finding(Code::WrongType, Some("history"), &|| {
                    "\"history\" must be a list of pairs, each a question and its answer.".to_owned()
                });
                return None;
            }
        };
        self.answered(system, history, prompt, answer, shape)
    }

    pub fn chat(&mut self, key: &str, format: Format) -> Option<Example<'a>> {
        match self.take(key) {
            Some(Value::Turns(turns)) => {
                let system = if format == Format::ShareGpt { Some(self.optional("system")?) } else { None };
                chat::messages(turns, system, format, self.sink).map(|messages| Example::Chat { messages })
            }
            other => {
                let kind = other.map_or("missing", |value| value.kind());
                self.sink.finding(Code::MissingMessagesList, Some(key), &|| {
                    format!("\"{key}\" is {kind}; it must be a list of messages.")
                });
                None
            }
        }
    }

    /// A question and its answer, in the shape that all examples of the file have.
    pub fn answered(
        &mut self,
        system: Cow<'a, str>,
        history: Vec<(Cow<'a, str>, Cow<'a, str>)>,
        prompt: Cow<'a, str>,
        completion: Cow<'a, str>,
        shape: Shape,
    ) -> Option<Example<'a>> {
        if completion.trim().is_empty() {
            self.sink.finding(Code::EmptyAnswer, None, &|| {
                "The answer is empty: there is nothing to learn from it.".to_owned()
            });
            return None;
        }
        if prompt.trim().is_empty() {
            self.sink.finding(Code::EmptyPrompt, None, &|| {
                "The prompt is empty: the model learns to say this answer out of nothing.".to_owned()
            });
        }
        if shape != Shape::Chat {
            let earlier = history.into_iter().flat_map(|(question, answer)| [question, answer]);
            let plain = system.is_empty() && earlier.size_hint().1 == Some(0);
            let prompt = if plain {
                prompt
            } else {
                joined(std::iter::once(system).chain(earlier).chain(std::iter::once(prompt)))
            };
            return Some(Example::Completion { prompt, completion });
        }
        let mut messages = Vec::with_capacity(2 * history.len() + 3);
        if !system.trim().is_empty() {
            messages.push(Message::new(Role::System, system));
        }
        for (question, answer) in history {
            let (question, answer) = (chat::clean(question, self.sink), chat::clean(answer, self.sink));
            if answer.trim().is_empty() {
                self.sink.finding(Code::EmptyAnswer, Some("history"), &|| {
                    "An answer in \"history\" is empty: there is nothing to learn from it.".to_owned()
                });
                return None;
            }
            messages.push(Message::new(Role::User, question));
            messages.push(Message::new(Role::Assistant, answer));
        }
        messages.push(Message::new(Role::User, prompt));
        messages.push(Message::new(Role::Assistant, completion));
        Some(Example::Chat { messages })
    }
}
