//! UTF-8 or UTF-16, with or without a byte order mark, and the way from the second to the first.

use crate::schema::Encoding;

/// The encoding of a text that begins with `head`, and the length of its byte order mark.
pub fn sniff(head: &[u8]) -> (Encoding, usize) {
    match head {
        [0xef, 0xbb, 0xbf, ..] => (Encoding::Utf8Bom, 3),
        [0xff, 0xfe, ..] => (Encoding::Utf16Le, 2),
        [0xfe, 0xff, ..] => (Encoding::Utf16Be, 2),
        _ => (without_mark(head), 0),
    }
}

/// In UTF-16, every second byte of text in a Latin script is zero; in UTF-8, none is.
fn without_mark(head: &[u8]) -> Encoding {
    let pairs = head.len() / 2;
    let zeros =
        |offset: usize| head.iter().skip(offset).step_by(2).take(pairs).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    match pairs {
        4.. if odd * 10 > pairs * 4 && even * 20 < pairs => Encoding::Utf16Le,
        4.. if even * 10 > pairs * 4 && odd * 20 < pairs => Encoding::Utf16Be,
        _ => Encoding::Utf8,
    }
}

/// UTF-16 to UTF-8, chunk by chunk. Halves of characters whose other half is missing become U+FFFD.
#[derive(Debug)]
pub struct Transcoder {
    big_endian: bool,
    byte: Option<u8>,
    high: Option<u16>,
    pub replaced: u64,
}

impl Transcoder {
    pub fn new(big_endian: bool) -> Self {
        Self { big_endian, byte: None, high: None, replaced: 0 }
    }

    pub fn push<F: FnMut(&[u8])>(&mut self, bytes: &[u8], out: &mut F) {
        let mut text = String::with_capacity(bytes.len());
        for &byte in bytes {
            let Some(first) = self.byte.take() else {
                self.byte = Some(byte);
                continue;
            };
            let pair = [first, byte];
            let unit = if self.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
            self.unit(unit, &mut text);
        }
        out(text.as_bytes());
    }

    fn unit(&mut self, unit: u16, text: &mut String) {
        if let Some(high) = self.high.take() {
            if let Some(Ok(character)) = char::decode_utf16([high, unit]).next() {
                text.push(character);
                return;
            }
            self.replace(text);
        }
        match char::from_u32(u32::from(unit)) {
            Some(character) => text.push(character),
            None if unit < 0xdc00 => self.high = Some(unit),
            None => self.replace(text),
        }
    }

    fn replace(&mut self, text: &mut String) {
        self.replaced += 1;
        text.push(char::REPLACEMENT_CHARACTER);
    }

    pub fn finish<F: FnMut(&[u8])>(&mut self, out: &mut F) {
        if self.high.take().is_some() | self.byte.take().is_some() {
            let mut text = String::new();
            self.replace(&mut text);
            out(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcode(bytes: &[u8], big_endian: bool, chunk: usize) -> (String, u64) {
        let mut transcoder = Transcoder::new(big_endian);
        let mut text = Vec::new();
        let mut out = |part: &[u8]| text.extend_from_slice(part);
        bytes.chunks(chunk).for_each(|part| transcoder.push(part, &mut out));
        transcoder.finish(&mut out);
        (String::from_utf8(text).unwrap(), transcoder.replaced)
    }

    #[test]
    fn any_chunk_gives_the_same_text() {
        let text = "Grüße, 世界 🌍";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for chunk in 1..6 {
            assert_eq!(transcode(&little, false, chunk), (text.to_owned(), 0));
            assert_eq!(transcode(&big, true, chunk), (text.to_owned(), 0));
        }
    }

    #[test]
    fn halves_are_replaced_and_counted() {
        assert_eq!(
            transcode(&[0x3d, 0xd8, b'a', 0, 0x00, 0xdc, b'b'], false, 2),
            ("\u{fffd}a\u{fffd}\u{fffd}".to_owned(), 3)
        );
    }

    #[test]
    fn told_without_a_mark() {
        let little: Vec<u8> = "{\"text\": 1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(sniff(&little), (Encoding::Utf16Le, 0));
        assert_eq!(sniff(b"{\"text\": 1}"), (Encoding::Utf8, 0));
    }
}
