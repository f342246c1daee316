//! One record a line. The fast path: a line that lies within a chunk is handed on without being copied.

use memchr::memchr;

use super::{Body, Record, SHOWN_OF_LONG, Start};

#[derive(Debug)]
pub(crate) struct Lines {
    /// The beginning of a line whose end has not arrived; all of it up to `max` bytes.
    carry: Vec<u8>,
    /// Bytes of that line so far, which may be more than `carry` keeps.
    length: u64,
    max: usize,
    line: u64,
    offset: u64,
    /// A run of empty lines (its line, offset, length), not yet reported: at the end of a file it is no mistake.
    empty: Option<(u64, u64, u64)>,
}

impl Lines {
    pub fn new(max: usize, start: Start) -> Self {
        Self { carry: Vec::new(), length: 0, max, line: start.line, offset: start.offset, empty: None }
    }

    pub fn push<F: FnMut(Record<'_>)>(&mut self, mut bytes: &[u8], out: &mut F) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.length == 0 {
                self.whole(line, out);
            } else {
                self.keep(line);
                self.carried(out);
            }
            bytes = rest;
        }
        self.keep(bytes);
    }

    pub fn finish<F: FnMut(Record<'_>)>(&mut self, out: &mut F) {
        if self.length > 0 {
            self.carried(out);
        }
    }

    fn keep(&mut self, part: &[u8]) {
        self.length += part.len() as u64;
        if self.length > self.max as u64 {
            let missing = SHOWN_OF_LONG.saturating_sub(self.carry.len());
            self.carry.extend_from_slice(&part[..part.len().min(missing)]);
            self.carry.truncate(SHOWN_OF_LONG);
            self.carry.shrink_to(64 * 1024);
        } else {
            self.carry.extend_from_slice(part);
        }
    }

    fn carried<F: FnMut(Record<'_>)>(&mut self, out: &mut F) {
        let carry = std::mem::take(&mut self.carry);
        let length = std::mem::take(&mut self.length);
        if length > self.max as u64 {
            self.record(length, Body::TooLong { bytes: length, start: &carry }, out);
        } else {
            self.whole(&carry, out);
        }
        self.carry = carry;
        self.carry.clear();
    }

    /// A line that is all there.
    fn whole<F: FnMut(Record<'_>)>(&mut self, line: &[u8], out: &mut F) {
        let length = line.len() as u64;
        if line.len() > self.max {
            let start = &line[..line.len().min(SHOWN_OF_LONG)];
            return self.record(length, Body::TooLong { bytes: length, start }, out);
        }
        let content = line.trim_ascii();
        if content.is_empty() {
            self.empty.get_or_insert((self.line, self.offset, 0)).2 += 1;
            self.line += 1;
            self.offset += length + 1;
            return;
        }
        self.record(length, Body::Json(content), out);
    }

    fn record<F: FnMut(Record<'_>)>(&mut self, length: u64, body: Body<'_>, out: &mut F) {
        if let Some((line, offset, lines)) = self.empty.take() {
            out(Record { line, offset, body: Body::Empty { lines } });
        }
        out(Record { line: self.line, offset: self.offset, body });
        self.line += 1;
        self.offset += length + 1;
    }
}
