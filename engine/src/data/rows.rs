//! Rows of training data: one JSON object a line, in one of three shapes.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{FileError, NextStep, short};
use crate::files::record::DataFile;

/// Longer lines are refused, so that one broken file cannot exhaust the memory.
const MAX_LINE: u64 = 256 << 20;

/// What a data set consists of; a data set is of one kind throughout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Plain text to continue.
    Text,
    /// A prompt and its completion.
    Completion,
    /// A conversation.
    Chat,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    Text(String),
    Completion { prompt: String, completion: String },
    Chat(Vec<Message>),
}

/// One turn of a conversation. Other keys, such as `name`, are not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: String,
    /// 0: the model reads this answer and does not learn it. 1 or absent: it learns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u8>,
}

impl Message {
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), weight: None }
    }

    /// Whether this is an answer that counts in the loss.
    pub fn learned(&self) -> bool {
        self.role == Role::Assistant && self.weight != Some(0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    User,
    Assistant,
    /// What a tool answered; the model reads it and does not learn it.
    Tool,
}

/// Why training data cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{}, line {line}: {}", path.display(), short(message))]
    Line { path: PathBuf, line: u64, message: String },
    #[error("{}: {message}", path.display())]
    Empty { path: PathBuf, message: String },
}

impl NextStep for DataError {
    fn next_step(&self) -> String {
        match self {
            Self::File(error) => error.next_step(),
            Self::Line { .. } => {
                "Correct or remove that line. Rows are {\"text\"}, {\"prompt\", \"completion\"} or \
                 {\"messages\"}, all of one kind."
                    .into()
            }
            Self::Empty { .. } => "Give the job at least one file of rows, named *.jsonl.".into(),
        }
    }
}

impl Row {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Completion { .. } => Kind::Completion,
            Self::Chat(_) => Kind::Chat,
        }
    }

    /// Reads one line of JSON.
    ///
    /// # Errors
    /// A sentence that says what is wrong, without file and line.
    pub fn parse(line: &str) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_str(line).map_err(|error| {
            let message = error.to_string();
            format!("not valid JSON: {}", message.replace("line 1 column", "column"))
        })?;
        let serde_json::Value::Object(mut object) = value else {
            return Err("expected a JSON object such as {\"prompt\": …, \"completion\": …}".into());
        };
        let mut text = |key: &str| match object.remove(key) {
            Some(serde_json::Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("\"{key}\" must be text")),
            None => Ok(None),
        };
        match (text("text")?, text("prompt")?, text("completion")?) {
            (Some(text), None, None) if !text.trim().is_empty() => Ok(Self::Text(text)),
            (Some(_), None, None) => Err("\"text\" is empty".into()),
            (None, Some(_), Some(completion)) if completion.trim().is_empty() => {
                Err("\"completion\" is empty: there is nothing to learn".into())
            }
            (None, Some(prompt), Some(completion)) => Ok(Self::Completion { prompt, completion }),
            (None, Some(_), None) => Err("\"completion\" is missing".into()),
            (None, None, Some(_)) => Err("\"prompt\" is missing".into()),
            (None, None, None) => match object.remove("messages") {
                Some(messages) => Self::chat(messages),
                None => {
                    Err("none of \"text\", \"prompt\" with \"completion\", or \"messages\" is there".into())
                }
            },
            _ => Err("\"text\" and \"prompt\" or \"completion\" exclude each other".into()),
        }
    }

    fn chat(messages: serde_json::Value) -> Result<Self, String> {
        let serde_json::Value::Array(items) = messages else {
            return Err("\"messages\" must be a list".into());
        };
        let messages = items
            .into_iter()
            .enumerate()
            .map(|(i, item)| {
                serde_json::from_value(item).map_err(|error| format!("message {}: {error}", i + 1))
            })
            .collect::<Result<Vec<Message>, _>>()?;
        if let Some(at) = messages.iter().position(|m| m.weight.is_some_and(|weight| weight > 1)) {
            return Err(format!("message {}: \"weight\" must be 0 or 1", at + 1));
        }
        if !messages.iter().any(|m| m.learned() && !m.content.trim().is_empty()) {
            return Err(
                "no message of the role \"assistant\" with a weight other than 0: there is nothing to learn"
                    .into(),
            );
        }
        Ok(Self::Chat(messages))
    }

    /// All text in the row, for training a tokenizer.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::Text(text) => vec![text],
            Self::Completion { prompt, completion } => vec![prompt, completion],
            Self::Chat(messages) => messages.iter().map(|m| m.content.as_str()).collect(),
        }
    }
}

/// The `*.jsonl` files of a channel, sorted by name.
///
/// # Errors
/// When the directory cannot be listed or holds none.
pub fn files(channel: &Path) -> Result<Vec<PathBuf>, DataError> {
    let entries = std::fs::read_dir(channel).map_err(FileError::io("list", channel))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(FileError::io("list", channel))?.path();
        if path.is_file() && path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    if files.is_empty() {
        let message = "there is no *.jsonl file in it".to_owned();
        return Err(DataError::Empty { path: channel.to_path_buf(), message });
    }
    files.sort();
    Ok(files)
}

/// Reads every row of a channel once, in order, without holding more than a line.
///
/// `each` gets the rows; returning `false` ends the reading early, which leaves the hashes incomplete and
/// therefore returns none. Every channel must be of one kind, and of `kind` if that is given.
pub fn read(
    channel: &Path,
    kind: Option<Kind>,
    mut each: impl FnMut(Row) -> bool,
) -> Result<Vec<DataFile>, DataError> {
    let mut kind = kind;
    let mut seen = Vec::new();
    for path in files(channel)? {
        let file = File::open(&path).map_err(FileError::io("open", &path))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let (mut hash, mut bytes, mut number, mut rows) = (Sha256::new(), 0, 0, 0);
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = (&mut reader)
                .take(MAX_LINE)
                .read_until(b'\n', &mut line)
                .map_err(FileError::io("read", &path))? as u64;
            if length == 0 {
                break;
            }
            number += 1;
            let wrong = |message: String| DataError::Line { path: path.clone(), line: number, message };
            if length == MAX_LINE {
                return Err(wrong("longer than 256 MiB".into()));
            }
            hash.update(&line);
            bytes += length;
            let text = std::str::from_utf8(&line).map_err(|_| wrong("not UTF-8".into()))?;
            let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { text };
            if text.trim().is_empty() {
                continue;
            }
            let row = Row::parse(text.trim()).map_err(wrong)?;
            if let Some(kind) = kind.filter(|kind| *kind != row.kind()) {
                let message = format!("a row of {:?}, where the rows before are of {kind:?}", row.kind());
                return Err(wrong(message.to_lowercase()));
            }
            kind = Some(row.kind());
            rows += 1;
            if !each(row) {
                return Ok(Vec::new());
            }
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let channel = channel.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        seen.push(DataFile { channel, name, bytes, sha256, rows });
    }
    if kind.is_none() || seen.iter().all(|file| file.rows == 0) {
        let message = "there is not a single row in it".to_owned();
        return Err(DataError::Empty { path: channel.to_path_buf(), message });
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_is_read() {
        assert_eq!(Row::parse(r#"{"text":"a"}"#), Ok(Row::Text("a".into())));
        let row = Row::parse(r#"{"prompt":"p","completion":"c","id":7}"#).unwrap();
        assert_eq!(row.texts(), ["p", "c"]);
        let row =
            Row::parse(r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}"#);
        assert_eq!(row.unwrap().kind(), Kind::Chat);
    }

    #[test]
    fn each_mistake_has_its_own_sentence() {
        for (line, part) in [
            ("{oops", "not valid JSON"),
            ("[1]", "JSON object"),
            (r#"{"text":1}"#, "\"text\" must be text"),
            (r#"{"text":" "}"#, "\"text\" is empty"),
            (r#"{"prompt":"p"}"#, "\"completion\" is missing"),
            (r#"{"completion":"p"}"#, "\"prompt\" is missing"),
            (r#"{"prompt":"p","completion":""}"#, "nothing to learn"),
            (r#"{"question":"p"}"#, "none of"),
            (r#"{"messages":{}}"#, "must be a list"),
            (r#"{"messages":[{"role":"robot","content":""}]}"#, "message 1"),
            (r#"{"messages":[{"role":"user","content":"hi"}]}"#, "assistant"),
            (r#"{"messages":[{"role":"assistant","content":"a","weight":0}]}"#, "other than 0"),
            (
                r#"{"messages":[{"role":"assistant","content":"a","weight":2}]}"#,
                "message 1: \"weight\" must be",
            ),
            (r#"{"text":"a","prompt":"b"}"#, "exclude each other"),
        ] {
            let message = Row::parse(line).unwrap_err();
            assert!(message.contains(part), "{line}: {message}");
        }
    }

    #[test]
    fn a_wrong_line_is_named_and_kinds_do_not_mix() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.jsonl");
        std::fs::write(&path, "\u{feff}{\"text\":\"a\"}\r\n\n{\"prompt\":\"p\",\"completion\":\"c\"}\n")
            .unwrap();
        let error = read(root.path(), None, |_| true).unwrap_err();
        assert!(error.to_string().contains("a.jsonl, line 3: a row of completion"), "{error}");
        std::fs::write(&path, b"{\"text\":\"a\"}\n\xff\xfe\n").unwrap();
        let error = read(root.path(), None, |_| true).unwrap_err();
        assert!(error.to_string().contains("line 2: not UTF-8"), "{error}");
    }

    #[test]
    fn no_file_and_no_row_are_told_apart_from_each_other() {
        let root = tempfile::tempdir().unwrap();
        assert!(read(root.path(), None, |_| true).unwrap_err().to_string().contains("no *.jsonl file"));
        std::fs::write(root.path().join("a.jsonl"), "\n\n").unwrap();
        let error = read(root.path(), None, |_| true).unwrap_err();
        assert!(error.to_string().contains("not a single row"));
    }

    #[test]
    fn hashes_and_counts_are_those_of_the_files() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("a.jsonl"), "{\"text\":\"a\"}\n").unwrap();
        let files = read(root.path(), Some(Kind::Text), |_| true).unwrap();
        assert_eq!((files[0].rows, files[0].bytes), (1, 13));
        // printf '{"text":"a"}\n' | sha256sum
        assert!(files[0].sha256.starts_with("314d3a97"), "{}", files[0].sha256);
    }
}
