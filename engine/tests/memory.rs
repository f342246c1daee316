//! What a job's memory is said to be before it starts, beside the peak of its process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Stdio;
use std::time::Duration;

use llm_tuner_engine::config::{Gpt2Config, LlamaConfig, ModelConfig};
use llm_tuner_engine::data::rows::Kind;
use llm_tuner_engine::data::template::Template;
use llm_tuner_engine::files::safetensors;
use llm_tuner_engine::hyperparameters::{Base, Hyperparameters};
use llm_tuner_engine::kernels::tier::{self, Tier};
use llm_tuner_engine::lora::LoraConfig;
use llm_tuner_engine::memory::{TrainingLoad, merging_memory_bytes, training_memory_bytes};
use llm_tuner_engine::model::Model;
use llm_tuner_engine::tokenizer::Tokenizer;
use support::jobs::Job;

const TOKENS: usize = 256;
const SEQUENCES: usize = 4;

fn gpt2() -> ModelConfig {
    Gpt2Config {
        vocab_size: 16_000,
        n_positions: TOKENS,
        n_embd: 512,
        n_layer: 8,
        n_head: 8,
        ..Gpt2Config::default()
    }
    .into()
}

fn llama() -> ModelConfig {
    LlamaConfig {
        vocab_size: 16_000,
        hidden_size: 512,
        intermediate_size: 1376,
        num_hidden_layers: 8,
        num_attention_heads: 8,
        num_key_value_heads: Some(4),
        max_position_embeddings: TOKENS,
        ..LlamaConfig::default()
    }
    .into()
}

/// A job that tunes a random model for two steps on sequences of full length.
fn job(config: &ModelConfig, settings: &[(&str, &str)]) -> Job {
    let job = Job::empty(settings);
    let words: String = (0..TOKENS * 4).map(|i| format!("{} ", i * 37 % 1000)).collect();
    let row = format!("{}\n", serde_json::json!({ "text": words }));
    job.file("input/data/training/rows.jsonl", &row.repeat(8));
    let directory = job.path("input/data/model");
    std::fs::create_dir_all(&directory).unwrap();
    let tokenizer = Tokenizer::train([words].iter(), 300).unwrap();
    tokenizer.save(&directory, &Template::for_kind(Kind::Text), TOKENS).unwrap();
    let model = Model::init(config.clone(), 1).unwrap();
    safetensors::write(&directory.join("model.safetensors"), model.tensors()).unwrap();
    std::fs::write(directory.join("config.json"), serde_json::to_string(&config).unwrap()).unwrap();
    job
}

/// The most memory that the job's process ever held, in bytes.
fn peak(job: &Job, tier: Tier) -> u64 {
    let mut command = job.command();
    command.env(tier::VARIABLE, tier.to_string()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let path = format!("/proc/{}/status", child.id());
    let mut kibibytes = 0;
    let status = loop {
        // Never less than before; gone when the process has ended.
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
            kibibytes = line.trim().trim_end_matches(" kB").parse().unwrap();
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success(), "{}", std::fs::read_to_string(job.path("output/failure")).unwrap_or_default());
    kibibytes * 1024
}

#[test]
fn the_figure_told_before_is_the_peak_within_a_twentieth() {
    let full = [("lora", "false")].as_slice();
    let again = [("lora", "false"), ("gradient_checkpointing", "true")].as_slice();
    let adapter = [("lora_dropout", "0.1")].as_slice();
    let everywhere = [("lora_target_modules", "all-linear"), ("lora_dropout", "0")].as_slice();
    let mut off = Vec::new();
    for (config, cases) in [
        (gpt2(), [(Tier::best(), full), (Tier::best_f32(), full), (Tier::best(), adapter)]),
        (llama(), [(Tier::best(), again), (Tier::best(), everywhere), (Tier::best_f32(), adapter)]),
    ] {
        for (tier, settings) in cases {
            let (length, sequences) = (TOKENS.to_string(), SEQUENCES.to_string());
            let shared = [("max_steps", "2"), ("batch_size", &*sequences), ("max_sequence_length", &*length)];
            let settings: Vec<_> = shared.iter().chain(settings).copied().collect();
            let map =
                settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let parsed = Hyperparameters::parse(&map, Base::Model).unwrap();
            let lora = parsed.lora.as_ref().map(|lora| lora.on(&config));
            let load = TrainingLoad {
                batch_tokens: SEQUENCES * TOKENS,
                max_len: TOKENS,
                data_tokens: 0,
                recompute: parsed.gradient_checkpointing,
            };
            let told = training_memory_bytes(tier, &config, lora.as_ref(), load);
            let peak = peak(&job(&config, &settings), tier);
            let share = told as f64 / peak as f64;
            println!(
                "{tier} {settings:?}: {} MiB told, {} MiB at its peak, {share:.3}",
                told >> 20,
                peak >> 20
            );
            if !(0.95..1.05).contains(&share) {
                off.push((tier, settings.iter().map(|pair| format!("{pair:?}")).collect::<String>(), share));
            }
        }
    }
    assert!(off.is_empty(), "{off:#?}");
}

/// Of few tokens, so that folding the adapter in takes more than training.
#[test]
fn so_is_that_of_folding_an_adapter_in() {
    let settings =
        [("max_steps", "1"), ("batch_size", "1"), ("max_sequence_length", "32"), ("merge_adapter", "true")];
    let (tier, config) = (Tier::best(), gpt2());
    let lora = LoraConfig::default();
    let load = TrainingLoad { batch_tokens: 32, max_len: 32, data_tokens: 0, recompute: false };
    let training = training_memory_bytes(tier, &config, Some(&lora), load);
    let merging = merging_memory_bytes(&config, &lora);
    let told = training.max(merging);
    let peak = peak(&job(&config, &settings), tier);
    let share = told as f64 / peak as f64;
    println!("{tier}: {} MiB told, {} MiB at its peak, {share:.3}", told >> 20, peak >> 20);
    assert!((0.95..1.05).contains(&share), "{training} or {merging} told, {peak} at its peak");
}
