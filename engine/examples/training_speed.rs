//! Measures training and generation: `cargo run --release -p llm-tuner-engine --example training_speed --
//! [nano|gpt2|smollm2|qwen2.5] [full|lora] [sequences] [tokens per sequence] [steps]`. Random weights and tokens; nothing is read.

use llm_tuner_engine::config::{Gpt2Config, LlamaConfig, ModelConfig};
use llm_tuner_engine::lora::LoraConfig;
use llm_tuner_engine::memory::training_memory_bytes;
use llm_tuner_engine::model::{Batch, IGNORE, KvCache, Model, ModelError};
use llm_tuner_engine::optimizer::OptimizerConfig;
use llm_tuner_engine::rng::Stream;
use llm_tuner_engine::trainer::Trainer;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let word = |i: usize, otherwise: &str| arguments.get(i).map_or(otherwise.to_owned(), String::clone);
    let number = |i: usize, otherwise: usize| word(i, &otherwise.to_string()).parse::<usize>();
    let (sequences, length, steps) = (number(2, 16)?, number(3, 50)?, number(4, 40)?);
    let mut config = shape(&word(0, "nano"));
    config.set_dropout(0.0);

    let mut model = Model::init(config.clone(), 1)?;
    let lora = LoraConfig { target_modules: config.default_lora_modules(), ..LoraConfig::default() };
    let lora = (word(1, "full") == "lora").then_some(lora);
    if let Some(lora) = &lora {
        model.attach_lora(lora, 2)?;
    }
    let mut trainer = Trainer::new(model, OptimizerConfig::default());
    let tokens = sequences * length;
    let (mut times, mut processor) = (Vec::new(), 0.0);
    for step in 0..=steps {
        let stream = Stream::new(step as u64);
        let token = |i: usize| (stream.bits(i as u64) % config.vocab_size() as u64) as u32;
        let ids: Vec<u32> = (0..tokens).map(token).collect();
        let target = |i: usize| if (i + 1).is_multiple_of(length) { IGNORE } else { ids[i + 1] };
        let targets = (0..tokens).map(target).collect();
        let batch = Batch { targets, ids, lengths: vec![length; sequences] };
        let start = Instant::now();
        trainer.accumulate(&batch)?;
        trainer.apply(1e-4)?;
        times.push(start.elapsed().as_secs_f64());
        if step == 0 {
            processor = processor_seconds();
        }
    }
    times.remove(0);
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    println!(
        "train: {:.1} steps/s, {:.4} processor seconds each, {:.0} tokens/s (best {:.0}); estimate {} MiB, peak {} MiB",
        1.0 / median,
        (processor_seconds() - processor) / steps as f64,
        tokens as f64 / median,
        tokens as f64 / times[0],
        training_memory_bytes(&config, lora.as_ref(), tokens, length) >> 20,
        peak_mebibytes(),
    );
    generate(trainer.model())?;
    Ok(())
}

/// The shape of a published model.
fn shape(name: &str) -> ModelConfig {
    match name {
        "nano" => Gpt2Config::nano(1024).into(),
        "smollm2" => ModelConfig::Llama(LlamaConfig {
            vocab_size: 49_152,
            hidden_size: 576,
            intermediate_size: 1536,
            num_hidden_layers: 30,
            num_attention_heads: 9,
            num_key_value_heads: Some(3),
            max_position_embeddings: 8192,
            rope_theta: Some(100_000.0),
            tie_word_embeddings: true,
            ..LlamaConfig::default()
        }),
        "qwen2.5" => ModelConfig::Llama(LlamaConfig {
            model_type: "qwen2".into(),
            vocab_size: 151_936,
            hidden_size: 896,
            intermediate_size: 4864,
            num_hidden_layers: 24,
            num_attention_heads: 14,
            num_key_value_heads: Some(2),
            max_position_embeddings: 32_768,
            rope_theta: Some(1_000_000.0),
            tie_word_embeddings: true,
            ..LlamaConfig::default()
        }),
        _ => Gpt2Config::default().into(),
    }
}

fn generate(model: &Model) -> Result<(), ModelError> {
    let mut cache = KvCache::new(model.config());
    let start = Instant::now();
    model.forward_cached(&vec![1; 256], &mut cache)?;
    println!("prompt of 256: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    for _ in 0..100 {
        model.forward_cached(&[1], &mut cache)?;
    }
    println!("generate: {:.0} tokens/s", 100.0 / start.elapsed().as_secs_f64());
    Ok(())
}

/// Processor time of all threads so far, where the system tells: steadier than wall time on a busy machine.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields 14 and 15, in hundredths of a second; the name before them may hold spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Largest resident size so far, where the system tells.
fn peak_mebibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or(0) >> 10
}
