//! Checkpoints: everything that training needs to go on as if it had never stopped.
//!
//! `checkpoints/step-00000120/` holds the trained weights, the optimizer's state and, for nano, the tokenizer; its
//! `manifest.json` is written last and names every file with its length and SHA-256. A directory whose manifest is
//! missing or does not hold is a checkpoint that was being written when the process died; it is passed over. Which
//! batch comes next follows from the step alone, and so do the random numbers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{FileError, NextStep};
use crate::files::{atomic, read_json, safetensors};
use crate::tensor::TensorMap;
use crate::tokenizer::{Tokenizer, TokenizerError};
use crate::trainer::Trainer;

/// How many are kept: the newest may be torn by a power cut.
const KEEP: usize = 2;
const MANIFEST: &str = "manifest.json";
const WEIGHTS: &str = "weights.safetensors";
const STATE: &str = "trainer.safetensors";
const TOKENIZER: &str = "tokenizer.json";

#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error("checkpoints/ belongs to a run with other {what}")]
    OtherRun { what: &'static str },
}

impl NextStep for CheckpointError {
    fn next_step(&self) -> String {
        match self {
            Self::File(error) => error.next_step(),
            Self::Tokenizer(error) => error.next_step(),
            Self::OtherRun { .. } => {
                "Start a new job, or remove the checkpoints to train from the beginning.".into()
            }
        }
    }
}

/// What a run is: a checkpoint only continues the very same one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    pub settings: String,
    pub data: String,
    pub base: String,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Optimizer steps taken.
    pub step: u64,
    /// Tokens that went through the model.
    pub tokens: u64,
    /// Seconds spent, over all parts of the run.
    pub seconds: f64,
    pub train_loss: f64,
    pub eval_loss: Option<f64>,
    pub best_eval_loss: Option<f64>,
    pub best_step: u64,
    /// Evaluations since the best one.
    pub evaluations_without_improvement: u32,
    /// What the base model's chat template takes for today, on whatever day the run goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template_date: Option<Date>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    engine_version: String,
    fingerprint: Fingerprint,
    progress: Progress,
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    sha256: String,
}

/// A whole checkpoint on disk.
#[derive(Debug)]
pub struct Checkpoint {
    directory: PathBuf,
    pub progress: Progress,
}

/// Writes a checkpoint and removes old ones, except that of `progress.best_step`.
pub fn save(
    root: &Path,
    trainer: &Trainer,
    tokenizer: Option<&Tokenizer>,
    fingerprint: &Fingerprint,
    progress: &Progress,
) -> Result<(), CheckpointError> {
    std::fs::create_dir_all(root).map_err(FileError::io("create", root))?;
    let target = root.join(name(progress.step));
    atomic::replace_directory(&target, |directory| -> Result<(), CheckpointError> {
        let model = trainer.model();
        if model.lora().is_some() {
            safetensors::write(&directory.join(WEIGHTS), model.lora_tensors())?;
        } else {
            safetensors::write(&directory.join(WEIGHTS), model.tensors())?;
        }
        safetensors::write(&directory.join(STATE), trainer.state_tensors())?;
        let mut names = vec![WEIGHTS, STATE];
        if let Some(tokenizer) = tokenizer {
            tokenizer.save_json(&directory.join(TOKENIZER))?;
            names.push(TOKENIZER);
        }
        let files = names.into_iter().map(|name| Ok((name.to_owned(), entry(&directory.join(name))?)));
        let manifest = Manifest {
            engine_version: env!("CARGO_PKG_VERSION").into(),
            fingerprint: fingerprint.clone(),
            progress: progress.clone(),
            files: files.collect::<Result<_, FileError>>()?,
        };
        let path = directory.join(MANIFEST);
        let text = serde_json::to_vec_pretty(&manifest).map_err(|error| FileError::json(&path, &error))?;
        Ok(atomic::write_file(&path, &text)?)
    })?;
    prune(root, progress)?;
    Ok(())
}

/// The newest whole checkpoint of this run; broken ones are passed over.
///
/// # Errors
/// When the newest whole one belongs to another run: going on would mix two runs, and beginning anew would lose
/// one.
pub fn newest(root: &Path, fingerprint: &Fingerprint) -> Result<Option<Checkpoint>, CheckpointError> {
    for (step, directory) in list(root)?.into_iter().rev() {
        let Some(manifest) = whole(step, &directory) else { continue };
        let Fingerprint { settings, data, base } = &manifest.fingerprint;
        let checks = [
            ("settings", *settings == fingerprint.settings),
            ("data", *data == fingerprint.data),
            ("base model", *base == fingerprint.base),
        ];
        if let Some((what, _)) = checks.into_iter().find(|(_, same)| !same) {
            return Err(CheckpointError::OtherRun { what });
        }
        return Ok(Some(Checkpoint { directory, progress: manifest.progress }));
    }
    Ok(None)
}

/// The step of the newest whole checkpoint, whichever run it belongs to.
pub fn newest_step(root: &Path) -> Result<Option<u64>, FileError> {
    let whole = |(step, directory): (u64, PathBuf)| whole(step, &directory).map(|_| step);
    Ok(list(root)?.into_iter().rev().find_map(whole))
}

/// The checkpoint of a step, if it is there and whole.
pub fn at_step(root: &Path, step: u64) -> Option<Checkpoint> {
    let directory = root.join(name(step));
    let manifest = whole(step, &directory)?;
    Some(Checkpoint { directory, progress: manifest.progress })
}

impl Checkpoint {
    /// Trained weights: all, or the adapter's.
    pub fn weights(&self) -> Result<TensorMap, FileError> {
        safetensors::read(&self.directory.join(WEIGHTS), |_| true)
    }

    /// The optimizer's state, for [`Trainer::restore`].
    pub fn state(&self) -> Result<TensorMap, FileError> {
        safetensors::read(&self.directory.join(STATE), |_| true)
    }

    /// The tokenizer trained for this run.
    pub fn tokenizer(&self) -> Result<Tokenizer, TokenizerError> {
        Tokenizer::load_json(&self.directory.join(TOKENIZER))
    }
}

fn name(step: u64) -> String {
    format!("step-{step:08}")
}

/// Checkpoint directories by step, oldest first.
fn list(root: &Path) -> Result<Vec<(u64, PathBuf)>, FileError> {
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FileError::io("list", root)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(FileError::io("list", root))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(step) = name.strip_prefix("step-").and_then(|step| step.parse().ok()) {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

fn prune(root: &Path, progress: &Progress) -> Result<(), FileError> {
    let found = list(root)?;
    for (step, path) in found.iter().rev().skip(KEEP) {
        if *step != progress.best_step {
            atomic::remove_directory(path)?;
        }
    }
    Ok(())
}

/// The manifest, if it is that of this step, and every file is there and as it says.
fn whole(step: u64, directory: &Path) -> Option<Manifest> {
    let manifest: Manifest = read_json(&directory.join(MANIFEST)).ok()?;
    let Manifest { files, progress, .. } = &manifest;
    // A name that is none of ours could lead anywhere, and to what never ends.
    let ours = files.keys().all(|name| [WEIGHTS, STATE, TOKENIZER].contains(&name.as_str()));
    let complete = [WEIGHTS, STATE].iter().all(|name| files.contains_key(*name));
    let as_said = |(name, expected): (&String, &Entry)| {
        let path = directory.join(name);
        path.metadata().is_ok_and(|found| found.is_file() && found.len() == expected.bytes)
            && entry(&path).is_ok_and(|found| found == *expected)
    };
    let intact = progress.step == step && ours && complete && files.iter().all(as_said);
    intact.then_some(manifest)
}

fn entry(path: &Path) -> Result<Entry, FileError> {
    let mut file = File::open(path).map_err(FileError::io("open", path))?;
    let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; 1 << 18]);
    loop {
        let read = file.read(&mut chunk).map_err(FileError::io("read", path))?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        hash.update(&chunk[..read]);
    }
    Ok(Entry { bytes, sha256: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect() })
}
