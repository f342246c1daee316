//! Follows a running trainer: its output becomes events, a wish to stop reaches it, its end is noticed.

use super::{LetGo, lease::Held, lines::Reader};
use crate::{
    backends::{BackendError, Progress, RunOutcome, RunStatus},
    domain::job::{JobState, StopMode},
};

/// Bytes of output that go into one transaction.
const READ: usize = 256 * 1024;

impl Held {
    /// Returns how the trainer ended, once all it said is stored.
    pub(super) async fn follow(&mut self) -> Result<RunOutcome, LetGo> {
        let mut told: Option<StopMode> = None;
        loop {
            // Asked before reading: what is read after the end is all there is.
            let status = self.look().await?;
            let read = match self.read().await {
                Err(LetGo::Backend(BackendError::Unavailable(why))) => {
                    self.no_answer(&why).await?;
                    continue;
                }
                other => other?,
            };
            let at = match status {
                _ if read => continue,
                RunStatus::Ended(outcome) => return Ok(outcome),
                // Somebody removed its directory under it.
                RunStatus::Absent => return Ok(RunOutcome::Killed { signal: None }),
                RunStatus::Running(progress) => progress,
            };
            match self.asked_to_stop() {
                Some(mode) if told != Some(mode) => {
                    let message = match mode {
                        StopMode::Keep => "Stopping: this step is finished, then the model is saved",
                        StopMode::Discard => "Stopping",
                    };
                    self.enter(JobState::Stopping, message).await?;
                    match self.parts.backend.stop(&self.job, mode == StopMode::Keep).await {
                        Err(BackendError::Unavailable(why)) => self.no_answer(&why).await?,
                        other => {
                            other?;
                            told = Some(mode);
                        }
                    }
                }
                None => self.progress(at).await?,
                _ => {}
            }
            // The sender lives as long as this task, so the channel does not close.
            let _ = tokio::time::timeout(self.parts.settings.poll, self.stop.changed()).await;
        }
    }

    /// Shows where the backend says that the job is.
    async fn progress(&mut self, at: Progress) -> Result<(), LetGo> {
        let Progress { state, words } = at;
        if state != self.job.state && self.job.state.may_become(state) {
            self.enter(state, words.as_deref().unwrap_or("Training")).await?;
        } else if let Some(words) = words {
            self.note(&words).await?;
        }
        Ok(())
    }

    /// Stores what is new in the output, together with how far that is: neither lost nor doubled by a crash. `true`
    /// where there was something.
    async fn read(&mut self) -> Result<bool, LetGo> {
        let from = self.job.log_offset;
        let (lines, offset) = self.parts.backend.output(&self.job, from, READ).await?;
        if offset == from {
            return Ok(false);
        }
        let mut reader = Reader::new(self.now(), self.job.state);
        lines.into_iter().for_each(|line| reader.line(line));
        let (mut update, events) = reader.finish();
        update.log_offset = Some(offset);
        self.record(update, events).await?;
        Ok(true)
    }
}
