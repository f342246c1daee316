//! One job's way: `starting → downloading → training → uploading → completed`, and what may come between.

use super::{
    LetGo, Parts,
    explain::{self, Explained},
    lease::{self, Held},
    prepare::{self, PrepareError},
};
use crate::{
    backends::{Artifact, RunOutcome, RunStatus},
    domain::{
        event::EventBody,
        ids::JobId,
        job::{Job, JobState, StopMode},
    },
    store::{JobUpdate, StoreError},
};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Drives a claimed job until it is over, the lease is lost, or the server ends.
pub(super) async fn drive(parts: Arc<Parts>, job: Job, shutdown: CancellationToken) {
    let Some(epoch) = job.lease.as_ref().map(|lease| lease.epoch) else { return };
    let id = job.id.clone();
    let (asked, stop) = watch::channel(job.stop);
    let mut held = Held { parts: Arc::clone(&parts), job, epoch, stop };
    tokio::select! {
        ended = held.drive_to_the_end() => match ended {
            Ok(()) => parts.tidy(&held.job).await,
            Err(LetGo::Store(StoreError::LeaseLost)) => return lost(&parts, &id).await,
            // The lease is left to run out: that is the pause before the next try.
            Err(error) => return tracing::warn!(job = %id, %error, "a job is let go of for now"),
        },
        () = lease::keep(&parts, &id, epoch, asked) => return lost(&parts, &id).await,
        () = shutdown.cancelled() => {}
    }
    if let Err(error) = parts.store.release(&id, epoch).await {
        tracing::debug!(job = %id, %error, "the lease was not given back");
    }
}

/// Another supervisor took the job, or a person stopped it before it left the queue.
async fn lost(parts: &Parts, id: &JobId) {
    match parts.store.job(id).await {
        Ok(Some(job)) if job.state.is_final() => parts.tidy(&job).await,
        Ok(None) => parts.clean(id).await,
        _ => tracing::warn!(job = %id, "another supervisor holds the job now"),
    }
}

impl Held {
    /// Returns when the job is in a final state.
    async fn drive_to_the_end(&mut self) -> Result<(), LetGo> {
        loop {
            if self.look().await? == RunStatus::Absent && !self.launch().await? {
                return Ok(());
            }
            let outcome = self.follow().await?;
            if self.conclude(outcome).await? {
                return Ok(());
            }
        }
    }

    /// Starts the present try. `false`: the job ended instead.
    async fn launch(&mut self) -> Result<bool, LetGo> {
        if self.job.state == JobState::Uploading && self.uploaded().await? {
            self.end(JobState::Completed, "Completed", JobUpdate::default()).await?;
            return Ok(false);
        }
        if self.stopped_early().await? {
            return Ok(false);
        }
        if self.job.log_offset > 0 {
            // This try has run, and its directory is gone.
            self.next_attempt().await?;
        }
        self.enter(JobState::Starting, "Starting").await?;
        self.enter(JobState::Downloading, "Preparing the data").await?;
        match prepare::prepare(&self.parts, &self.job).await {
            Ok(()) => {}
            Err(PrepareError::Store(error)) => return Err(error.into()),
            Err(PrepareError::Later(why)) => {
                self.note("The files can't be had just now. It is tried again.").await?;
                return Err(LetGo::later(why));
            }
            Err(PrepareError::Failed(why)) => {
                self.fail(why).await?;
                return Ok(false);
            }
        }
        if self.stopped_early().await? {
            return Ok(false);
        }
        if !self.begin().await? {
            return Ok(false);
        }
        let first = self.parts.backend.started();
        self.enter(first.state, first.words.as_deref().unwrap_or("Started")).await?;
        Ok(true)
    }

    pub(super) async fn stopped_early(&mut self) -> Result<bool, LetGo> {
        if self.asked_to_stop().is_none() && self.job.state != JobState::Stopping {
            return Ok(false);
        }
        let message = match self.job.checkpoint_step {
            0 => "Stopped before it had learned anything.",
            _ => "Stopped before it went on.",
        };
        self.end(JobState::Stopped, message, JobUpdate::default()).await?;
        Ok(true)
    }

    /// What becomes of a job whose process has ended. `false`: another try follows.
    async fn conclude(&mut self, outcome: RunOutcome) -> Result<bool, LetGo> {
        use RunOutcome::{Completed, Failed, Fault, Killed, NoCapacity, Stopped};
        let asked = self.asked_to_stop();
        match (outcome, asked) {
            (Completed | Stopped, Some(StopMode::Discard)) => {
                self.end(
                    JobState::Stopped,
                    "Stopped. What this run learned is discarded; its log is kept.",
                    JobUpdate::default(),
                )
                .await?;
            }
            (Completed, _) => self.save(JobState::Completed, "Completed").await?,
            (Stopped, Some(StopMode::Keep))
                if self.parts.backend.result(&self.job).await? == Artifact::Nothing =>
            {
                let message = "Stopped before a model was written. What its last checkpoint holds is kept.";
                self.end(JobState::Stopped, message, JobUpdate::default()).await?;
            }
            (Stopped, Some(StopMode::Keep)) => {
                self.save(JobState::Stopped, "Stopped. The model is kept as it was.").await?;
            }
            (NoCapacity { message, next_step } | Fault { message, next_step }, Some(_)) => {
                self.fail(explain::because(message, next_step)).await?;
            }
            (NoCapacity { message, next_step }, None) => {
                if self.other_machine(&message).await? {
                    self.next_attempt().await?;
                    return Ok(false);
                }
                self.fail(explain::because(message, next_step)).await?;
            }
            (Fault { message, next_step }, None) => {
                if self.job.tries() > 1 {
                    self.fail(explain::because(message, next_step)).await?;
                    return Ok(true);
                }
                self.next_attempt().await?;
                self.note(&format!("{message} It is tried once more.")).await?;
                return Ok(false);
            }
            (Failed { message, next_step }, _) => self.fail(explain::engine(message, next_step)).await?,
            (Killed { .. }, Some(mode)) => {
                let message = match mode {
                    StopMode::Keep => {
                        "Stopped. The process ended before it could save the model, so none is kept."
                    }
                    StopMode::Discard => "Stopped. What this run learned is discarded; its log is kept.",
                };
                self.end(JobState::Stopped, message, JobUpdate::default()).await?;
            }
            (Killed { signal: Some(signal) }, None) if explain::is_crash(signal) => {
                let lines = self.last_lines().await?;
                self.fail(explain::crashed(signal, &lines)).await?;
            }
            // Somebody else than us ended it, with or without a chance to say so.
            (Killed { signal }, None) => return self.again(signal).await,
            (Stopped, None) => return self.again(None).await,
        }
        Ok(true)
    }

    /// The next try, from the last checkpoint; `true` where there is none left.
    async fn again(&mut self, signal: Option<i32>) -> Result<bool, LetGo> {
        let tries = self.parts.settings.max_attempts;
        if self.job.tries() >= tries {
            self.fail(explain::killed(signal, self.job.tries())).await?;
            return Ok(true);
        }
        self.next_attempt().await?;
        let message = format!(
            "The training process was ended from outside. It goes on from its last checkpoint (try {} of {tries}).",
            self.job.tries()
        );
        self.enter(JobState::Starting, &message).await?;
        Ok(false)
    }

    /// Puts the result into storage and ends the job in `state`.
    async fn save(&mut self, state: JobState, message: &str) -> Result<(), LetGo> {
        self.enter(JobState::Uploading, "Saving the model").await?;
        match self.upload().await? {
            Ok(()) => self.end(state, message, JobUpdate::default()).await?,
            Err(why) => self.fail(why).await?,
        }
        Ok(())
    }

    pub(super) async fn fail(&mut self, why: Explained) -> Result<(), LetGo> {
        let update = JobUpdate {
            failure: Some(why.cause.clone()),
            next_step: Some(why.next_step),
            ..JobUpdate::default()
        };
        tracing::info!(job = %self.job.id, cause = why.cause, "a job failed");
        self.end(JobState::Failed, &why.cause, update).await
    }

    /// Is the model of this very try stored already? One of before the job was resumed does not count.
    async fn uploaded(&self) -> Result<bool, LetGo> {
        let Some(model) = self.parts.store.model_of_job(&self.job.id).await? else { return Ok(false) };
        let states = self.parts.store.last_events_of_kind(&self.job.id, "state", 1).await?;
        Ok(states.last().is_some_and(|began| model.created_at >= began.at))
    }

    async fn last_lines(&self) -> Result<Vec<String>, LetGo> {
        let events = self.parts.store.last_events_of_kind(&self.job.id, "log", 20).await?;
        Ok(events
            .into_iter()
            .filter_map(|event| match event.body {
                EventBody::Log { line } => Some(line),
                _ => None,
            })
            .collect())
    }
}
