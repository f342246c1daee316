//! How a file is to be read: compression, encoding, container, format, columns. Detected once by the validator,
//! kept with the dataset, and handed to everything that reads the file again. Holds no rows and no findings.

use serde::{Deserialize, Serialize};

/// What a row means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `messages: [{role, content}]`
    Chat,
    /// `conversations: [{from, value}]`
    ShareGpt,
    /// `instruction`, `input`, `output`, sometimes `system` and `history`
    Alpaca,
    /// `instruction`, `context`, `response`
    Dolly,
    /// `prompt`, `completion`
    PromptCompletion,
    /// `question`, `answer`
    QuestionAnswer,
    /// `text`, or a file of plain text
    Text,
    /// Columns of other names: a [`ColumnMapping`] says what they are for.
    Table,
    /// `chosen`, `rejected`: recognised, and refused with the reason.
    Preference,
}

impl Format {
    /// As shown to people.
    pub fn label(self) -> &'static str {
        match self {
            Format::Chat => "Chat",
            Format::ShareGpt => "ShareGPT",
            Format::Alpaca => "Alpaca",
            Format::Dolly => "Dolly",
            Format::PromptCompletion => "Prompt and completion",
            Format::QuestionAnswer => "Question and answer",
            Format::Text => "Text",
            Format::Table => "Table",
            Format::Preference => "Preference pairs",
        }
    }

    /// Keys that each row must have.
    pub fn required(self) -> &'static [&'static str] {
        match self {
            Format::Chat => &["messages"],
            Format::ShareGpt => &["conversations"],
            Format::Alpaca => &["instruction", "output"],
            Format::Dolly => &["instruction", "response"],
            Format::PromptCompletion => &["prompt", "completion"],
            Format::QuestionAnswer => &["question", "answer"],
            Format::Text => &["text"],
            Format::Preference => &["chosen", "rejected"],
            Format::Table => &[],
        }
    }

    /// Keys that a row may have besides, and that have a meaning.
    pub fn optional(self) -> &'static [&'static str] {
        match self {
            Format::Alpaca => &["input", "system", "history"],
            Format::Dolly => &["context"],
            Format::ShareGpt => &["system"],
            _ => &[],
        }
    }
}

/// How rows are laid out in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// One JSON object a line.
    Jsonl,
    /// One JSON array of objects, or objects one after the other over several lines.
    Json,
    Csv,
    Tsv,
    /// Text or Markdown.
    PlainText,
}

impl Container {
    pub fn label(self) -> &'static str {
        match self {
            Container::Jsonl => "JSON Lines",
            Container::Json => "JSON",
            Container::Csv => "CSV",
            Container::Tsv => "TSV",
            Container::PlainText => "Plain text",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    #[default]
    Utf8,
    /// UTF-8 with a byte order mark, which is left out when reading.
    Utf8Bom,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    pub fn label(self) -> &'static str {
        match self {
            Encoding::Utf8 => "UTF-8",
            Encoding::Utf8Bom => "UTF-8 with byte order mark",
            Encoding::Utf16Le => "UTF-16, little-endian",
            Encoding::Utf16Be => "UTF-16, big-endian",
        }
    }
}

/// The shape of every example of a file: one per file, so that a model sees one template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    Text,
    Completion,
    Chat,
}

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnRole {
    /// The instruction that stands above the conversation.
    System,
    /// What the model is given; several are joined by a blank line, in the order of the columns.
    Prompt,
    /// What the model shall answer.
    Completion,
    /// Text to continue, without question and answer.
    Text,
    Ignore,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappedColumn {
    pub column: String,
    pub role: ColumnRole,
}

/// What each column of a table is for. Columns that it does not name are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ColumnMapping {
    pub columns: Vec<MappedColumn>,
}

impl ColumnMapping {
    /// From pairs, for tests and forms.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = (S, ColumnRole)>) -> Self {
        Self {
            columns: columns
                .into_iter()
                .map(|(column, role)| MappedColumn { column: column.into(), role })
                .collect(),
        }
    }

    pub fn role(&self, column: &str) -> ColumnRole {
        self.columns
            .iter()
            .find(|mapped| mapped.column == column)
            .map_or(ColumnRole::Ignore, |mapped| mapped.role)
    }

    fn count(&self, role: ColumnRole) -> usize {
        self.columns.iter().filter(|mapped| mapped.role == role).count()
    }

    /// The shape of the examples that it makes, or the sentence that says what is missing.
    pub fn shape(&self) -> Result<Shape, &'static str> {
        let [system, prompt, completion, text] =
            [ColumnRole::System, ColumnRole::Prompt, ColumnRole::Completion, ColumnRole::Text]
                .map(|role| self.count(role));
        match (system, prompt, completion, text) {
            (0, 0, 0, 1..) => Ok(Shape::Text),
            (_, _, _, 1..) => {
                Err("A text column stands alone: set the other columns to ignore, or make the text \
                                   column a prompt.")
            }
            (_, _, 2.., _) => Err("Only one column can be the completion."),
            (2.., _, _, _) => Err("Only one column can be the system instruction."),
            (_, 1.., 0, _) => {
                Err("Choose the column that holds the completion: what the model shall answer.")
            }
            (_, 0, 1, _) => Err("Choose the column that holds the prompt: what the model is given."),
            (_, 0, 0, _) => Err("Choose a prompt and a completion column, or one text column."),
            (0, 1.., 1, 0) => Ok(Shape::Completion),
            (1, 1.., 1, 0) => Ok(Shape::Chat),
        }
    }

    /// The first column that it gives a role and that the file does not have.
    pub fn unknown_column(&self, columns: &[String]) -> Option<&str> {
        self.columns
            .iter()
            .find(|mapped| mapped.role != ColumnRole::Ignore && !columns.contains(&mapped.column))
            .map(|mapped| mapped.column.as_str())
    }
}

/// Everything needed to read the file again without looking at it twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    pub gzip: bool,
    pub encoding: Encoding,
    pub container: Container,
    pub format: Format,
    /// The byte between fields of CSV and TSV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// False for CSV and TSV whose first line is already a row.
    pub header: bool,
    /// Columns of a table, or the keys seen in the first rows of JSON.
    pub columns: Vec<String>,
    /// For [`Format::Table`]: what the columns are for; a guess until a person has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<ColumnMapping>,
}

impl Schema {
    /// The same file read with another mapping.
    pub fn with_mapping(mut self, mapping: ColumnMapping) -> Self {
        self.mapping = Some(mapping);
        self
    }

    /// The shape of its examples; `None` while a table is not mapped and for formats that are refused.
    pub fn shape(&self) -> Option<Shape> {
        let has = |column: &str| self.columns.iter().any(|name| name == column);
        match self.format {
            Format::Chat | Format::ShareGpt => Some(Shape::Chat),
            Format::Alpaca if has("system") || has("history") => Some(Shape::Chat),
            Format::Alpaca | Format::Dolly | Format::PromptCompletion | Format::QuestionAnswer => {
                Some(Shape::Completion)
            }
            Format::Text => Some(Shape::Text),
            Format::Table => self.mapping.as_ref()?.shape().ok(),
            Format::Preference => None,
        }
    }

    /// True where a byte offset of the text is a byte offset of the file plus [`Schema::text_start`], so that
    /// a reader can jump to a row.
    pub fn seekable(&self) -> bool {
        !self.gzip && matches!(self.encoding, Encoding::Utf8 | Encoding::Utf8Bom)
    }

    /// Bytes before the text begins.
    pub fn text_start(&self) -> u64 {
        if self.encoding == Encoding::Utf8Bom { 3 } else { 0 }
    }
}
