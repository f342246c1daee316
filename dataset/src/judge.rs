//! Judges the rows of a file as they come, and the file as a whole at its end.

use crate::decode::Refusal;
use crate::detect::{self, Layout};
use crate::finding::{Code, Sink};
use crate::findings::Findings;
use crate::index::LineIndex;
use crate::parse::json::{Line, Value, parse};
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
/// Longer keys are not names of columns.
const MAX_KEY: usize = 200;
/// Longer rows are worth a word; the limit is that of OpenAI's first dataset checker.
const LONG_ROW: u64 = 10_000;

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
    pub mapping: Option<ColumnMapping>,
    pub findings: Findings,
    pub index: LineIndex,
    pub tally: Tally,
    /// Rows of a table that nobody has mapped.
    unmapped: u64,
    /// The key of a list in the last row looked at: where it is the only row, the rows are in there.
    pub wrapped: Option<String>,
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
            wrapped: None,
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
            let text = String::from_utf8_lossy(json).replace('\0', "");
            let Ok(Line::Object(entries)) = parse(&text) else { continue };
            let keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_ref()).collect();
            for key in &keys {
                if columns.len() < MAX_COLUMNS
                    && key.len() < MAX_KEY
                    && !columns.iter().any(|column| column == key)
                {
                    columns.push((*key).to_owned());
                }
            }
            self.wrapped =
                entries.iter().find(|(_, value)| *value == Value::List).map(|(key, _)| key.to_string());
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
}
