//! A month's ledger as CSV (RFC 4180), for spreadsheets. Amounts are US dollars; what is not known says so.

use super::report::{Line, Report};
use crate::domain::money::Money;

const HEAD: [&str; 10] = [
    "month",
    "person",
    "kind",
    "name",
    "instance_type",
    "seconds",
    "estimate_usd",
    "cost_usd",
    "state",
    "updated_at",
];

pub fn csv(report: &Report) -> String {
    let mut out = String::new();
    row(&mut out, HEAD.map(str::to_owned));
    for line in &report.lines {
        row(&mut out, cells(line));
    }
    out
}

fn cells(line: &Line) -> [String; 10] {
    let charge = &line.charge;
    let amount = |amount: Option<Money>| amount.map_or_else(|| "unknown".to_owned(), Money::decimal);
    [
        charge.month.clone(),
        line.person.clone(),
        charge.kind.as_str().to_owned(),
        charge.name.clone(),
        charge.instance_type.clone(),
        charge.seconds.to_string(),
        amount(charge.estimate),
        amount(charge.cost),
        if charge.ended { "ended" } else { "running" }.to_owned(),
        jiff::Timestamp::from_microsecond(charge.updated_at.micros())
            .map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
            .unwrap_or_default(),
    ]
}

fn row(out: &mut String, cells: [String; 10]) {
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push(out, cell);
    }
    out.push_str("\r\n");
}

/// Quoted where it must be. A spreadsheet would take what begins with one of these signs for a formula, so an
/// apostrophe, which it doesn't show, goes before it
/// (<https://owasp.org/www-community/attacks/CSV_Injection>).
fn push(out: &mut String, cell: &str) {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let quoted = formula || cell.contains([',', '"', '\r', '\n']);
    if quoted {
        out.push('"');
    }
    if formula {
        out.push('\'');
    }
    for letter in cell.chars() {
        if letter == '"' {
            out.push('"');
        }
        out.push(letter);
    }
    if quoted {
        out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell(text: &str) -> String {
        let mut out = String::new();
        push(&mut out, text);
        out
    }

    #[test]
    fn no_cell_is_a_formula_or_breaks_the_row() {
        for (text, written) in [
            ("job-1", "job-1"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
        ] {
            assert_eq!(cell(text), written);
        }
    }

    proptest! {
        #[test]
        fn a_reader_gets_back_what_was_written(text in "[a-z=+@\",\r\n-]{0,12}") {
            let written = cell(&text);
            let inner = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let read = inner.map_or_else(|| written.clone(), |inner| inner.replace("\"\"", "\""));
            prop_assert_eq!(read.strip_prefix('\'').unwrap_or(&read), text.as_str());
            prop_assert!(inner.is_some() || !written.contains([',', '"', '\r', '\n']));
            prop_assert!(!read.starts_with(['=', '+', '-', '@']));
        }
    }
}
