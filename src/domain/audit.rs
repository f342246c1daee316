//! One line of the audit log: who did what to what, from where, and how it ended.

use super::{ids::UserId, time::Instant};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    pub at: Instant,
    pub actor: Option<UserId>,
    /// Verb and object kind, dotted: `session.create`, `dataset.delete`.
    pub action: String,
    /// The object's id or name; empty where there is none.
    pub object: String,
    pub outcome: Outcome,
    pub ip: String,
    pub request_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Refused,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Done, Self::Refused].into_iter().find(|outcome| outcome.as_str() == text)
    }
}
