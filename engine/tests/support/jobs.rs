//! Small jobs: their directories, a clock that moves by itself, and reading what they print.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use llm_tuner_engine::config::ModelConfig;
use llm_tuner_engine::data::rows::Kind;
use llm_tuner_engine::data::template::Template;
use llm_tuner_engine::files::safetensors;
use llm_tuner_engine::job::{self, Clock, JobError, Summary, Surroundings};
use llm_tuner_engine::model::Model;
use llm_tuner_engine::tensor::{Tensor, TensorMap};
use llm_tuner_engine::tokenizer::Tokenizer;
use serde_json::Value;

/// A second passes whenever somebody looks, so that every step is reported.
#[derive(Default)]
pub struct TickingClock(AtomicU64);

impl Clock for TickingClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Collects what a job prints, and asks it to stop when a line contains a text.
pub struct Output {
    pub text: Vec<u8>,
    stop_at: Option<String>,
    stop: std::sync::Arc<AtomicBool>,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.text.extend_from_slice(bytes);
        let line = String::from_utf8_lossy(bytes);
        if self.stop_at.as_ref().is_some_and(|text| line.contains(text.as_str())) {
            self.stop.store(true, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub struct Job {
    pub root: tempfile::TempDir,
}

impl Job {
    /// A job on prompt and completion rows.
    pub fn new(settings: &[(&str, &str)]) -> Self {
        let job = Self::empty(settings);
        job.rows("training", 40);
        job
    }

    pub fn empty(settings: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["input/config", "input/data/training"] {
            std::fs::create_dir_all(root.path().join(name)).unwrap();
        }
        let job = Self { root };
        job.settings(settings);
        job
    }

    pub fn settings(&self, settings: &[(&str, &str)]) {
        let map: BTreeMap<_, _> = settings.iter().copied().collect();
        self.file("input/config/hyperparameters.json", &serde_json::to_string(&map).unwrap());
    }

    pub fn rows(&self, channel: &str, count: usize) {
        let row = |i: usize| {
            let row = serde_json::json!({
                "prompt": format!("double the number {i}"), "completion": format!("twice {i} is {}", 2 * i)
            });
            format!("{row}\n")
        };
        self.file(&format!("input/data/{channel}/rows.jsonl"), &(0..count).map(row).collect::<String>());
    }

    /// A base model of random weights with a tokenizer; `spoil` may change the weights.
    pub fn base(&self, config: ModelConfig, spoil: impl FnOnce(&mut TensorMap)) {
        let directory = self.path("input/data/model");
        std::fs::create_dir_all(&directory).unwrap();
        let tokenizer = Tokenizer::train(["double the number, twice is"].iter(), 257).unwrap();
        tokenizer.save(&directory, &Template::for_kind(Kind::Text), 64).unwrap();
        let model = Model::init(config.clone(), 1).unwrap();
        let tensors =
            model.tensors().map(|(name, shape, data)| (name, Tensor { shape, data: data.to_vec() }));
        let mut tensors: TensorMap = tensors.collect();
        spoil(&mut tensors);
        safetensors::write(&directory.join("model.safetensors"), safetensors::entries(&tensors)).unwrap();
        std::fs::write(directory.join("config.json"), serde_json::to_string(&config).unwrap()).unwrap();
    }

    pub fn file(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub fn run(&self) -> Result<(Summary, Vec<Value>), JobError> {
        self.run_until(None)
    }

    /// Runs in this process; asked to stop when a printed line contains `stop_at`.
    pub fn run_until(&self, stop_at: Option<&str>) -> Result<(Summary, Vec<Value>), JobError> {
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let mut out = Output { text: Vec::new(), stop_at: stop_at.map(str::to_owned), stop: stop.clone() };
        let clock = TickingClock::default();
        let surroundings = Surroundings { clock: &clock, out: &mut out, stop: &stop };
        let summary = job::run(self.root.path(), surroundings)?;
        Ok((summary, events(&out.text)))
    }

    /// The failure text of a run that must fail.
    pub fn failure(&self) -> String {
        let error = self.run().map(|(summary, _)| summary).unwrap_err();
        error.failure_text(self.root.path())
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_engine-train"));
        command.arg(self.root.path());
        command
    }
}

/// The lines of JSON among what was printed.
pub fn events(text: &[u8]) -> Vec<Value> {
    String::from_utf8_lossy(text).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The values of a metric, by step.
pub fn metric(events: &[Value], name: &str) -> Vec<(u64, f64)> {
    let of = |event: &Value| (event["step"].as_u64().unwrap(), event["value"].as_f64().unwrap());
    events.iter().filter(|event| event["metric"] == name).map(of).collect()
}

pub fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}
