//! Files that are not text, told by how they begin, whatever they are called.

use super::Refusal;
use crate::finding::Code;

/// How well-known kinds of files begin, and what to do with each.
const SIGNATURES: [(&[u8], &str, &str); 15] = [
    (b"\x89PNG", "a PNG image", "Upload the data itself, as text."),
    (b"\xff\xd8\xff", "a JPEG image", "Upload the data itself, as text."),
    (b"GIF8", "a GIF image", "Upload the data itself, as text."),
    (b"%PDF-", "a PDF document", "Copy its text into a .txt file."),
    (
        b"PK\x03\x04",
        "a ZIP archive (Excel and Word files are such archives)",
        "Unpack it, or save the sheet as CSV.",
    ),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", "Save it as CSV or as plain text."),
    (b"SQLite format 3", "an SQLite database", "Export the table as CSV."),
    (b"\x7fELF", "a program", "Upload the data itself, as text."),
    (b"ARROW1", "an Arrow file", "Save it as JSON Lines or CSV."),
    (b"\x93NUMPY", "a NumPy array", "Save it as JSON Lines or CSV."),
    (b"{\\rtf", "an RTF document", "Save it as plain text."),
    (b"OggS", "an audio file", "Upload the data itself, as text."),
    (b"RIFF", "an audio or video file", "Upload the data itself, as text."),
    (b"\x00\x00\xfe\xff", "text in UTF-32", "Save it as UTF-8."),
    (b"\xff\xfe\x00\x00", "text in UTF-32", "Save it as UTF-8."),
];
const COMPRESSED: [(&[u8], &str); 4] = [
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
];

pub fn refuse(head: &[u8]) -> Result<(), Refusal> {
    if head.starts_with(b"PAR1") {
        return Err(Refusal::new(
            Code::ParquetNotSupported,
            "This is a Parquet file, which cannot be read yet. Save it as JSON Lines, for example with pandas: \
             df.to_json(\"data.jsonl\", orient=\"records\", lines=True).",
        ));
    }
    if let Some((_, kind)) = COMPRESSED.iter().find(|(signature, _)| head.starts_with(signature)) {
        return Err(Refusal::new(
            Code::CompressionNotSupported,
            format!(
                "The file is compressed with {kind}, which is not read. Unpack it, or compress it with gzip."
            ),
        ));
    }
    match SIGNATURES.iter().find(|(signature, ..)| head.starts_with(signature)) {
        Some((_, kind, advice)) => Err(Refusal::new(
            Code::NotText,
            format!("The content of this file is {kind}, whatever its name says. {advice}"),
        )),
        None => Ok(()),
    }
}

/// Refuses data of which too much is not text: NUL bytes and control characters, which random data is full of
/// and text has next to none of.
pub fn refuse_binary(head: &[u8]) -> Result<(), Refusal> {
    let nul = head.iter().filter(|byte| **byte == 0).count();
    let control = head.iter().filter(|byte| matches!(byte, 1..=8 | 11 | 14..=26 | 28..=31 | 127)).count();
    // One stray character in a hundred is a mistake in a text; more is no text.
    let limit = head.len() / 100 + 2;
    if nul > limit || control > 3 * limit {
        return Err(Refusal::new(
            Code::NotText,
            format!(
                "The file is binary data: {} of its first {} bytes cannot be part of a text. Upload JSON Lines, \
                 JSON, CSV, TSV or plain text.",
                nul + control,
                head.len()
            ),
        ));
    }
    Ok(())
}
