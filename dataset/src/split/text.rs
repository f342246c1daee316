//! Plain text in pieces. Text for tuning is one stream and is kept as written; it is cut only so that it can be
//! streamed, split into training and validation, and shown page by page. Cuts fall between paragraphs where
//! there are any, and all pieces together are the text.

use memchr::{memchr_iter, memrchr};

use super::{Body, Record, Start};

/// A piece ends at the first end of a paragraph after so many bytes …
const LIKELY: usize = 2048;
/// … and, where there is none, at the last line end or space before so many.
const MAX: usize = 8192;

#[derive(Debug)]
pub(crate) struct Pieces {
    carry: Vec<u8>,
    line: u64,
    offset: u64,
}

impl Pieces {
    pub fn new(start: Start) -> Self {
        Self { carry: Vec::new(), line: start.line, offset: start.offset }
    }

    pub fn push<F: FnMut(Record<'_>)>(&mut self, bytes: &[u8], out: &mut F) {
        self.carry.extend_from_slice(bytes);
        if self.carry.len() < 2 * MAX {
            return;
        }
        let carry = std::mem::take(&mut self.carry);
        let mut rest: &[u8] = &carry;
        // Twice the size, so that a cut never depends on what has arrived so far.
        while rest.len() >= 2 * MAX {
            rest = self.piece(rest, out);
        }
        self.carry = rest.to_vec();
    }

    pub fn finish<F: FnMut(Record<'_>)>(&mut self, out: &mut F) {
        let carry = std::mem::take(&mut self.carry);
        let mut rest: &[u8] = &carry;
        while !rest.is_empty() {
            rest = self.piece(rest, out);
        }
    }

    fn piece<'a, F: FnMut(Record<'_>)>(&mut self, text: &'a [u8], out: &mut F) -> &'a [u8] {
        let (piece, rest) = text.split_at(cut(text));
        if !piece.trim_ascii().is_empty() {
            out(Record { line: self.line, offset: self.offset, body: Body::Text(piece) });
        }
        self.line += memchr_iter(b'\n', piece).count() as u64;
        self.offset += piece.len() as u64;
        rest
    }
}

/// Where the first piece of `text` ends: at the end of `text`, or after a line end or a space, never within a
/// character.
fn cut(text: &[u8]) -> usize {
    if text.len() <= LIKELY {
        return text.len();
    }
    let window = &text[..text.len().min(MAX)];
    // A line end right after a line end; the first of the two may stand before `LIKELY`.
    let paragraph =
        memchr_iter(b'\n', &window[LIKELY - 2..]).map(|at| LIKELY - 2 + at + 1).find_map(|next| {
            let blank = window[next..].iter().take_while(|byte| **byte == b'\r').count();
            (window.get(next + blank) == Some(&b'\n')).then_some(next + blank + 1)
        });
    if let Some(end) = paragraph {
        // Further empty lines belong to the paragraph before them.
        return end + window[end..].iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
    }
    if text.len() <= MAX {
        return text.len();
    }
    let space = memrchr(b'\n', window).or_else(|| memrchr(b' ', window)).map(|at| at + 1);
    space.unwrap_or_else(|| {
        let mut end = MAX;
        while end > MAX - 4 && text[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        end
    })
}
