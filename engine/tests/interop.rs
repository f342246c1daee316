//! Models travel both ways: what `transformers` wrote is tuned, and what is tuned `transformers` and `peft` load,
//! with the same logits as ours.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::ops::ControlFlow;
use std::path::Path;

use llm_tuner_engine::data::rows::Kind;
use llm_tuner_engine::data::template::Template;
use llm_tuner_engine::inference::{GenerateParams, InferenceError, LoadedModel, Prompt};
use llm_tuner_engine::tokenizer::Tokenizer;
use support::jobs::Job;
use support::python::python;
use support::theirs::{assert_theirs_are_ours, load, logits};

const GPT2: &str = "GPT2Config(vocab_size=300, n_positions=64, n_embd=32, n_layer=2, n_head=4, **ends)";
/// Of the Llama family: shared keys; biases; a tied head; positions scaled; heads wider than their share.
const LLAMA: &str = "LlamaConfig(**sizes, num_key_value_heads=2, rope_parameters=dict(rope_type='llama3', \
                     rope_theta=5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, \
                     original_max_position_embeddings=16))";
const QWEN2: &str = "Qwen2Config(**sizes, num_key_value_heads=1, tie_word_embeddings=True)";
const MISTRAL: &str = "MistralConfig(**sizes, num_key_value_heads=4, head_dim=10, sliding_window=64)";

/// A base model with random weights, made by `transformers`: sharded and in half precision, and whole.
fn make_base(directory: &Path, config: &str, extra: &str) {
    python(
        r#"
import json, sys, torch
from transformers import *
torch.manual_seed(7)
ends = dict(bos_token_id=0, eos_token_id=0)
sizes = dict(vocab_size=300, hidden_size=32, intermediate_size=44, num_hidden_layers=2, num_attention_heads=4,
             max_position_embeddings=64, **ends)
model = AutoModelForCausalLM.from_config(eval(sys.argv[2]))
with torch.no_grad():
    for p in model.parameters(): p.add_(torch.randn_like(p) * 0.05)
extra = json.loads(sys.argv[3])
model.to(getattr(torch, extra["dtype"])).save_pretrained(sys.argv[1], max_shard_size=extra["shard"])
print("{}")"#,
        &[directory.to_str().unwrap(), config, extra],
    );
    let texts: Vec<String> =
        (0..40).map(|i| format!("double the number {i}: twice {i} is {}", 2 * i)).collect();
    let tokenizer = Tokenizer::train(texts.iter(), 300).unwrap();
    tokenizer.save(directory, &Template::for_kind(Kind::Text), 64).unwrap();
}

#[test]
fn a_nano_model_is_a_transformers_model() {
    let job = Job::new(&[("max_steps", "5"), ("batch_size", "4")]);
    job.run().unwrap();
    assert_theirs_are_ours(&[(&job.path("model"), None)]);
}

#[test]
fn a_transformers_gpt2_is_adapted_merged_and_tuned() {
    travels(GPT2, "c_attn,c_fc,c_proj");
}

#[test]
fn a_transformers_llama_is_adapted_merged_and_tuned() {
    travels(LLAMA, "all-linear");
}

#[test]
fn a_transformers_qwen2_is_adapted_merged_and_tuned() {
    travels(QWEN2, "q_proj,v_proj,up_proj");
}

#[test]
fn a_transformers_mistral_is_adapted_merged_and_tuned() {
    // Left to the model.
    travels(MISTRAL, "");
}

fn travels(config: &str, modules: &str) {
    let lora = [
        ("max_steps", "12"),
        ("batch_size", "4"),
        ("gradient_accumulation_steps", "1"),
        ("learning_rate", "0.02"),
        ("lora_target_modules", modules),
    ];
    let adapted = Job::new(&lora);
    let base = adapted.path("input/data/model");
    make_base(&base, config, r#"{"dtype": "float16", "shard": "40KB"}"#);
    assert!(base.join("model.safetensors.index.json").is_file(), "the base is in shards");
    adapted.run().unwrap();
    assert!(adapted.path("model/adapter_model.safetensors").is_file());
    assert!(!adapted.path("model/model.safetensors").exists());

    let mut merge = lora.to_vec();
    merge.push(("merge_adapter", "true"));
    let merged = Job::new(&merge);
    copy(&base, &merged.path("input/data/model"));
    merged.run().unwrap();

    let tuned = Job::new(&[("max_steps", "3"), ("batch_size", "4"), ("lora", "false"), ("epochs", "")]);
    make_base(&tuned.path("input/data/model"), config, r#"{"dtype": "bfloat16", "shard": "1GB"}"#);
    tuned.run().unwrap();

    assert_theirs_are_ours(&[
        (&adapted.path("model"), Some(&base)),
        (&merged.path("model"), None),
        (&merged.path("model/adapter"), Some(&base)),
        (&tuned.path("model"), None),
    ]);

    // Merged and adapted compute the same.
    let (a, b) =
        (logits(&load(&adapted.path("model"), Some(&base))), logits(&load(&merged.path("model"), None)));
    assert!(a.iter().flatten().zip(b.iter().flatten()).all(|(a, b)| (a - b).abs() <= 1e-4));

    talk(&adapted, &base);
}

/// The adapter beside its base, in one set of weights.
fn talk(adapted: &Job, base: &Path) {
    // Drawn, because a random model with a tied head says the same word again and again, tuned or not.
    let params = GenerateParams { max_new_tokens: 12, temperature: 1.0, ..GenerateParams::default() };
    let say = |model: &LoadedModel, prompt: &str| {
        let mut pieces = String::new();
        let mut on_piece = |piece: &str| {
            pieces.push_str(piece);
            ControlFlow::Continue(())
        };
        let generation = model.generate(&Prompt::Text(prompt.into()), &params, &mut on_piece).unwrap();
        assert_eq!(generation.text, pieces, "what was streamed is the answer");
        generation.text
    };
    let error = LoadedModel::load(&adapted.path("model"), None).unwrap_err();
    assert!(matches!(error, InferenceError::BaseNeeded { .. }), "{error}");
    let tuned = LoadedModel::load(&adapted.path("model"), Some(base)).unwrap();
    let beside = tuned.base().unwrap();
    let alone = LoadedModel::load(base, None).unwrap();
    assert_eq!(tuned.weight_bytes(), beside.weight_bytes(), "one set of weights");
    let prompt = "double the number 7";
    assert_eq!(say(&beside, prompt), say(&alone, prompt));
    assert_ne!(say(&tuned, prompt), say(&alone, prompt));
    assert!(alone.base().is_none());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// An adapter that `peft` trained on a Llama, read here and merged here.
#[test]
fn an_adapter_made_by_peft_is_ours() {
    let root = tempfile::tempdir().unwrap();
    let (base, adapter) = (root.path().join("base"), root.path().join("adapter"));
    make_base(&base, QWEN2, r#"{"dtype": "float32", "shard": "1GB"}"#);
    python(
        r#"
import sys, torch
from transformers import AutoModelForCausalLM
from peft import LoraConfig, get_peft_model
torch.manual_seed(8)
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
model = get_peft_model(model, LoraConfig(r=3, lora_alpha=12, target_modules="all-linear", task_type="CAUSAL_LM"))
with torch.no_grad():
    for n, p in model.named_parameters():
        if "lora_B" in n: p.copy_(torch.randn_like(p) * 0.1)
model.save_pretrained(sys.argv[2])
print("{}")"#,
        &[base.to_str().unwrap(), adapter.to_str().unwrap()],
    );
    assert_theirs_are_ours(&[(&adapter, Some(&base))]);
    let ours = load(&adapter, Some(&base));
    let mut merged = ours.clone();
    merged.merge_lora();
    let (a, b) = (logits(&ours), logits(&merged));
    assert!(a.iter().flatten().zip(b.iter().flatten()).all(|(a, b)| (a - b).abs() <= 1e-4));
}
