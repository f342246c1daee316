//! Models travel both ways: what `transformers` wrote is tuned, and what is tuned `transformers` and `peft` load,
//! with the same logits as ours.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::ops::ControlFlow;
use std::path::Path;

use llm_tuner_engine::data::rows::Kind;
use llm_tuner_engine::data::template::Template;
use llm_tuner_engine::files::{huggingface, peft};
use llm_tuner_engine::inference::{GenerateParams, InferenceError, LoadedModel, Prompt};
use llm_tuner_engine::lora::LoraConfig;
use llm_tuner_engine::model::{KvCache, Model};
use llm_tuner_engine::tokenizer::Tokenizer;
use support::jobs::Job;

const IDS: [u32; 7] = [5, 17, 200, 3, 99, 256, 42];

/// Logits of every position.
fn logits(model: &Model) -> Vec<Vec<f32>> {
    let mut cache = KvCache::new(model.config());
    IDS.iter().map(|&id| model.forward_cached(&[id], &mut cache).unwrap()).collect()
}

fn load(directory: &Path, base: Option<&Path>) -> Model {
    let weights = base.unwrap_or(directory);
    let config = huggingface::read_config(weights).unwrap();
    let tensors = huggingface::read_tensors(weights, &config).unwrap();
    let mut model = Model::from_tensors(config, tensors).unwrap();
    if base.is_some() {
        let (adapter, tensors) = peft::read(directory).unwrap();
        let lora = LoraConfig {
            r: adapter.r as usize,
            alpha: adapter.lora_alpha as f32,
            dropout: 0.0,
            target_modules: adapter.target_modules,
        };
        model.attach_lora(&lora, 0).unwrap();
        model.load_lora_tensors(tensors).unwrap();
    }
    model
}

/// What `transformers` (and `peft`, over a base) computes, and what was wrong while loading.
const THEIRS: &str = r#"
import json, sys, warnings, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, logging
messages = []
class Handler(__import__("logging").Handler):
    def emit(self, record): messages.append(record.getMessage())
logging.get_logger("transformers").addHandler(Handler())
out = []
for directory, base in json.loads(sys.argv[1]):
    if base:
        from peft import PeftModel
        model, info = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, output_loading_info=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = PeftModel.from_pretrained(model, directory)
        messages += [str(w.message) for w in caught if "missing" in str(w.message).lower()]
    else:
        model, info = AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
    assert model.dtype == torch.float32, model.dtype
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[kind]: messages.append(f"{kind}: {info[kind]}")
    if not directory.endswith("/adapter"): AutoTokenizer.from_pretrained(directory)
    with torch.no_grad():
        out.append(model.eval()(torch.tensor([json.loads(sys.argv[2])])).logits[0].tolist())
print(json.dumps({"logits": out, "messages": [m for m in messages if "key" in m.lower() or "newly" in m.lower()]}))
"#;

fn assert_theirs_are_ours(models: &[(&Path, Option<&Path>)]) {
    let output = support::python(
        THEIRS,
        &[&serde_json::to_string(models).unwrap(), &serde_json::to_string(&IDS).unwrap()],
    );
    assert_eq!(output["messages"], serde_json::json!([]));
    for ((directory, base), theirs) in models.iter().zip(output["logits"].as_array().unwrap()) {
        let theirs: Vec<Vec<f32>> = serde_json::from_value(theirs.clone()).unwrap();
        let ours = logits(&load(directory, *base));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours.len(), theirs.len());
            for (a, b) in ours.iter().zip(theirs) {
                assert!((a - b).abs() <= 1e-4, "{a} {b} in {}", directory.display());
            }
        }
    }
}

/// A base model with random weights, made by `transformers`: sharded and in half precision, and whole.
fn make_base(directory: &Path, extra: &str) {
    support::python(
        r#"
import json, sys, torch
from transformers import GPT2Config, GPT2LMHeadModel
torch.manual_seed(7)
config = GPT2Config(vocab_size=300, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)
model = GPT2LMHeadModel(config)
with torch.no_grad():
    for p in model.parameters(): p.add_(torch.randn_like(p) * 0.05)
extra = json.loads(sys.argv[2])
model.to(getattr(torch, extra["dtype"])).save_pretrained(sys.argv[1], max_shard_size=extra["shard"])
print("{}")"#,
        &[directory.to_str().unwrap(), extra],
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
fn a_transformers_model_is_adapted_merged_and_tuned() {
    let lora = [
        ("max_steps", "12"),
        ("batch_size", "4"),
        ("gradient_accumulation_steps", "1"),
        ("learning_rate", "0.02"),
        ("lora_target_modules", "c_attn,c_fc,c_proj"),
    ];
    let adapted = Job::new(&lora);
    let base = adapted.path("input/data/model");
    make_base(&base, r#"{"dtype": "float16", "shard": "40KB"}"#);
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
    make_base(&tuned.path("input/data/model"), r#"{"dtype": "bfloat16", "shard": "1GB"}"#);
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
    let params = GenerateParams { max_new_tokens: 12, ..GenerateParams::default() };
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
