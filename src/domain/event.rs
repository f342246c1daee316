//! What a running job tells, each with a sequence number: it is stored as it comes and survives the job.

use super::time::Instant;
use serde::{Deserialize, Serialize};

/// One event of one job. Numbers start at 1 and have no gaps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobEvent {
    pub seq: u64,
    pub at: Instant,
    #[serde(flatten)]
    pub body: EventBody,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventBody {
    /// A line of the child's output. Hostile text: shown as text only.
    Log { line: String },
    /// `name` is one of DESIGN.md §3: `train_loss, eval_loss, learning_rate, grad_norm, tokens_per_second`.
    Metric { name: String, value: f64, step: u64 },
    /// How a held-out prompt is answered at this step.
    Sample { step: u64, prompt: String, expected: String, output: String },
    /// The first tokenised batch as the model sees it; the engine's own JSON.
    Batch { json: String },
    /// The job went into this state or phase; `message` is for the person watching.
    State { state: super::job::JobState, message: String },
}

impl EventBody {
    /// All kinds, by name.
    pub const KINDS: [&'static str; 5] = ["log", "metric", "sample", "batch", "state"];

    /// The kind's name as stored and as the SSE event's name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Log { .. } => "log",
            Self::Metric { .. } => "metric",
            Self::Sample { .. } => "sample",
            Self::Batch { .. } => "batch",
            Self::State { .. } => "state",
        }
    }
}
