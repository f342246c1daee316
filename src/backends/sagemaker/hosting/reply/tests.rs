//! Every shape, whole and streamed, cut anywhere.

use super::{Ended, Reply, Unreadable};
use proptest::prelude::*;
use serde_json::json;

const TEXT: &str = "Grüße aus Köln: \"naïve\" {façade} ]\n\n 🦀 data: {\"no\": 1}";

/// Hands the bytes over in pieces that end at these places.
fn read_cut(bytes: &[u8], cuts: &[usize]) -> (String, Result<Ended, Unreadable>) {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let (mut reply, mut text, mut begin) = (Reply::default(), String::new(), 0);
    for end in ends {
        text.push_str(&reply.push(&bytes[begin..end]));
        begin = end;
    }
    let (rest, outcome) = reply.finish();
    (text + &rest, outcome)
}

fn read(bytes: impl AsRef<[u8]>) -> (String, Result<Ended, Unreadable>) {
    read_cut(bytes.as_ref(), &[])
}

fn pieces(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

/// Token by token, as TGI sends them; the last one brings the whole text.
fn tgi(text: &str, gap: &str) -> String {
    let pieces = pieces(text);
    let last = pieces.len() - 1;
    let mut stream = String::from(": keep-alive\n\n");
    for (n, piece) in pieces.into_iter().enumerate() {
        let whole = (n == last).then_some(text);
        let details = (n == last).then(|| json!({ "finish_reason": "length", "generated_tokens": last + 1 }));
        let event = json!({ "token": { "id": n, "text": piece, "special": false },
            "generated_text": whole, "details": details });
        stream.push_str(&format!("data:{event}{gap}"));
    }
    stream
}

fn lmi(text: &str) -> String {
    let pieces = pieces(text);
    let last = pieces.len() - 1;
    let line = |(n, piece): (usize, String)| {
        let mut line = json!({ "token": { "id": n, "text": piece, "log_prob": -0.1 } });
        if n == last {
            line["generated_text"] = text.into();
        }
        format!("{line}\n")
    };
    pieces.into_iter().enumerate().map(line).collect()
}

fn chat(text: &str) -> String {
    let event = |piece: String| {
        format!("data: {}\r\n\r\n", json!({ "choices": [{ "delta": { "content": piece } }] }))
    };
    let mut stream: String = pieces(text).into_iter().map(event).collect();
    stream.push_str("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    stream.push_str("data: {\"choices\":[],\"usage\":{\"completion_tokens\":9}}\n\ndata: [DONE]\n\n");
    stream
}

/// An answer of every kind that says `text`.
fn answers(text: &str) -> Vec<String> {
    let outputs = |piece: String| json!({ "outputs": [piece] }).to_string() + "\n";
    vec![
        json!([{ "generated_text": text }]).to_string(),
        json!({ "generated_text": text }).to_string(),
        serde_json::to_string_pretty(&json!([{ "generation": text }])).unwrap(),
        json!([{ "generation": { "role": "assistant", "content": text } }]).to_string(),
        json!({ "generated_texts": [text] }).to_string(),
        json!({ "choices": [{ "text": text, "finish_reason": "stop" }] }).to_string(),
        json!({ "choices": [{ "message": { "role": "assistant", "content": text } }] }).to_string(),
        json!([[{ "generated_text": text }]]).to_string(),
        json!(text).to_string(),
        format!("\u{20}\n{}", json!([text])),
        tgi(text, "\n\n"),
        tgi(text, "\n"),
        tgi(text, "\r\n\r\n"),
        lmi(text),
        chat(text),
        pieces(text).into_iter().map(outputs).collect(),
    ]
}

#[test]
fn every_shape_says_the_same() {
    for answer in answers(TEXT) {
        let (text, outcome) = read(&answer);
        assert_eq!(text, TEXT, "{answer}");
        assert!(outcome.is_ok(), "{answer}: {outcome:?}");
    }
}

#[test]
fn the_end_is_told_where_the_container_tells_it() {
    let tokens = |count| Some(count);
    assert_eq!(read(tgi("a b c", "\n\n")).1, Ok(Ended { tokens: tokens(3), at_limit: Some(true) }));
    assert_eq!(read(lmi("a b")).1, Ok(Ended { tokens: tokens(2), at_limit: None }));
    assert_eq!(read(chat("a b")).1, Ok(Ended { tokens: tokens(9), at_limit: Some(false) }));
    assert_eq!(read(r#"{"generated_text":"a"}"#).1, Ok(Ended::default()));
}

#[test]
fn special_tokens_are_not_said() {
    let stream = "data:{\"token\":{\"text\":\"yes\",\"special\":false}}\n\n\
        data:{\"token\":{\"text\":\"</s>\",\"special\":true},\"generated_text\":\"yes\"}\n\n";
    assert_eq!(read(stream).0, "yes");
}

#[test]
fn plain_text_is_taken_as_it_is() {
    for text in
        ["Hello, world", "dat", "[INST] go [/INST] on", "\"Yes\", she said", "  two", "{no json}", "e", ""]
    {
        assert_eq!(read(text), (text.to_owned(), Ok(Ended::default())), "{text}");
    }
    assert_eq!(read(b"a\xff\xf0\x9f\xa6").0, "a\u{fffd}\u{fffd}");
}

#[test]
fn an_empty_answer_is_an_answer() {
    for answer in ["[]", r#"{"generated_text":""}"#, r#"{"choices":[{"text":""}]}"#] {
        assert_eq!(read(answer), (String::new(), Ok(Ended::default())), "{answer}");
    }
}

#[test]
fn what_went_wrong_is_told_with_the_text_so_far() {
    let (text, outcome) =
        read("data:{\"token\":{\"text\":\"Well\"}}\n\ndata:{\"error\":\"CUDA out of memory\"}\n\n");
    assert_eq!((text.as_str(), outcome), ("Well", Err(Unreadable::Failed("CUDA out of memory".to_owned()))));
    let (text, outcome) = read("{\"token\":{\"text\":\"Well\"}}\n{\"token\":{\"te");
    assert_eq!((text.as_str(), outcome), ("Well", Err(Unreadable::Cut)));
    assert!(
        matches!(read(r#"{"scores":[0.5]}"#).1, Err(Unreadable::Shape(shape)) if shape.contains("scores"))
    );
    let failed = r#"{"token":{"text":"a"},"generated_text":"a","details":{"finish_reason":"error"}}"#;
    assert!(matches!(read(failed).1, Err(Unreadable::Failed(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn cuts_change_nothing(
        text in "[ -~äöß🦀\n\"\\\\{}\\[\\]]{1,60}",
        which in 0..16usize,
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let answer = &answers(&text)[which];
        let whole = read(answer);
        prop_assert_eq!(&whole.0, &text, "{}", answer);
        prop_assert_eq!(read_cut(answer.as_bytes(), &cuts), whole);
    }

    #[test]
    fn nor_do_they_in_bytes_that_nobody_meant(
        bytes in prop::collection::vec(prop::sample::select(b"{}[]\":, \n\\adt0\xc3\xa4\xf0\x9f".to_vec()), 0..60),
        cuts in prop::collection::vec(any::<usize>(), 0..60),
    ) {
        prop_assert_eq!(read_cut(&bytes, &cuts), read(&bytes));
    }
}
