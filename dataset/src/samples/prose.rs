//! Small helpers for sentences that are put together from parts.

use std::collections::HashSet;

use crate::rng::SplitMix64;

/// `text` with its first letter in upper case.
pub fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `count` rows that `make` gives, all different in what `key` takes of them.
pub fn distinct<T>(
    seed: u64,
    count: usize,
    key: impl Fn(&T) -> String,
    mut make: impl FnMut(&mut SplitMix64, usize) -> T,
) -> Vec<T> {
    let mut rng = SplitMix64::new(seed);
    let (mut seen, mut rows) = (HashSet::new(), Vec::with_capacity(count));
    // The word lists give far more than is asked for; the bound keeps a mistake in one from hanging.
    for _ in 0..count * 1000 {
        let row = make(&mut rng, rows.len());
        if seen.insert(key(&row)) {
            rows.push(row);
        }
        if rows.len() == count {
            break;
        }
    }
    rows
}

/// One line of JSON a row, keys in the given order, spaced as people write it.
pub fn object(entries: &[(&str, &str)]) -> String {
    let fields: Vec<String> =
        entries.iter().map(|(key, value)| format!("\"{key}\": {}", quoted(value))).collect();
    format!("{{{}}}", fields.join(", "))
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
