//! A page of rows out of hundreds of thousands, good and bad ones alike, without reading what comes before.

use std::io::{self, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};

use crate::example::Example;
use crate::finding::{Finding, clipped};
use crate::index::LineIndex;
use crate::parse::json::{Line, parse};
use crate::parse::{Outcome, Reader};
use crate::records::{CHUNK, ReadError, Records, RowFindings};
use crate::repair::written;
use crate::schema::{Format, Schema};
use crate::split::{Body, Record, Start};

/// Characters of a row that are shown as it is written.
const SHOWN: usize = 4000;
/// Messages of a conversation that are shown.
const MESSAGES_SHOWN: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The number of the first row, from 0.
    pub first: u64,
    /// Rows of the file.
    pub total: u64,
    pub rows: Vec<PreviewRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewRow {
    /// From 0.
    pub number: u64,
    pub line: u64,
    /// As it stands in the file, up to 4,000 characters.
    pub raw: String,
    /// Something of the row is not here: each text is cut at 4,000 characters, a conversation at 100 messages.
    pub shortened: bool,
    /// What the columns of the schema hold, for CSV, TSV and tables; empty for other formats.
    pub cells: Vec<String>,
    /// What a model would train on; absent where the row has an error or the columns are not mapped.
    pub example: Option<Example<'static>>,
    pub findings: Vec<Finding>,
}

/// Reads rows `first..first + count`. Of a file that is compressed or in UTF-16 everything before is read too.
pub fn preview<R: Read + Seek>(
    mut reader: R,
    schema: &Schema,
    index: &LineIndex,
    first: u64,
    count: usize,
) -> Result<Page, ReadError> {
    let page = Page { first, total: index.rows, rows: Vec::new() };
    let Some((place, skip)) = index.before(first) else { return Ok(page) };
    if first >= index.rows {
        return Ok(page);
    }
    let jump = schema.seekable() && place.offset > 0;
    let (mut records, number) = if jump {
        reader.seek(SeekFrom::Start(schema.text_start() + place.offset)).map_err(ReadError::Read)?;
        (Records::at(schema, Start { line: place.line, offset: place.offset }), first - skip)
    } else {
        reader.seek(SeekFrom::Start(0)).map_err(ReadError::Read)?;
        (Records::new(schema), 0)
    };
    let mut builder = Builder { reader: Reader::new(schema.clone()), number, count, page };
    let mut buffer = vec![0; CHUNK];
    while builder.page.rows.len() < count {
        match reader.read(&mut buffer) {
            Ok(0) => {
                records.finish(&mut |record| builder.record(&record))?;
                break;
            }
            Ok(read) => records.push(&buffer[..read], &mut |record| builder.record(&record))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ReadError::Read(error)),
        }
    }
    Ok(builder.page)
}

struct Builder {
    reader: Reader,
    /// Of the next row.
    number: u64,
    count: usize,
    page: Page,
}

impl Builder {
    fn record(&mut self, record: &Record<'_>) {
        if matches!(record.body, Body::Empty { .. } | Body::Header { .. } | Body::Broken { .. }) {
            return;
        }
        if self.number >= self.page.first && self.page.rows.len() < self.count {
            self.page.rows.push(self.row(record));
        }
        self.number += 1;
    }

    fn row(&self, record: &Record<'_>) -> PreviewRow {
        let mut findings = RowFindings { line: record.line, list: Vec::new() };
        let example = match self.reader.read(record.body, &mut findings) {
            Outcome::Example(example) => Some(example.clipped(MESSAGES_SHOWN, SHOWN)),
            Outcome::Rejected | Outcome::Skipped | Outcome::Unmapped => None,
        };
        let mut raw = written(record.body);
        let cut = raw.char_indices().nth(SHOWN).map(|(at, _)| at);
        if let Some(at) = cut {
            raw.truncate(at);
        }
        PreviewRow {
            number: self.number,
            line: record.line,
            raw,
            shortened: cut.is_some() || example.as_ref().is_some_and(|(_, missing)| *missing),
            cells: self.cells(record.body),
            example: example.map(|(example, _)| example),
            findings: findings.list,
        }
    }

    fn cells(&self, body: Body<'_>) -> Vec<String> {
        let columns = &self.reader.schema().columns;
        match body {
            Body::Fields { bytes, ends } => {
                let mut begin = 0;
                let cell = |&end: &usize| {
                    let cell = shown(&String::from_utf8_lossy(&bytes[begin..end]));
                    begin = end;
                    cell
                };
                ends.iter().map(cell).collect()
            }
            Body::Json(bytes) if self.reader.schema().format == Format::Table => {
                let text = String::from_utf8_lossy(bytes);
                let Ok(Line::Object(entries)) = parse(&text) else { return Vec::new() };
                let cell = |column: &String| {
                    let value = entries.iter().find(|(key, _)| key == column).map(|(_, value)| value);
                    value.map_or_else(String::new, |value| shown(&value.to_string()))
                };
                columns.iter().map(cell).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn shown(text: &str) -> String {
    clipped(text, SHOWN).to_owned()
}
