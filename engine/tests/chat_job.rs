//! A base model with a chat template of its own, through a whole job: tuned on conversations, talked to, handed on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;
mod support;

use std::ops::ControlFlow;
use std::path::Path;

use llm_tuner_engine::data::rows::{Kind, Message, Role};
use llm_tuner_engine::data::template::Part;
use llm_tuner_engine::inference::{FinishReason, GenerateParams, LoadedModel, Prompt};
use support::jobs::{Job, named};
use support::python::python;

/// A small random Llama around a tokenizer.
const MAKE: &str = r#"
import sys, torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=256, bos_token_id=tokenizer.bos_token_id,
    eos_token_id=tokenizer.eos_token_id))
model.generation_config.top_k = 7
model.generation_config.do_sample = True
model.save_pretrained(sys.argv[2])
tokenizer.save_pretrained(sys.argv[2])
print(0)
"#;

/// How `transformers` writes a conversation with what a job left behind.
const WRITE: &str = r#"
import json, sys
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
print(json.dumps(tokenizer.apply_chat_template(json.loads(sys.argv[2]), tokenize=False, add_generation_prompt=True)))
"#;

fn base(job: &Job, name: &str) {
    let tokenizers = common::fixtures("chat_templates.py");
    let from = tokenizers.path().join(name);
    python(MAKE, &[from.to_str().unwrap(), job.path("input/data/model").to_str().unwrap()]);
}

fn chat(question: &str, answer: &str) -> String {
    let row = serde_json::json!({ "messages": [
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": question },
        { "role": "assistant", "content": answer },
    ] });
    format!("{row}\n")
}

fn ask(model: &LoadedModel, messages: &[Message]) -> (String, FinishReason) {
    let params = GenerateParams { max_new_tokens: 40, ..GenerateParams::default() };
    let prompt = Prompt::Chat(messages.to_vec());
    let answer = model.generate(&prompt, &params, &mut |_| ControlFlow::Continue(())).unwrap();
    (answer.text, answer.finish_reason)
}

fn same_text_in_python(directory: &Path, model: &LoadedModel, messages: &[Message]) {
    let parts = model.template().render_prompt(messages).unwrap();
    let [Part::Written(written)] = &parts[..] else { panic!("{parts:?}") };
    let theirs = python(WRITE, &[directory.to_str().unwrap(), &serde_json::to_string(messages).unwrap()]);
    assert_eq!(theirs, serde_json::json!(written.plain()));
}

#[test]
fn a_base_with_a_chat_template_is_tuned_asked_and_handed_on_with_it() {
    let mut settings =
        vec![("max_steps", "150"), ("batch_size", "3"), ("learning_rate", "0.02"), ("lora_r", "16")];
    let job = Job::empty(&settings);
    base(&job, "llama3");
    let rows = [("Twice 12?", "24 is it"), ("And Paris?", "naïve 🙂"), ("Hi", "Hello you")];
    let rows = rows.map(|(question, answer)| chat(question, answer)).concat();
    job.file("input/data/training/rows.jsonl", &rows);
    let (_, events) = job.run().unwrap();
    let sample = named(&events, "sample").pop().unwrap();
    assert_eq!(sample["exact"], true, "{sample}");

    let base = job.path("input/data/model");
    let tuned = LoadedModel::load(&job.path("model"), Some(&base)).unwrap();
    let turn = Message::new;
    let messages = [turn(Role::System, "Be brief."), turn(Role::User, "And Paris?")];
    // The template's token ends it; the model's own end-of-text token is another.
    assert_eq!(ask(&tuned, &messages), ("naïve 🙂".into(), FinishReason::Stop));
    assert_eq!(tuned.template().stop_token(), Some("<|eot_id|>"));
    let later = [&messages[..], &[turn(Role::Assistant, "naïve 🙂"), turn(Role::User, "Hi")]].concat();
    ask(&tuned, &later);
    same_text_in_python(&job.path("model"), &tuned, &later);

    // The base is asked in the same way, under the adapter and by itself.
    let beside = tuned.base().unwrap();
    assert_eq!(beside.template(), tuned.template());
    let alone = LoadedModel::load(&base, None).unwrap();
    assert_eq!(alone.template().kind, Kind::Chat);
    assert_eq!(ask(&alone, &messages), ask(&beside, &messages));
    let as_tuned = LoadedModel::load_asked_as(&base, tuned.template()).unwrap();
    assert_eq!(ask(&as_tuned, &messages), ask(&beside, &messages));

    for name in ["chat_template.jinja", "generation_config.json", "tokenizer.json"] {
        assert_eq!(
            job.bytes(&format!("model/{name}")),
            job.bytes(&format!("input/data/model/{name}")),
            "{name}"
        );
    }
    let record: serde_json::Value = serde_json::from_slice(&job.bytes("model/llm_tuner.json")).unwrap();
    assert_eq!(record["own_chat_template"], true);
    assert_eq!(record["chat_template_date"], "1970-01-01");
    let card = String::from_utf8(job.bytes("model/README.md")).unwrap();
    assert!(card.contains("the base model's own chat template"), "{card}");

    // Merged, on prompts and answers, the same.
    settings.extend([("merge_adapter", "true")]);
    let merged = Job::empty(&settings);
    std::fs::rename(&base, merged.path("input/data/model")).unwrap();
    let pairs = r#"{"prompt": "Twice 12?", "completion": "24 is it"}
{"prompt": "Hi", "completion": "Hello you"}
"#;
    merged.file("input/data/training/rows.jsonl", pairs);
    merged.run().unwrap();
    let whole = LoadedModel::load(&merged.path("model"), None).unwrap();
    assert_eq!(whole.template().kind, Kind::Completion);
    let params = GenerateParams { max_new_tokens: 40, ..GenerateParams::default() };
    let prompt = Prompt::Completion("Twice 12?".into());
    let answer = whole.generate(&prompt, &params, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((answer.text.as_str(), answer.finish_reason), ("24 is it", FinishReason::Stop));
    same_text_in_python(&merged.path("model"), &whole, &messages);
}

#[test]
fn a_template_that_refuses_the_rows_fails_the_job_in_plain_words() {
    let job = Job::empty(&[("max_steps", "1")]);
    base(&job, "mistral");
    job.file("input/data/training/rows.jsonl", &chat("Hi", "Hello"));
    let failure = job.failure();
    assert!(
        failure.starts_with(
            "input/data/model/chat_template.jinja: the base model's chat template refuses the conversation that begins \
             with \"Be brief.\": "
        ),
        "{failure}"
    );
    assert!(failure.contains("Change the rows that it refuses"), "{failure}");
    // Plain text goes through no template.
    job.file("input/data/training/rows.jsonl", "{\"text\": \"You are a helpful assistant.\"}\n");
    job.run().unwrap();
    let record: serde_json::Value = serde_json::from_slice(&job.bytes("model/llm_tuner.json")).unwrap();
    assert!(record.get("own_chat_template").is_none());
}
