//! Measures training or generation and prints one line of JSON:
//! `cargo run --release -p llm-tuner-engine --example training_speed -- CONFIG.JSON [full|lora|generate] [sequences]
//! [tokens] [steps] [modules for LoRA, with commas] [recompute]`. Random weights and tokens. `cargo xtask bench engine` runs it
//! beside its peers; `engine/benches/README.md` says what the line holds.
//!
//! For `generate`, a step is one answer: the prompt has `sequences` tokens and the answer `tokens`.

use llm_tuner_engine::config::ModelConfig;
use llm_tuner_engine::files::{huggingface, safetensors};
use llm_tuner_engine::kernels::tier::{self, Tier};
use llm_tuner_engine::lora::LoraConfig;
use llm_tuner_engine::memory::{self, TrainingLoad, training_memory_bytes};
use llm_tuner_engine::model::{Batch, IGNORE, KvCache, Model};
use llm_tuner_engine::optimizer::OptimizerConfig;
use llm_tuner_engine::rng::Stream;
use llm_tuner_engine::trainer::Trainer;
use serde_json::{Value, json};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Steps before the clock counts: memory is touched, and threads are started.
const WARM_UP: usize = 2;

struct Work {
    vocabulary: u64,
    sequences: usize,
    tokens: usize,
    steps: usize,
    lora: Option<LoraConfig>,
    recompute: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    memory::give_back_what_is_freed();
    Tier::wanted(std::env::var(tier::VARIABLE).ok().as_deref())?.choose()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments.first().ok_or("which config.json? `engine/benches/models` has some")?;
    let word = |i: usize, otherwise: &str| arguments.get(i).map_or(otherwise.to_owned(), String::clone);
    let number = |i: usize, otherwise: usize| word(i, &otherwise.to_string()).parse::<usize>();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let vocabulary = serde_json::from_str::<Value>(&text)?["vocab_size"].as_u64().unwrap_or(1);
    let config = match read_config(&text) {
        Ok(config) => config,
        Err(reason) => {
            println!("{}", json!({ "unsupported": reason.to_string() }));
            return Ok(());
        }
    };
    let mode = word(1, "full");
    let target_modules = word(5, "c_attn").split(',').map(str::to_owned).collect();
    let lora = (mode == "lora").then(|| LoraConfig { target_modules, ..LoraConfig::default() });
    let work = Work {
        vocabulary,
        sequences: number(2, 4)?,
        tokens: number(3, 256)?,
        steps: number(4, 5)?.max(1),
        lora,
        recompute: word(6, "") == "recompute",
    };
    let mut line = match mode.as_str() {
        "weights" => return Ok(safetensors::write(&weights_file(path), Model::init(config, 1)?.tensors())?),
        "full" => train(Model::init(config, 1)?, &work)?,
        "lora" => train(frozen(path, config)?, &work)?,
        "generate" => generate(&frozen(path, config)?, &work)?,
        other => return Err(format!("{other} is neither full, lora, generate nor weights").into()),
    };
    line["tier"] = Tier::chosen().name().into();
    line["peak_mib"] = peak_mebibytes().into();
    println!("{line}");
    Ok(())
}

/// A model's description, or why the engine has no such model.
fn read_config(text: &str) -> Result<ModelConfig, Box<dyn Error>> {
    let mut config = ModelConfig::from_json(serde_json::from_str(text)?)?;
    config.set_dropout(0.0);
    Ok(config)
}

/// Random weights from a file, read as those are that nothing trains. Another process writes them: making them
/// takes more memory than they do.
fn frozen(path: &str, config: ModelConfig) -> Result<Model, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let description = directory.path().join("config.json");
    std::fs::copy(path, &description)?;
    let wrote = Command::new(std::env::current_exe()?).arg(&description).arg("weights").status()?;
    if !wrote.success() {
        return Err("the random weights could not be written".into());
    }
    let weights = huggingface::read_frozen(directory.path(), &config, Tier::chosen())?;
    Ok(Model::from_weights(config, weights)?)
}

/// Beside the description.
fn weights_file(description: &str) -> PathBuf {
    Path::new(description).with_file_name("model.safetensors")
}

fn train(mut model: Model, work: &Work) -> Result<Value, Box<dyn Error>> {
    let length = work.tokens;
    let tokens = work.sequences * length;
    let load =
        TrainingLoad { batch_tokens: tokens, max_len: length, data_tokens: 0, recompute: work.recompute };
    let estimate = training_memory_bytes(Tier::chosen(), model.config(), work.lora.as_ref(), load) >> 20;
    if let Some(lora) = &work.lora {
        model.attach_lora(lora, 2)?;
    }
    let mut trainer = Trainer::new(model, OptimizerConfig::default()).with_recomputation(work.recompute);
    let (mut times, mut processor, mut loss) = (Vec::new(), 0.0, 0.0);
    for step in 0..WARM_UP + work.steps {
        if step == WARM_UP {
            processor = processor_seconds();
        }
        let ids = tokens_at_random(step as u64, tokens, work.vocabulary);
        let target = |i: usize| if (i + 1).is_multiple_of(length) { IGNORE } else { ids[i + 1] };
        let targets = (0..tokens).map(target).collect();
        let batch = Batch { targets, ids, lengths: vec![length; work.sequences] };
        let start = Instant::now();
        loss = trainer.accumulate(&batch)?.mean();
        trainer.apply(1e-4)?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(json!({
        "step_seconds": times[WARM_UP..],
        "tokens": tokens,
        "loss": loss,
        "processor_seconds": (processor_seconds() - processor) / work.steps as f64,
        "estimate_mib": estimate,
    }))
}

/// Greedy answers to one prompt, each from an empty cache.
fn generate(model: &Model, work: &Work) -> Result<Value, Box<dyn Error>> {
    let (mut times, mut prompts) = (Vec::new(), Vec::new());
    for step in 0..WARM_UP + work.steps {
        let prompt = tokens_at_random(step as u64, work.sequences, work.vocabulary);
        let mut cache = KvCache::new(model.config());
        let start = Instant::now();
        let mut logits = model.forward_cached(&prompt, &mut cache)?;
        prompts.push(start.elapsed().as_secs_f64());
        for _ in 1..work.tokens {
            logits = model.forward_cached(&[largest(&logits)], &mut cache)?;
        }
        std::hint::black_box(largest(&logits));
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(json!({
        "step_seconds": times[WARM_UP..],
        "prompt_seconds": prompts[WARM_UP..],
        "tokens": work.tokens,
    }))
}

fn tokens_at_random(seed: u64, count: usize, vocabulary: u64) -> Vec<u32> {
    let stream = Stream::new(seed);
    (0..count).map(|i| (stream.bits(i as u64) % vocabulary) as u32).collect()
}

fn largest(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0, |(token, _)| token as u32)
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
