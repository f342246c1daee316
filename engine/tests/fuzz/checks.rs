//! What is done with each file: it is read through the engine's public door, and what was read is used. Whatever stands
//! in it, that works, or an error names the file and says what to do.

use std::fmt::Display;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::date;
use llm_tuner_engine::checkpoint;
use llm_tuner_engine::config::ModelConfig;
use llm_tuner_engine::data::rows::{self, Kind, Message, Role, Row};
use llm_tuner_engine::data::template::Template;
use llm_tuner_engine::data::tokens::TokenSet;
use llm_tuner_engine::error::NextStep;
use llm_tuner_engine::files::{huggingface, record};
use llm_tuner_engine::inference::{GenerateParams, LoadedModel, Prompt};
use llm_tuner_engine::job::{self, Clock, JobDirectory, Surroundings};
use llm_tuner_engine::kernels::tier::Tier;
use llm_tuner_engine::lora::{ALL_LINEAR, LoraConfig};
use llm_tuner_engine::memory;
use llm_tuner_engine::model::Batch;
use llm_tuner_engine::tokenizer::Tokenizer;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::good::{self, Good};

/// A message is read by a person; what stands in a file must not flood it.
const LONGEST: usize = 4096;

/// The file is named, there is something to do, and it is short enough to be read.
fn told(error: &(impl Display + NextStep), files: &[&str]) {
    let (text, next) = (error.to_string(), error.next_step());
    assert!(files.iter().any(|file| text.contains(file)), "none of {files:?} is named in: {text}");
    assert!(!next.is_empty(), "no next step: {text}");
    assert!(
        text.chars().count() <= LONGEST,
        "{} characters: {}…",
        text.len(),
        text.chars().take(200).collect::<String>()
    );
}

fn chat() -> Vec<Message> {
    let turns = [(Role::User, "double <|im_start|> é"), (Role::Assistant, "twice"), (Role::User, "a")];
    turns.map(|(role, text)| Message::new(role, text)).into()
}

fn a_conversation() -> Row {
    let mut messages = chat();
    messages.push(Message::new(Role::Assistant, "it is 4"));
    Row::Chat(messages)
}

/// Loads a model and lets it answer.
fn answers(good: &Good, directory: &str, base: Option<&str>, files: &[&str]) {
    let base = base.map(|base| good.path(base));
    let model = match LoadedModel::load(&good.path(directory), base.as_deref()) {
        Ok(model) => model,
        Err(error) => return told(&error, files),
    };
    let params = GenerateParams { max_new_tokens: 2, ..GenerateParams::default() };
    for prompt in [Prompt::Chat(chat()), Prompt::Completion("double".into()), Prompt::Text(String::new())] {
        if let Err(error) = model.generate(&prompt, &params, &mut |_| ControlFlow::Continue(())) {
            told(&error, files);
        }
    }
}

pub fn config(good: &Good) {
    // The same bytes beside the weights of the other family.
    good.write("llama/config.json", std::fs::read(good.path("gpt2/config.json")).unwrap());
    for directory in ["gpt2", "llama"] {
        match huggingface::read_config(&good.path(directory)) {
            Ok(config) => reckon(&config),
            Err(error) => told(&error, &["config.json"]),
        }
        answers(good, directory, None, &["config.json", "model.safetensors", "tokenizer.json"]);
    }
}

/// All that a form asks of a configuration before anything is loaded.
fn reckon(config: &ModelConfig) {
    let architecture = config.architecture().unwrap();
    assert!(architecture.attention_scale.is_finite() && architecture.norm_epsilon > 0.0);
    if let Some(rotary) = &architecture.rotary {
        assert!(rotary.factor.is_finite() && rotary.frequencies.iter().all(|f| f.is_finite()), "{rotary:?}");
    }
    let lora = LoraConfig { target_modules: vec![ALL_LINEAR.into()], ..LoraConfig::default() };
    for lora in [None, Some(&lora)] {
        for recompute in [false, true] {
            let length = config.positions();
            let load = memory::TrainingLoad {
                batch_tokens: 4 * length,
                max_len: length,
                data_tokens: 1000,
                recompute,
            };
            let bytes = memory::training_memory_bytes(Tier::best(), config, lora, load);
            assert!(bytes > config.parameter_count() as u64);
        }
    }
    assert!(memory::merging_memory_bytes(config, &lora) > 0);
    assert!(serde_json::to_string(&config.saved()).is_ok());
}

pub fn weights(good: &Good) {
    let directory = good.path("gpt2");
    let config = huggingface::read_config(&directory).unwrap();
    if let Err(error) = huggingface::read_tensors(&directory, &config) {
        told(&error, &["model.safetensors"]);
    }
    if let Err(error) = huggingface::check_shapes(&directory, &config) {
        told(&error, &["model.safetensors"]);
    }
    answers(good, "gpt2", None, &["model.safetensors"]);
}

pub fn shard_index(good: &Good) {
    let directory = good.path("sharded");
    let config = huggingface::read_config(&directory).unwrap();
    let files = ["model.safetensors.index.json", "of-2.safetensors", "sharded/"];
    if let Err(error) = huggingface::check_shapes(&directory, &config) {
        told(&error, &files);
    }
    answers(good, "sharded", None, &files);
}

fn speaks(tokenizer: &Tokenizer, files: &[&str]) {
    let text = "Double the number: 12 345,\n\tdo É\u{301} 你好 <|endoftext|> <|im_end|>\u{fdd0}\u{0}  x";
    for text in [text, "", " "] {
        match tokenizer.encode(text) {
            Ok(ids) => drop(tokenizer.decode(&ids).map_err(|error| told(&error, files))),
            Err(error) => told(&error, files),
        }
        if let Err(error) = tokenizer.encode_written(text) {
            told(&error, files);
        }
    }
    let mut stream = tokenizer.stream();
    for id in (0..300).chain([u32::MAX, 1 << 31]) {
        if let Err(error) = stream.push(id) {
            told(&error, files);
        }
        let _ = (tokenizer.token_text(id), tokenizer.ends(id));
    }
    let _ = (stream.finish().is_ok(), tokenizer.vocab_size(), tokenizer.begin(), tokenizer.check_fits(260));
}

fn loads(good: &Good, directory: &str, files: &[&str]) {
    match Tokenizer::load(&good.path(directory)) {
        Ok(tokenizer) => speaks(&tokenizer, files),
        Err(error) => told(&error, files),
    }
}

pub fn tokenizer(good: &Good) {
    loads(good, "gpt2", &["tokenizer.json"]);
    answers(good, "gpt2", None, &["tokenizer"]);
}

pub fn vocab(good: &Good) {
    loads(good, "parts", &["vocab.json"]);
}

pub fn merges(good: &Good) {
    loads(good, "parts", &["vocab.json", "merges.txt"]);
}

/// Everything that is done with a base model's template.
fn converses(good: &Good, files: &[&str]) {
    let directory = good.path("gpt2");
    let tokenizer = match Tokenizer::load(&directory) {
        Ok(tokenizer) => tokenizer,
        Err(error) => return told(&error, files),
    };
    for (kind, row) in [
        (Kind::Chat, a_conversation()),
        (Kind::Completion, Row::Completion { prompt: "2".into(), completion: "4".into() }),
        (Kind::Text, Row::Text("double".into())),
    ] {
        let template = match Template::of_base(kind, &directory, Some(date(2026, 3, 9)), &tokenizer) {
            Ok(template) => template,
            Err(error) => return told(&error, files),
        };
        let mut set = TokenSet::new(kind, 32);
        if let Err(error) = set.append(&[row.clone(), row.clone()], &tokenizer, &template) {
            told(&error, files);
        }
        let _ = (set.batch(0..set.sequences()), set.predicted(), set.tokens());
        if let Err(error) = template.question(&row) {
            told(&error, files);
        }
        if let Err(error) = template.render_prompt(&chat()) {
            told(&error, files);
        }
    }
    answers(good, "gpt2", None, files);
}

pub fn tokenizer_config(good: &Good) {
    converses(good, &["tokenizer_config.json", "tokenizer.json"]);
}

pub fn special_tokens_map(good: &Good) {
    converses(good, &["special_tokens_map.json", "tokenizer_config.json"]);
}

pub fn generation_config(good: &Good) {
    converses(good, &["generation_config.json"]);
}

pub fn chat_template(good: &Good) {
    converses(good, &["chat_template.jinja"]);
}

pub fn adapter_config(good: &Good) {
    answers(good, "adapter", Some("gpt2"), &["adapter_config.json", "adapter_model.safetensors"]);
}

pub fn adapter_weights(good: &Good) {
    answers(good, "adapter", Some("gpt2"), &["adapter_model.safetensors"]);
}

pub fn tuned(good: &Good) {
    if let Err(error) = record::read(&good.path("tuned")) {
        told(&error, &["llm_tuner.json"]);
    }
    answers(good, "tuned", None, &["llm_tuner.json"]);
}

/// No time passes.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// A job that has no data: it ends with a word about its settings, or about the data.
fn starts(good: &Good, file: &str) {
    let stop = AtomicBool::new(false);
    let surroundings = Surroundings { clock: &Still, out: &mut std::io::sink(), stop: &stop };
    let error = job::run(&good.path("job"), surroundings).unwrap_err();
    told(&error, &[file, "input/data/training"]);
    let text = error.failure_text(&good.path("job"));
    assert!(text.lines().count() >= 2 && !text.contains(&*good.root().to_string_lossy()), "{text}");
}

pub fn hyperparameters(good: &Good) {
    use llm_tuner_engine::hyperparameters::{Base, Hyperparameters};
    starts(good, "hyperparameters.json");
    let text = std::fs::read(good.path("job/input/config/hyperparameters.json")).unwrap();
    let Ok(values) = serde_json::from_slice(&text) else { return };
    for base in [Base::Nano, Base::Model] {
        let Ok(settings) = Hyperparameters::parse(&values, base) else { continue };
        assert_eq!(Hyperparameters::parse(&settings.to_strings(), base).as_ref(), Ok(&settings));
        assert!(settings.total_steps(10) >= 1);
        if let Some(lora) = &settings.lora {
            lora.on(&good::gpt2()).validate().unwrap();
        }
    }
}

pub fn input_data_config(good: &Good) {
    starts(good, "inputdataconfig.json");
}

pub fn resource_config(good: &Good) {
    starts(good, "resourceconfig.json");
}

pub fn stop(good: &Good) {
    let _ = JobDirectory::new(&good.path("job")).on_stop();
}

pub fn training_rows(good: &Good) {
    let channel = good.path("rows/training");
    let mut kind = Kind::Text;
    let read = rows::read(&channel, None, |row| {
        kind = row.kind();
        true
    });
    if let Err(error) = read {
        return told(&error, &["rows.jsonl", "rows/training"]);
    }
    let directory = good.path("gpt2");
    let tokenizer = Tokenizer::load(&directory).unwrap();
    let own = Template::of_base(kind, &directory, None, &tokenizer).unwrap();
    for template in [Template::for_kind(kind), own] {
        match TokenSet::read(&channel, &tokenizer, &template, 16) {
            Ok((set, _)) => {
                let batch = set.batch(0..set.sequences());
                assert!(
                    batch.ids.len() == batch.targets.len()
                        && batch.lengths.iter().all(|&length| length <= 16)
                );
                assert!(set.predicted() <= set.tokens());
            }
            Err(error) => told(&error, &["rows.jsonl", "tokenizer_config.json"]),
        }
    }
}

/// Goes on from the checkpoint, for a step.
pub fn resume(good: &Good) {
    let root = good.path("checkpoints");
    checkpoint::newest_step(&root).unwrap();
    let found = match checkpoint::newest(&root, &good::fingerprint()) {
        Ok(Some(found)) => found,
        Ok(None) => return,
        Err(error) => return told(&error, &["checkpoints/"]),
    };
    assert!(checkpoint::at_step(&root, found.progress.step).is_some_and(|at| at.progress == found.progress));
    if let Err(error) = found.tokenizer() {
        told(&error, &["tokenizer.json"]);
    }
    let weights = match found.weights() {
        Ok(weights) => weights,
        Err(error) => return told(&error, &["weights.safetensors"]),
    };
    let state = match found.state() {
        Ok(state) => state,
        Err(error) => return told(&error, &["trainer.safetensors"]),
    };
    // What does not fit the model is refused by it, which knows no files.
    let Ok(_) = llm_tuner_engine::model::Model::from_tensors(good::gpt2(), weights) else { return };
    let mut trainer = good::trainer();
    if trainer.restore(state).is_err() {
        return;
    }
    let batch = Batch { ids: vec![1, 2, 3], targets: vec![2, 3, 4], lengths: vec![3] };
    if trainer.accumulate(&batch).is_ok() {
        let _ = trainer.apply(1e-3);
    }
    let _ = (found.progress.step + 1, trainer.step());
}

/// As [`resume`], with a manifest that takes the spoiled file for whole.
fn resume_signed(good: &Good) {
    let directory = "checkpoints/step-00000001";
    let mut manifest: Value = good.read_json(&format!("{directory}/manifest.json"));
    for (name, entry) in manifest["files"].as_object_mut().unwrap() {
        let bytes = std::fs::read(good.path(directory).join(name)).unwrap();
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        *entry = serde_json::json!({"bytes": bytes.len(), "sha256": sha256});
    }
    good.json(&format!("{directory}/manifest.json"), &manifest);
    resume(good);
}

pub fn checkpoint_weights(good: &Good) {
    resume_signed(good);
}

pub fn checkpoint_state(good: &Good) {
    resume_signed(good);
}

pub fn checkpoint_tokenizer(good: &Good) {
    resume_signed(good);
}
