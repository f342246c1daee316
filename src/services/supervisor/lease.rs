//! Holding one job: keeping its lease alive, and writing its row and events under it.

use super::{LetGo, Parts};
use crate::{
    domain::{
        event::EventBody,
        ids::JobId,
        job::{Job, JobState, StopMode},
        time::Instant,
    },
    store::{JobUpdate, StoreError, StoreResult},
};
use std::sync::Arc;
use tokio::sync::watch;

/// A job that this supervisor holds, and its row as last written.
pub(super) struct Held {
    pub parts: Arc<Parts>,
    pub job: Job,
    pub epoch: u64,
    /// What a person asked for.
    pub stop: watch::Receiver<Option<StopMode>>,
}

impl Held {
    pub fn now(&self) -> Instant {
        self.parts.clock.now()
    }

    pub fn asked_to_stop(&self) -> Option<StopMode> {
        *self.stop.borrow()
    }

    /// Writes update and events in one transaction, and tells who listens.
    pub async fn record(&mut self, update: JobUpdate, events: Vec<(Instant, EventBody)>) -> StoreResult<()> {
        let seq = self.parts.store.record(&self.job.id, self.epoch, &update, &events).await?;
        let job = &mut self.job;
        job.last_seq = seq;
        job.state = update.state.unwrap_or(job.state);
        job.phase = update.phase.unwrap_or_else(|| std::mem::take(&mut job.phase));
        job.cloud = update.cloud.or_else(|| job.cloud.take());
        job.log_offset = update.log_offset.unwrap_or(job.log_offset);
        job.started_at = update.started_at.or(job.started_at);
        job.ended_at = update.ended_at.or(job.ended_at);
        job.train_loss = update.train_loss.or(job.train_loss);
        job.eval_loss = update.eval_loss.or(job.eval_loss);
        job.step = update.step.unwrap_or(job.step);
        job.checkpoint_step = update.checkpoint_step.unwrap_or(job.checkpoint_step);
        self.parts.hub.publish(&self.job.id, seq);
        Ok(())
    }

    /// Goes into a state, with a word for the person watching. Nothing where it is in it already.
    pub async fn enter(&mut self, state: JobState, message: &str) -> StoreResult<()> {
        if self.job.state == state {
            return Ok(());
        }
        let now = self.now();
        let update = JobUpdate {
            state: Some(state),
            phase: Some(message.to_owned()),
            started_at: self.job.started_at.is_none().then_some(now),
            ..JobUpdate::default()
        };
        self.record(update, vec![(now, EventBody::State { state, message: message.to_owned() })]).await
    }

    /// Another word in the same state. Nothing where it was said last.
    pub async fn note(&mut self, message: &str) -> StoreResult<()> {
        if self.job.phase == message {
            return Ok(());
        }
        let (now, state) = (self.now(), self.job.state);
        let update = JobUpdate { phase: Some(message.to_owned()), ..JobUpdate::default() };
        self.record(update, vec![(now, EventBody::State { state, message: message.to_owned() })]).await
    }

    /// The job's last word; `update` may say more. Notes the checkpoint that it can go on from.
    pub async fn end(&mut self, state: JobState, message: &str, update: JobUpdate) -> Result<(), LetGo> {
        let keeps = state.may_resume() && self.asked_to_stop() != Some(StopMode::Discard);
        let checkpoint = if keeps { self.parts.backend.checkpoint(&self.job).await? } else { None };
        let now = self.now();
        let update = JobUpdate {
            state: Some(state),
            phase: Some(message.to_owned()),
            ended_at: Some(now),
            // The trainer tells its step now and then; a checkpoint may be of a later one.
            step: checkpoint.filter(|step| *step > self.job.step),
            checkpoint_step: Some(checkpoint.unwrap_or(0)),
            ..update
        };
        self.record(update, vec![(now, EventBody::State { state, message: message.to_owned() })]).await?;
        self.save_charge(true).await?;
        Ok(())
    }

    /// Counts a new try. Done before it starts: a crash in between finds a try without a process, and starts it.
    pub async fn next_attempt(&mut self) -> StoreResult<()> {
        self.job.attempt = self.parts.store.next_attempt(&self.job.id, self.epoch).await?;
        self.job.log_offset = 0;
        Ok(())
    }
}

/// Extends the lease until it is lost, and passes on what a person asked for.
pub(super) async fn keep(parts: &Parts, id: &JobId, epoch: u64, asked: watch::Sender<Option<StopMode>>) {
    let mut nudges = parts.nudges.subscribe();
    let mut ours_until = parts.clock.now().plus(parts.settings.lease);
    loop {
        // The sender lives in `parts`, so the channel does not close.
        let _ = tokio::time::timeout(parts.settings.heartbeat, nudges.changed()).await;
        let until = parts.clock.now().plus(parts.settings.lease);
        match parts.store.heartbeat(id, epoch, until).await {
            Ok(stop) => {
                ours_until = until;
                asked.send_if_modified(|known| std::mem::replace(known, stop) != stop);
            }
            Err(StoreError::LeaseLost | StoreError::NotFound(_)) => return,
            Err(error) => {
                tracing::warn!(job = %id, %error, "no sign of life could be given for a job");
                if parts.clock.now() >= ours_until {
                    return;
                }
            }
        }
    }
}
