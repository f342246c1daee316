//! The training port: where a job's directory (DESIGN.md §3, `docs/ARCHITECTURE.md`) is run.
//!
//! A backend starts, looks at, and stops; it keeps no state of its own that a restart would lose. The supervisor
//! (`services/supervisor`) drives it and is the only one who does. Adapter: [`local`]. [`exit`] is the word that the
//! trainer leaves behind.

pub mod exit;
pub mod local;
pub mod prices;
pub mod sagemaker;

use crate::domain::{ids::JobId, job::Job};
use async_trait::async_trait;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The job can't be started here; says why and what to do.
    #[error("{cause}")]
    Refused { cause: String, next_step: String },
    #[error("there is no room left on the disk")]
    Full,
    #[error("the training process can't be handled: {0}")]
    Io(String),
}

/// How a job's process stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunStatus {
    /// This try (`Job::attempt`) was never started, or its directory is gone.
    Absent,
    Running,
    /// It ended by itself, with this outcome.
    Ended(RunOutcome),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// `model/` is whole.
    Completed,
    /// Stopped on request; `model/` is whole where the model was to be kept.
    Stopped,
    /// The trainer gave up: what happened and, where it knows, what to do.
    Failed { message: String, next_step: Option<String> },
    /// Gone without a word: killed from outside, or the machine went down. Can be resumed from a checkpoint.
    Killed { signal: Option<i32> },
}

#[async_trait]
pub trait TrainingBackend: Send + Sync {
    /// The job's directory on this machine. The caller fills `input/` before `start`.
    fn directory(&self, job: &Job) -> PathBuf;
    /// Starts this try on the prepared directory, unless it already runs (then this is a no-op). The output of an
    /// earlier try is gone afterwards.
    async fn start(&self, job: &Job) -> Result<(), BackendError>;
    async fn status(&self, job: &Job) -> Result<RunStatus, BackendError>;
    /// Reads this try's output from `offset`, at most `limit` bytes of it. Returns whole lines (the last one of an
    /// ended process may lack its line feed) and the offset after them; no lines and the same offset: nothing new.
    /// Lines are cut at a limit, valid UTF-8 and without NUL.
    async fn output(&self, job: &Job, offset: u64, limit: usize) -> Result<(Vec<String>, u64), BackendError>;
    /// Asks the process to write a checkpoint (and the model, when `keep`) and end; after `grace` it is killed.
    async fn stop(&self, job: &Job, keep: bool) -> Result<(), BackendError>;
    /// The step of the newest whole checkpoint in the job's directory.
    async fn checkpoint(&self, job: &Job) -> Result<Option<u64>, BackendError>;
    /// The jobs that have a directory here.
    async fn present(&self) -> Result<Vec<JobId>, BackendError>;
    /// Removes the directory; refused while the process runs, no error where there is none.
    async fn clean(&self, job: &JobId) -> Result<(), BackendError>;
    /// Where the result lies once completed.
    fn result(&self, job: &Job) -> PathBuf {
        self.directory(job).join("model")
    }
}

/// Is `path` inside `root`, by its components alone?
pub fn is_inside(root: &Path, path: &Path) -> bool {
    path.starts_with(root) && path.components().all(|part| !matches!(part, std::path::Component::ParentDir))
}
