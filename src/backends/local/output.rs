//! Reads a growing log file line by line, from any offset, without keeping anything between two reads.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// Longest line that is handed on, in bytes; the rest of it is left out.
const LINE: usize = 64 * 1024;

/// Reads at most `limit` bytes (and never less than one longest line) from `offset`. Returns the whole lines in them
/// and the offset after. With `ended`, what follows the last line feed is a line too.
///
/// An offset lies behind a line feed, or inside a line that was longer than [`LINE`] and of which the beginning was
/// handed on; then the rest of that line is passed over.
pub fn read(path: &Path, offset: u64, limit: usize, ended: bool) -> io::Result<(Vec<String>, u64)> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), offset)),
        Err(error) => return Err(error),
    };
    let inside = offset > 0 && {
        let mut before = [0];
        file.seek(SeekFrom::Start(offset - 1))?;
        file.read(&mut before)? == 1 && before != *b"\n"
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    let limit = limit.max(LINE + 1);
    file.take(limit as u64).read_to_end(&mut bytes)?;
    let at_end = bytes.len() < limit;

    let mut rest = bytes.as_slice();
    if inside {
        match rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => rest = &rest[end + 1..],
            None => return Ok((Vec::new(), offset + bytes.len() as u64)),
        }
    }
    let mut lines = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        lines.push(clean(&rest[..end]));
        rest = &rest[end + 1..];
    }
    if rest.len() > LINE || (ended && at_end && !rest.is_empty()) {
        lines.push(clean(rest));
        rest = &[];
    }
    Ok((lines, offset + (bytes.len() - rest.len()) as u64))
}

/// One line as it may be stored and shown: cut, valid UTF-8, no NUL, no carriage return at its end.
fn clean(line: &[u8]) -> String {
    let cut = line.len() > LINE;
    let line = &line[..line.len().min(LINE)];
    let mut text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).replace('\0', "");
    if cut {
        text.push_str(" … (the line goes on)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(content: &[u8], limit: usize) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let (mut lines, mut offset) = (Vec::new(), 0);
        loop {
            let (more, next) = read(file.path(), offset, limit, true).unwrap();
            lines.extend(more);
            if next == offset {
                return lines;
            }
            offset = next;
        }
    }

    #[test]
    fn a_line_is_handed_on_once_it_is_whole() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one\r\ntw").unwrap();
        assert_eq!(read(file.path(), 0, 1000, false).unwrap(), (vec!["one".to_owned()], 5));
        assert_eq!(read(file.path(), 5, 1000, false).unwrap(), (vec![], 5));
        std::fs::write(file.path(), "one\r\ntwo\nthr").unwrap();
        assert_eq!(read(file.path(), 5, 1000, false).unwrap(), (vec!["two".to_owned()], 9));
        assert_eq!(read(file.path(), 9, 1000, true).unwrap(), (vec!["thr".to_owned()], 12));
        assert_eq!(read(file.path(), 12, 1000, true).unwrap(), (vec![], 12));
        assert_eq!(read(Path::new("/nowhere"), 7, 1000, true).unwrap(), (vec![], 7));
    }

    #[test]
    fn hostile_bytes_become_plain_text() {
        assert_eq!(all(b"a\0b\xff\n\n\x1b[31m\n", 1000), ["ab\u{fffd}", "", "\u{1b}[31m"]);
    }

    #[test]
    fn a_line_without_end_is_cut_and_passed_over() {
        let mut content = b"before\n".to_vec();
        content.extend(std::iter::repeat_n(b'x', 5 * LINE));
        content.extend(b"\nafter\n");
        let lines = all(&content, 1000);
        assert_eq!((lines.len(), lines[0].as_str(), lines[2].as_str()), (3, "before", "after"));
        assert!(lines[1].starts_with(&"x".repeat(LINE)) && lines[1].len() < LINE + 100);
    }

    proptest! {
        /// However the reads fall, nothing is lost or doubled.
        #[test]
        fn the_lines_do_not_depend_on_when_they_are_read(
            content in proptest::collection::vec("[ab]{0,9}", 0..40),
            cuts in proptest::collection::vec(0_usize..400, 0..8),
        ) {
            let text = content.iter().map(|line| format!("{line}\n")).collect::<String>();
            let file = tempfile::NamedTempFile::new().unwrap();
            let (mut lines, mut offset) = (Vec::new(), 0);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            cuts.push(text.len());
            for cut in cuts {
                std::fs::write(file.path(), &text[..cut]).unwrap();
                let (more, next) = read(file.path(), offset, 10, false).unwrap();
                lines.extend(more);
                offset = next;
            }
            prop_assert_eq!(lines, content);
        }
    }
}
