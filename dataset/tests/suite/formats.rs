//! Each format and layout is told by its content, and its rows become the right examples.

use crate::common::{codes, named, report};
use llm_tuner_dataset::{
    Code, ColumnMapping, ColumnRole, Container, Encoding, Example, Format, Message, Options, Report, Role,
    Verdict, rows, validate,
};

fn examples(bytes: &[u8], report: &Report) -> Vec<Example<'static>> {
    let schema = report.schema.as_ref().unwrap();
    rows(bytes, schema).unwrap().map(|row| row.unwrap().example).collect()
}

/// The first example of a file that must be in this layout and format.
fn first(text: &str, container: Container, format: Format) -> Example<'static> {
    let report = report(text);
    assert_eq!(
        (report.container(), report.format()),
        (Some(container), Some(format)),
        "{:?}",
        codes(&report)
    );
    examples(text.as_bytes(), &report).remove(0)
}

fn chat(messages: &[(Role, &'static str)]) -> Example<'static> {
    Example::Chat { messages: messages.iter().map(|(role, content)| Message::new(*role, *content)).collect() }
}

#[test]
fn prompt_and_completion() {
    let text = r#"{"prompt": "a \"b\"", "completion": "c\n"}"#;
    assert_eq!(
        first(text, Container::Jsonl, Format::PromptCompletion),
        Example::completion("a \"b\"", "c\n")
    );
}

#[test]
fn question_and_answer() {
    let text = r#"{"question": "q", "answer": "a"}"#;
    assert_eq!(first(text, Container::Jsonl, Format::QuestionAnswer), Example::completion("q", "a"));
}

#[test]
fn text_rows() {
    assert_eq!(first(r#"{"text": "t", "id": 1}"#, Container::Jsonl, Format::Text), Example::text("t"));
}

#[test]
fn chat_with_names_and_weights() {
    let text = r#"{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u", "name": "n"},
        {"role": "assistant", "content": "a", "weight": 0}, {"role": "user", "content": [{"type": "text", "text": "v"}]},
        {"role": "assistant", "content": "b"}]}"#;
    let Example::Chat { messages } = first(text, Container::Json, Format::Chat) else { panic!("no chat") };
    assert_eq!(messages[1].name.as_deref(), Some("n"));
    assert_eq!(messages[2].weight, Some(0));
    assert_eq!(messages[3].content, "v");
    assert_eq!(messages.len(), 5);
}

/// What the engine's rows know of a message, under the names that they have there.
#[test]
fn tools_and_weights_reach_the_engine() {
    let text = r#"{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "I look.", "weight": 0,
        "tool_calls": []}, {"role": "function", "content": "3"}, {"role": "assistant", "content": "3"}]}"#;
    let example = first(text, Container::Json, Format::Chat);
    assert_eq!(
        serde_json::to_string(&example).unwrap(),
        r#"{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"I look.","weight":0},{"role":"tool","content":"3"},{"role":"assistant","content":"3"}]}"#
    );
    assert!(report(text).group(Code::ToolCallNotLearned).is_none(), "an empty list calls nothing");
}

#[test]
fn tools_speak_after_the_assistant() {
    let text = r#"{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "I look."}, {"role": "tool", "content": "3", "tool_call_id": "x"}, {"role": "assistant", "content": "3"}]}"#;
    assert!(
        matches!(first(text, Container::Jsonl, Format::Chat), Example::Chat { messages } if messages.len() == 4)
    );
}

#[test]
fn sharegpt() {
    let text = r#"{"system": "s", "conversations": [{"from": "human", "value": "h"}, {"from": "gpt", "value": "g"}]}"#;
    let expected = chat(&[(Role::System, "s"), (Role::User, "h"), (Role::Assistant, "g")]);
    assert_eq!(first(text, Container::Jsonl, Format::ShareGpt), expected);
    assert_eq!(report(text).group(Code::RoleAlias), None);
}

#[test]
fn alpaca() {
    let text = r#"{"instruction": "i", "input": "", "output": "o"}"#;
    assert_eq!(first(text, Container::Jsonl, Format::Alpaca), Example::completion("i", "o"));
    let text = r#"{"instruction": "i", "input": "x", "output": "o"}"#;
    assert_eq!(first(text, Container::Jsonl, Format::Alpaca), Example::completion("i\n\nx", "o"));
    let text = r#"{"instruction": "i", "output": "o", "system": "s", "history": [["q", "a"]]}"#;
    let expected = chat(&[
        (Role::System, "s"),
        (Role::User, "q"),
        (Role::Assistant, "a"),
        (Role::User, "i"),
        (Role::Assistant, "o"),
    ]);
    assert_eq!(first(text, Container::Jsonl, Format::Alpaca), expected);
}

#[test]
fn dolly() {
    let text = r#"{"instruction": "i", "context": "c", "response": "r", "category": "open_qa"}"#;
    assert_eq!(first(text, Container::Jsonl, Format::Dolly), Example::completion("i\n\nc", "r"));
}

#[test]
fn a_json_array_in_one_line_or_many() {
    for text in [
        r#"[{"prompt": "a", "completion": "b"}, {"prompt": "c]", "completion": "d"}]"#,
        "[\n  {\n    \"prompt\": \"a\",\n    \"completion\": \"b\"\n  },\n  {\"prompt\": \"c]\", \"completion\": \"d\"}\n]\n",
    ] {
        let report = report(text);
        assert_eq!(report.container(), Some(Container::Json), "{text}");
        let expected = [Example::completion("a", "b"), Example::completion("c]", "d")];
        assert_eq!(examples(text.as_bytes(), &report), expected);
    }
}

#[test]
fn objects_over_several_lines() {
    let text = "{\n  \"prompt\": \"a\",\n  \"completion\": \"b\"\n}\n{\n  \"prompt\": \"c\",\n  \"completion\": \"d\"\n}\n";
    let report = report(text);
    assert_eq!(report.container(), Some(Container::Json));
    assert_eq!(report.rows, 2);
    assert_eq!(report.verdict, Verdict::Ready);
}

#[test]
fn csv_with_known_columns_needs_no_mapping() {
    let text = "Prompt,Completion\n\"a, \"\"b\"\"\",\"c\nd\"\ne,f\n";
    let report = report(text);
    assert_eq!((report.container(), report.format()), (Some(Container::Csv), Some(Format::PromptCompletion)));
    assert_eq!(report.verdict, Verdict::Ready);
    let expected = [Example::completion("a, \"b\"", "c\nd"), Example::completion("e", "f")];
    assert_eq!(examples(text.as_bytes(), &report), expected);
}

#[test]
fn tsv_and_semicolons() {
    let tsv = report("question\tanswer\na\tb\nc\td\n");
    assert_eq!((tsv.container(), tsv.format()), (Some(Container::Tsv), Some(Format::QuestionAnswer)));
    let semicolons = report("question;answer\r\na, b, c;b\r\nc;d\r\n");
    assert_eq!(
        (semicolons.container(), semicolons.format()),
        (Some(Container::Csv), Some(Format::QuestionAnswer))
    );
    assert_eq!(semicolons.schema.unwrap().delimiter, Some(';'));
}

#[test]
fn other_columns_are_guessed_and_asked_about() {
    let text = "ticket_id,subject,body,category\n1,Broken,It broke,hardware\n2,Login,Cannot log in,account\n";
    let guessed = report(text);
    assert_eq!((guessed.verdict, guessed.format()), (Verdict::NeedsMapping, Some(Format::Table)));
    let mapping = guessed.mapping().unwrap().clone();
    assert_eq!(mapping.role("ticket_id"), ColumnRole::Ignore);
    assert_eq!(mapping.role("body"), ColumnRole::Prompt);
    assert_eq!(mapping.role("category"), ColumnRole::Completion);
    let confirmed =
        validate(text.as_bytes(), Options { mapping: Some(mapping), ..Options::default() }).unwrap();
    assert_eq!(confirmed.verdict, Verdict::Ready, "{:?}", codes(&confirmed));
    let expected = Example::completion("Broken\n\nIt broke", "hardware");
    assert_eq!(examples(text.as_bytes(), &confirmed)[0], expected);
}

#[test]
fn json_of_other_keys_is_mapped_too() {
    let text = "{\"review\": \"good\", \"stars\": 5}\n{\"review\": \"bad\", \"stars\": 1}\n";
    let mapping = ColumnMapping::new([("review", ColumnRole::Prompt), ("stars", ColumnRole::Completion)]);
    let report = validate(text.as_bytes(), Options { mapping: Some(mapping), ..Options::default() }).unwrap();
    assert_eq!(report.verdict, Verdict::Ready, "{:?}", codes(&report));
    assert_eq!(examples(text.as_bytes(), &report)[0], Example::completion("good", "5"));
}

#[test]
fn text_beside_a_label_is_to_be_sorted() {
    let report =
        report("{\"text\": \"nice\", \"label\": \"good\"}\n{\"text\": \"poor\", \"label\": \"bad\"}\n");
    assert_eq!(report.format(), Some(Format::Table));
    assert_eq!(report.mapping().unwrap().role("label"), ColumnRole::Completion);
    assert_eq!(report.mapping().unwrap().role("text"), ColumnRole::Prompt);
}

#[test]
fn a_system_column_makes_chats() {
    let text = "persona,query,reply\nA pirate,Hello,Ahoy\nA poet,Hello,O hello\n";
    let mapping = ColumnMapping::new([
        ("persona", ColumnRole::System),
        ("query", ColumnRole::Prompt),
        ("reply", ColumnRole::Completion),
    ]);
    let report = validate(text.as_bytes(), Options { mapping: Some(mapping), ..Options::default() }).unwrap();
    let expected = chat(&[(Role::System, "A pirate"), (Role::User, "Hello"), (Role::Assistant, "Ahoy")]);
    assert_eq!(examples(text.as_bytes(), &report)[0], expected);
}

#[test]
fn plain_text_and_markdown_are_kept_as_written() {
    let verse = "Roses are red,\nViolets are blue,\n\nSugar is sweet,\nAnd so are you.\n\n".repeat(400);
    let report = named("poem.txt", &verse);
    assert_eq!((report.container(), report.format()), (Some(Container::PlainText), Some(Format::Text)));
    assert_eq!(report.verdict, Verdict::Ready);
    let pieces = examples(verse.as_bytes(), &report);
    assert!(pieces.len() > 5);
    let whole: String = pieces.iter().flat_map(|piece| piece.parts()).collect();
    assert_eq!(whole, verse);
    let markdown =
        "# Title\n\nSome text, with a comma.\n\n- one, two\n- three, four\n\n[link](x)\n".repeat(30);
    assert_eq!(named("a.md", markdown).container(), Some(Container::PlainText));
    let drama = "[Enter HAMLET]\nTo be, or not to be, that is the question.\n".repeat(30);
    assert_eq!(named("a", drama).container(), Some(Container::PlainText));
    let template = "{name}, come home.\nAll is forgiven.\n";
    assert_eq!(named("a", template).container(), Some(Container::PlainText));
}

#[test]
fn the_name_decides_nothing_that_the_content_decides() {
    let jsonl = crate::common::good_rows(3);
    for name in ["a.csv", "a.txt", "a.json", "a"] {
        assert_eq!(named(name, &jsonl).container(), Some(Container::Jsonl), "{name}");
    }
    let csv = "prompt,completion\na,b\nc,d\n";
    for name in ["a.jsonl", "a.txt", "a.json", "a"] {
        assert_eq!(named(name, csv).container(), Some(Container::Csv), "{name}");
    }
    // Text called .jsonl promises JSON, and each line says why it is none.
    let broken = named("a.jsonl", "hello\nworld\n");
    assert_eq!(broken.verdict, Verdict::Refused);
    assert_eq!(broken.group(Code::NotJson).unwrap().count, 2);
}

#[test]
fn a_table_of_one_column() {
    let report = named("a.csv", "text\nhello there\n\"two, three\"\n");
    assert_eq!((report.container(), report.format()), (Some(Container::Csv), Some(Format::Text)));
    assert_eq!(report.statistics.rows, 2);
}

#[test]
fn utf16_with_and_without_a_mark() {
    let text = crate::common::good_rows(60);
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut big = vec![0xfe, 0xff];
    big.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
    for (bytes, encoding) in [(little, Encoding::Utf16Le), (big, Encoding::Utf16Be)] {
        let report = report(&bytes);
        assert_eq!(report.encoding(), Some(encoding));
        assert_eq!(report.verdict, Verdict::Ready);
        assert_eq!(codes(&report), [(Code::ConvertedFromUtf16, 1)]);
        assert_eq!(examples(&bytes, &report), examples(text.as_bytes(), &crate::common::report(&text)));
    }
}

#[test]
fn byte_order_mark() {
    let text = format!("\u{feff}{}", crate::common::good_rows(60));
    let report = report(&text);
    assert_eq!((report.encoding(), report.verdict), (Some(Encoding::Utf8Bom), Verdict::Ready));
    assert_eq!(codes(&report), [(Code::ByteOrderMark, 1)]);
    assert_eq!(examples(text.as_bytes(), &report).len(), 60);
}

#[cfg(feature = "gzip")]
#[test]
fn gzip_of_any_of_these() {
    use std::io::Write;
    let text = crate::common::good_rows(60);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let bytes = encoder.finish().unwrap();
    let whole = report(&bytes);
    assert_eq!((whole.verdict, whole.rows, whole.bytes), (Verdict::Ready, 60, bytes.len() as u64));
    assert!(whole.schema.as_ref().unwrap().gzip);
    assert_eq!(examples(&bytes, &whole).len(), 60);
    let cut = report(&bytes[..bytes.len() / 2]);
    assert_eq!(cut.verdict, Verdict::Refused);
    assert!(cut.group(Code::BrokenCompression).is_some());
}

#[test]
fn pandas_row_numbers_and_missing_headers() {
    let report = report(",prompt,completion\n0,a,b\n1,c,d\n");
    assert_eq!(report.format(), Some(Format::PromptCompletion));
    let headless = named("a.csv", "1,Hello there.\n2,How are you?\n");
    assert_eq!(headless.columns(), ["column_1", "column_2"]);
    assert_eq!(headless.rows, 2);
    assert!(headless.group(Code::NoHeader).is_some());
}
