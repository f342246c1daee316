//! What may be a key, and the path it stands for.

use std::path::PathBuf;

/// Longest part of a key; leaves room for the name of the checksum's file.
const PART: usize = 200;

/// The relative path of a key, or `None` for what can't be one. Parts are separated by `/`; each is made of ASCII
/// letters, digits, `.`, `_` and `-` and does not begin with `.`: so no part is empty, `.`, `..`, absolute, hidden,
/// or the store's own.
pub fn path(key: &str) -> Option<PathBuf> {
    key.split('/').map(|part| is_part(part).then_some(part)).collect()
}

fn is_part(part: &str) -> bool {
    !part.is_empty()
        && part.len() <= PART
        && !part.starts_with('.')
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn paths_that_lead_elsewhere_are_no_keys() {
        for key in [
            "",
            "/",
            "a//b",
            "/etc/passwd",
            "..",
            "a/../b",
            "a/..",
            "./a",
            ".staging/x",
            "a/.b.meta",
            "a\\..\\b",
            "a/%2e%2e",
            "a\0b",
            "a/b/",
            "a b",
            "ä",
            "a/\u{2215}b",
        ] {
            assert_eq!(path(key), None, "{key:?}");
        }
    }

    #[test]
    fn what_the_server_makes_is_a_key() {
        let key = "users/01hzzzzzzzzzzzzzzzzzzzzzzz/models/01j/model-00001-of-00002.safetensors";
        assert_eq!(path(key).as_deref(), Some(Path::new(key)));
    }

    proptest! {
        #[test]
        fn a_key_never_leaves_its_root(key in "[a./\\\\\0-]{0,12}|\\PC{0,40}") {
            if let Some(path) = path(&key) {
                prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert_eq!(path.to_str(), Some(key.as_str()), "one key, one path");
            }
        }
    }
}
