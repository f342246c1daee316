//! Tokenizers: trained, saved, loaded by `transformers` with the same result, and streamed.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use llm_tuner_engine::data::rows::{Kind, Message, Role, Row};
use llm_tuner_engine::data::template::{END_OF_TEXT, Part, Template};
use llm_tuner_engine::data::tokens::encode;
use llm_tuner_engine::tokenizer::Tokenizer;

fn sample() -> Vec<String> {
    (0..400)
        .map(|i| format!("Remind me to call number {} at {} o'clock, please — naïve 日本.", i, i % 24))
        .collect()
}

#[test]
fn training_is_repeatable_and_text_survives() {
    let tokenizer = Tokenizer::train(sample().iter(), 400).unwrap();
    let again = Tokenizer::train(sample().iter(), 400).unwrap();
    for text in ["Remind me", " two  spaces\n\tand tabs", "emoji 🙂 and <|endoftext|> as text", ""] {
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(ids, again.encode(text).unwrap());
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        assert!(!ids.contains(&tokenizer.end_of_text()), "what a person wrote is never a special token");
    }
    assert!(tokenizer.vocab_size() <= 400);
    assert_eq!(tokenizer.end_of_text(), 0);
}

#[test]
fn tiny_data_make_a_small_vocabulary() {
    let tokenizer = Tokenizer::train(["a"].iter(), 1024).unwrap();
    assert_eq!(tokenizer.vocab_size(), 257);
    assert_eq!(tokenizer.decode(&tokenizer.encode("ünïcode").unwrap()).unwrap(), "ünïcode");
}

#[test]
fn a_tokenizer_larger_than_the_model_is_refused() {
    let tokenizer = Tokenizer::train(["a"].iter(), 1024).unwrap();
    tokenizer.check_fits(257).unwrap();
    tokenizer.check_fits(300).unwrap();
    let message = tokenizer.check_fits(256).unwrap_err().to_string();
    assert!(message.contains("vocab_size") && message.contains("256"), "{message}");
}

#[test]
fn what_every_text_begins_with_must_fit_the_model_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokenizer.json");
    Tokenizer::train(sample().iter(), 300).unwrap().save_json(&path).unwrap();
    let mut file: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    file["post_processor"] = serde_json::json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
        "special_tokens": {"x": {"id": "x", "ids": [4000], "tokens": ["x"]}}});
    std::fs::write(&path, file.to_string()).unwrap();
    let tokenizer = Tokenizer::load(directory.path()).unwrap();
    assert_eq!(tokenizer.begin(), [4000]);
    assert!(tokenizer.check_fits(4000).unwrap_err().to_string().contains("4000"));
    assert!(tokenizer.check_fits(4001).is_ok());
}

#[test]
fn streamed_pieces_are_whole_characters_and_add_up() {
    let tokenizer = Tokenizer::train(["a"].iter(), 257).unwrap();
    let text = "naïve 日本 🙂!";
    let mut stream = tokenizer.stream();
    let mut joined = String::new();
    for id in tokenizer.encode(text).unwrap() {
        let piece = stream.push(id).unwrap();
        assert!(!piece.contains('\u{fffd}'));
        joined.push_str(&piece);
    }
    joined.push_str(&stream.finish().unwrap());
    assert_eq!(joined, text);

    let ids = tokenizer.encode("é").unwrap();
    let mut stream = tokenizer.stream();
    assert_eq!(stream.push(ids[0]).unwrap(), "", "half a character is held back");
    assert_eq!(stream.finish().unwrap(), "\u{fffd}");
}

#[test]
fn missing_and_broken_files_are_named() {
    let root = tempfile::tempdir().unwrap();
    let message = Tokenizer::load(root.path()).unwrap_err().to_string();
    assert!(message.contains("tokenizer.json, or vocab.json with merges.txt"), "{message}");
    std::fs::write(root.path().join("tokenizer.json"), "{}").unwrap();
    let message = Tokenizer::load(root.path()).unwrap_err().to_string();
    assert!(message.contains("tokenizer.json") && message.contains("not a usable tokenizer"), "{message}");
}

#[test]
fn transformers_makes_the_same_tokens() {
    let root = tempfile::tempdir().unwrap();
    let tokenizer = Tokenizer::train(sample().iter(), 500).unwrap();
    let mut template = Template::for_kind(Kind::Chat);
    template.kind = Kind::Chat;
    tokenizer.save(root.path(), &template, 512).unwrap();
    let texts = ["Remind me to call 7 — naïve 日本 🙂", "  leading\n\n\nlines", "I'll don't 12345"];
    let output = support::python::python(
        r#"
import json, sys
from transformers import AutoTokenizer
t = AutoTokenizer.from_pretrained(sys.argv[1])
chat = [{"role": role, "content": role[0]} for role in ("system", "user", "assistant", "tool", "user")]
print(json.dumps({
    "ids": [t.encode(x, add_special_tokens=False) for x in json.loads(sys.argv[2])],
    "eos": t.eos_token_id, "length": t.model_max_length,
    "chat": t.apply_chat_template(chat, tokenize=False, add_generation_prompt=True),
}))"#,
        &[root.path().to_str().unwrap(), &serde_json::to_string(&texts).unwrap()],
    );
    let ours: Vec<_> = texts.iter().map(|text| tokenizer.encode(text).unwrap()).collect();
    assert_eq!(output["ids"], serde_json::json!(ours));
    assert_eq!(output["eos"], 0);
    assert_eq!(output["length"], 512);
    // What others read from the model is what it was trained on.
    let turns = [Role::System, Role::User, Role::Assistant, Role::Tool, Role::User].map(|role| {
        let name = serde_json::to_value(role).unwrap();
        Message::new(role, &name.as_str().unwrap()[..1])
    });
    let chat = template.render_prompt(&turns).unwrap().into_iter().map(|part| match part {
        Part::End { .. } => END_OF_TEXT.to_owned(),
        Part::Prompt(text) | Part::Answer(text) => text,
        Part::Written(_) => unreachable!("it has no chat template of its own"),
    });
    assert_eq!(output["chat"], chat.collect::<String>());

    let loaded = Tokenizer::load(root.path()).unwrap();
    assert_eq!(loaded.encode(texts[0]).unwrap(), ours[0]);
    assert_eq!(loaded.end_of_text(), 0);
}

#[test]
fn vocab_and_merges_do_as_well_as_tokenizer_json() {
    let root = tempfile::tempdir().unwrap();
    let tokenizer = Tokenizer::train(sample().iter(), 500).unwrap();
    let json_path = root.path().join("tokenizer.json");
    tokenizer.save_json(&json_path).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&json_path).unwrap()).unwrap();
    std::fs::remove_file(&json_path).unwrap();
    std::fs::write(root.path().join("vocab.json"), json["model"]["vocab"].to_string()).unwrap();
    let merges: Vec<String> = json["model"]["merges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| match pair {
            serde_json::Value::String(pair) => pair.clone(),
            pair => format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()),
        })
        .collect();
    std::fs::write(root.path().join("merges.txt"), format!("#version: 0.2\n{}\n", merges.join("\n")))
        .unwrap();
    let loaded = Tokenizer::load(root.path()).unwrap();
    let text = "Remind me to call number 17 at 3 o'clock";
    assert_eq!(loaded.encode(text).unwrap(), tokenizer.encode(text).unwrap());
    assert_eq!(loaded.end_of_text(), tokenizer.end_of_text());
}

/// Tokenizers of the Llama family: bytes as Qwen2 and SmolLM have them, and pieces with marked spaces and single bytes
/// for what is not in the vocabulary, as Llama 2 and TinyLlama.
const FAMILY: &str = r##"
import json, sys
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
texts = json.loads(sys.argv[2])
def qwen():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=400, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return tokenizer, {"eos_token": "<|im_end|>"}, {
        "eos_token_id": [tokenizer.token_to_id(token) for token in ["<|im_end|>", "<|endoftext|>"]]}
def llama():
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + list("▁dobuleth1234567890:,.")
    merges = [("▁", "d"), ("o", "u"), ("▁d", "ou"), ("b", "l"), ("bl", "e"), ("▁dou", "ble"), ("t", "h"), ("▁", "th")]
    pieces += ["".join(merge) for merge in merges]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ["<unk>", "<s>", "</s>"]])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B",
        special_tokens=[("<s>", 1)])
    return tokenizer, {}, {"eos_token_id": 2}
tokenizer, config, generation = {"qwen": qwen, "llama": llama}[sys.argv[3]]()
tokenizer.save(sys.argv[1] + "/tokenizer.json")
json.dump(config, open(sys.argv[1] + "/tokenizer_config.json", "w"))
json.dump(generation, open(sys.argv[1] + "/generation_config.json", "w"))
ends = generation["eos_token_id"]
print(json.dumps([ends if isinstance(ends, list) else [ends], [tokenizer.encode(text).ids for text in texts]]))"##;

#[test]
fn tokenizers_of_the_llama_family_give_the_same_tokens() {
    let texts = [
        "double the number 12: twice 12 is 24",
        "  two  spaces\n\n\tand a tab ",
        "naïve 日本 🙂, it's 2026",
        "",
        "<unlike/> </unk",
    ];
    for (kind, begin) in [("qwen", &[][..]), ("llama", &[1])] {
        let directory = tempfile::tempdir().unwrap();
        let expected = support::python::python(
            FAMILY,
            &[directory.path().to_str().unwrap(), &serde_json::to_string(&texts).unwrap(), kind],
        );
        let (ends, expected): (Vec<u32>, Vec<Vec<u32>>) = serde_json::from_value(expected).unwrap();
        let tokenizer = Tokenizer::load(directory.path()).unwrap();
        assert_eq!(tokenizer.begin(), begin);
        assert!(ends.iter().all(|&id| tokenizer.ends(id)) && !tokenizer.ends(7), "{kind}");
        assert_eq!(tokenizer.end_of_text(), ends[0], "{kind}");
        for (text, expected) in texts.iter().zip(expected) {
            let ids = tokenizer.encode(text).unwrap();
            assert_eq!([begin, &ids].concat(), expected, "{kind}: {text:?}");
            assert_eq!(tokenizer.decode(&ids).unwrap(), *text, "{kind}");
            let mut stream = tokenizer.stream();
            let pieces: String = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
            assert_eq!(pieces + &stream.finish().unwrap(), *text, "{kind}");
        }
        // Beside an adapter, without a configuration of the model.
        let beside = tempfile::tempdir().unwrap();
        tokenizer.save(beside.path(), &Template::for_kind(Kind::Text), 64).unwrap();
        let copy = Tokenizer::load(beside.path()).unwrap();
        assert_eq!((copy.begin(), copy.end_of_text()), (begin, ends[0]), "{kind}");
        let copy = copy.ending_as(directory.path()).unwrap();
        assert!(ends.iter().all(|&id| copy.ends(id)), "{kind}");
        let row = Row::Completion { prompt: "double".into(), completion: "twice".into() };
        let (ids, learned) =
            encode(&row, &tokenizer, &Template::for_kind(Kind::Completion)).unwrap().remove(0);
        assert!(ids.starts_with(begin) && !learned[0] && learned[ids.len() - 1], "{kind}");
        let (ids, learned) = encode(&Row::Text("double".into()), &tokenizer, &Template::for_kind(Kind::Text))
            .unwrap()
            .remove(0);
        assert!(begin.is_empty() || !ids.starts_with(begin), "a window of a text begins anywhere");
        assert!(learned.iter().all(|learned| *learned));
        let special = if kind == "llama" { "</s>" } else { "<|im_end|>" };
        let ids = tokenizer.encode(special).unwrap();
        assert!(!ids.iter().any(|&id| tokenizer.ends(id)), "what a person wrote is never a special token");
    }
}
