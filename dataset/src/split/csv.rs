//! Rows of CSV and TSV, by csv-core, with the physical line on which each begins, quoted line ends included.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use memchr::memchr_iter;

use super::{Body, Record, SHOWN_OF_LONG, Start};

/// More columns than anyone has; beyond, a row is over-long.
const MAX_FIELDS: usize = 4096;

#[derive(Debug)]
pub(crate) struct Csv {
    reader: Reader,
    header: bool,
    /// The fields of the row so far, one after the other, and where each ends.
    fields: Vec<u8>,
    written: usize,
    ends: Vec<usize>,
    ended: usize,
    max: usize,
    /// Bytes of the row so far, and bytes that no longer fit.
    length: u64,
    too_long: bool,
    line: u64,
    offset: u64,
    started: (u64, u64),
    /// The last row ended with the first half of "\r\n"; the second half ends no further line.
    after_return: bool,
    empty: Option<(u64, u64, u64)>,
    first: bool,
}

impl Csv {
    pub fn new(delimiter: u8, header: bool, max: usize, start: Start) -> Self {
        Self {
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            header,
            fields: vec![0; 4096],
            written: 0,
            ends: vec![0; 64],
            ended: 0,
            max,
            length: 0,
            too_long: false,
            line: start.line,
            offset: start.offset,
            started: (start.line, start.offset),
            after_return: false,
            empty: None,
            first: true,
        }
    }

    pub fn push<F: FnMut(Record<'_>)>(&mut self, mut bytes: &[u8], out: &mut F) {
        while !bytes.is_empty() {
            if self.length == 0 {
                bytes = self.skip_line_ends(bytes);
                if bytes.is_empty() {
                    return;
                }
                self.started = (self.line, self.offset);
            }
            bytes = self.read(bytes, out);
        }
    }

    pub fn finish<F: FnMut(Record<'_>)>(&mut self, out: &mut F) {
        // csv-core takes empty input as the end of the file; a row in the making is then complete.
        while self.length > 0 {
            self.read(&[], out);
        }
    }

    /// Between rows: the rest of "\r\n", and empty lines.
    fn skip_line_ends<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut taken = 0;
        for byte in bytes {
            match byte {
                b'\n' if std::mem::take(&mut self.after_return) => self.line += 1,
                b'\n' => {
                    if !self.first {
                        self.empty.get_or_insert((self.line, self.offset + taken as u64, 0)).2 += 1;
                    }
                    self.line += 1;
                }
                b'\r' => {}
                _ => break,
            }
            taken += 1;
        }
        self.offset += taken as u64;
        &bytes[taken..]
    }

    /// One call of csv-core; gives what it left of `bytes`.
    fn read<'a, F: FnMut(Record<'_>)>(&mut self, bytes: &'a [u8], out: &mut F) -> &'a [u8] {
        let (result, taken, written, ended) =
            self.reader.read_record(bytes, &mut self.fields[self.written..], &mut self.ends[self.ended..]);
        let part = &bytes[..taken];
        self.line += memchr_iter(b'\n', part).count() as u64;
        self.offset += taken as u64;
        self.length += taken as u64;
        self.written += written;
        self.ended += ended;
        match result {
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::OutputFull if self.fields.len() < self.max => {
                self.fields.resize((self.fields.len() * 2).min(self.max), 0);
            }
            ReadRecordResult::OutputEndsFull if self.ends.len() < MAX_FIELDS => {
                self.ends.resize(self.ends.len() * 2, 0);
            }
            // Reading goes on only to find the end of the row.
            ReadRecordResult::OutputFull => {
                self.too_long = true;
                self.written = SHOWN_OF_LONG;
            }
            ReadRecordResult::OutputEndsFull => {
                self.too_long = true;
                self.ended = 0;
            }
            ReadRecordResult::Record | ReadRecordResult::End => {
                self.after_return = part.last() == Some(&b'\r');
                self.emit(out);
            }
        }
        &bytes[taken..]
    }

    fn emit<F: FnMut(Record<'_>)>(&mut self, out: &mut F) {
        let length = std::mem::take(&mut self.length);
        let (written, ended) = (std::mem::take(&mut self.written), std::mem::take(&mut self.ended));
        let too_long = std::mem::take(&mut self.too_long);
        let (line, offset) = self.started;
        if ended == 0 && !too_long {
            return;
        }
        if let Some((line, offset, lines)) = self.empty.take() {
            out(Record { line, offset, body: Body::Empty { lines } });
        }
        let (bytes, ends) = (&self.fields[..written], &self.ends[..ended]);
        let first = std::mem::replace(&mut self.first, false);
        let body = if too_long || length > self.max as u64 {
            Body::TooLong { bytes: length, start: &bytes[..bytes.len().min(SHOWN_OF_LONG)] }
        } else if first && self.header {
            Body::Header { bytes, ends }
        } else {
            Body::Fields { bytes, ends }
        };
        out(Record { line, offset, body });
        // An over-long row must not keep its memory for the rest of the file.
        if self.fields.len() > 1 << 20 {
            self.fields = vec![0; 4096];
        }
    }
}
