//! The bytes of a container's answer, cut anywhere, as the documents that they are made of. What comes out depends on
//! the bytes alone, never on where they were cut: neither a line, nor a JSON document, nor a character need be whole
//! in what arrives at once.
//!
//! Three ways are known, and the answer's beginning tells which: server-sent events, JSON documents one after the
//! other (or one alone), and plain text.

use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    Json(Value),
    /// Text as it is to be read.
    Text(String),
    /// A JSON document that the end cut off.
    Cut,
}

#[derive(Debug, Default)]
pub struct Frames {
    way: Way,
    /// Bytes that belong to nothing whole yet.
    pending: Vec<u8>,
    /// Of an event: its data so far.
    data: String,
    /// Of a JSON document: how far it was looked at, and where in it that is.
    scan: Scan,
    seen: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Way {
    #[default]
    Unknown,
    Events,
    Documents,
    /// A JSON string, or text in quotation marks: only the end tells.
    Quoted,
    Plain,
}

#[derive(Debug, Default, Clone, Copy)]
struct Scan {
    at: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

/// How lines of server-sent events begin.
const EVENT_LINES: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
/// What a stream in OpenAI's manner ends with.
const DONE: &str = "[DONE]";

impl Frames {
    /// Takes in bytes; gives what became whole.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        self.pending.extend_from_slice(bytes);
        if self.way == Way::Unknown {
            self.way = way_of(&self.pending);
        }
        let mut found = Vec::new();
        match self.way {
            Way::Unknown | Way::Quoted => {}
            Way::Events => self.events(&mut found),
            Way::Documents => self.documents(&mut found),
            Way::Plain => self.plain(&mut found),
        }
        found
    }

    /// What is left when nothing more comes.
    pub fn finish(mut self) -> Vec<Frame> {
        let mut found = Vec::new();
        match self.way {
            Way::Events => {
                let rest = std::mem::take(&mut self.pending);
                self.line(&rest, &mut found);
                self.dispatch(&mut found);
            }
            Way::Documents if self.scan.depth > 0 => found.push(Frame::Cut),
            Way::Documents => {}
            Way::Quoted => match serde_json::from_slice(&self.pending) {
                Ok(Value::String(text)) => found.push(Frame::Text(text)),
                _ => self.rest(&mut found),
            },
            Way::Plain | Way::Unknown => self.rest(&mut found),
        }
        found
    }

    fn rest(&mut self, found: &mut Vec<Frame>) {
        if !self.pending.is_empty() {
            found.push(Frame::Text(String::from_utf8_lossy(&self.pending).into_owned()));
        }
    }

    fn events(&mut self, found: &mut Vec<Frame>) {
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            self.line(&line[..end], found);
        }
    }

    fn line(&mut self, line: &[u8], found: &mut Vec<Frame>) {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        if line.trim().is_empty() {
            return self.dispatch(found);
        }
        let Some(data) = line.trim_start().strip_prefix("data:") else { return };
        // Some servers leave out the empty line between two events.
        if !self.data.is_empty() && serde_json::from_str::<serde::de::IgnoredAny>(&self.data).is_ok() {
            self.dispatch(found);
        }
        if !self.data.is_empty() {
            self.data.push('\n');
        }
        self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
    }

    fn dispatch(&mut self, found: &mut Vec<Frame>) {
        let data = std::mem::take(&mut self.data);
        match data.trim() {
            "" | DONE => {}
            _ => found.push(serde_json::from_str(&data).map_or(Frame::Text(data), Frame::Json)),
        }
    }

    fn documents(&mut self, found: &mut Vec<Frame>) {
        while self.scan.at < self.pending.len() {
            let byte = self.pending[self.scan.at];
            self.scan.at += 1;
            if self.scan.in_string {
                match byte {
                    _ if self.scan.escaped => self.scan.escaped = false,
                    b'\\' => self.scan.escaped = true,
                    b'"' => self.scan.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' if self.scan.depth > 0 => self.scan.in_string = true,
                b'{' | b'[' => self.scan.depth += 1,
                b'}' | b']' if self.scan.depth > 0 => {
                    self.scan.depth -= 1;
                    if self.scan.depth == 0 && !self.document(found) {
                        return self.plain(found);
                    }
                }
                _ => {}
            }
        }
    }

    /// The document that ends here. `false` where there is none: then it was no JSON from the beginning.
    fn document(&mut self, found: &mut Vec<Frame>) -> bool {
        let bytes = &self.pending[..self.scan.at];
        let begin = bytes.iter().position(|byte| matches!(byte, b'{' | b'[')).unwrap_or(0);
        match serde_json::from_slice(&bytes[begin..]) {
            Ok(value) => {
                found.push(Frame::Json(value));
                self.seen += 1;
            }
            Err(_) if self.seen == 0 => {
                self.way = Way::Plain;
                return false;
            }
            // Between documents there may be anything; it says nothing.
            Err(_) => {}
        }
        self.pending.drain(..self.scan.at);
        self.scan = Scan::default();
        true
    }

    /// All whole characters; of one that is cut, its beginning is kept.
    fn plain(&mut self, found: &mut Vec<Frame>) {
        let whole = match std::str::from_utf8(&self.pending) {
            Ok(_) => self.pending.len(),
            // A character that more bytes may complete.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => last_boundary(&self.pending),
        };
        let bytes: Vec<u8> = self.pending.drain(..whole).collect();
        if !bytes.is_empty() {
            found.push(Frame::Text(String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

/// Where a character begins that the end of the bytes cuts; their length where none does.
fn last_boundary(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    (from..bytes.len())
        .find(|&at| {
            std::str::from_utf8(&bytes[at..])
                .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .unwrap_or(bytes.len())
}

fn way_of(bytes: &[u8]) -> Way {
    let begin = bytes.trim_ascii_start();
    match begin.first() {
        None => Way::Unknown,
        Some(b'{' | b'[') => Way::Documents,
        Some(b'"') => Way::Quoted,
        Some(_) if EVENT_LINES.iter().any(|line| begin.starts_with(line)) => Way::Events,
        Some(_) if EVENT_LINES.iter().any(|line| line.starts_with(begin)) => Way::Unknown,
        Some(_) => Way::Plain,
    }
}
