//! The text in a container's answer, whole or streamed, in every shape that serving containers are known to use:
//!
//! | container | whole | streamed |
//! |---|---|---|
//! | TGI, and LMI in its manner | `[{"generated_text"}]` | events `{"token": {"text"}, "generated_text"}` |
//! | LMI (djl-inference) | `{"generated_text"}` | the same, a line each; the whole text comes again at the end |
//! | older LMI | | lines `{"outputs": ["…"]}` |
//! | Llama 2 of JumpStart | `[{"generation"}]` | |
//! | FLAN of JumpStart | `{"generated_texts": [...]}` | |
//! | OpenAI's manner (vLLM) | `{"choices": [{"text"} or {"message"}]}` | events `{"choices": [{"delta"} or {"text"}]}` |
//!
//! Plain text is taken as it is. The same bytes give the same text wherever they were cut: see [`super::frames`].

use super::frames::{Frame, Frames};
use serde_json::Value;

/// Why an answer gave no text, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The container said so in its answer.
    #[error("{0}")]
    Failed(String),
    /// JSON of a shape that we do not know, and its beginning.
    #[error("the answer has a shape that is not known: {0}")]
    Shape(String),
    #[error("the answer broke off")]
    Cut,
}

/// What is known at the end of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    pub tokens: Option<u64>,
    /// It ended at the limit of new tokens. `None` where the container did not say.
    pub at_limit: Option<bool>,
}

#[derive(Debug, Default)]
pub struct Reply {
    frames: Frames,
    said: String,
    /// Pieces that came as single tokens.
    counted: u64,
    /// Something that we know the shape of came, if only an empty answer.
    understood: bool,
    ended: Ended,
    problem: Option<Unreadable>,
    strange: Option<String>,
}

impl Reply {
    /// Takes in bytes of the answer; gives the text that they add.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        let frames = self.frames.push(bytes);
        self.read(frames)
    }

    /// The container said that it failed: nothing more is worth waiting for.
    pub fn failed(&self) -> bool {
        self.problem.is_some()
    }

    /// The last of the text, and how it ended.
    ///
    /// # Errors
    /// Where the answer says that it failed, is cut off, or has no shape that we know. The text so far stands.
    pub fn finish(mut self) -> (String, Result<Ended, Unreadable>) {
        let frames = std::mem::take(&mut self.frames).finish();
        let text = self.read(frames);
        if self.ended.tokens.is_none() && self.counted > 0 {
            self.ended.tokens = Some(self.counted);
        }
        let outcome = match (self.problem, self.strange) {
            (Some(problem), _) => Err(problem),
            (None, Some(strange)) if !self.understood => Err(Unreadable::Shape(strange)),
            _ => Ok(self.ended),
        };
        (text, outcome)
    }

    fn read(&mut self, frames: Vec<Frame>) -> String {
        let begin = self.said.len();
        for frame in frames {
            if self.problem.is_some() {
                break;
            }
            match frame {
                Frame::Json(value) => self.document(&value),
                Frame::Text(text) => self.say(&text),
                Frame::Cut => self.problem = Some(Unreadable::Cut),
            }
        }
        self.said[begin..].to_owned()
    }

    fn say(&mut self, text: &str) {
        self.understood = true;
        self.said.push_str(text);
    }

    /// The whole text, after pieces of it or alone: what is missing is added.
    fn say_whole(&mut self, text: &str) {
        self.understood = true;
        if let Some(rest) = text.strip_prefix(self.said.as_str()) {
            self.said.push_str(rest);
        } else if self.counted == 0 {
            self.said.push_str(text);
        }
    }

    fn document(&mut self, value: &Value) {
        match value {
            // One prompt is asked, so one answer counts.
            Value::Array(answers) => match answers.first() {
                Some(answer) => self.document(answer),
                None => self.understood = true,
            },
            Value::String(text) => self.say_whole(text),
            Value::Object(_) => self.object(value),
            _ => self.strange(value),
        }
    }

    fn object(&mut self, value: &Value) {
        if let Some(error) = said_error(value) {
            self.problem = Some(Unreadable::Failed(error));
            return;
        }
        self.note_end(&value["details"]);
        if let Some(token) = value["token"].as_object() {
            self.counted += 1;
            let special = token.get("special").and_then(Value::as_bool).unwrap_or(false);
            let text = token.get("text").and_then(Value::as_str).unwrap_or_default();
            self.say(if special { "" } else { text });
        }
        if let Some(choice) = value["choices"].get(0) {
            self.note_end(choice);
            self.ended.tokens = value["usage"]["completion_tokens"].as_u64().or(self.ended.tokens);
            return self.choice(choice);
        }
        if let Some(text) = value["generated_text"].as_str() {
            self.say_whole(text);
        } else if let Some(text) = text_of(&value["generation"]) {
            self.say_whole(text);
        } else if let Some(text) = value["generated_texts"].get(0).and_then(Value::as_str) {
            self.say_whole(text);
        } else if let Some(text) = value["outputs"].get(0).unwrap_or(&value["outputs"]).as_str() {
            self.say(text);
        } else if value["usage"].is_object() || value["choices"].is_array() {
            // The last event of some streams: figures without text.
            self.ended.tokens = value["usage"]["completion_tokens"].as_u64().or(self.ended.tokens);
            self.understood = true;
        } else if !value["token"].is_object() {
            self.strange(value);
        }
    }

    fn choice(&mut self, choice: &Value) {
        self.understood = true;
        if let Some(delta) = choice.get("delta") {
            self.say(delta["content"].as_str().unwrap_or_default());
        } else if let Some(text) = text_of(&choice["message"]) {
            self.say(text);
        } else {
            self.say(choice["text"].as_str().unwrap_or_default());
        }
    }

    fn note_end(&mut self, details: &Value) {
        match details["finish_reason"].as_str() {
            Some("length" | "max_tokens") => self.ended.at_limit = Some(true),
            Some("error") => {
                self.problem = Some(Unreadable::Failed("the model failed while it answered".to_owned()));
            }
            Some(_) => self.ended.at_limit = Some(false),
            None => {}
        }
        self.ended.tokens = details["generated_tokens"].as_u64().or(self.ended.tokens);
    }

    fn strange(&mut self, value: &Value) {
        let text: String = value.to_string().chars().take(200).collect();
        self.strange.get_or_insert(text);
    }
}

/// A text, or the content of a message.
fn text_of(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["content"].as_str())
}

fn said_error(value: &Value) -> Option<String> {
    let error = &value["error"];
    let words = error.as_str().or_else(|| error["message"].as_str());
    match words {
        Some(words) if !words.is_empty() => Some(words.chars().take(500).collect()),
        None if error.is_object() => Some(error.to_string().chars().take(500).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
