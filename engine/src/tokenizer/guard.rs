//! Calls of the `tokenizers` crate, which panics on some files that nobody wrote by hand and on some text with them: on
//! an empty table of characters, or a decoder that strips more than there is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use tokenizers::Tokenizer as Inner;

/// Does the work; a panic of the crate is an error like its others, and its own words are on stderr.
pub(super) fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    // What a panic may leave half done is dropped by the caller, or is the crate's cache of words, which it refills.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("the tokenizers library gave up on it".into()))
}

/// Reads `tokenizer.json`.
pub(super) fn read(path: &Path) -> tokenizers::Result<Inner> {
    let text = std::fs::read(path)?;
    let outline: Outline = serde_json::from_slice(&text)?;
    refuse_false_tables(&outline.normalizer)?;
    guarded(|| Inner::from_bytes(&text))
}

#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    normalizer: Value,
}

/// A table of characters begins with its size, which the crate makes room for before it looks whether so much follows.
fn refuse_false_tables(normalizer: &Value) -> tokenizers::Result<()> {
    if let Some(table) = normalizer["precompiled_charsmap"].as_str() {
        let room = table.len() / 4 * 3;
        if size_of(table).is_some_and(|size| size > room) {
            return Err("its table of characters (precompiled_charsmap) is cut off".into());
        }
    }
    let parts = normalizer["normalizers"].as_array();
    parts.into_iter().flatten().try_for_each(refuse_false_tables)
}

/// The first four bytes of a text in base64, little end first.
fn size_of(base64: &str) -> Option<usize> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = base64.as_bytes().first_chunk::<6>()?;
    let bits = digits.iter().try_fold(0, |bits: u64, digit| {
        let value = DIGITS.iter().position(|known| known == digit)?;
        Some(bits << 6 | value as u64)
    })?;
    // 36 bits, of which the last four belong to the fifth byte.
    Some(((bits >> 4) as u32).swap_bytes() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_crate_gives_up_on_is_an_error() {
        let of = |normalizer: &str, decoder: &str| {
            let text = format!(
                r#"{{"normalizer":{normalizer},"decoder":{decoder},"model":{{"type":"BPE","vocab":{{"a":0}},"merges":[]}}}}"#
            );
            Inner::from_bytes(text).unwrap()
        };
        let empty = of(r#"{"type":"Precompiled","precompiled_charsmap":"AAAAAA=="}"#, "null");
        assert!(guarded(|| empty.encode("a", false)).is_err());
        let strip = of("null", r#"{"type":"Strip","content":"a","start":0,"stop":9}"#);
        assert!(guarded(|| strip.decode(&[0], false)).is_err() || !cfg!(debug_assertions));
    }

    #[test]
    fn a_table_that_claims_more_than_follows_is_refused() {
        let of = |table: &str| {
            refuse_false_tables(&serde_json::json!({"type": "Sequence", "normalizers": [
                {"type": "NFC"}, {"type": "Precompiled", "precompiled_charsmap": table}]}))
        };
        // 8, 0, 0, 0 and eight bytes; then the same with 2^31 bytes.
        assert_eq!(size_of("CAAAAAAAAAAAAAAA"), Some(8));
        assert!(of("CAAAAAAAAAAAAAAA").is_ok());
        assert!(of("AAAAgAAAAAAAAAAA").unwrap_err().to_string().contains("cut off"));
        assert!(of("").is_ok() && of("né").is_ok(), "the crate says what is wrong with it");
    }
}
