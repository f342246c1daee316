//! Runs a job as a child process of this server, on this machine's processors.
//!
//! ```text
//! <jobs>/<job id>/            the job's directory, DESIGN.md §3, and beside its parts:
//!     lock                    held by the running trainer (see `process`)
//!     pid                     which try runs, and as which process
//!     input/config/stop       written before the trainer is asked to stop: `keep` its model, or `discard`
//!     output/log              what the trainer prints
//!     output/exit             the trainer's last word (see `backends::exit`)
//!     output/signal           the signal that ended it, where this server saw that
//! ```
//!
//! All state is in the directory and in the kernel, so a server that was killed finds the trainer again. Needs Linux's
//! `/proc`. Not here: what the directory holds before the start, and what becomes of the outcome (`services/supervisor`).

pub(super) mod output;
mod process;

use super::{Artifact, BackendError, Look, Progress, RunOutcome, RunStatus, TrainingBackend, exit::Exit};
use crate::domain::{
    ids::JobId,
    job::{Job, JobState},
};
use async_trait::async_trait;
use process::{Launch, Process, Record};
use std::{
    collections::HashMap,
    ffi::OsString,
    fs, io,
    os::unix::{fs::DirBuilderExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::sync::watch;

#[derive(Debug, Clone)]
pub struct LocalSettings {
    /// Started as `<program> train --dir <job>`: this very program, but for tests.
    pub program: PathBuf,
    /// The directory that holds the jobs' directories.
    pub jobs: PathBuf,
    /// How long a stopped trainer may take to finish its step and write a checkpoint …
    pub grace: Duration,
    /// … and how long where it is to write the model too.
    pub grace_to_keep: Duration,
    /// How far the trainer steps back for the site, as `nice` counts.
    pub nice: i32,
    /// Set in the trainer's environment, beside the few variables that it inherits.
    pub environment: Vec<(OsString, OsString)>,
}

impl LocalSettings {
    pub fn new(program: PathBuf, jobs: PathBuf) -> Self {
        Self {
            program,
            jobs,
            grace: Duration::from_secs(30),
            grace_to_keep: Duration::from_secs(120),
            nice: 5,
            environment: Vec::new(),
        }
    }
}

/// The adapter; a clone is the same backend.
#[derive(Clone)]
pub struct LocalBackend {
    inner: Arc<Inner>,
}

struct Inner {
    settings: LocalSettings,
    /// One look at or change of a lock at a time: a look takes the lock for a moment and must not pass for a trainer.
    door: Mutex<()>,
    /// Trainers that this very server started and has not reaped yet.
    children: Mutex<HashMap<JobId, watch::Receiver<bool>>>,
}

impl LocalBackend {
    /// Makes the jobs' directory where there is none.
    pub fn new(mut settings: LocalSettings) -> Result<Self, BackendError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&settings.jobs).map_err(failure)?;
        settings.jobs = settings.jobs.canonicalize().map_err(failure)?;
        let inner = Inner { settings, door: Mutex::default(), children: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(|error| BackendError::Io(error.to_string()))?
    }

    /// Waits until a child of this server that has ended is reaped, so that its signal is known.
    async fn reaped(&self, job: &JobId) {
        let child =
            self.inner.children.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get(job).cloned();
        if let Some(mut child) = child {
            let _ = child.wait_for(|done| *done).await;
        }
    }
}

impl Inner {
    fn directory(&self, job: &JobId) -> PathBuf {
        self.settings.jobs.join(job.as_str())
    }

    fn door(&self) -> MutexGuard<'_, ()> {
        self.door.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The running process, of whichever try; notes it where a killed server could not.
    fn running(&self, directory: &Path) -> Result<Option<Process>, BackendError> {
        if !directory.join("lock").exists() || process::lock(directory).map_err(failure)?.is_some() {
            return Ok(None);
        }
        let record = Record::read(directory);
        if let Some(process) = record.and_then(|record| record.process) {
            // Where the trainer itself is dead, something that it started may still hold the lock.
            return Ok(process.is_alive().then_some(process));
        }
        let found = process::holder(directory);
        if let (Some(record), Some(process)) = (record, found) {
            Record { process: Some(process), ..record }.write(directory).map_err(failure)?;
        }
        Ok(found)
    }

    fn status(&self, job: &JobId, attempt: u32) -> Result<RunStatus, BackendError> {
        let directory = self.directory(job);
        let _door = self.door();
        if self.running(&directory)?.is_some() {
            return Ok(RunStatus::Running(Progress { state: JobState::Training, words: None }));
        }
        if Record::read(&directory).is_none_or(|record| record.attempt != attempt) {
            return Ok(RunStatus::Absent);
        }
        Ok(RunStatus::Ended(match Exit::read(&directory) {
            Some(Exit::Completed) => RunOutcome::Completed,
            Some(Exit::Stopped) => RunOutcome::Stopped,
            Some(Exit::Failed { message, next_step }) => RunOutcome::Failed { message, next_step },
            None => RunOutcome::Killed {
                signal: fs::read_to_string(directory.join("output/signal"))
                    .ok()
                    .and_then(|text| text.trim().parse().ok()),
            },
        }))
    }

    fn start(self: &Arc<Self>, job: &JobId, attempt: u32) -> Result<(), BackendError> {
        let directory = self.directory(job);
        if !directory.join("input").is_dir() {
            return Err(BackendError::Io(format!("the directory of job {job} was not prepared")));
        }
        fs::create_dir_all(directory.join("output")).map_err(failure)?;
        let _door = self.door();
        if self.running(&directory)?.is_some() {
            return Ok(());
        }
        let lock = self.take_lock(&directory)?;
        for left in ["output/exit", "output/failure", "output/signal", "input/config/stop"] {
            absent_is_fine(fs::remove_file(directory.join(left)))?;
        }
        let record = Record { attempt, process: None };
        record.write(&directory).map_err(failure)?;
        let launch = Launch {
            program: &self.settings.program,
            job: &directory,
            nice: self.settings.nice,
            environment: self.settings.environment.clone(),
        };
        let (mut child, process) = launch.spawn(lock).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => BackendError::Refused {
                cause: format!("the training program can't be started: {error}"),
                next_step: "Ask your administrator to check the installation.".to_owned(),
            },
            _ => failure(error),
        })?;
        if let Err(error) = (Record { process, ..record }).write(&directory) {
            // It runs and holds the lock; whoever looks next finds it by that.
            tracing::warn!(%job, %error, "the trainer's process number could not be noted");
        }
        let (done, waiting) = watch::channel(false);
        let mut children = self.children.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        children.insert(job.clone(), waiting);
        drop(children);
        let (this, job) = (Arc::clone(self), job.clone());
        tokio::spawn(async move {
            // Without this a dead child stays behind as a zombie.
            let status = child.wait().await;
            if let Some(signal) = status.ok().and_then(|status| status.signal()) {
                let _ = fs::write(directory.join("output/signal"), signal.to_string());
            }
            this.children.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&job);
            done.send_replace(true);
        });
        Ok(())
    }

    /// The lock of a job whose trainer is dead. What that one started and left behind is ended first.
    fn take_lock(&self, directory: &Path) -> Result<fs::File, BackendError> {
        for _ in 0..100 {
            if let Some(lock) = process::lock(directory).map_err(failure)? {
                return Ok(lock);
            }
            if let Some(process) = Record::read(directory).and_then(|record| record.process) {
                process.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(BackendError::Io("another process holds the job's directory".to_owned()))
    }

    /// Asks the trainer to end; returns it where there is one.
    fn ask_to_stop(&self, job: &JobId, keep: bool) -> Result<Option<Process>, BackendError> {
        let directory = self.directory(job);
        let _door = self.door();
        let Some(process) = self.running(&directory)? else { return Ok(None) };
        let wish = directory.join("input/config/stop");
        if let Some(parent) = wish.parent() {
            fs::create_dir_all(parent).map_err(failure)?;
        }
        fs::write(wish, if keep { "keep" } else { "discard" }).map_err(failure)?;
        process.terminate();
        Ok(Some(process))
    }
}

#[async_trait]
impl TrainingBackend for LocalBackend {
    fn directory(&self, job: &Job) -> PathBuf {
        self.inner.directory(&job.id)
    }

    async fn start(&self, job: &Job) -> Result<(), BackendError> {
        let (id, attempt, inner) = (job.id.clone(), job.attempt, Arc::clone(&self.inner));
        self.run(move |_| inner.start(&id, attempt)).await
    }

    async fn status(&self, job: &Job) -> Result<Look, BackendError> {
        let (id, attempt) = (job.id.clone(), job.attempt);
        let look = move |inner: &Inner| inner.status(&id, attempt);
        match self.run(look.clone()).await? {
            RunStatus::Ended(RunOutcome::Killed { .. }) => {
                self.reaped(&job.id).await;
                Ok(self.run(look).await?.into())
            }
            other => Ok(other.into()),
        }
    }

    async fn output(&self, job: &Job, offset: u64, limit: usize) -> Result<(Vec<String>, u64), BackendError> {
        let (id, attempt) = (job.id.clone(), job.attempt);
        self.run(move |inner| {
            // Asked before reading: what is read after the end is all there is.
            let ended = match inner.status(&id, attempt)? {
                RunStatus::Absent => return Ok((Vec::new(), offset)),
                RunStatus::Running(_) => false,
                RunStatus::Ended(_) => true,
            };
            output::read(&inner.directory(&id).join("output/log"), offset, limit, ended).map_err(failure)
        })
        .await
    }

    async fn stop(&self, job: &Job, keep: bool) -> Result<(), BackendError> {
        let id = job.id.clone();
        if let Some(process) = self.run(move |inner| inner.ask_to_stop(&id, keep)).await? {
            let settings = &self.inner.settings;
            let grace = if keep { settings.grace_to_keep } else { settings.grace };
            tokio::spawn(async move {
                tokio::time::sleep(grace).await;
                if process.is_alive() {
                    process.kill();
                }
            });
        }
        Ok(())
    }

    async fn checkpoint(&self, job: &Job) -> Result<Option<u64>, BackendError> {
        let checkpoints = self.inner.directory(&job.id).join("checkpoints");
        self.run(move |_| {
            llm_tuner_engine::checkpoint::newest_step(&checkpoints)
                .map_err(|error| BackendError::Io(error.to_string()))
        })
        .await
    }

    async fn result(&self, job: &Job) -> Result<Artifact, BackendError> {
        Ok(Artifact::Directory(self.inner.directory(&job.id).join("model")))
    }

    async fn present(&self) -> Result<Vec<JobId>, BackendError> {
        self.run(|inner| {
            let entries = fs::read_dir(&inner.settings.jobs).map_err(failure)?;
            Ok(entries.filter_map(|entry| JobId::parse(entry.ok()?.file_name().to_str()?)).collect())
        })
        .await
    }

    async fn clean(&self, id: &JobId) -> Result<(), BackendError> {
        let id = id.clone();
        self.run(move |inner| {
            let directory = inner.directory(&id);
            let _door = inner.door();
            if inner.running(&directory)?.is_some() {
                return Err(BackendError::Io(format!("job {id} still runs")));
            }
            absent_is_fine(fs::remove_dir_all(&directory))
        })
        .await
    }
}

fn absent_is_fine(result: io::Result<()>) -> Result<(), BackendError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failure(error)),
        _ => Ok(()),
    }
}

fn failure(error: io::Error) -> BackendError {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => BackendError::Full,
        _ => BackendError::Io(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
