//! Every broken input ends with a sentence that names the file and the field, and with what to do next.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use llm_tuner_engine::checkpoint::{self, Fingerprint, Progress};
use llm_tuner_engine::config::{Gpt2Config, LlamaConfig, ModelConfig};
use llm_tuner_engine::model::Model;
use llm_tuner_engine::optimizer::OptimizerConfig;
use llm_tuner_engine::tensor::{Tensor, TensorMap};
use llm_tuner_engine::tokenizer::Tokenizer;
use llm_tuner_engine::trainer::Trainer;
use support::jobs::Job;

const SHORT: [(&str, &str); 2] = [("max_steps", "2"), ("batch_size", "2")];

/// A job over a small base model; `spoil` may change its weights.
fn with_base(settings: &[(&str, &str)], spoil: impl FnOnce(&mut TensorMap)) -> Job {
    let config = Gpt2Config { n_positions: 64, n_embd: 8, n_head: 2, n_layer: 1, ..Gpt2Config::nano(257) };
    with_base_of(config.into(), settings, spoil)
}

fn llama() -> LlamaConfig {
    LlamaConfig {
        vocab_size: 257,
        hidden_size: 8,
        intermediate_size: 12,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: Some(1),
        max_position_embeddings: 64,
        ..LlamaConfig::default()
    }
}

fn with_base_of(config: ModelConfig, settings: &[(&str, &str)], spoil: impl FnOnce(&mut TensorMap)) -> Job {
    let job = Job::new(settings);
    job.base(config, spoil);
    job
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
    assert!(text.lines().count() >= 2, "a next step follows: {text}");
}

#[test]
fn settings() {
    let job = Job::new(&[("learning_rate", "0"), ("epochs", "1000000000"), ("colour", "red")]);
    assert_says(
        &job.failure(),
        &["learning_rate", "epochs", "colour: is no setting", "hyperparameters.json"],
    );
    job.file("input/config/hyperparameters.json", "{\"epochs\": 3}");
    assert_says(&job.failure(), &["hyperparameters.json", "\"epochs\"", "JSON string"]);
    job.file("input/config/hyperparameters.json", "{\"epochs\": ");
    assert_says(&job.failure(), &["hyperparameters.json", "not valid JSON at line 1"]);
}

#[test]
fn surroundings() {
    let job = Job::new(&SHORT);
    job.file("input/config/inputdataconfig.json", r#"{"training":{"TrainingInputMode":"Pipe"}}"#);
    assert_says(&job.failure(), &["inputdataconfig.json", "training.TrainingInputMode", "Pipe"]);
    job.file("input/config/inputdataconfig.json", r#"{"training":{"TrainingInputMode":"File"}}"#);
    job.file("input/config/resourceconfig.json", r#"{"current_host":"algo-1","hosts":["algo-1","algo-2"]}"#);
    assert_says(&job.failure(), &["resourceconfig.json", "hosts", "2 hosts"]);
}

#[test]
fn data() {
    let job = Job::empty(&SHORT);
    assert_says(&job.failure(), &["input/data/training", "no *.jsonl file"]);
    job.file("input/data/training/a.jsonl", "");
    assert_says(&job.failure(), &["not a single row"]);
    job.file("input/data/training/a.jsonl", "{\"prompt\":\"p\",\"completion\":\"c\"}\nhello\n");
    assert_says(&job.failure(), &["a.jsonl, line 2", "not valid JSON"]);
    job.rows("training", 4);
    std::fs::remove_file(job.path("input/data/training/a.jsonl")).unwrap();
    job.file("input/data/validation/v.jsonl", "{\"text\":\"of another kind\"}\n");
    assert_says(&job.failure(), &["input/data/validation/v.jsonl, line 1", "a row of text"]);
}

#[test]
fn patience_without_validation() {
    let job = Job::new(&[("early_stopping_patience", "2"), ("max_steps", "2")]);
    assert_says(&job.failure(), &["early_stopping_patience", "validation data"]);
}

#[test]
fn base_weights() {
    let full = [("max_steps", "2"), ("batch_size", "2"), ("lora", "false")];
    let name = "transformer.h.0.mlp.c_fc.weight";
    let missing = with_base(&full, |tensors| drop(tensors.remove(name)));
    assert_says(&missing.failure(), &["base model", name]);
    let wrong = with_base(&full, |tensors| {
        tensors.get_mut(name).unwrap().shape.reverse();
    });
    assert_says(&wrong.failure(), &[name, "[32, 8]", "[8, 32]"]);

    let cut = with_base(&full, |_| ());
    let path = cut.path("input/data/model/model.safetensors");
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 100).unwrap();
    assert_says(&cut.failure(), &["input/data/model/model.safetensors", "100 of", "cut off"]);
    std::fs::remove_file(&path).unwrap();
    assert_says(&cut.failure(), &["model.safetensors or model.safetensors.index.json is missing"]);

    let other = with_base(&full, |_| ());
    other.file("input/data/model/config.json", r#"{"model_type":"mamba"}"#);
    assert_says(&other.failure(), &["input/data/model/config.json", "model_type", "mamba", "llama"]);
    assert!(!other.path("model").exists() && !other.path("checkpoints").exists());
}

#[test]
fn a_llama_that_does_not_fit_together() {
    let full = [("max_steps", "2"), ("batch_size", "2"), ("lora", "false")];
    let name = "model.layers.0.mlp.up_proj.weight";
    let missing = with_base_of(llama().into(), &full, |tensors| drop(tensors.remove(name)));
    assert_says(&missing.failure(), &["base model", name, "[12, 8]"]);
    let foreign = |tensors: &mut TensorMap| {
        let bias = Tensor { shape: vec![8], data: vec![0.0; 8] };
        tensors.insert("model.layers.0.self_attn.q_proj.bias".into(), bias);
    };
    let biased = with_base_of(llama().into(), &full, foreign);
    assert_says(&biased.failure(), &["model.layers.0.self_attn.q_proj.bias", "config.json"]);

    type Spoil = fn(&mut LlamaConfig);
    let spoils: [(&str, Spoil); 4] = [
        ("num_key_value_heads", |config| config.num_key_value_heads = Some(3)),
        ("hidden_act", |config| config.hidden_act = "gelu".into()),
        ("rope_scaling", |config| {
            let scaling = serde_json::json!({"rope_type": "longrope", "factor": 2.0});
            config.rope_scaling = scaling.as_object().cloned();
        }),
        ("rms_norm_eps", |config| config.rms_norm_eps = 0.0),
    ];
    for (field, spoil) in spoils {
        let job = with_base_of(llama().into(), &full, |_| ());
        let mut config = llama();
        spoil(&mut config);
        job.file("input/data/model/config.json", &serde_json::to_string(&config).unwrap());
        assert_says(&job.failure(), &["input/data/model/config.json", field]);
    }
    let job = with_base_of(llama().into(), &[("lora_target_modules", "c_attn")], |_| ());
    assert_says(&job.failure(), &["lora_target_modules", "c_attn", "q_proj", "down_proj", "all-linear"]);
    assert!(with_base_of(llama().into(), &SHORT, |_| ()).run().is_ok(), "untouched, it trains");
}

#[test]
fn a_tokenizer_of_another_model() {
    let job = with_base(&SHORT, |_| ());
    let larger = Tokenizer::train(["number number number number"].iter(), 400).unwrap();
    larger.save_json(&job.path("input/data/model/tokenizer.json")).unwrap();
    assert_says(&job.failure(), &["tokenizer", "vocab_size", "257"]);
    std::fs::remove_file(job.path("input/data/model/tokenizer.json")).unwrap();
    assert_says(&job.failure(), &["tokenizer.json", "is missing"]);
}

#[test]
fn a_manifest_that_is_not_of_its_checkpoint_is_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let config = Gpt2Config { n_positions: 8, n_embd: 8, n_head: 2, n_layer: 1, ..Gpt2Config::nano(257) };
    let mut trainer = Trainer::new(Model::init(config, 1).unwrap(), OptimizerConfig::default());
    let run = Fingerprint { settings: "s".into(), data: "d".into(), base: "b".into() };
    let progress = Progress { step: 3, ..Progress::default() };
    checkpoint::save(root.path(), &trainer, None, &run, &progress).unwrap();
    let path = root.path().join("step-00000003/manifest.json");
    let good: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    type Spoil = fn(&mut serde_json::Value);
    let spoils: [Spoil; 3] = [
        |manifest| manifest["progress"]["step"] = u64::MAX.into(),
        // It would be read for ever.
        |manifest| manifest["files"]["/dev/zero"] = serde_json::json!({"bytes": 1, "sha256": ""}),
        |manifest| drop(manifest["files"].as_object_mut().unwrap().remove("weights.safetensors")),
    ];
    for spoil in spoils {
        let mut manifest = good.clone();
        spoil(&mut manifest);
        std::fs::write(&path, manifest.to_string()).unwrap();
        assert!(checkpoint::newest(root.path(), &run).unwrap().is_none(), "{manifest}");
        assert_eq!(checkpoint::newest_step(root.path()).unwrap(), None);
    }
    std::fs::write(&path, good.to_string()).unwrap();
    let mut state = checkpoint::newest(root.path(), &run).unwrap().unwrap().state().unwrap();
    state.get_mut("trainer.batches").unwrap().data = vec![f32::MAX, 0.0];
    assert!(trainer.restore(state).unwrap_err().to_string().contains("trainer.batches"));
}

#[test]
fn a_loss_that_is_no_number() {
    let job = with_base(&SHORT, |tensors| {
        tensors.get_mut("transformer.wte.weight").unwrap().data.fill(f32::NAN);
    });
    assert_says(&job.failure(), &["NaN", "step 1", "learning rate"]);
    assert!(!job.path("model").exists());
}

#[test]
fn a_layer_that_is_not_there() {
    let job = with_base(&[("lora_target_modules", "q_proj")], |_| ());
    assert_says(&job.failure(), &["lora_target_modules", "q_proj", "c_attn"]);
}
