//! What the tests share.

use llm_tuner_dataset::{Code, Options, Report, Validator, validate};

pub fn report(bytes: impl AsRef<[u8]>) -> Report {
    named("data", bytes)
}

pub fn named(name: &str, bytes: impl AsRef<[u8]>) -> Report {
    validate(bytes.as_ref(), Options::named(name)).unwrap()
}

/// The same, pushed in chunks of the given sizes, over and over.
pub fn in_chunks(name: &str, bytes: &[u8], sizes: &[usize]) -> Report {
    let mut validator = Validator::new(Options::named(name));
    let mut rest = bytes;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at(rest.len().min(*size));
        validator.push(chunk);
        rest = after;
    }
    validator.finish()
}

/// The codes found, with their counts, in the order of the report.
pub fn codes(report: &Report) -> Vec<(Code, u64)> {
    report.groups.iter().map(|group| (group.code, group.count)).collect()
}

/// The lines of the examples of a kind.
pub fn lines(report: &Report, code: Code) -> Vec<u64> {
    let examples = report.group(code).map(|group| group.examples.as_slice()).unwrap_or_default();
    examples.iter().map(|finding| finding.line).collect()
}

pub fn message(report: &Report, code: Code) -> &str {
    &report.group(code).unwrap_or_else(|| panic!("no {code} in {:?}", codes(report))).examples[0].message
}

/// `count` different good rows of prompt and completion.
pub fn good_rows(count: usize) -> String {
    (0..count).map(|n| format!("{{\"prompt\": \"{n} and one\", \"completion\": \"{}\"}}\n", n + 1)).collect()
}

/// Sixty good rows with `row` in line 31.
pub fn with_row(row: &str) -> String {
    format!("{}{row}\n{}", good_rows(30), good_rows(60).lines().skip(30).collect::<Vec<_>>().join("\n"))
}
