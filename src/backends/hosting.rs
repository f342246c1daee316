//! The hosting port: a finished model on a machine of its own at AWS, that answers until it is deleted.
//!
//! An adapter keeps no state: every call may be said again, by another server too, and means the same. The keeper
//! (`services/hosting`) drives it and is the only one who deploys and deletes. Adapter: `sagemaker::hosting`.

use crate::domain::{
    ids::{EndpointId, UserId},
    time::Instant,
};
use async_trait::async_trait;
use futures::stream::BoxStream;
use std::collections::BTreeMap;

/// What the name of everything that we make there begins with; the endpoint's id follows.
pub const NAME_PREFIX: &str = "llm-tuner-";

/// What kind of refusal it is: pages and scripts tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The account may not run so many machines of this type.
    Quota,
    /// AWS has no machine of this type free.
    Capacity,
    /// The server's credentials or the role lack a right.
    Access,
    /// AWS does not take the request as it is.
    Invalid,
    /// The model's container answered with an error.
    Model,
    /// It can't answer just now.
    Busy,
    /// There is no such endpoint that answers.
    Absent,
}

impl Refusal {
    /// Stable, for scripts.
    pub fn code(self) -> &'static str {
        match self {
            Self::Quota => "quota_exceeded",
            Self::Capacity => "no_capacity",
            Self::Access => "aws_access_denied",
            Self::Invalid => "aws_refused",
            Self::Model => "model_failed",
            Self::Busy => "endpoint_busy",
            Self::Absent => "endpoint_absent",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostingError {
    /// The operator has not set AWS up; says what is missing.
    #[error("{0}")]
    NotConfigured(String),
    /// No answer, or none that says anything: the same call may work later.
    #[error("AWS does not answer: {0}")]
    NoAnswer(String),
    /// What happened and what to do, in words for the person; no ARN is in them.
    #[error("{cause}")]
    Refused { kind: Refusal, cause: String, next_step: String },
}

pub type HostingResult<T> = Result<T, HostingError>;

/// How a model wants to be hosted, where the usual container is not for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recipe {
    /// The version of the catalogued model that it is of.
    pub version: String,
    pub image: Option<String>,
    pub environment: BTreeMap<String, String>,
    /// The machines that it fits on, the usual one first. Empty: any.
    pub instance_types: Vec<String>,
    /// Under which key of the body the prompt goes, where it is not `inputs`.
    pub prompt_key: Option<String>,
    /// Its licence has to be accepted before its files are used.
    pub gated: bool,
    /// Its container fetches something by itself.
    pub needs_network: bool,
    /// It may take longer than usual to arrive and to load.
    pub patience_seconds: Option<u32>,
}

/// Who knows the recipes of models that AWS itself catalogues.
#[async_trait]
pub trait Recipes: Send + Sync {
    /// The recipe of this model for this machine, or for its usual one. `Ok(None)`: the usual container is for it.
    ///
    /// # Errors
    /// `NoAnswer` where nobody can say just now: the wrong container would cost and not answer.
    async fn recipe(
        &self,
        model: &str,
        version: Option<&str>,
        instance_type: Option<&str>,
    ) -> HostingResult<Option<Recipe>>;
}

/// Where the model's files lie in storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelFiles {
    /// All that is below this key.
    Folder(String),
    /// One `model.tar.gz`.
    Archive(String),
}

/// Everything that is decided before AWS is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// The name of all that is made for it.
    pub name: String,
    pub endpoint: EndpointId,
    pub owner: UserId,
    pub instance_type: String,
    pub files: ModelFiles,
    pub recipe: Option<Recipe>,
    /// The person accepted the licence of what the model was tuned from.
    pub licence_accepted: bool,
}

/// How an endpoint stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    Absent,
    Creating,
    /// It answers, since then.
    InService {
        since: Option<Instant>,
    },
    Deleting,
    /// AWS gave it up. It may still cost.
    Failed {
        cause: String,
        next_step: String,
    },
}

/// How far a deletion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// AWS is at it; ask again.
    UnderWay,
    /// Nothing is left.
    Done,
}

/// What is asked. What is `None` is left to the container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ask {
    /// As the model reads it, template applied.
    pub prompt: String,
    pub max_new_tokens: usize,
    /// 0 takes the most likely token always.
    pub temperature: f32,
    pub top_p: f32,
    /// 0 keeps all.
    pub top_k: usize,
    pub repetition_penalty: f32,
    pub stop: Vec<String>,
    pub seed: Option<u64>,
    pub prompt_key: Option<String>,
    pub licence_accepted: bool,
}

/// A piece of an answer, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Text(String),
    /// Tokens made, and whether it ended at the limit of new ones, where the container says so.
    End {
        tokens: Option<u64>,
        at_limit: Option<bool>,
    },
}

/// Ends after the first error.
pub type Answer = BoxStream<'static, HostingResult<Said>>;

/// One of ours, as AWS lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    /// Its row, as its tag says.
    pub endpoint: Option<EndpointId>,
}

#[async_trait]
pub trait Hosting: Send + Sync {
    /// Why nothing can be hosted here, as far as settings tell.
    fn missing(&self) -> Option<&str>;
    /// Asks AWS to make it. What of it is there already stays; it goes on from there.
    async fn deploy(&self, deployment: &Deployment) -> HostingResult<()>;
    async fn look(&self, name: &str) -> HostingResult<Standing>;
    /// Deletes all that was made under this name, as far as AWS lets it go now.
    async fn delete(&self, name: &str) -> HostingResult<Deletion>;
    /// Asks it. Dropping the answer ends it.
    async fn ask(&self, name: &str, ask: &Ask) -> HostingResult<Answer>;
    /// The endpoints of this installation that AWS has.
    async fn list_ours(&self) -> HostingResult<Vec<Listed>>;
}

/// Stands where AWS is not set up, and says so at once.
pub struct NotConfigured(pub String);

impl NotConfigured {
    fn refuse<T>(&self) -> HostingResult<T> {
        Err(HostingError::NotConfigured(self.0.clone()))
    }
}

#[async_trait]
impl Hosting for NotConfigured {
    fn missing(&self) -> Option<&str> {
        Some(&self.0)
    }
    async fn deploy(&self, _: &Deployment) -> HostingResult<()> {
        self.refuse()
    }
    async fn look(&self, _: &str) -> HostingResult<Standing> {
        self.refuse()
    }
    async fn delete(&self, _: &str) -> HostingResult<Deletion> {
        self.refuse()
    }
    async fn ask(&self, _: &str, _: &Ask) -> HostingResult<Answer> {
        self.refuse()
    }
    async fn list_ours(&self) -> HostingResult<Vec<Listed>> {
        self.refuse()
    }
}
