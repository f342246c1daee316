//! Reads a file whose schema is known, record by record: what [`crate::rows`], conversion, repair and preview
//! share.

use std::io::{self, Read};

use crate::decode::Decoder;
use crate::finding::{Code, Finding, Sink};
use crate::parse::{Outcome, Reader};
use crate::schema::Schema;
use crate::split::{Body, Record, Splitter, Start};
use crate::validator::MAX_LINE_BYTES;

/// Why a file could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("The file could not be read: {0}. Try again; if it stays so, check the disk.")]
    Read(#[source] io::Error),
    #[error("The result could not be written: {0}. Free some space and try again.")]
    Write(#[source] io::Error),
    /// The content is not what it was when it was validated.
    #[error("{0}")]
    Content(String),
    #[error("The columns of this dataset have no meaning yet: say which hold the prompt and the completion.")]
    NotMapped,
}

/// Chunks that files are read in.
pub(crate) const CHUNK: usize = 128 * 1024;

/// The findings on one row, or the first of them where there may be many.
#[derive(Debug, Default)]
pub(crate) struct RowFindings {
    pub line: u64,
    pub list: Vec<Finding>,
}

/// Enough to show; a row of a million wrong messages needs no more.
const PER_ROW: usize = 20;

impl Sink for RowFindings {
    fn finding(&mut self, code: Code, field: Option<&str>, message: &dyn Fn() -> String) {
        if self.list.len() < PER_ROW {
            self.list.push(Finding::new(code, self.line, field, message()));
        }
    }
}

/// Decoder and splitter in a row: takes bytes of the file, gives records.
#[derive(Debug)]
pub(crate) struct Records {
    decoder: Decoder,
    splitter: Splitter,
}

impl Records {
    pub fn new(schema: &Schema) -> Self {
        Self { decoder: Decoder::new(u64::MAX), splitter: Splitter::new(schema, MAX_LINE_BYTES) }
    }

    /// Begins at a record in the middle of a file that is seekable.
    pub fn at(schema: &Schema, start: Start) -> Self {
        Self { decoder: Decoder::resumed(), splitter: Splitter::at(schema, MAX_LINE_BYTES, start) }
    }

    pub fn push<F: FnMut(Record<'_>)>(&mut self, bytes: &[u8], out: &mut F) -> Result<(), ReadError> {
        let splitter = &mut self.splitter;
        let pushed = self.decoder.push(bytes, &mut |text| splitter.push(text, out));
        pushed.map_err(|refusal| ReadError::Content(refusal.message))
    }

    pub fn finish<F: FnMut(Record<'_>)>(&mut self, out: &mut F) -> Result<(), ReadError> {
        let splitter = &mut self.splitter;
        let finished = self.decoder.finish(&mut |text| splitter.push(text, out));
        finished.map_err(|refusal| ReadError::Content(refusal.message))?;
        self.splitter.finish(out);
        Ok(())
    }
}

/// What happened to a row, for whoever walks over a file.
pub(crate) struct Visit<'a> {
    pub line: u64,
    pub body: Body<'a>,
    pub outcome: Outcome<'a>,
    pub findings: &'a [Finding],
}

/// Reads `reader` to its end and hands every row to `visit`, which may end it with an error.
pub(crate) fn walk(
    mut reader: impl Read,
    schema: &Schema,
    mut visit: impl FnMut(Visit<'_>) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    if schema.shape().is_none() {
        return Err(ReadError::NotMapped);
    }
    let rows = Reader::new(schema.clone());
    let mut records = Records::new(schema);
    let mut findings = RowFindings::default();
    let mut failed = None;
    let mut each = |record: Record<'_>| {
        if failed.is_some() || matches!(record.body, Body::Header { .. } | Body::Empty { .. }) {
            return;
        }
        findings.line = record.line;
        findings.list.clear();
        let outcome = rows.read(record.body, &mut findings);
        if outcome != Outcome::Skipped {
            let visited =
                visit(Visit { line: record.line, body: record.body, outcome, findings: &findings.list });
            failed = visited.err();
        }
    };
    let mut buffer = vec![0; CHUNK];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => records.push(&buffer[..count], &mut each)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ReadError::Read(error)),
        }
    }
    records.finish(&mut each)?;
    failed.map_or(Ok(()), Err)
}
