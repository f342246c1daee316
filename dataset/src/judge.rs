//! Judges the rows of a file as they come, and the file as a whole at its end.

use crate::decode::Refusal;
use crate::detect::{self, Layout};
use crate::finding::{Code, Sink};
use crate::findings::Findings;
use crate::index::LineIndex;
use crate::parse::json::{Line, parse};
use crate::parse::{Outcome, Reader, known_format, unreadable};
use crate::report::{Report, verdict};
use crate::schema::{ColumnMapping, Container, Encoding, Format, Schema};
use crate::split::{Body, Record};
use crate::statistics::Tally;

/// Rows of JSON looked at before their format is settled.
const SAMPLE_ROWS: usize = 200;
const SAMPLE_BYTES: usize = 1 << 20;
/// Keys listed as columns.
const MAX_COLUMNS: usize = 64;
/// Longer rows are worth a word; the limit is that of OpenAI's first dataset checker.
const LONG_ROW: u64 = 10_000;
const FEW_ROWS: u64 = 50;
const VERY_FEW_ROWS: u64 = 10;
const LITTLE_TEXT: u64 = 10_000;
/// Prompts that begin alike for more characters than this waste tokens.
const PREFIX: usize = 12;

#[derive(Debug)]
enum Phase {
    /// Nothing is known.
    Waiting,
    /// Rows of JSON, kept until their format is settled.
    Sampling {
        layout: Layout,
        rows: Vec<(u64, Vec<u8>)>,
        bytes: usize,
    },
    Reading(Reader),
}

#[derive(Debug)]
pub(crate) struct Judge {
    phase: Phase,
    mapping: Option<ColumnMapping>,
    pub findings: Findings,
    pub index: LineIndex,
    tally: Tally,
    /// Rows of a table that nobody has mapped.
    unmapped: u64,
}

impl Judge {
    pub fn new(findings: Findings, mapping: Option<ColumnMapping>) -> Self {
        Self {
            phase: Phase::Waiting,
            mapping: mapping.filter(|mapping| !mapping.columns.is_empty()),
            findings,
            index: LineIndex::default(),
            tally: Tally::default(),
            unmapped: 0,
        }
    }

    pub fn begin(&mut self, layout: Layout) {
        self.phase = match layout.container {
            Container::Jsonl | Container::Json => Phase::Sampling { layout, rows: Vec::new(), bytes: 0 },
            Container::PlainText => Phase::Reading(Reader::new(layout.schema())),
            Container::Csv | Container::Tsv => {
                let (columns, format) = detect::format_of_columns(layout.columns.clone());
                Phase::Reading(Reader::new(self.schema(layout, columns, format)))
            }
        };
    }

    pub fn record(&mut self, record: Record<'_>) {
        let Record { line, offset, body } = record;
        if !matches!(body, Body::Empty { .. } | Body::Header { .. } | Body::Broken { .. }) {
            self.index.add(line, offset);
        }
        match (&mut self.phase, body) {
            (_, Body::Empty { lines }) => {
                self.findings.many(line, Code::EmptyRow, lines, || {
                    "There is nothing on this line; it is left out.".to_owned()
                });
            }
            (_, Body::TooLong { .. } | Body::Broken { .. }) => {
                self.findings.line = line;
                unreadable(body, &mut self.findings);
            }
            (Phase::Sampling { rows, bytes, .. }, Body::Json(json)) => {
                rows.push((line, json.to_vec()));
                *bytes += json.len();
                if rows.len() == SAMPLE_ROWS || *bytes >= SAMPLE_BYTES {
                    self.settle();
                }
            }
            (Phase::Reading(_), _) => self.row(line, body),
            (Phase::Sampling { .. } | Phase::Waiting, _) => {}
        }
    }

    fn row(&mut self, line: u64, body: Body<'_>) {
        let Phase::Reading(reader) = &self.phase else { return };
        self.findings.line = line;
        let example = match reader.read(body, &mut self.findings) {
            Outcome::Example(example) => example,
            Outcome::Unmapped => {
                self.unmapped += 1;
                return;
            }
            Outcome::Rejected | Outcome::Skipped => return,
        };
        let added = self.tally.add(line, &example);
        // Pieces of plain text are ours, not rows of the user's.
        if matches!(body, Body::Text(_)) {
            return;
        }
        if let Some(first) = added.first_equal {
            self.findings.finding(Code::DuplicateRow, None, &|| {
                format!(
                    "This row is the same as the one on line {first}. Equal rows make the model repeat them."
                )
            });
        }
        if added.characters > LONG_ROW {
            self.findings.finding(Code::LongRow, None, &|| {
                format!(
                    "This row has {} characters. What does not fit the length that the model is tuned on is cut \
                     off.",
                    added.characters
                )
            });
        }
    }

    /// Decides on the format by the rows kept so far, then reads them.
    fn settle(&mut self) {
        let Phase::Sampling { layout, rows, .. } = std::mem::replace(&mut self.phase, Phase::Waiting) else {
            return;
        };
        let mut columns: Vec<String> = Vec::new();
        let mut formats: Vec<(Format, usize)> = Vec::new();
        for (_, json) in &rows {
            let text = String::from_utf8_lossy(json);
            let Ok(Line::Object(entries)) = parse(&text) else { continue };
            let keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_ref()).collect();
            for key in &keys {
                if columns.len() < MAX_COLUMNS && !columns.iter().any(|column| column == key) {
                    columns.push((*key).to_owned());
                }
            }
            if let Some(format) = known_format(&keys) {
                match formats.iter_mut().find(|(known, _)| *known == format) {
                    Some((_, count)) => *count += 1,
                    None => formats.push((format, 1)),
                }
            }
        }
        // Of equally frequent formats, the one that came first.
        let format =
            formats.iter().rev().max_by_key(|(_, count)| *count).map_or(Format::Table, |(format, _)| *format);
        self.phase = Phase::Reading(Reader::new(self.schema(layout, columns, format)));
        for (line, json) in rows {
            self.row(line, Body::Json(&json));
        }
    }

    fn schema(&self, layout: Layout, columns: Vec<String>, format: Format) -> Schema {
        // A mapping that a person has made is stronger than what the columns are called.
        let mappable = !matches!(format, Format::Chat | Format::ShareGpt | Format::Preference);
        let (format, mapping) = match &self.mapping {
            Some(mapping) if mappable => (Format::Table, Some(mapping.clone())),
            _ if format == Format::Table => (format, Some(detect::guess(&columns))),
            _ => (format, None),
        };
        Schema { columns, format, mapping, ..layout.schema() }
    }

    pub fn end_of_rows(&mut self) {
        self.settle_rest();
        self.findings.line = 0;
    }

    fn settle_rest(&mut self) {
        if matches!(self.phase, Phase::Sampling { .. }) {
            self.settle();
        }
    }

    pub fn finish(
        mut self,
        bytes: u64,
        gzip: bool,
        encoding: Encoding,
        replaced: u64,
        refusal: Option<Refusal>,
    ) -> (Report, LineIndex) {
        let schema = match std::mem::replace(&mut self.phase, Phase::Waiting) {
            Phase::Reading(reader) => Some(Schema { gzip, encoding, ..reader.into_schema() }),
            Phase::Waiting | Phase::Sampling { .. } => None,
        };
        match (&refusal, &schema) {
            (Some(refusal), _) => self.findings.file(refusal.code, || refusal.message.clone()),
            (None, None) => self.findings.file(Code::EmptyFile, || {
                let what = if bytes == 0 { "The file is empty" } else { "The file holds nothing but blanks" };
                format!("{what}. Choose another file, or export it again.")
            }),
            (None, Some(schema)) => self.whole(schema, replaced),
        }
        let groups = self.findings.into_groups();
        let report = Report {
            verdict: verdict(&groups),
            schema,
            rows: self.index.rows,
            bytes,
            groups,
            statistics: self.tally.finish(),
        };
        (report, self.index)
    }

    /// What only the whole file can tell.
    fn whole(&mut self, schema: &Schema, replaced: u64) {
        self.encoding(schema.encoding, replaced);
        self.columns(schema);
        if schema.format == Format::Preference {
            return self.findings.file(Code::PreferencePairs, || {
                "These rows compare a better with a worse answer, for preference tuning (DPO). That is not \
                 supported yet. Keep the better answer of each as prompt and completion."
                    .to_owned()
            });
        }
        if schema.shape().is_none() {
            return;
        }
        let rows = self.tally.rows();
        if self.index.rows == 0 && self.findings.errors == 0 {
            return self.findings.file(Code::EmptyFile, || {
                "There are no rows in this file. Choose another file, or export it again.".to_owned()
            });
        }
        if rows == 0 {
            return self.findings.file(Code::NoUsableRows, || {
                "None of the rows can be used for training. The findings on single lines say why.".to_owned()
            });
        }
        self.amount(schema, rows);
        self.sameness(rows);
        self.system_messages();
    }

    fn encoding(&mut self, encoding: Encoding, replaced: u64) {
        match encoding {
            Encoding::Utf8 => {}
            Encoding::Utf8Bom => self.findings.file(Code::ByteOrderMark, || {
                "The file begins with a byte order mark, which is left out.".to_owned()
            }),
            Encoding::Utf16Le | Encoding::Utf16Be => {
                self.findings.file(Code::ConvertedFromUtf16, || {
                    format!("The file is in {} and was read as such; nothing is lost.", encoding.label())
                });
                self.findings.many(0, Code::InvalidUtf8, replaced, || {
                    format!("{replaced} characters of UTF-16 are incomplete and are shown as \u{fffd}.")
                });
            }
        }
    }

    fn columns(&mut self, schema: &Schema) {
        let columns = &schema.columns;
        let twice = columns.iter().enumerate().find(|(index, column)| columns[..*index].contains(column));
        if let Some((_, column)) = twice {
            self.findings.file(Code::DuplicateColumn, || {
                format!("Two columns are called \"{column}\". Rename one of them.")
            });
        }
        let table = matches!(schema.container, Container::Csv | Container::Tsv);
        if table && !schema.header {
            self.findings.file(Code::NoHeader, || {
                "The first line does not look like column names and is read as a row. If it does name the columns, \
                 give them short names without punctuation."
                    .to_owned()
            });
        }
        if schema.format != Format::Table {
            return;
        }
        let mapping = schema.mapping.clone().unwrap_or_default();
        let listed =
            columns.iter().take(8).map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
        if let Some(column) = self.mapping.as_ref().and_then(|given| given.unknown_column(columns)) {
            let column = column.to_owned();
            return self.findings.file(Code::WrongColumns, || {
                format!("The mapping names the column \"{column}\", which the file does not have. It has {listed}.")
            });
        }
        if columns.is_empty() {
            if self.index.rows == 0 && self.findings.errors == 0 {
                self.findings.file(Code::EmptyFile, || {
                    "There are no rows in this file. Choose another file, or export it again.".to_owned()
                });
            } else {
                self.findings.file(Code::NoUsableRows, || {
                    "No row of this file can be read. The findings on single lines say why.".to_owned()
                });
            }
            return;
        }
        let problem = mapping.shape().err();
        if self.mapping.is_none() || problem.is_some() {
            self.findings.file(Code::ColumnsNeedMapping, || {
                let next = problem.unwrap_or("A guess has been made; look at it and confirm it.");
                format!("The columns {listed} are not those of a known format. {next}")
            });
        }
    }

    fn amount(&mut self, schema: &Schema, rows: u64) {
        let characters = self.tally.characters();
        if schema.container == Container::PlainText {
            if characters < LITTLE_TEXT {
                self.findings.file(Code::TooLittleText, || {
                    format!(
                        "The text has {characters} characters. A style shows from about 100,000; with so few, the \
                         model learns them by heart."
                    )
                });
            }
        } else if rows < FEW_ROWS {
            self.findings.file(Code::TooFewRows, || {
                let rows =
                    if rows == 1 { "is 1 usable row".to_owned() } else { format!("are {rows} usable rows") };
                let advice = if self.tally.rows() < VERY_FEW_ROWS {
                    "That is too few to learn from: give at least 10, better 50 to 100."
                } else {
                    "Results get visibly better from 50 to 100 on."
                };
                format!("There {rows}. {advice}")
            });
        }
    }

    fn sameness(&mut self, rows: u64) {
        if rows < VERY_FEW_ROWS {
            return;
        }
        if let Some((answer, count, total)) = self.tally.answers.top() {
            if count == total {
                self.findings.file(Code::IdenticalAnswers, || {
                    format!("All answers are \"{answer}\". The model will learn to say nothing else.")
                });
            } else if count * 10 > total * 8 {
                self.findings.file(Code::OneSidedAnswers, || {
                    format!(
                        "{} % of the answers are \"{answer}\". The model may learn to give it always; add rows \
                         with other answers.",
                        count * 100 / total
                    )
                });
            }
        }
        if let Some(prefix) = self.tally.prefix.get()
            && prefix.chars().count() > PREFIX
        {
            self.findings.file(Code::CommonPromptPrefix, || {
                let shown: String = prefix.chars().take(60).collect();
                format!(
                    "All prompts begin with \"{shown}\". What is the same everywhere teaches nothing and costs \
                     tokens; take it off, or make it a system message."
                )
            });
        }
    }

    fn system_messages(&mut self) {
        let (with, rows) = self.tally.system_messages();
        if with > 0 && with < rows {
            self.findings.many(0, Code::MissingSystemMessage, rows - with, || {
                format!(
                    "{with} of {rows} conversations begin with a system message. Use one in all of them or in none."
                )
            });
        }
    }
}
