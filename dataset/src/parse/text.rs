//! Bytes to text, with the mistakes of encoding mended and said.

use std::borrow::Cow;

use memchr::memchr;

use crate::finding::{Code, Sink};

/// Windows-1252 for the bytes 0x80 to 0x9f; the bytes above are the same in Unicode.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text of `bytes`. Bytes that are not UTF-8 are read as Windows-1252, which is what they nearly always are.
pub fn utf8<'a>(bytes: &'a [u8], sink: &mut dyn Sink) -> Cow<'a, str> {
    if let Ok(text) = simdutf8::basic::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    let mut first = None;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for &byte in chunk.invalid() {
            first.get_or_insert((byte, text.len() + 1));
            text.push(match byte {
                0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
                _ => char::from(byte),
            });
        }
    }
    if let Some((byte, column)) = first {
        sink.finding(Code::InvalidUtf8, None, &|| {
            format!(
                "Byte 0x{byte:02X} at column {column} is not UTF-8. It is read as Windows-1252, the usual encoding \
                 of old Windows programs; check that the repaired text looks right, or save the file as UTF-8."
            )
        });
    }
    Cow::Owned(text)
}

/// The text without NUL characters, which no text means and which end a text in many programs.
pub fn without_nul<'a>(text: Cow<'a, str>, sink: &mut dyn Sink) -> Cow<'a, str> {
    let Some(at) = memchr(0, text.as_bytes()) else { return text };
    sink.finding(Code::NulCharacter, None, &|| {
        format!(
            "There is a NUL character after {} characters of text. It is left out in the repaired copy.",
            text[..at].chars().count()
        )
    });
    Cow::Owned(text.replace('\0', ""))
}

/// `parts` that are not blank, with a blank line between them.
pub fn joined<'a>(parts: impl IntoIterator<Item = Cow<'a, str>>) -> Cow<'a, str> {
    parts
        .into_iter()
        .filter(|part| !part.trim().is_empty())
        .reduce(|whole, part| Cow::Owned(format!("{whole}\n\n{part}")))
        .unwrap_or_default()
}
