//! From a stream of text to records: lines of JSON, elements of a JSON array, rows of CSV, pieces of plain text;
//! each with the line and the byte on which it begins. Knows nothing of what a record means.

mod csv;
mod json;
mod lines;
mod text;

use crate::schema::{Container, Schema};

/// One record, borrowed from the stream.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// The physical line, from 1.
    pub line: u64,
    /// The byte of the text (after a byte order mark) at which it begins.
    pub offset: u64,
    pub body: Body<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Body<'a> {
    /// One JSON value, as written.
    Json(&'a [u8]),
    /// The fields of a CSV row: field `i` is `bytes[ends[i - 1]..ends[i]]`.
    Fields { bytes: &'a [u8], ends: &'a [usize] },
    /// The column names of a CSV file. Comes first, and only once.
    Header { bytes: &'a [u8], ends: &'a [usize] },
    /// A piece of plain text, as written; all pieces together are the file.
    Text(&'a [u8]),
    /// A run of empty lines in the middle of the file.
    Empty { lines: u64 },
    /// More bytes than a record may have; `start` is its beginning.
    TooLong { bytes: u64, start: &'a [u8] },
    /// The structure around the records is broken, and what follows cannot be told apart. Comes last.
    Broken { message: &'static str, start: &'a [u8] },
}

/// How much of an over-long record is kept to show it.
pub(crate) const SHOWN_OF_LONG: usize = 200;

#[derive(Debug)]
pub(crate) enum Splitter {
    Lines(lines::Lines),
    Json(json::Json),
    Csv(Box<csv::Csv>),
    Text(text::Pieces),
}

/// Where in the text to begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    pub line: u64,
    pub offset: u64,
}

impl Start {
    pub const FILE: Start = Start { line: 1, offset: 0 };
}

impl Splitter {
    pub fn new(schema: &Schema, max_record: usize) -> Self {
        Self::at(schema, max_record, Start::FILE)
    }

    /// Begins at a record in the middle of the text.
    pub fn at(schema: &Schema, max_record: usize, start: Start) -> Self {
        match schema.container {
            Container::Jsonl => Splitter::Lines(lines::Lines::new(max_record, start)),
            Container::Json => Splitter::Json(json::Json::new(max_record, start)),
            Container::PlainText => Splitter::Text(text::Pieces::new(start)),
            Container::Csv | Container::Tsv => {
                let fallback = if schema.container == Container::Tsv { '\t' } else { ',' };
                let delimiter = schema.delimiter.unwrap_or(fallback);
                let header = schema.header && start.offset == 0;
                Splitter::Csv(Box::new(csv::Csv::new(delimiter as u8, header, max_record, start)))
            }
        }
    }

    /// Rows of a table before anything is known about it.
    pub fn table(delimiter: u8, max_record: usize, start: Start) -> Self {
        Splitter::Csv(Box::new(csv::Csv::new(delimiter, false, max_record, start)))
    }

    pub fn push<F: FnMut(Record<'_>)>(&mut self, bytes: &[u8], out: &mut F) {
        match self {
            Splitter::Lines(lines) => lines.push(bytes, out),
            Splitter::Json(json) => json.push(bytes, out),
            Splitter::Csv(csv) => csv.push(bytes, out),
            Splitter::Text(text) => text.push(bytes, out),
        }
    }

    pub fn finish<F: FnMut(Record<'_>)>(&mut self, out: &mut F) {
        match self {
            Splitter::Lines(lines) => lines.finish(out),
            Splitter::Json(json) => json.finish(out),
            Splitter::Csv(csv) => csv.finish(out),
            Splitter::Text(text) => text.finish(out),
        }
    }
}
