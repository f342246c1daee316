//! Reads records as a schema says and tells what is wrong with each. Keeps nothing between rows: what needs the
//! whole file (duplicates, one-sided answers) is the validator's.

use std::borrow::Cow;

use memchr::memchr;

use super::json::{self, Entry, Line};
use super::keys::{SILENT, known_format};
use super::row::Row;
use super::table;
use super::text::{joined, utf8, without_nul};
use crate::example::Example;
use crate::finding::{Code, Sink};
use crate::schema::{ColumnRole, Format, Schema, Shape};
use crate::split::Body;

/// What became of a record.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome<'a> {
    Example(Example<'a>),
    /// A row with an error, which is among the findings.
    Rejected,
    /// No row: an empty line, the column names.
    Skipped,
    /// A row of a table whose columns have no meaning yet.
    Unmapped,
}

#[derive(Debug)]
pub(crate) struct Reader {
    schema: Schema,
    shape: Option<Shape>,
    /// The columns that a mapping uses, in its order.
    mapped: Vec<(String, ColumnRole)>,
}

impl Reader {
    pub fn new(schema: Schema) -> Self {
        let mapped = schema.mapping.iter().flat_map(|mapping| &mapping.columns);
        let mapped = mapped
            .filter(|mapped| mapped.role != ColumnRole::Ignore)
            .map(|mapped| (mapped.column.clone(), mapped.role))
            .collect();
        Self { shape: schema.shape(), mapped, schema }
    }

    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    pub fn into_schema(self) -> Schema {
        self.schema
    }

    pub fn read<'a>(&'a self, body: Body<'a>, sink: &mut dyn Sink) -> Outcome<'a> {
        let example = match body {
            Body::Json(bytes) => return self.json(bytes, sink),
            Body::Fields { bytes, ends } => {
                if table::blank(bytes) {
                    sink.finding(Code::EmptyRow, None, &|| {
                        "All fields of this row are empty; it is left out.".to_owned()
                    });
                    return Outcome::Skipped;
                }
                match table::entries(bytes, ends, &self.schema.columns, sink) {
                    Some(entries) => return self.entries(entries, sink),
                    None => None,
                }
            }
            Body::Text(bytes) => {
                let text = without_nul(utf8(bytes, sink), sink);
                if text.trim().is_empty() {
                    return Outcome::Skipped;
                }
                Some(Example::Text { text })
            }
            Body::Header { .. } | Body::Empty { .. } => return Outcome::Skipped,
            Body::TooLong { .. } | Body::Broken { .. } => {
                unreadable(body, sink);
                None
            }
        };
        example.map_or(Outcome::Rejected, Outcome::Example)
    }

    fn json<'a>(&'a self, bytes: &'a [u8], sink: &mut dyn Sink) -> Outcome<'a> {
        match utf8(bytes, sink) {
            Cow::Borrowed(text) => match json::parse(text) {
                Ok(line) => self.line(line, sink),
                Err(error) => self.not_json(text, &error, sink),
            },
            Cow::Owned(text) => match json::parse(&text) {
                Ok(line) => owned(self.line(line, sink)),
                Err(error) => self.not_json(&text, &error, sink),
            },
        }
    }

    fn not_json(&self, text: &str, error: &serde_json::Error, sink: &mut dyn Sink) -> Outcome<'static> {
        if memchr(0, text.as_bytes()).is_some() {
            let clean = text.replace('\0', "");
            if let Ok(line) = json::parse(&clean) {
                without_nul(Cow::Borrowed(text), sink);
                return owned(self.line(line, sink));
            }
        }
        sink.finding(Code::NotJson, None, &|| why_not_json(text, error));
        Outcome::Rejected
    }

    fn line<'a>(&self, line: Line<'a>, sink: &mut dyn Sink) -> Outcome<'a> {
        match line {
            Line::Object(entries) => self.entries(entries, sink),
            Line::Other(kind) => {
                sink.finding(Code::DataType, None, &|| {
                    format!("This row is {kind}; every row must be an object such as {{\"prompt\": …}}.")
                });
                Outcome::Rejected
            }
        }
    }

    fn entries<'a>(&self, mut entries: Vec<Entry<'a>>, sink: &mut dyn Sink) -> Outcome<'a> {
        let format = self.schema.format;
        let Some(shape) = self.shape else { return Outcome::Unmapped };
        if format == Format::Table {
            return self.mapped(&mut entries, shape, sink).map_or(Outcome::Rejected, Outcome::Example);
        }
        for key in format.required() {
            if !entries.iter().any(|(known, _)| known == key) {
                self.missing(&entries, key, sink);
                return Outcome::Rejected;
            }
        }
        let known = |key: &str| format.required().contains(&key) || format.optional().contains(&key);
        for (key, _) in &entries {
            if !known(key) && !SILENT.contains(&key.as_ref()) {
                sink.finding(Code::UnknownKey, Some(key), &|| {
                    let name = self.name_of_key();
                    format!("The {name} \"{key}\" has no meaning in {} data and is not used.", format.label())
                });
            }
        }
        let mut row = Row { entries: &mut entries, sink, strict: true };
        let example = match format {
            Format::Chat => row.chat("messages", format),
            Format::ShareGpt => row.chat("conversations", format),
            Format::Alpaca => row.alpaca(shape),
            Format::Dolly => row.dolly(),
            Format::PromptCompletion => row.pair("prompt", "completion"),
            Format::QuestionAnswer => row.pair("question", "answer"),
            Format::Text => row.required("text").and_then(|text| row.text(text)),
            Format::Table | Format::Preference => None,
        };
        example.map_or(Outcome::Rejected, Outcome::Example)
    }

    fn name_of_key(&self) -> &'static str {
        use crate::schema::Container::{Csv, Tsv};
        if matches!(self.schema.container, Csv | Tsv) { "column" } else { "key" }
    }

    fn missing(&self, entries: &[Entry<'_>], key: &str, sink: &mut dyn Sink) {
        let keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_ref()).collect();
        let format = self.schema.format;
        match known_format(&keys) {
            Some(other) if other != format => sink.finding(Code::MixedFormats, None, &|| {
                format!(
                    "This row is in the format \"{}\", while the file is in the format \"{}\". Keep one format in \
                     a file: split it in two.",
                    other.label(),
                    format.label()
                )
            }),
            _ if matches!(format, Format::Chat | Format::ShareGpt) => {
                sink.finding(Code::MissingMessagesList, Some(key), &|| {
                    format!("This row has no \"{key}\". Add the list of messages, or leave the row out.")
                });
            }
            _ => sink.finding(Code::MissingKey, Some(key), &|| {
                let found = keys.iter().take(6).map(|key| format!("\"{key}\"")).collect::<Vec<_>>().join(", ");
                let found = if found.is_empty() { "nothing".to_owned() } else { found };
                format!("The key \"{key}\" is missing; the row has {found}.")
            }),
        }
    }

    /// A row of a table, by the roles of its columns.
    fn mapped<'a>(
        &self,
        entries: &mut [Entry<'a>],
        shape: Shape,
        sink: &mut dyn Sink,
    ) -> Option<Example<'a>> {
        let mut row = Row { entries, sink, strict: false };
        let mut of = |role: ColumnRole| -> Option<Vec<Cow<'a, str>>> {
            let columns = self.mapped.iter().filter(|(_, of)| *of == role);
            columns.map(|(column, _)| row.required(column)).collect()
        };
        if shape == Shape::Text {
            let text = joined(of(ColumnRole::Text)?);
            return row.text(text);
        }
        let system = joined(of(ColumnRole::System)?);
        let prompt = joined(of(ColumnRole::Prompt)?);
        let completion = joined(of(ColumnRole::Completion)?);
        row.answered(system, Vec::new(), prompt, completion, shape)
    }
}

/// Says what is wrong with a record that no schema could read.
pub(crate) fn unreadable(body: Body<'_>, sink: &mut dyn Sink) {
    match body {
        Body::TooLong { bytes, .. } => sink.finding(Code::OverLongLine, None, &|| {
            format!(
                "This line is {}.{} MB long, more than a row may be. A line end may be missing, or a quote not \
                 closed.",
                bytes / 1_000_000,
                bytes % 1_000_000 / 100_000
            )
        }),
        Body::Broken { message, .. } => sink.finding(Code::BrokenJson, None, &|| message.to_owned()),
        _ => {}
    }
}

fn owned(outcome: Outcome<'_>) -> Outcome<'static> {
    match outcome {
        Outcome::Example(example) => Outcome::Example(example.into_owned()),
        Outcome::Rejected => Outcome::Rejected,
        Outcome::Skipped => Outcome::Skipped,
        Outcome::Unmapped => Outcome::Unmapped,
    }
}

/// What serde_json found, in words for people who did not write the file by hand.
fn why_not_json(text: &str, error: &serde_json::Error) -> String {
    let whole = error.to_string();
    let (reason, _) = whole.rsplit_once(" at line ").unwrap_or((&whole, ""));
    let place = match (error.line(), error.column()) {
        (0 | 1, column) => format!("column {column}"),
        (line, column) => format!("column {column} of line {line} of this row"),
    };
    let hint = if error.is_eof() {
        "The line breaks off: a quote or bracket is not closed, or a text goes on in the next line (write \\n \
         instead)."
    } else if reason.starts_with("control character") {
        "A tab or another control character stands within a text; write \\t instead."
    } else if reason.starts_with("trailing characters") {
        "There is more after the end of the object; give every object a line of its own."
    } else if text.starts_with("{'") {
        "Keys and texts must stand in double quotes. This looks like a Python dict: write it with json.dumps."
    } else {
        "Correct the line, or leave it out."
    };
    format!("Not valid JSON at {place}: {reason}. {hint}")
}
