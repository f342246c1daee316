//! A training job: its row, its states, and which state may follow which.

use super::{
    cloud::{CloudRun, CloudSpec, Place},
    ids::{DatasetId, JobId, ModelId, UserId},
    money::Money,
    time::Instant,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `queued → starting → downloading → training → uploading → completed | failed | stopped | lost`, and `stopping`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Queued,
    Starting,
    Downloading,
    Training,
    Uploading,
    Stopping,
    Completed,
    Failed,
    Stopped,
    Lost,
}

impl JobState {
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Starting,
        Self::Downloading,
        Self::Training,
        Self::Uploading,
        Self::Stopping,
        Self::Completed,
        Self::Failed,
        Self::Stopped,
        Self::Lost,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Downloading => "downloading",
            Self::Training => "training",
            Self::Uploading => "uploading",
            Self::Stopping => "stopping",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
        }
    }
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
    /// Nothing follows by itself; see [`may_resume`](Self::may_resume) for what a person can do.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Stopped | Self::Lost)
    }
    /// May a person put the job back into the queue, to go on from its checkpoint?
    pub fn may_resume(self) -> bool {
        matches!(self, Self::Failed | Self::Stopped | Self::Lost)
    }
    /// May the row's holder take it from `self` to `next`? A job taken over after a crash goes back to `starting`.
    pub fn may_become(self, next: Self) -> bool {
        use JobState::{Downloading, Queued, Starting, Stopped, Stopping, Training, Uploading};
        if self.is_final() || self == next {
            return false;
        }
        match next {
            Queued => false,
            Starting => self != Stopping,
            Downloading => self == Starting,
            Training => matches!(self, Starting | Downloading),
            // Training may begin and end while nobody looks.
            Uploading => matches!(self, Training | Downloading | Starting | Stopping),
            Stopping => matches!(self, Starting | Downloading | Training | Uploading),
            Stopped => true,
            _ => true,
        }
    }
    /// The seeds' word for it (SageMaker's `TrainingJobStatus`).
    pub fn api_status(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::Failed | Self::Lost => "Failed",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
            _ => "InProgress",
        }
    }
}

/// What a person asked for when they stopped a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopMode {
    /// Keep what was learned so far as a model.
    Keep,
    /// Keep nothing but the log.
    Discard,
}

impl StopMode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Discard => "discard",
        }
    }
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Keep, Self::Discard].into_iter().find(|mode| mode.as_str() == text)
    }
}

/// What the job starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BaseModel {
    /// The built-in preset: a small GPT-2 trained from scratch.
    Nano,
    /// A finished model of the same owner.
    Model { id: ModelId },
    /// A directory in the Hugging Face layout that the operator put under `MODELS_DIR`.
    Directory { name: String },
    /// A model of the Hugging Face Hub, by its id; fetched by the container that trains.
    Hub { id: String },
    /// A JumpStart model, by its id.
    JumpStart { id: String },
}

/// Everything that was decided when the job was made. Never changes afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    pub base: BaseModel,
    /// The base's name as shown.
    pub base_name: String,
    pub datasets: Vec<DatasetId>,
    /// The datasets' names as shown, for when they are renamed.
    pub dataset_names: Vec<String>,
    /// Share of the rows held out for evaluation, 0 to 0.5; 0 where the dataset brings its own.
    pub validation_share: f64,
    /// Names of DESIGN.md §3, every value a string.
    pub hyperparameters: BTreeMap<String, String>,
    /// What the preflight said: tokens in one epoch, steps, peak memory in bytes, seconds.
    pub tokens: u64,
    pub total_steps: u64,
    pub memory_bytes: u64,
    pub seconds: u64,
    /// For a job that runs on SageMaker. Specs of before there was one have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<CloudSpec>,
}

impl JobSpec {
    pub fn place(&self) -> Place {
        if self.cloud.is_some() { Place::SageMaker } else { Place::Local }
    }
}

/// Who holds a job and until when. Every write of a holder carries its epoch; an older epoch is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub owner: String,
    pub until: Instant,
    pub epoch: u64,
}

/// A job's row: the only truth about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub id: JobId,
    pub user_id: UserId,
    /// Unique on the whole platform; safe as a SageMaker name (`[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}`).
    pub name: String,
    /// What a person calls it; may be empty.
    pub title: String,
    pub notes: String,
    pub spec: JobSpec,
    pub state: JobState,
    /// The phase in words, for the page.
    pub phase: String,
    pub stop: Option<StopMode>,
    pub step: u64,
    pub total_steps: u64,
    /// Tries so far; a try that is taken over after a crash counts as the next one.
    pub attempt: u32,
    /// The first try since the job was started or resumed: what counts against the limit of tries.
    pub first_attempt: u32,
    /// Bytes of the child's output already stored as events, within the present attempt.
    pub log_offset: u64,
    pub last_seq: u64,
    /// The step of the checkpoint that was kept when the job ended; 0 where none was.
    pub checkpoint_step: u64,
    pub train_loss: Option<f64>,
    pub eval_loss: Option<f64>,
    pub tokens_per_second: Option<f64>,
    /// On failure: what happened, in plain words …
    pub failure: Option<String>,
    /// … and what to do next.
    pub next_step: Option<String>,
    /// Of the request that made it; unique per user.
    pub idempotency_key: String,
    pub lease: Option<Lease>,
    /// How it stands on SageMaker, once it went there.
    pub cloud: Option<CloudRun>,
    pub created_at: Instant,
    pub started_at: Option<Instant>,
    pub ended_at: Option<Instant>,
}

impl Job {
    /// Can it go on from where it ended?
    pub fn can_resume(&self) -> bool {
        self.state.may_resume() && self.checkpoint_step > 0
    }
    /// What it has cost by now on SageMaker; `None` where the price is unknown. Nothing on this machine.
    pub fn cost(&self) -> Option<Money> {
        let Some(spec) = &self.spec.cloud else { return Some(Money::default()) };
        let Some(run) = &self.cloud else { return Some(Money::default()) };
        let seconds = run.seconds();
        // What never ran costs nothing, whether its price is known or not.
        let present = match (seconds, spec.prices.get(&run.instance_type)) {
            (0, _) => Some(Money::default()),
            (_, price) => price.map(|price| price.for_seconds(seconds, spec.instance_count)),
        };
        present.and_then(|present| run.earlier_cost.map(|earlier| earlier.plus(present)))
    }
    /// Tries since it was started or resumed, the present one counted.
    pub fn tries(&self) -> u32 {
        self.attempt.saturating_sub(self.first_attempt) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_follows_a_final_state() {
        for from in JobState::ALL.into_iter().filter(|state| state.is_final()) {
            for to in JobState::ALL {
                assert!(!from.may_become(to), "{from:?} → {to:?}");
            }
        }
    }

    #[test]
    fn what_can_be_resumed_has_ended_without_being_complete() {
        for state in JobState::ALL {
            assert_eq!(state.may_resume(), state.is_final() && state != JobState::Completed, "{state:?}");
        }
    }

    #[test]
    fn a_run_may_have_ended_well_whenever_it_is_looked_at_again() {
        for from in JobState::ALL.into_iter().filter(|state| !state.is_final()) {
            let never_ran = from == JobState::Queued;
            assert_ne!(
                from.may_become(JobState::Uploading),
                never_ran || from == JobState::Uploading,
                "{from:?}"
            );
        }
    }

    #[test]
    fn every_state_but_the_first_can_be_reached() {
        let mut reached = vec![JobState::Queued];
        let mut next = 0;
        while let Some(&from) = reached.get(next) {
            reached.extend(
                JobState::ALL
                    .into_iter()
                    .filter(|to| from.may_become(*to) && !reached.contains(to))
                    .collect::<Vec<_>>(),
            );
            next += 1;
        }
        assert_eq!(reached.len(), JobState::ALL.len(), "{reached:?}");
    }
}
