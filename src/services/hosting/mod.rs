//! Hosted models: a finished model on a machine of its own at AWS, asked like any other, deleted when nobody asks.
//!
//! - this file: what there is, who may see and delete it       - [`deploy`] puts a model on a machine
//! - [`keeper`] brings every endpoint to where it should be    - [`talk`] asks one
//! - [`ledger`] what it costs, month by month                  - [`manner`] how its model wants to be asked
//!
//! The row is the truth and is written before AWS is asked. The keeper does the rest, so that a crash at any point, of
//! any server, loses nothing and costs nothing. Not here: how AWS is asked (`backends::hosting`).

mod deploy;
mod keeper;
mod ledger;
mod manner;
mod talk;

pub use deploy::{IDLE_MINUTES, Machine, Offer, Wanted};
pub use ledger::cost;

use super::{
    context::{Actor, Environment},
    costs::Costs,
    error::{ServiceError, ServiceResult},
    policy::{Action, Resource, authorize},
};
use crate::{
    backends::hosting::{Hosting, HostingError, NotConfigured, Recipes},
    domain::{
        endpoint::{Endpoint, EndpointState},
        ids::{EndpointId, ModelId},
        time::Instant,
    },
    storage::Storage,
    store::{Page, PageRequest, Store},
};
use manner::Manner;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// What hosting needs from outside.
#[derive(Clone)]
pub struct Outside {
    pub hosting: Arc<dyn Hosting>,
    /// `None`: every model takes the usual container.
    pub recipes: Option<Arc<dyn Recipes>>,
    /// How often every open endpoint is looked at.
    pub poll: Duration,
}

impl Outside {
    /// Nothing can be hosted, and this is why.
    pub fn none(why: impl Into<String>) -> Self {
        let hosting = Arc::new(NotConfigured(why.into()));
        Self { hosting, recipes: None, poll: Duration::from_secs(60) }
    }
}

/// Since when AWS does not answer, and what was heard last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    pub since: Instant,
    pub why: String,
}

/// A clone is the same service.
#[derive(Clone)]
pub struct Endpoints {
    parts: Arc<Parts>,
}

struct Parts {
    store: Arc<dyn Store>,
    storage: Arc<dyn Storage>,
    env: Environment,
    outside: Outside,
    costs: Arc<Costs>,
    /// One deployment at a time is begun, so that two presses of a button find each other.
    beginning: tokio::sync::Mutex<()>,
    /// There is something to do at once.
    news: tokio::sync::Notify,
    silence: Mutex<Option<Silence>>,
    /// When the endpoints that AWS has were compared with ours. `None`: to be done.
    compared: Mutex<Option<Instant>>,
    manners: Mutex<HashMap<ModelId, Arc<Manner>>>,
}

impl Endpoints {
    pub fn new(
        store: Arc<dyn Store>,
        storage: Arc<dyn Storage>,
        env: Environment,
        outside: Outside,
        costs: Arc<Costs>,
    ) -> Self {
        Self {
            parts: Arc::new(Parts {
                store,
                storage,
                env,
                outside,
                costs,
                beginning: tokio::sync::Mutex::new(()),
                news: tokio::sync::Notify::new(),
                silence: Mutex::default(),
                compared: Mutex::default(),
                manners: Mutex::default(),
            }),
        }
    }

    /// Why nothing can be hosted here; `None` where it can.
    pub fn missing(&self) -> Option<&str> {
        self.parts.outside.hosting.missing()
    }

    /// Since when AWS does not answer. What is shown of endpoints is then as it was.
    pub fn silence(&self) -> Option<Silence> {
        self.parts.silence.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Newest first, those that are over included.
    pub async fn list(&self, actor: &Actor, page: &PageRequest) -> ServiceResult<Page<Endpoint>> {
        Ok(self.parts.store.list_endpoints(&actor.user.id, page).await?)
    }

    /// The person's endpoints that answer now, newest first.
    pub async fn answering(&self, actor: &Actor) -> ServiceResult<Vec<Endpoint>> {
        let page = self.list(actor, &PageRequest { cursor: None, limit: 100 }).await?;
        Ok(page.items.into_iter().filter(|one| one.state == EndpointState::InService).collect())
    }

    pub async fn endpoint(&self, actor: &Actor, id: &str) -> ServiceResult<Endpoint> {
        self.own(actor, Action::Read, id).await
    }

    /// The person's open endpoint of this model.
    pub async fn of_model(&self, actor: &Actor, model: &ModelId) -> ServiceResult<Option<Endpoint>> {
        let open = self.parts.store.open_endpoints().await?;
        Ok(open
            .into_iter()
            .find(|one| one.user_id == actor.user.id && one.model_id == *model && is_up(one.state)))
    }

    /// Asks for its end; AWS takes a minute or two. Said again, it changes nothing.
    pub async fn delete(&self, actor: &Actor, id: &str) -> ServiceResult<Endpoint> {
        let endpoint = self.own(actor, Action::Write, id).await?;
        if !matches!(endpoint.state, EndpointState::Deleting | EndpointState::Deleted) {
            let audit = actor.audit(self.parts.env.now(), "endpoint.delete", endpoint.id.as_str());
            self.parts.store.end_endpoint(&endpoint.id, "Deleted on request", &audit).await?;
            self.parts.news.notify_one();
        }
        self.own(actor, Action::Read, id).await
    }

    async fn own(&self, actor: &Actor, action: Action, id: &str) -> ServiceResult<Endpoint> {
        let id = EndpointId::parse(id).ok_or(ServiceError::NotFound("endpoint"))?;
        self.parts
            .store
            .endpoint(&id)
            .await?
            .filter(|endpoint| authorize(actor, action, Resource::Owned(&endpoint.user_id)))
            .ok_or(ServiceError::NotFound("endpoint"))
    }
}

/// It answers, or will.
fn is_up(state: EndpointState) -> bool {
    matches!(state, EndpointState::Creating | EndpointState::InService)
}

/// For how much longer nobody may ask it before it is deleted. `None` where it does not answer.
pub fn idle_left(endpoint: &Endpoint, now: Instant) -> Option<Duration> {
    let since = endpoint.in_service_at?.max(endpoint.last_used_at);
    let left = Duration::from_secs(endpoint.idle_seconds).saturating_sub(now.since(since));
    (endpoint.state == EndpointState::InService).then_some(left)
}

impl From<HostingError> for ServiceError {
    fn from(error: HostingError) -> Self {
        match error {
            HostingError::NotConfigured(why) => {
                Self::refused("aws_not_configured", why, "Ask the operator of this server to set it up.")
            }
            HostingError::NoAnswer(why) => {
                tracing::warn!(why, "AWS does not answer");
                Self::refused(
                    "aws_no_answer",
                    "AWS does not answer.",
                    "Try again in a minute. Nothing was changed.",
                )
            }
            HostingError::Refused { kind, cause, next_step } => Self::refused(kind.code(), cause, next_step),
        }
    }
}
