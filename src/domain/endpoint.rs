//! A model that is hosted on SageMaker: its row, and which state may follow which.

use super::{
    ids::{EndpointId, ModelId, UserId},
    money::Money,
    time::Instant,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// Asked for; AWS is making it.
    Creating,
    InService,
    /// Asked to go; AWS is removing it.
    Deleting,
    /// It could not be made, or broke. It may still cost money until it is deleted.
    Failed,
    Deleted,
}

impl EndpointState {
    pub const ALL: [Self; 5] = [Self::Creating, Self::InService, Self::Deleting, Self::Failed, Self::Deleted];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::InService => "in_service",
            Self::Deleting => "deleting",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
        }
    }
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    pub id: EndpointId,
    pub user_id: UserId,
    pub model_id: ModelId,
    /// As shown, for when the model is renamed or gone.
    pub model_name: String,
    /// The name of all three resources on AWS; unique on the whole platform.
    pub name: String,
    pub instance_type: String,
    pub state: EndpointState,
    /// The phase in words, for the page.
    pub phase: String,
    pub failure: Option<String>,
    pub next_step: Option<String>,
    /// Deleted after so many seconds without a question.
    pub idle_seconds: u64,
    /// `None`: the price is unknown.
    pub price_per_hour: Option<Money>,
    pub created_at: Instant,
    /// Since when AWS bills it.
    pub in_service_at: Option<Instant>,
    pub last_used_at: Instant,
    pub ended_at: Option<Instant>,
}
