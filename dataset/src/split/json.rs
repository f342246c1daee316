//! Elements of a JSON array, or JSON objects one after the other over several lines. Follows quotes and brackets
//! only: whether an element is valid JSON is for the reader of rows to say.

use memchr::{memchr_iter, memchr2};

use super::{Body, Record, SHOWN_OF_LONG, Start};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first value.
    Outside,
    /// Between elements of the array, or between objects of the sequence.
    Between,
    /// In an element that began with a bracket.
    Value,
    /// In a string within an element.
    String,
    /// After a backslash in such a string.
    Escape,
    /// In an element that began with neither bracket nor quote: a number, a word, or nonsense.
    Bare,
    /// After the array.
    After,
    /// After a mistake from which there is no way back.
    Lost,
}

#[derive(Debug)]
pub(crate) struct Json {
    place: Place,
    array: bool,
    /// Began in the middle of the file: whether there is an array to close is not known.
    resumed: bool,
    depth: u32,
    carry: Vec<u8>,
    length: u64,
    max: usize,
    line: u64,
    offset: u64,
    /// Where the element that is being read began.
    started: (u64, u64),
}

impl Json {
    pub fn new(max: usize, start: Start) -> Self {
        // In the middle of a file, `start` is where an element begins.
        let resumed = start.offset > 0;
        Self {
            place: if resumed { Place::Between } else { Place::Outside },
            array: resumed,
            resumed,
            depth: 0,
            carry: Vec::new(),
            length: 0,
            max,
            line: start.line,
            offset: start.offset,
            started: (start.line, start.offset),
        }
    }

    pub fn push<F: FnMut(Record<'_>)>(&mut self, bytes: &[u8], out: &mut F) {
        let mut at = 0;
        while at < bytes.len() {
            at += match self.place {
                Place::Outside | Place::Between | Place::After => self.between(bytes[at], out),
                Place::Value | Place::String | Place::Escape | Place::Bare => self.within(&bytes[at..], out),
                Place::Lost => return,
            };
        }
    }

    /// One byte outside of any element; gives 0 where the byte begins one and is to be read again.
    fn between<F: FnMut(Record<'_>)>(&mut self, byte: u8, out: &mut F) -> usize {
        match (byte, self.place) {
            (b'\n', _) => self.line += 1,
            (b' ' | b'\t' | b'\r', _) => {}
            (_, Place::After) => {
                self.lost(
                    "There is more after the end of the JSON array. Keep one array in a file.",
                    &[byte],
                    out,
                );
            }
            (b'[', Place::Outside) => {
                self.array = true;
                self.place = Place::Between;
            }
            (b',', Place::Between) => {}
            (b']', Place::Between) if self.array => self.place = Place::After,
            (b'}' | b']' | b',', _) => {
                self.lost("A bracket or comma stands where an object should begin.", &[byte], out);
            }
            _ => {
                self.started = (self.line, self.offset);
                (self.place, self.depth) = match byte {
                    b'{' | b'[' => (Place::Value, 0),
                    b'"' => (Place::Value, 0),
                    _ => (Place::Bare, 0),
                };
                return 0;
            }
        }
        self.offset += 1;
        1
    }

    /// Reads on in an element, up to its end or the end of the chunk; gives the number of bytes taken.
    fn within<F: FnMut(Record<'_>)>(&mut self, bytes: &[u8], out: &mut F) -> usize {
        let (taken, ended) = self.scan(bytes);
        let part = &bytes[..taken];
        self.line += memchr_iter(b'\n', part).count() as u64;
        self.offset += taken as u64;
        let before = self.length;
        self.length += taken as u64;
        if !ended {
            self.keep(part);
            return taken;
        }
        self.place = Place::Between;
        if before == 0 && part.len() <= self.max {
            self.emit(part, out);
        } else {
            self.keep(part);
            let carry = std::mem::take(&mut self.carry);
            self.emit(&carry, out);
            self.carry = carry;
        }
        self.length = 0;
        self.carry.clear();
        taken
    }

    /// Finds the end of the element: how many bytes of `bytes` belong to it, and whether it ends there.
    fn scan(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while at < bytes.len() {
            match self.place {
                Place::Escape => {
                    self.place = Place::String;
                    at += 1;
                }
                Place::String => match memchr2(b'"', b'\\', &bytes[at..]) {
                    None => return (bytes.len(), false),
                    Some(found) => {
                        at += found + 1;
                        self.place = if bytes[at - 1] == b'\\' { Place::Escape } else { Place::Value };
                        if self.place == Place::Value && self.depth == 0 {
                            return (at, true);
                        }
                    }
                },
                Place::Bare => match bytes[at] {
                    b',' | b']' | b'\n' => return (at, true),
                    _ => at += 1,
                },
                _ => {
                    match bytes[at] {
                        b'"' => self.place = Place::String,
                        b'{' | b'[' => self.depth += 1,
                        b'}' | b']' => {
                            self.depth = self.depth.saturating_sub(1);
                            if self.depth == 0 {
                                return (at + 1, true);
                            }
                        }
                        _ => {}
                    }
                    at += 1;
                }
            }
        }
        (at, false)
    }

    fn keep(&mut self, part: &[u8]) {
        if self.length > self.max as u64 {
            let missing = SHOWN_OF_LONG.saturating_sub(self.carry.len());
            self.carry.extend_from_slice(&part[..part.len().min(missing)]);
            self.carry.truncate(SHOWN_OF_LONG);
            self.carry.shrink_to(64 * 1024);
        } else {
            self.carry.extend_from_slice(part);
        }
    }

    fn emit<F: FnMut(Record<'_>)>(&self, element: &[u8], out: &mut F) {
        let (line, offset) = self.started;
        let body = if self.length > self.max as u64 {
            Body::TooLong { bytes: self.length, start: element }
        } else {
            Body::Json(element.trim_ascii())
        };
        out(Record { line, offset, body });
    }

    fn lost<F: FnMut(Record<'_>)>(&mut self, message: &'static str, start: &[u8], out: &mut F) {
        self.place = Place::Lost;
        out(Record { line: self.line, offset: self.offset, body: Body::Broken { message, start } });
    }

    pub fn finish<F: FnMut(Record<'_>)>(&mut self, out: &mut F) {
        match self.place {
            Place::Bare if !self.array => {
                let carry = std::mem::take(&mut self.carry);
                self.emit(&carry, out);
            }
            Place::Value | Place::String | Place::Escape | Place::Bare => {
                (self.line, self.offset) = self.started;
                let carry = std::mem::take(&mut self.carry);
                let shown = &carry[..carry.len().min(SHOWN_OF_LONG)];
                self.lost(
                    "The file ends within this element: a bracket or a quote is not closed, or the file was cut \
                     off. Close it, or export the file again.",
                    shown,
                    out,
                );
            }
            Place::Between if self.array && !self.resumed => {
                self.lost("The closing ] of the array is missing: the file may have been cut off.", &[], out);
            }
            _ => {}
        }
    }
}
