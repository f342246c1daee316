//! The usable rows of a file, one by one.

use std::collections::VecDeque;
use std::io::{self, Read};

use crate::example::Row;
use crate::parse::{Outcome, Reader};
use crate::records::{CHUNK, ReadError, Records, RowFindings};
use crate::schema::Schema;
use crate::split::Record;

/// An iterator over the usable rows, in bounded memory. Rows with an error are passed over and counted.
#[derive(Debug)]
pub struct Rows<R> {
    reader: R,
    records: Records,
    rows: Reader,
    ready: VecDeque<Row>,
    buffer: Vec<u8>,
    rejected: u64,
    done: bool,
}

/// Reads the rows of a file that was validated. Fails where the columns are not mapped.
pub fn rows<R: Read>(reader: R, schema: &Schema) -> Result<Rows<R>, ReadError> {
    if schema.shape().is_none() {
        return Err(ReadError::NotMapped);
    }
    Ok(Rows {
        reader,
        records: Records::new(schema),
        rows: Reader::new(schema.clone()),
        ready: VecDeque::new(),
        buffer: vec![0; CHUNK],
        rejected: 0,
        done: false,
    })
}

impl<R: Read> Rows<R> {
    /// Rows with an error that were passed over so far.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    fn fill(&mut self) -> Result<(), ReadError> {
        let mut findings = RowFindings::default();
        let (rows, ready, rejected) = (&self.rows, &mut self.ready, &mut self.rejected);
        let mut each = |record: Record<'_>| {
            findings.list.clear();
            match rows.read(record.body, &mut findings) {
                Outcome::Example(example) => {
                    ready.push_back(Row { line: record.line, example: example.into_owned() });
                }
                Outcome::Rejected => *rejected += 1,
                Outcome::Skipped | Outcome::Unmapped => {}
            }
        };
        match self.reader.read(&mut self.buffer) {
            Ok(0) => {
                self.done = true;
                self.records.finish(&mut each)
            }
            Ok(count) => self.records.push(&self.buffer[..count], &mut each),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(ReadError::Read(error)),
        }
    }
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Result<Row, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.done {
            if let Err(error) = self.fill() {
                self.done = true;
                return Some(Err(error));
            }
        }
        self.ready.pop_front().map(Ok)
    }
}
