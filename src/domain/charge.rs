//! What running something on AWS cost or will cost: one line of the ledger.

use super::{ids::UserId, money::Money, time::Instant};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeKind {
    Training,
    Hosting,
}

impl ChargeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Hosting => "hosting",
        }
    }
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Training, Self::Hosting].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A job's or an endpoint's cost within one month. Outlives what it was for.
#[derive(Debug, Clone, PartialEq)]
pub struct Charge {
    /// `job:<id>`, or `endpoint:<id>:<month>`; writing it again replaces the line.
    pub id: String,
    pub user_id: UserId,
    pub kind: ChargeKind,
    /// The job's or endpoint's name.
    pub name: String,
    pub instance_type: String,
    /// `2026-11`, in UTC.
    pub month: String,
    /// What was expected before it began.
    pub estimate: Option<Money>,
    /// What it cost so far, or, once `ended`, in all. `None`: the price is unknown.
    pub cost: Option<Money>,
    /// Billed time.
    pub seconds: u64,
    pub ended: bool,
    pub updated_at: Instant,
}

impl Charge {
    /// The id of its job or endpoint.
    pub fn subject(&self) -> &str {
        self.id.split(':').nth(1).unwrap_or_default()
    }

    /// What a budget has to reckon with: what was spent, or what is still to come where that is more.
    pub fn reserved(&self) -> Option<Money> {
        if self.ended { self.cost } else { self.cost.max(self.estimate) }
    }
}
