//! File names as people and browsers give them, made safe to show. A name is never part of a path: it is only shown,
//! looked up, and sent back as the name of a download.

use crate::domain::field::FieldError;

/// Characters of a name; file systems allow 255 bytes, and what people type by hand is far shorter.
pub const MAX_CHARS: usize = 255;

/// The last part of a path, without characters that change how a line is read or drawn; never empty, at most
/// [`MAX_CHARS`] characters with the ending kept.
pub fn clean_file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).find(|part| !part.trim().is_empty()).unwrap_or_default();
    let clean: String = last.chars().filter(|c| !misleads(*c)).collect();
    let clean = clean.trim().trim_matches('.').trim();
    if clean.is_empty() { "unnamed file".to_owned() } else { shorten(clean) }
}

/// A name typed by a person.
///
/// # Errors
/// Empty, too long, or with control characters.
pub fn parse_name(text: &str) -> Result<String, FieldError> {
    let text = text.trim();
    let wrong = |message: String| Err(FieldError::new("name", message));
    let count = text.chars().count();
    if count == 0 {
        return wrong("Enter a name.".to_owned());
    }
    if count > MAX_CHARS {
        return wrong(format!("A name has at most {MAX_CHARS} characters; this one has {count}."));
    }
    if text.chars().any(misleads) {
        return wrong("A name has no control characters.".to_owned());
    }
    Ok(text.to_owned())
}

/// Control characters, and the marks that turn the direction of writing: `gpj.exe` must not read as `exe.jpg`.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{2028}' | '\u{2029}')
}

fn shorten(name: &str) -> String {
    if name.chars().count() <= MAX_CHARS {
        return name.to_owned();
    }
    let ending = name
        .rfind('.')
        .map(|at| &name[at..])
        .filter(|ending| ending.chars().count() <= 12)
        .unwrap_or_default();
    let keep = MAX_CHARS - 1 - ending.chars().count();
    format!("{}…{ending}", name.chars().take(keep).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_lose_what_is_hostile_and_keep_what_is_a_name() {
        for (given, shown) in [
            ("train.jsonl", "train.jsonl"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\x\\data.csv", "data.csv"),
            ("/", "unnamed file"),
            ("..", "unnamed file"),
            ("", "unnamed file"),
            ("a\u{0}b\r\nc.txt", "abc.txt"),
            ("\u{202e}txt.exe", "txt.exe"),
            ("بيانات.csv", "بيانات.csv"),
            ("<script>alert(1)</script>", "script>"),
            ("  spaced .txt ", "spaced .txt"),
        ] {
            assert_eq!(clean_file_name(given), shown, "{given:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_ending() {
        let shown = clean_file_name(&format!("{}.jsonl", "ä".repeat(400)));
        assert_eq!(shown.chars().count(), MAX_CHARS);
        assert!(shown.ends_with("….jsonl"));
    }

    #[test]
    fn typed_names_are_checked() {
        assert_eq!(parse_name("  My data ").as_deref(), Ok("My data"));
        assert!(parse_name(" ").is_err());
        assert!(parse_name(&"x".repeat(256)).is_err());
        assert!(parse_name("a\u{202e}b").is_err());
    }
}
