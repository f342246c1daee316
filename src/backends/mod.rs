//! The training port: where a job's directory (DESIGN.md §3, `docs/ARCHITECTURE.md`) is run.
//!
//! A backend starts, looks at, and stops; it keeps no state of its own that a restart would lose. The supervisor
//! (`services/supervisor`) drives it and is the only one who does. Adapters: [`local`], [`sagemaker`]. [`exit`] is the
//! word that the local trainer leaves behind. [`prices`] are ports of their own, for what machines elsewhere cost;
//! [`account`] tries what the server may do there.

pub mod account;
pub mod catalogue;
pub mod exit;
pub mod hosting;
#[cfg(test)]
mod job_for_tests;
pub mod local;
pub mod prices;
pub mod sagemaker;

use crate::domain::{
    cloud::CloudRun,
    ids::JobId,
    job::{Job, JobState},
};
use async_trait::async_trait;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The job can't be started here; says why and what to do.
    #[error("{cause}")]
    Refused { cause: String, next_step: String },
    /// No machine of the chosen kind is to be had. `busy`: there may be one when something else of the account ends.
    #[error("{cause}")]
    NoCapacity { cause: String, next_step: String, busy: bool },
    /// Nobody answered: nothing is known, and nothing has changed. Worth asking again.
    #[error("{0}")]
    Unavailable(String),
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
    Running(Progress),
    /// It ended by itself, with this outcome.
    Ended(RunOutcome),
}

/// Where a running job is, as its backend sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub state: JobState,
    /// For the person watching; `None` where the trainer itself says it better.
    pub words: Option<String>,
}

/// One look at a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub status: RunStatus,
    /// How it stands on SageMaker, to be kept in the row; `None` for a job of this machine.
    pub run: Option<CloudRun>,
}

impl From<RunStatus> for Look {
    fn from(status: RunStatus) -> Self {
        Self { status, run: None }
    }
}

/// Where the files of a job lie that runs elsewhere: `s3://…`
pub trait Folders: Send + Sync {
    fn training_data(&self, job: &Job) -> String;
    fn output(&self, job: &Job) -> String;
}

/// Where a result lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Artifact {
    /// In a directory of this machine, to be put into storage.
    Directory(PathBuf),
    /// In storage already, under this prefix.
    Stored(String),
    /// Nowhere: the run ended before there was one.
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// `model/` is whole.
    Completed,
    /// Stopped on request; `model/` is whole where the model was to be kept.
    Stopped,
    /// The trainer gave up: what happened and, where it knows, what to do.
    Failed { message: String, next_step: Option<String> },
    /// The machine was taken away or never came; another kind may be to be had.
    NoCapacity { message: String, next_step: String },
    /// The platform's own mistake: worth another try.
    Fault { message: String, next_step: String },
    /// Gone without a word: killed from outside, or the machine went down. Can be resumed from a checkpoint.
    Killed { signal: Option<i32> },
}

#[async_trait]
pub trait TrainingBackend: Send + Sync {
    /// What the row is to say before this try is started elsewhere, so that it is found again whatever happens.
    fn next_run(&self, _job: &Job) -> Option<CloudRun> {
        None
    }
    /// Where a job is that was just started.
    fn started(&self) -> Progress {
        Progress { state: JobState::Training, words: Some("Starting the engine".to_owned()) }
    }
    /// The job's directory on this machine. The caller fills `input/` before `start`.
    fn directory(&self, job: &Job) -> PathBuf;
    /// Starts this try on the prepared directory, unless it already runs (then this is a no-op). The output of an
    /// earlier try is gone afterwards.
    async fn start(&self, job: &Job) -> Result<(), BackendError>;
    async fn status(&self, job: &Job) -> Result<Look, BackendError>;
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
    /// Where the result lies once the run has ended.
    async fn result(&self, job: &Job) -> Result<Artifact, BackendError>;
}

/// Is `path` inside `root`, by its components alone?
pub fn is_inside(root: &Path, path: &Path) -> bool {
    path.starts_with(root) && path.components().all(|part| !matches!(part, std::path::Component::ParentDir))
}
