//! What holds for any input: no panic, no dependence on how a file is cut into chunks, repairs that repair.

use crate::common::{in_chunks, named};
use llm_tuner_dataset::{
    Container, Example, Grade, Options, RejectedRow, RepairOptions, Row, Verdict, convert, preview, repair,
    rows, validate, validate_with_index,
};
use proptest::prelude::*;

/// Pieces of files, good and bad, from which interesting files are put together.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let fixed = prop::sample::select(vec![
        "{\"prompt\": \"a\", \"completion\": \"b\"}\n",
        "{\"prompt\": \"a\\n\\u0000\\ud83c\\udf0d\", \"completion\": 5}\r\n",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"u\"}, {\"role\": \"assistant\", \"content\": \"a\"}]}\n",
        "{\"messages\": [{\"role\": \"bot\", \"content\": \"\\u0000\", \"x\": 1}]}\n",
        "{\"conversations\": [{\"from\": \"human\", \"value\": \"u\"}, {\"from\": \"gpt\", \"value\": \"a\"}], \"system\": \"s\"}\n",
        "{\"instruction\": \"i\", \"input\": \"x\", \"output\": \"o\", \"history\": [[\"q\", \"a\"]], \"system\": \"s\"}\n",
        "{\"instruction\": \"i\", \"output\": \"o\", \"history\": [[\"q\\u0000\", \"\\u0000\"]]}\n",
        "{\"question\": \"q\", \"answer\": \"a\"}\n",
        "{\"text\": \"some text\"}\n",
        "{\"chosen\": \"a\", \"rejected\": \"b\"}\n",
        "{\"name\": \"a\", \"label\": 3}\n",
        "[\n", "]\n", ",\n", "{", "}", "\"", "\\", "\n", "\r\n", "\n\n", "\t", ";", "[1, 2]\n", "null\n",
        "prompt,completion\n", "a,b\n", "\"x\r\ny\",z\r\n", "a;b\n", "name\tlabel\n", "1\t2\n", "\"open,", ",,\n",
        "Some prose, of a kind.\n\n", "Grüße 🌍\n", "\u{feff}", "\0", "# Title\n",
    ])
    .prop_map(|text| text.as_bytes().to_vec());
    prop_oneof![
        8 => fixed,
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => Just(vec![0xe9]),
        1 => Just(b"Wide, wide prose without an end and with an \xc3\xa9 in it. ".repeat(200)),
    ]
}

fn file() -> impl Strategy<Value = Vec<u8>> {
    let repeated = (prop::collection::vec(piece(), 1..4), 1..30usize)
        .prop_map(|(pieces, times)| pieces.concat().repeat(times));
    let mixed = prop::collection::vec(prop_oneof![3 => piece(), 1 => repeated], 0..12)
        .prop_map(|parts| parts.concat());
    let wide = mixed.clone().prop_map(|bytes| {
        String::from_utf8_lossy(&bytes).encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
    });
    let noise = prop::collection::vec(any::<u8>(), 0..6000);
    prop_oneof![8 => mixed.clone(), 1 => wide, 1 => noise, 1 => mixed.prop_map(|bytes| gzip(&bytes))]
}

#[cfg(feature = "gzip")]
fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[cfg(not(feature = "gzip"))]
fn gzip(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["data", "a.csv", "a.jsonl", "a.txt", "a.tsv", "a.json"])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_chunks_give_the_same_report(bytes in file(), name in name(), sizes in prop::collection::vec(1..400usize, 1..6)) {
        let whole = named(name, &bytes);
        prop_assert_eq!(&in_chunks(name, &bytes, &[usize::MAX]), &whole);
        prop_assert_eq!(&in_chunks(name, &bytes, &sizes), &whole);
    }

    #[test]
    fn one_byte_at_a_time_gives_the_same_report(bytes in file(), name in name()) {
        prop_assert_eq!(in_chunks(name, &bytes, &[1]), named(name, &bytes));
    }

    #[test]
    fn a_repaired_file_is_ready(bytes in file(), name in name(), remove_duplicates: bool) {
        let report = named(name, &bytes);
        let Some(schema) = report.schema.filter(|schema| schema.shape().is_some()) else { return Ok(()) };
        let (mut repaired, mut rejected) = (Vec::new(), Vec::new());
        let Ok(counts) = repair(&bytes[..], &schema, RepairOptions { remove_duplicates }, &mut repaired, &mut rejected)
        else {
            // Compressed data that is damaged.
            prop_assert_eq!(report.verdict, Verdict::Refused);
            return Ok(());
        };
        if counts.kept > 0 {
            let after = named("repaired.jsonl", &repaired);
            prop_assert_eq!(after.verdict, Verdict::Ready, "{:?}\n{}", after.groups, String::from_utf8_lossy(&repaired));
            prop_assert_eq!(after.count(Grade::Error) + after.count(Grade::Fix), 0);
            prop_assert_eq!(after.rows, counts.kept);
            prop_assert_eq!(counts.kept + counts.duplicates, report.statistics.rows);
        }
        let lines = rejected.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let read: Vec<RejectedRow> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
        prop_assert_eq!(read.len() as u64, counts.rejected);
    }

    #[test]
    fn converting_keeps_every_row(bytes in file(), name in name()) {
        let report = named(name, &bytes);
        let Some(schema) = report.schema.filter(|schema| schema.shape().is_some()) else { return Ok(()) };
        let Ok(before) = rows(&bytes[..], &schema).unwrap().collect::<Result<Vec<Row>, _>>() else { return Ok(()) };
        prop_assert_eq!(before.len() as u64, report.statistics.rows);
        let mut converted = Vec::new();
        convert(&bytes[..], &schema, &mut converted).unwrap();
        if let Some(schema) = named("converted.jsonl", &converted).schema {
            let after: Vec<_> = rows(&converted[..], &schema).unwrap().map(|row| row.unwrap().example).collect();
            let before: Vec<Example<'_>> = before.into_iter().map(|row| row.example).collect();
            prop_assert_eq!(after, before);
        }
    }

    #[test]
    fn a_preview_shows_the_same_rows_wherever_it_begins(count in 1..4000usize, first in 0..4200u64, kind in 0..4usize) {
        let text: String = match kind {
            0 => (0..count).map(|n| format!("{{\"prompt\": \"{n}\", \"completion\": \"{n}\"}}\n{}", if n % 7 == 0 { "\n" } else { "" })).collect(),
            1 => format!("[{}]", (0..count).map(|n| format!("{{\"prompt\": \"{n}\",\n \"completion\": \"[{n}\"}}")).collect::<Vec<_>>().join(",\n")),
            2 => format!("\u{feff}prompt,completion\n{}", (0..count).map(|n| format!("{n},\"a\r\n{n}\"\r\n")).collect::<String>()),
            _ => (0..count).map(|n| format!("Line {n} of the poem.\n{}", if n % 40 == 39 { "\n" } else { "" })).collect(),
        };
        let (report, index) = validate_with_index(text.as_bytes(), Options::default()).unwrap();
        let schema = report.schema.unwrap();
        let page = preview(std::io::Cursor::new(text.as_bytes()), &schema, &index, first, 25).unwrap();
        let expected: Vec<Row> =
            rows(text.as_bytes(), &schema).unwrap().map(Result::unwrap).skip(first as usize).take(25).collect();
        let shown: Vec<Row> =
            page.rows.iter().map(|row| Row { line: row.line, example: row.example.clone().unwrap() }).collect();
        prop_assert_eq!(shown, expected);
        prop_assert_eq!(page.total, report.rows);
        prop_assert!(page.rows.iter().enumerate().all(|(at, row)| row.number == first + at as u64));
    }
}

#[test]
fn layouts_larger_than_what_is_looked_at_first() {
    let text: String =
        (0..20_000).map(|n| format!("{{\"prompt\": \"row {n}\", \"completion\": \"{n}\"}}\n")).collect();
    let whole = named("a", &text);
    assert_eq!((whole.verdict, whole.rows), (Verdict::Ready, 20_000));
    for sizes in [[65_536, 1], [65_535, 7], [100_000, 3_000]] {
        assert_eq!(in_chunks("a", text.as_bytes(), &sizes), whole);
    }
    let table: String = (0..20_000).map(|n| format!("row {n};{n}\n")).collect();
    let report = validate(format!("question;answer\n{table}").as_bytes(), Options::default()).unwrap();
    assert_eq!((report.container(), report.rows), (Some(Container::Csv), 20_000));
}
