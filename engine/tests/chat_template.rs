//! Chat templates of published models: the same text, tokens and mask as `transformers`, and clear words for broken ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;

use jiff::civil::{Date, date};
use llm_tuner_engine::data::chat_template::{ChatTemplate, ChatTemplateError, Source, Stop};
use llm_tuner_engine::data::rows::{Kind, Message, Role, Row};
use llm_tuner_engine::data::template::{Part, Template};
use llm_tuner_engine::data::tokens::encode;
use llm_tuner_engine::error::NextStep;
use llm_tuner_engine::tokenizer::Tokenizer;
use llm_tuner_engine::tokenizer::written::SpecialNames;
use proptest::prelude::*;
use serde::Deserialize;

mod common;

const DAY: Date = date(2026, 3, 9);

#[derive(Deserialize)]
struct Case {
    messages: Vec<Message>,
    ask: bool,
    #[serde(default)]
    text: String,
    #[serde(default)]
    ids: Vec<u32>,
    mask: Option<Vec<u8>>,
    error: Option<String>,
}

fn load(directory: &Path) -> (Template, Tokenizer) {
    let tokenizer = Tokenizer::load(directory).unwrap();
    let template = Template::of_base(Kind::Chat, directory, Some(DAY), &tokenizer).unwrap();
    assert!(template.own.is_some());
    (template, tokenizer)
}

fn text_of(parts: &[Part]) -> String {
    parts
        .iter()
        .map(|part| match part {
            Part::Written(written) => written.plain(),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// The tokens of a question, which are those of a row without an answer.
fn ids_of(messages: &[Message], template: &Template, tokenizer: &Tokenizer) -> Vec<u32> {
    let parts = template.render_prompt(messages).unwrap();
    let [Part::Written(written)] = &parts[..] else { panic!("{parts:?}") };
    tokenizer.encode_written(&written.text).unwrap().into_iter().map(|(id, _)| id).collect()
}

#[test]
fn text_tokens_and_mask_are_transformers() {
    let root = common::fixtures("chat_templates.py");
    let mut compared = BTreeMap::<String, [u32; 3]>::new();
    for entry in std::fs::read_dir(root.path()).unwrap() {
        let directory = entry.unwrap().path();
        let name = directory.file_name().unwrap().to_string_lossy().into_owned();
        let (template, tokenizer) = load(&directory);
        let own = template.own.as_ref().unwrap();
        for case in common::read_json::<Vec<Case>>(&directory.join("cases.json")) {
            let what = format!("{name}: {:?}", case.messages);
            let counts = compared.entry(name.clone()).or_default();
            if let Some(error) = &case.error {
                let said = own.prompt(&case.messages).unwrap_err();
                assert!(said.to_string().contains(error), "{said}, not {error}; {what}");
                counts[1] += 1;
                continue;
            }
            counts[0] += 1;
            if case.ask {
                let parts = template.render_prompt(&case.messages).unwrap();
                assert_eq!(text_of(&parts), case.text, "{what}");
                assert_eq!(ids_of(&case.messages, &template, &tokenizer), case.ids, "{what}");
                continue;
            }
            let row = Row::Chat(case.messages.clone());
            let sequences = template.sequences(&row).unwrap();
            let encoded = encode(&row, &tokenizer, &template).unwrap();
            let last = sequences.last().unwrap();
            assert_eq!(text_of(&last[..1]), case.text, "{what}");
            let (ids, learned) = encoded.last().unwrap();
            assert_eq!(*ids, case.ids, "{what}");
            assert_answers(&case.messages, &sequences, &encoded, own, &tokenizer, &what);
            if let Some(mask) = case.mask {
                let learned: Vec<u8> = learned.iter().map(|learned| u8::from(*learned)).collect();
                assert_eq!(learned, mask, "{what}");
                counts[2] += 1;
            }
        }
    }
    assert_eq!(compared.len(), 11);
    assert!(compared.values().all(|[same, ..]| *same >= 6), "{compared:?}");
    assert!(compared["mistral"][1] >= 2 && compared["llama2"][1] >= 1, "{compared:?}");
    assert!(compared["marked"][2] >= 4, "{compared:?}");
}

/// Every answer and its end are learned, and nothing else is.
fn assert_answers(
    messages: &[Message],
    sequences: &[Vec<Part>],
    encoded: &[(Vec<u32>, Vec<bool>)],
    own: &ChatTemplate,
    tokenizer: &Tokenizer,
    what: &str,
) {
    let answers: Vec<&Message> = messages.iter().filter(|message| message.learned()).collect();
    let mut learned_texts = Vec::new();
    for (parts, (ids, learned)) in sequences.iter().zip(encoded) {
        let Part::Written(written) = &parts[0] else { panic!("{what}") };
        let mut end = 0;
        for range in &written.answers {
            assert!(
                end <= range.start && range.start <= range.end && range.end <= written.text.len(),
                "{what}"
            );
            end = range.end;
            learned_texts.push(written.text[range.clone()].to_owned());
        }
        assert_eq!(ids.len(), learned.len());
        let learned_ids: Vec<u32> = ids.iter().zip(learned).filter(|(_, l)| **l).map(|(id, _)| *id).collect();
        let Stop::Token(stop) = own.stop() else { panic!("{what}") };
        let stop = tokenizer.token_id(stop).unwrap();
        let stops = learned_ids.iter().filter(|id| **id == stop).count();
        assert_eq!(stops, written.answers.len(), "{what}");
    }
    assert_eq!(learned_texts.len(), answers.len(), "{what}");
    for (answer, text) in answers.iter().zip(&learned_texts) {
        assert!(text.contains(answer.content.split("</think>").last().unwrap().trim()), "{text} {what}");
        assert!(!text.contains("[INST]") && !text.contains("user"), "{text} {what}");
    }
}

#[test]
fn each_template_is_stopped_by_its_own_token_and_turns_may_be_apart() {
    let root = common::fixtures("chat_templates.py");
    for (name, stop, sequences) in [
        ("smollm2", "<|im_end|>", 1),
        ("qwen", "<|im_end|>", 1),
        ("reasoning", "<|im_end|>", 2),
        ("tinyllama", "</s>", 1),
        ("llama2", "</s>", 1),
        ("llama3", "<|eot_id|>", 1),
        ("llama31", "<|eot_id|>", 1),
        ("added", "<|im_end|>", 1),
        ("mistral", "</s>", 1),
        ("phi", "<|end|>", 1),
    ] {
        let (template, tokenizer) = load(&root.path().join(name));
        assert_eq!(template.stop_token(), Some(stop));
        let turn = Message::new;
        let row = Row::Chat(vec![
            turn(Role::User, "a"),
            turn(Role::Assistant, "b"),
            turn(Role::User, "c"),
            turn(Role::Assistant, "d"),
        ]);
        let encoded = encode(&row, &tokenizer, &template).unwrap();
        assert_eq!(encoded.len(), sequences, "{name}");
        // A prompt and its completion are a conversation of two turns.
        let pair = Row::Completion { prompt: "a".into(), completion: "b".into() };
        let Row::Chat(messages) = &row else { unreachable!() };
        let chat = Row::Chat(messages[..2].to_vec());
        assert_eq!(
            encode(&pair, &tokenizer, &template).unwrap(),
            encode(&chat, &tokenizer, &template).unwrap()
        );
    }
}

#[test]
fn plain_text_goes_through_no_template() {
    let root = common::fixtures("chat_templates.py");
    let directory = root.path().join("llama3");
    let tokenizer = Tokenizer::load(&directory).unwrap();
    let template = Template::of_base(Kind::Text, &directory, Some(DAY), &tokenizer).unwrap();
    assert_eq!(template, Template::for_kind(Kind::Text));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_mask_is_the_answers(
        contents in prop::collection::vec("([a-zA-Z é日🙂\\n]|<\\|im_end\\|>|<\\|im_start\\|>|</s>){0,12}", 1..6),
        weights in prop::collection::vec(0u8..2, 6),
    ) {
        let names = ["<|im_start|>", "<|im_end|>"].map(str::to_owned);
        let source = Source { template: CHATML.into(), ..Source::default() };
        let own = ChatTemplate::new(source, None, SpecialNames::new(names)).unwrap();
        let mut messages = Vec::new();
        for (content, weight) in contents.iter().zip(weights) {
            messages.push(Message::new(Role::User, content));
            messages.push(Message { weight: Some(weight), ..Message::new(Role::Assistant, content.repeat(2)) });
        }
        let written = own.sequences(&messages).unwrap();
        prop_assert_eq!(written.len(), 1);
        let written = &written[0];
        let found: Vec<String> = written
            .answers
            .iter()
            .map(|range| llm_tuner_engine::tokenizer::written::plain(&written.text[range.clone()]))
            .collect();
        let expected: Vec<String> = messages
            .iter()
            .filter(|message| message.learned())
            .map(|message| format!("{}<|im_end|>", message.content))
            .collect();
        prop_assert_eq!(found, expected);
        prop_assert!(written.answers.windows(2).all(|pair| pair[0].end <= pair[1].start));
        prop_assert!(written.answers.iter().all(|range| range.end <= written.text.len()));
    }
}

const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + \
                      '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

fn broken(template: &str) -> ChatTemplateError {
    let source =
        Source { template: template.into(), path: "model/chat_template.jinja".into(), ..Source::default() };
    match ChatTemplate::new(source, None, SpecialNames::default()) {
        Err(error) => error,
        Ok(template) => {
            let turns = [Message::new(Role::User, "Hello there"), Message::new(Role::Assistant, "Hi")];
            template.sequences(&turns).unwrap_err()
        }
    }
}

#[test]
fn broken_templates_are_told_with_their_file_and_a_next_step() {
    let cases = [
        ("{% for message in messages %}", "the chat template is not valid"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "takes too long"),
        (
            "{{ raise_exception('roles must alternate') }}",
            "begins with \"Hello there\": roles must alternate (line 1",
        ),
        ("{{ messages[0].name.first }}", "begins with \"Hello there\": undefined"),
        ("{{ strftime_now('%d') }}", "strftime_now"),
        (
            "{% for m in messages %}{{ m.role ~ m.content }}{% endfor %}{% if add_generation_prompt %}x{% endif %}",
            "in another way",
        ),
    ];
    for (template, expected) in cases {
        let error = broken(template);
        let message = error.to_string();
        assert!(
            message.starts_with("model/chat_template.jinja: ") && message.contains(expected),
            "{message}"
        );
        assert!(!error.next_step().is_empty());
    }
}

#[test]
fn without_a_special_token_the_next_turn_and_the_end_of_text_stop_an_answer() {
    let template = "{% for m in messages %}### {{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt \
                    %}### assistant: {% endif %}";
    let source = Source { template: template.into(), ..Source::default() };
    let own = ChatTemplate::new(source, None, SpecialNames::default()).unwrap();
    assert_eq!(*own.stop(), Stop::Text("\n### user: ".into()));
    let template = Template::for_kind(Kind::Chat).with_own(own);
    assert_eq!(template.stop, ["\n### user: "]);
    let turns = vec![Message::new(Role::User, "a"), Message::new(Role::Assistant, "b")];
    let sequences = template.sequences(&Row::Chat(turns)).unwrap();
    assert_eq!(sequences[0][1..], [Part::End { learned: true }]);
    let Part::Written(written) = &sequences[0][0] else { panic!() };
    assert_eq!(&written.text[written.answers[0].clone()], "b\n");
}

#[test]
fn a_template_is_found_where_transformers_finds_it() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
    assert_eq!(Source::read(root.path()).unwrap(), None);
    write("special_tokens_map.json", r#"{"bos_token": "<b>", "eos_token": {"content": "<old>"}}"#);
    write("tokenizer_config.json", r#"{"chat_template": "one", "eos_token": "<e>", "pad_token": null}"#);
    let source = Source::read(root.path()).unwrap().unwrap();
    assert_eq!(source.template, "one");
    let tokens: Vec<_> = source.tokens.iter().map(|(name, token)| format!("{name}={token}")).collect();
    assert_eq!(tokens, ["bos_token=<b>", "eos_token=<e>"]);
    let list =
        r#"{"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}"#;
    write("tokenizer_config.json", list);
    assert_eq!(Source::read(root.path()).unwrap().unwrap().template, "d");
    write("chat_template.jinja", "file");
    assert_eq!(Source::read(root.path()).unwrap().unwrap().template, "file");
    std::fs::remove_file(root.path().join("chat_template.jinja")).unwrap();
    write("tokenizer_config.json", r#"{"chat_template": [{"name": "rag", "template": "t"}]}"#);
    let error = Source::read(root.path()).unwrap_err().to_string();
    assert!(error.contains("tokenizer_config.json: field \"chat_template\""), "{error}");
}
