//! Validation of a whole file in constant memory: bytes are pushed in, in chunks of any size, and a report comes
//! out. The same code runs in the browser, on the server and on the command line.

use std::io::{self, Read};

use crate::decode::{Decoder, Refusal};
use crate::detect::{self, Layout};
use crate::findings::Findings;
use crate::index::LineIndex;
use crate::judge::Judge;
use crate::report::Report;
use crate::schema::{ColumnMapping, Schema};
use crate::split::Splitter;

/// Text looked at to tell the layout; always this much, or all there is.
const HEAD: usize = 64 * 1024;

/// The longest row, in bytes: 16 MiB, about four million tokens.
pub const MAX_LINE_BYTES: usize = 16 << 20;

#[derive(Debug, Clone)]
pub struct Options {
    /// Helps to tell a table of one column from text, and nothing else.
    pub file_name: Option<String>,
    /// What the columns are for, as a person has said. Absent: known columns speak for themselves, and others
    /// are guessed and asked about.
    pub mapping: Option<ColumnMapping>,
    /// A longer row is an error of its own, and never in memory as a whole. Whatever is set here, rows beyond
    /// [`MAX_LINE_BYTES`] are left out when the file is read again.
    pub max_line_bytes: usize,
    /// Examples kept of each kind of finding.
    pub examples: usize,
    /// Bytes that a compressed file may grow to.
    pub max_text_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            file_name: None,
            mapping: None,
            max_line_bytes: MAX_LINE_BYTES,
            examples: 20,
            max_text_bytes: 100_000_000_000,
        }
    }
}

impl Options {
    pub fn named(file_name: impl Into<String>) -> Self {
        Self { file_name: Some(file_name.into()), ..Self::default() }
    }
}

/// How far validation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes of the file taken so far.
    pub bytes: u64,
    pub rows: u64,
    /// Findings of grade error so far.
    pub errors: u64,
    /// The file is refused: what is pushed from now on is only counted.
    pub refused: bool,
}

/// Takes a file piece by piece and tells what it is worth.
#[derive(Debug)]
pub struct Validator {
    decoder: Decoder,
    text: TextValidator,
    bytes: u64,
    refusal: Option<Refusal>,
}

impl Validator {
    pub fn new(options: Options) -> Self {
        Self {
            decoder: Decoder::new(options.max_text_bytes),
            text: TextValidator::new(options),
            bytes: 0,
            refusal: None,
        }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if self.refusal.is_none() {
            self.refusal = self.decoder.push(bytes, &mut |text| self.text.push(text)).err();
        }
    }

    pub fn progress(&self) -> Progress {
        Progress {
            bytes: self.bytes,
            rows: self.text.judge.index.rows,
            errors: self.text.judge.findings.errors,
            refused: self.refusal.is_some(),
        }
    }

    pub fn finish(self) -> Report {
        self.finish_with_index().0
    }

    /// The report, and where rows begin, for paged previews.
    pub fn finish_with_index(mut self) -> (Report, LineIndex) {
        if self.refusal.is_none() {
            self.refusal = self.decoder.finish(&mut |text| self.text.push(text)).err();
        }
        self.text.finish();
        let (gzip, encoding) = (self.decoder.gzip(), self.decoder.encoding());
        self.text.judge.finish(self.bytes, gzip, encoding, self.decoder.replaced(), self.refusal)
    }
}

/// The part behind the decoder.
#[derive(Debug)]
struct TextValidator {
    /// The beginning of the text, until there is enough to tell the layout.
    head: Option<Vec<u8>>,
    splitter: Option<Splitter>,
    judge: Judge,
    options: Options,
}

impl TextValidator {
    fn new(options: Options) -> Self {
        let judge = Judge::new(Findings::new(options.examples), options.mapping.clone());
        Self { head: Some(Vec::new()), splitter: None, judge, options }
    }

    fn push(&mut self, text: &[u8]) {
        let Some(head) = &mut self.head else { return self.feed(text) };
        let (missing, rest) = text.split_at(text.len().min(HEAD - head.len()));
        head.extend_from_slice(missing);
        if head.len() == HEAD {
            self.begin(false);
            self.feed(rest);
        }
    }

    fn begin(&mut self, complete: bool) {
        let head = self.head.take().unwrap_or_default();
        if complete && head.trim_ascii().is_empty() {
            return;
        }
        let layout = detect::layout(&head, complete, self.options.file_name.as_deref());
        self.splitter = Some(Splitter::new(&layout.schema(), self.options.max_line_bytes));
        self.judge.begin(layout);
        self.feed(&head);
    }

    fn feed(&mut self, text: &[u8]) {
        if let Some(splitter) = &mut self.splitter {
            splitter.push(text, &mut |record| self.judge.record(record));
        }
    }

    fn finish(&mut self) {
        if self.head.is_some() {
            self.begin(true);
        }
        if let Some(splitter) = &mut self.splitter {
            splitter.finish(&mut |record| self.judge.record(record));
        }
        self.judge.end_of_rows();
    }
}

impl Layout {
    /// How to cut the text into records; what they mean comes later.
    pub(crate) fn schema(&self) -> Schema {
        Schema {
            gzip: false,
            encoding: crate::schema::Encoding::Utf8,
            container: self.container,
            format: crate::schema::Format::Text,
            delimiter: self.delimiter,
            header: self.header,
            columns: self.columns.clone(),
            mapping: None,
        }
    }
}

/// Validates what `reader` gives, to its end.
pub fn validate(reader: impl Read, options: Options) -> io::Result<Report> {
    validate_with_index(reader, options).map(|(report, _)| report)
}

pub fn validate_with_index(mut reader: impl Read, options: Options) -> io::Result<(Report, LineIndex)> {
    let mut validator = Validator::new(options);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(validator.finish_with_index()),
            Ok(count) => validator.push(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
