//! The supervisor drives training jobs from the queue to their end, whatever happens to the server meanwhile.
//!
//! The database is the only truth and a lease says who may write to it: the supervisor claims a job, keeps the lease
//! alive, and writes everything under the lease's epoch, so one that was thought dead can't disturb its successor.
//! Nothing in memory matters. Each step may be the last before a crash and each may be done again; whoever claims the
//! job next asks the backend how its process stands and goes on from there. So most errors are handled by letting go.
//!
//! - this file: claims jobs and gives each a task          - [`lease`] holds one job and writes its row
//! - [`drive`] one job's way through its states            - [`prepare`] fills the job's directory
//! - [`follow`] turns the trainer's output into events     - [`lines`] reads one line of it
//! - [`elsewhere`] starts a job on other machines, and keeps what it costs
//! - [`jumpstart`] lays the data out for one of its models
//! - [`upload`] puts the result into storage               - [`explain`] says what went wrong, and what to do
//!
//! What outlives a job is in the database and in storage, so its directory goes when the job is over. That of one which
//! can be resumed stays until it is too old or its job is deleted.
//! Not here: who may start or stop a job (`services::training`), how a process is run (`backends`).

mod drive;
mod elsewhere;
mod explain;
mod follow;
mod jumpstart;
mod lease;
mod lines;
mod prepare;
mod upload;

use super::hub::JobHub;
use crate::{
    backends::{BackendError, TrainingBackend},
    domain::{cloud::Place, ids::JobId, job::Job, time::Clock},
    storage::Storage,
    store::{Store, StoreError},
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone)]
pub struct SupervisorSettings {
    /// Who we are on a lease. The same after every restart of this server, and nobody else's at the same time: at its
    /// start the supervisor takes back what its name holds.
    pub owner: String,
    /// Whose jobs it takes: those of this place.
    pub place: Place,
    /// Base models of the operator, one directory each.
    pub models_dir: PathBuf,
    /// Jobs at the same time.
    pub max_parallel: usize,
    /// How long a job stays ours without a sign of life …
    pub lease: Duration,
    /// … which is given this often.
    pub heartbeat: Duration,
    /// How often the trainer's output is read.
    pub poll: Duration,
    /// How often the queue is looked at when nobody says that there is something new.
    pub queue: Duration,
    /// Tries of a job whose process is killed from outside.
    pub max_attempts: u32,
    /// How long after its end a job can be resumed: then its directory goes.
    pub keep_checkpoints: Duration,
    /// How often, and after which pause, a full disk is tried again before a trained model is given up.
    pub upload_tries: u32,
    pub upload_pause: Duration,
}

impl SupervisorSettings {
    pub fn new(owner: String, models_dir: PathBuf) -> Self {
        Self {
            owner,
            place: Place::Local,
            models_dir,
            max_parallel: 1,
            lease: Duration::from_secs(15),
            heartbeat: Duration::from_secs(3),
            poll: Duration::from_millis(300),
            queue: Duration::from_secs(1),
            max_attempts: 3,
            keep_checkpoints: Duration::from_secs(7 * 24 * 3600),
            upload_tries: 20,
            upload_pause: Duration::from_secs(15),
        }
    }
}

/// A clone is the same supervisor.
#[derive(Clone)]
pub struct Supervisor {
    parts: Arc<Parts>,
}

struct Parts {
    store: Arc<dyn Store>,
    storage: Arc<dyn Storage>,
    backend: Arc<dyn TrainingBackend>,
    clock: Arc<dyn Clock>,
    settings: SupervisorSettings,
    hub: JobHub,
    /// Counts nudges, for those who hold a job: somebody may want it stopped.
    nudges: watch::Sender<u64>,
}

/// Why a job was let go of before its end. Its process runs on; the next holder goes on from here.
#[derive(Debug, thiserror::Error)]
enum LetGo {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl LetGo {
    /// Somebody does not answer: the job is taken up again when its lease has run out.
    fn later(why: String) -> Self {
        Self::Backend(BackendError::Unavailable(why))
    }
}

impl Supervisor {
    pub fn new(
        store: Arc<dyn Store>,
        storage: Arc<dyn Storage>,
        backend: Arc<dyn TrainingBackend>,
        clock: Arc<dyn Clock>,
        settings: SupervisorSettings,
        hub: JobHub,
    ) -> Self {
        let nudges = watch::channel(0).0;
        Self { parts: Arc::new(Parts { store, storage, backend, clock, settings, hub, nudges }) }
    }

    /// Works until `stop` is cancelled: then it claims nothing more, gives its leases back and returns. Trainers go on
    /// running and are found again at the next start.
    pub async fn run(&self, stop: CancellationToken) {
        let parts = &self.parts;
        let mut jobs = JoinSet::new();
        let mut nudged = parts.hub.nudges();
        let mut taken_back = false;
        let mut sweep = tokio::time::interval(Duration::from_secs(3600));
        loop {
            // First of all: a former self of this name is dead, so what it held is free.
            if !taken_back {
                match parts.store.release_all(&parts.settings.owner).await {
                    Ok(_) => taken_back = true,
                    Err(error) => {
                        tracing::warn!(%error, "jobs of before the restart could not be taken back")
                    }
                }
            }
            if taken_back {
                self.claim(&mut jobs, &stop).await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                // The hub lives as long as we do, so the channel does not close.
                _ = nudged.changed() => {
                    parts.nudges.send_modify(|count| *count += 1);
                    // Perhaps a job was deleted.
                    parts.sweep().await;
                }
                Some(ended) = jobs.join_next() => if let Err(error) = ended {
                    tracing::error!(%error, "a job's task ended badly; its lease runs out and it is taken up again");
                },
                _ = sweep.tick() => parts.sweep().await,
                () = tokio::time::sleep(parts.settings.queue) => {}
            }
        }
        while jobs.join_next().await.is_some() {}
    }

    async fn claim(&self, jobs: &mut JoinSet<()>, stop: &CancellationToken) {
        let parts = &self.parts;
        let free = parts.settings.max_parallel.saturating_sub(jobs.len());
        if free == 0 || stop.is_cancelled() {
            return;
        }
        let now = parts.clock.now();
        let until = now.plus(parts.settings.lease);
        match parts.store.claim_jobs(&parts.settings.owner, parts.settings.place, now, until, free).await {
            Ok(claimed) => {
                for job in claimed {
                    jobs.spawn(drive::drive(Arc::clone(parts), job, stop.clone()));
                }
            }
            Err(error) => tracing::warn!(%error, "the queue can't be read"),
        }
    }
}

impl Parts {
    /// Removes directories that nobody needs: of jobs that were deleted or can't be resumed any more, or a crash came
    /// between a job's end and its tidying up.
    async fn sweep(&self) {
        let present = match self.backend.present().await {
            Ok(present) => present,
            Err(error) => return tracing::warn!(%error, "the jobs' directories can't be listed"),
        };
        for id in present {
            match self.store.job(&id).await {
                Ok(Some(job)) if !job.state.is_final() => {}
                Ok(Some(job)) => self.tidy(&job).await,
                Ok(None) => self.clean(&id).await,
                Err(error) => return tracing::warn!(%error, "the jobs' directories can't be swept"),
            }
        }
    }

    /// Removes the directory of a job that is over, unless it can be resumed for some time yet.
    async fn tidy(&self, job: &Job) {
        let over = job.ended_at.unwrap_or(job.created_at).plus(self.settings.keep_checkpoints);
        if job.can_resume() && self.clock.now() < over {
            return;
        }
        // First the row: what can be resumed has its directory.
        if job.checkpoint_step > 0
            && let Err(error) = self.store.forget_checkpoint(&job.id).await
        {
            return tracing::debug!(job = %job.id, %error, "the job's directory stays for now");
        }
        self.clean(&job.id).await;
    }

    async fn clean(&self, id: &JobId) {
        if let Err(error) = self.backend.clean(id).await {
            tracing::warn!(job = %id, %error, "the job's directory could not be removed");
        }
    }
}
