//! One fixture for each kind of finding: the code, the line, the grade, and words that help.

use crate::common::{codes, good_rows, lines, message, named, report, with_row};
use llm_tuner_dataset::{
    Code, ColumnMapping, ColumnRole, Grade, Options, Repair, Report, Validator, Verdict, validate,
};

/// A file of good rows with one bad row in line 31 has exactly this finding, there.
fn one_bad_row(row: &str, code: Code) -> Report {
    let report = report(with_row(row));
    assert_eq!(codes(&report), [(code, 1)], "{row}: {:?}", report.groups);
    assert_eq!(lines(&report, code), [31], "{row}");
    assert_eq!(report.rows, 61);
    let (verdict, usable) = match code.grade() {
        Grade::Error => (Verdict::NeedsFixing, 60),
        Grade::Fix => (Verdict::NeedsFixing, 61),
        Grade::Advice => (Verdict::Ready, 61),
    };
    let verdict = if code == Code::MixedFormats { Verdict::Refused } else { verdict };
    assert_eq!((report.verdict, report.statistics.rows), (verdict, usable), "{row}");
    report
}

#[test]
fn rows_that_cannot_be_used() {
    for (row, code) in [
        (r#"{"prompt": "a", "completion": }"#, Code::NotJson),
        (r#"{"prompt": "a", "completion": "b"} {"#, Code::NotJson),
        (r#"{"prompt": "a", "completion": "b"#, Code::NotJson),
        (r#"{'prompt': 'a', 'completion': 'b'}"#, Code::NotJson),
        ("{\"prompt\": \"a\tb\", \"completion\": \"b\"}", Code::NotJson),
        ("hello", Code::NotJson),
        (r#"["a", "b"]"#, Code::DataType),
        ("5", Code::DataType),
        (r#"{"prompt": "a"}"#, Code::MissingKey),
        ("{}", Code::MissingKey),
        (r#"{"prompt": "a", "completion": null}"#, Code::WrongType),
        (r#"{"prompt": "a", "completion": ["b"]}"#, Code::WrongType),
        (r#"{"prompt": {"a": 1}, "completion": "b"}"#, Code::WrongType),
        (r#"{"prompt": "a", "completion": " \n"}"#, Code::EmptyAnswer),
        (r#"{"messages": [{"role": "user", "content": "a"}]}"#, Code::MixedFormats),
        (r#"{"question": "a", "answer": "b"}"#, Code::MixedFormats),
    ] {
        one_bad_row(row, code);
    }
}

#[test]
fn rows_that_are_mended() {
    for (row, code) in [
        (r#"{"prompt": "a", "completion": 5}"#, Code::NumberForText),
        (r#"{"prompt": true, "completion": "b"}"#, Code::NumberForText),
        (r#"{"prompt": "a\u0000", "completion": "b"}"#, Code::NulCharacter),
        ("{\"prompt\": \"a\0\", \"completion\": \"b\"}", Code::NulCharacter),
        (r#"{"prompt": "a", "completion": "b", "prompt": "c"}"#, Code::DuplicateKey),
    ] {
        one_bad_row(row, code);
    }
}

#[test]
fn rows_worth_a_word() {
    one_bad_row(r#"{"prompt": "", "completion": "b"}"#, Code::EmptyPrompt);
    one_bad_row(r#"{"prompt": "0 and one", "completion": "1"}"#, Code::DuplicateRow);
    one_bad_row(&format!(r#"{{"prompt": "a", "completion": "{}"}}"#, "b".repeat(10_000)), Code::LongRow);
    let unknown =
        one_bad_row(r#"{"prompt": "a", "completion": "b", "notes": [1, {"x": 2}]}"#, Code::UnknownKey);
    assert_eq!(unknown.groups[0].field.as_deref(), Some("notes"));
}

#[test]
fn messages_say_what_and_where() {
    let not_json = report(with_row(r#"{"prompt": "a", "completion": }"#));
    assert!(message(&not_json, Code::NotJson).starts_with("Not valid JSON at column 31: expected value."));
    let python = report(with_row("{'prompt': 'a'}"));
    assert!(message(&python, Code::NotJson).contains("json.dumps"));
    let duplicate = report(with_row(r#"{"prompt": "4 and one", "completion": "5"}"#));
    assert!(message(&duplicate, Code::DuplicateRow).contains("line 5"));
    let mixed = report(with_row(r#"{"question": "a", "answer": "b"}"#));
    assert!(message(&mixed, Code::MixedFormats).contains("\"Question and answer\""));
}

fn chat(messages: &str) -> String {
    format!(r#"{{"messages": [{messages}]}}"#)
}

#[test]
fn conversations() {
    let user = r#"{"role": "user", "content": "u"}"#;
    let assistant = r#"{"role": "assistant", "content": "a"}"#;
    let system = r#"{"role": "system", "content": "s"}"#;
    let good = chat(&format!("{user}, {assistant}"));
    for (row, code) in [
        (r#"{"id": 3}"#.to_owned(), Code::MissingMessagesList),
        (r#"{"messages": "hello"}"#.to_owned(), Code::MissingMessagesList),
        (chat(""), Code::MissingMessagesList),
        (chat("3"), Code::WrongType),
        (chat(&format!("{{\"content\": \"u\"}}, {assistant}")), Code::MessageMissingKey),
        (chat(&format!("{{\"role\": \"user\"}}, {assistant}")), Code::MessageMissingKey),
        (chat(&format!("{{\"role\": \"king\", \"content\": \"u\"}}, {assistant}")), Code::UnrecognizedRole),
        (chat(&format!("{user}, {{\"role\": \"assistant\", \"content\": null}}")), Code::MissingContent),
        (
            chat(&format!("{user}, {{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{{}}]}}")),
            Code::MissingContent,
        ),
        (chat(&format!("{user}, {{\"role\": \"assistant\", \"content\": \"\"}}")), Code::EmptyAnswer),
        (
            chat(&format!("{{\"role\": \"user\", \"content\": [{{\"type\": \"image_url\"}}]}}, {assistant}")),
            Code::WrongType,
        ),
        (chat(&format!("{user}, {user}, {assistant}")), Code::RolesOutOfOrder),
        (chat(&format!("{assistant}, {user}, {assistant}")), Code::RolesOutOfOrder),
        (chat(&format!("{user}, {system}, {assistant}")), Code::RolesOutOfOrder),
        (chat(user), Code::ExampleMissingAssistantMessage),
        (
            chat(&format!("{user}, {{\"role\": \"assistant\", \"content\": \"a\", \"weight\": 0}}")),
            Code::ExampleMissingAssistantMessage,
        ),
        (
            chat(&format!("{user}, {{\"role\": \"assistant\", \"content\": \"a\", \"weight\": 2}}")),
            Code::InvalidWeight,
        ),
        (chat(&format!("{{\"role\": \"Human\", \"content\": \"h\"}}, {assistant}")), Code::RoleAlias),
        (
            chat(&format!("{{\"role\": \"user\", \"content\": \"h\", \"mood\": 1}}, {assistant}")),
            Code::MessageUnrecognizedKey,
        ),
        (
            chat(&format!("{{\"role\": \"user\", \"content\": \"h\", \"name\": \"Ann\"}}, {assistant}")),
            Code::NameNotLearned,
        ),
        (
            chat(&format!(
                "{user}, {{\"role\": \"assistant\", \"content\": \"I look.\", \"tool_calls\": [{{}}]}}"
            )),
            Code::ToolCallNotLearned,
        ),
        (chat(&format!("{user}, {assistant}, {user}")), Code::LastMessageNotAnswer),
        (chat(&format!("{{\"role\": \"user\", \"content\": \"\"}}, {assistant}")), Code::EmptyPrompt),
        (chat(&format!("{system}, {user}, {assistant}")), Code::MissingSystemMessage),
    ] {
        let report = report(format!("{good}\n{row}\n"));
        let found: Vec<_> =
            report.groups.iter().map(|group| group.code).filter(|code| *code != Code::TooFewRows).collect();
        assert_eq!(found, [code], "{row}: {:?}", report.groups);
        if code != Code::MissingSystemMessage {
            assert_eq!(lines(&report, code), [2], "{row}");
        }
    }
}

#[test]
fn nothing_at_all() {
    for (name, bytes) in [
        ("a", &b""[..]),
        ("a.csv", b" \n\r\n\t"),
        ("a.jsonl", b"\xef\xbb\xbf"),
        ("a.json", b"[]"),
        ("a.csv", b"prompt,completion\n"),
    ] {
        let report = named(name, bytes);
        assert_eq!(report.verdict, Verdict::Refused, "{name}");
        assert!(report.group(Code::EmptyFile).is_some(), "{name}: {:?}", report.groups);
    }
}

#[test]
fn not_a_text() {
    let png = [b"\x89PNG\r\n\x1a\n".as_slice(), &[0, 0, 0, 13], b"IHDR", &[0; 64]].concat();
    let report = named("table.csv", &png);
    assert_eq!(report.verdict, Verdict::Refused);
    assert!(message(&report, Code::NotText).contains("PNG"));
    let noise: Vec<u8> = (0..5000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    assert!(named("table.csv", noise).group(Code::NotText).is_some());
    assert!(message(&named("a.csv", b"PK\x03\x04sheet"), Code::NotText).contains("Excel"));
    assert!(named("a.parquet", b"PAR1\x15\x04").group(Code::ParquetNotSupported).is_some());
    assert!(named("a.zst", b"\x28\xb5\x2f\xfd\x04").group(Code::CompressionNotSupported).is_some());
}

#[test]
fn bytes_that_are_not_utf8() {
    let mut bytes = with_row(r#"{"prompt": "caf?", "completion": "b"}"#).into_bytes();
    let at = bytes.iter().position(|byte| *byte == b'?').unwrap();
    bytes[at] = 0xe9;
    let report = report(&bytes);
    assert_eq!(codes(&report), [(Code::InvalidUtf8, 1)]);
    assert_eq!(lines(&report, Code::InvalidUtf8), [31]);
    assert!(message(&report, Code::InvalidUtf8).starts_with("Byte 0xE9 at column 16 "));
}

#[test]
fn empty_rows_in_the_middle_but_not_at_the_end() {
    let report = report(format!(
        "{}\n\n{}\n\n\n",
        good_rows(30),
        good_rows(60).lines().skip(30).collect::<Vec<_>>().join("\n")
    ));
    assert_eq!(codes(&report), [(Code::EmptyRow, 2)]);
    assert_eq!(lines(&report, Code::EmptyRow), [31]);
    let csv = crate::common::report("prompt,completion\na,b\n\n,\nc,d\n");
    assert_eq!(csv.group(Code::EmptyRow).unwrap().count, 2);
}

#[test]
fn a_long_line_in_constant_memory() {
    let mut validator = Validator::new(Options { max_line_bytes: 1 << 20, ..Options::default() });
    validator.push(good_rows(60).as_bytes());
    validator.push(b"{\"prompt\": \"");
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..300 {
        validator.push(&chunk);
    }
    validator.push(b"\"}\n");
    validator.push(good_rows(61).lines().last().unwrap().as_bytes());
    let report = validator.finish();
    assert_eq!(codes(&report), [(Code::OverLongLine, 1)]);
    assert_eq!(lines(&report, Code::OverLongLine), [61]);
    assert!(message(&report, Code::OverLongLine).starts_with("This line is 314.5 MB long"));
    assert_eq!(report.statistics.rows, 61);
}

#[test]
fn preference_pairs_are_refused_with_the_reason() {
    for text in [
        r#"{"prompt": "a", "chosen": "b", "rejected": "c"}"#,
        r#"{"input": "a", "preferred_output": "b", "non_preferred_output": "c"}"#,
        "prompt,chosen,rejected\na,b,c\nd,e,f\n",
    ] {
        let report = report(text);
        assert_eq!(report.verdict, Verdict::Refused);
        assert!(message(&report, Code::PreferencePairs).contains("DPO"), "{text}");
    }
}

#[test]
fn csv_rows_and_their_physical_lines() {
    let report = report("prompt,completion\r\n\"a\r\nb\",c\r\nd\r\n\r\ne,f,g\r\nh,i\r\n");
    assert_eq!(lines(&report, Code::WrongFieldCount), [4, 6]);
    assert_eq!(report.statistics.rows, 2);
    assert_eq!(lines(&report, Code::EmptyRow), [5]);
}

#[test]
fn columns_that_do_not_fit() {
    let text = "name,notes,price\na,b,1\nc,d,2\n";
    let unmapped = report(text);
    assert_eq!(unmapped.verdict, Verdict::NeedsMapping);
    assert_eq!(unmapped.group(Code::ColumnsNeedMapping).unwrap().repair, Some(Repair::MapColumns));
    assert!(message(&unmapped, Code::ColumnsNeedMapping).contains("\"name\", \"notes\", \"price\""));
    let mapping = ColumnMapping::new([("title", ColumnRole::Prompt), ("notes", ColumnRole::Completion)]);
    let wrong = validate(text.as_bytes(), Options { mapping: Some(mapping), ..Options::default() }).unwrap();
    assert_eq!(wrong.verdict, Verdict::Refused);
    assert!(message(&wrong, Code::WrongColumns).contains("\"title\""));
    let twice = report("prompt,completion,prompt\na,b,c\nd,e,f\n");
    assert!(message(&twice, Code::DuplicateColumn).contains("\"prompt\""));
}

#[test]
fn json_that_breaks_off() {
    let text = "[\n{\"prompt\": \"a\", \"completion\": \"b\"},\n{\"prompt\": \"c\", \"compl";
    let report = report(text);
    assert_eq!(lines(&report, Code::BrokenJson), [3]);
    assert_eq!((report.verdict, report.statistics.rows), (Verdict::NeedsFixing, 1));
    let open = crate::common::report("[{\"prompt\": \"a\", \"completion\": \"b\"}");
    assert!(message(&open, Code::BrokenJson).contains("closing ]"));
    let after = crate::common::report("[{\"prompt\": \"a\", \"completion\": \"b\"}] [");
    assert!(message(&after, Code::BrokenJson).contains("after the end"));
}

#[test]
fn too_few_and_too_much_alike() {
    assert!(message(&report(good_rows(1)), Code::TooFewRows).starts_with("There is 1 usable row."));
    assert!(message(&report(good_rows(40)), Code::TooFewRows).starts_with("There are 40 usable rows."));
    assert!(report(good_rows(50)).groups.is_empty());
    let rows = |answer: &dyn Fn(usize) -> String, prefix: &str| -> String {
        (0..60)
            .map(|n| format!("{{\"prompt\": \"{prefix}{n}\", \"completion\": \"{}\"}}\n", answer(n)))
            .collect()
    };
    let same = report(rows(&|_| "yes".to_owned(), ""));
    assert_eq!(codes(&same), [(Code::IdenticalAnswers, 1)]);
    let sided = report(rows(&|n| if n % 10 == 0 { "no".to_owned() } else { "yes".to_owned() }, ""));
    assert!(message(&sided, Code::OneSidedAnswers).starts_with("90 % of the answers are \"yes\""));
    let prefix = report(rows(&|n| n.to_string(), "Please answer: "));
    assert_eq!(codes(&prefix), [(Code::CommonPromptPrefix, 1)]);
    assert!(report(rows(&|n| n.to_string(), "Please: ")).groups.is_empty());
    assert!(named("a.txt", "A line of verse.\n").group(Code::TooLittleText).is_some());
}

#[test]
fn two_formats_in_one_file_are_refused() {
    let questions: String =
        (0..40).map(|n| format!("{{\"question\": \"{n}\", \"answer\": \"{n}\"}}\n")).collect();
    let report = report(good_rows(60) + &questions);
    assert_eq!(report.verdict, Verdict::Refused);
    assert_eq!(codes(&report), [(Code::MixedFormats, 40)]);
    assert_eq!(lines(&report, Code::MixedFormats)[0], 61);
}

#[test]
fn counts_are_exact_and_examples_are_few() {
    let text: String =
        (0..5000).map(|n| if n % 2 == 0 { good_rows(1) } else { "broken\n".to_owned() }).collect();
    let report = report("{\"prompt\": \"p\", \"completion\": \"c\"}\n".to_owned() + &text);
    let group = report.group(Code::NotJson).unwrap();
    assert_eq!((group.count, group.examples.len()), (2500, 20));
    assert_eq!(report.group(Code::DuplicateRow).unwrap().count, 2499);
    assert_eq!(report.statistics.duplicates, 2499);
}

#[test]
fn a_new_unknown_key_in_each_row_does_not_fill_the_memory() {
    let text: String = (0..1000)
        .map(|n| format!("{{\"prompt\": \"{n}\", \"completion\": \"{n}\", \"key{n}\": 1}}\n"))
        .collect();
    let report = report(text);
    assert!(report.groups.len() < 130);
    assert_eq!(report.count(Grade::Advice), 1000);
}

#[test]
fn the_report_survives_its_json() {
    let before = report(with_row("broken"));
    let after: Report = serde_json::from_str(&serde_json::to_string(&before).unwrap()).unwrap();
    assert_eq!(before, after);
}

#[test]
fn rows_inside_of_an_object() {
    let report =
        report("{\n  \"version\": 1,\n  \"data\": [{\"prompt\": \"a\", \"completion\": \"b\"}]\n}\n");
    assert_eq!(report.verdict, Verdict::Refused);
    assert!(message(&report, Code::NoUsableRows).contains("\"data\""));
}

#[test]
fn a_key_as_long_as_a_row_is_not_kept() {
    let key = "k".repeat(100_000);
    let report = report(with_row(&format!("{{\"prompt\": \"a\", \"completion\": \"b\", \"{key}\": 1}}")));
    let group = report.group(Code::UnknownKey).unwrap();
    assert!(group.field.as_ref().unwrap().len() < 100 && group.examples[0].message.len() < 1000);
    assert_eq!(report.columns(), ["prompt", "completion"]);
}

#[test]
fn a_nul_in_every_row_hides_no_format() {
    let report = report("{\"prompt\": \"a\0\", \"completion\": \"b\"}\n".repeat(3));
    assert_eq!((report.verdict, report.statistics.rows), (Verdict::NeedsFixing, 3));
    assert_eq!(report.group(Code::NulCharacter).unwrap().count, 3);
}

#[test]
fn an_empty_cell_is_not_the_wrong_type() {
    let text = "{\"subject\": null, \"body\": \"b\", \"label\": \"l\"}\n{\"subject\": \"s\", \"body\": \"b\", \"label\": null}\n";
    let report = report(text);
    assert_eq!(report.statistics.rows, 1);
    assert_eq!(lines(&report, Code::EmptyAnswer), [2]);
    assert!(report.group(Code::WrongType).is_none());
}
