//! The keeper: looks at every open endpoint again and again, and takes each one step further to where it should be.
//!
//! ```text
//! creating ──► in_service ──► deleting ──► deleted
//!     └──────────► failed ──────────────────┘          what failed is deleted on AWS too, and keeps its reason
//! ```
//!
//! It keeps nothing in mind that matters: each step is read off the row and off AWS, may be said again, and writes
//! only where the row is still in the state that was read. So several servers may keep the same endpoints, and any of
//! them may die between any two lines. What a server asked AWS for while another deleted the row is found by comparing
//! what AWS has with our rows, and deleted.

use super::{Endpoints, Silence, idle_left, is_up, ledger};
use crate::{
    backends::hosting::{Deletion, HostingError, HostingResult, Standing},
    domain::{
        audit::{AuditEntry, Outcome},
        endpoint::{Endpoint, EndpointState},
        ids::EndpointId,
    },
    services::error::{ServiceError, ServiceResult},
    store::{EndpointUpdate, StoreError},
};
use futures::StreamExt;
use std::{
    sync::{
        PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Endpoints looked at side by side: one whose calls hang holds up no other.
const SIDE_BY_SIDE: usize = 8;
/// How often what AWS has is compared with our rows.
const COMPARE: Duration = Duration::from_secs(600);

/// What one round heard of AWS.
#[derive(Default)]
struct Heard {
    answer: AtomicBool,
    silence: std::sync::Mutex<Option<String>>,
}

impl Heard {
    /// Lets a result through; notes whether AWS answered.
    fn note<T>(&self, result: HostingResult<T>) -> HostingResult<T> {
        match &result {
            Err(HostingError::NoAnswer(why)) => {
                *self.silence.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
            }
            Err(HostingError::NotConfigured(_)) => {}
            _ => self.answer.store(true, Ordering::Relaxed),
        }
        result
    }
}

impl Endpoints {
    /// Works until `stop` is cancelled.
    pub async fn keep(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.tick().await {
                tracing::warn!(%error, "endpoints could not be looked after");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.parts.news.notified() => {}
                () = tokio::time::sleep(self.parts.outside.poll) => {}
            }
        }
    }

    /// One round. May be dropped at any await.
    pub async fn tick(&self) -> ServiceResult<()> {
        if self.missing().is_some() {
            return Ok(());
        }
        let open = self.parts.store.open_endpoints().await?;
        let heard = Heard::default();
        let round = futures::stream::iter(open).for_each_concurrent(SIDE_BY_SIDE, |endpoint| {
            let heard = &heard;
            async move {
                if let Err(error) = self.step(&endpoint, heard).await {
                    tracing::warn!(%error, endpoint = endpoint.name, "an endpoint could not be looked after");
                }
            }
        });
        round.await;
        self.compare(&heard).await?;
        self.note_silence(&heard);
        Ok(())
    }

    async fn step(&self, endpoint: &Endpoint, heard: &Heard) -> ServiceResult<()> {
        let done = match endpoint.state {
            EndpointState::Creating => self.create(endpoint, heard).await,
            EndpointState::InService => self.watch(endpoint, heard).await,
            EndpointState::Failed | EndpointState::Deleting => self.remove(endpoint, heard).await,
            EndpointState::Deleted => Ok(()),
        };
        match done {
            // The row went on meanwhile, or AWS is silent: the next round sees.
            Err(Stuck::Service(ServiceError::NotFound(_))) | Err(Stuck::Aws) | Ok(()) => {}
            Err(Stuck::Service(error)) => return Err(error),
        }
        match self.parts.store.endpoint(&endpoint.id).await? {
            Some(now) if now.state != EndpointState::Deleted => self.charge(&now, false).await,
            _ => Ok(()),
        }
    }

    async fn create(&self, endpoint: &Endpoint, heard: &Heard) -> Result<(), Stuck> {
        let hosting = &self.parts.outside.hosting;
        match heard.note(hosting.look(&endpoint.name).await)? {
            Standing::Absent => {
                let model = self.parts.store.model(&endpoint.model_id).await?;
                let Some(model) = model else {
                    return self.fail(endpoint, "The model was deleted.", "Deploy another one.").await;
                };
                let deployment = self.deployment(endpoint, &model).await?;
                match heard.note(hosting.deploy(&deployment).await) {
                    Ok(()) => {
                        self.look_back(endpoint).await?;
                        self.note_phase(endpoint, "AWS is starting a machine").await
                    }
                    Err(HostingError::Refused { cause, next_step, .. }) => {
                        self.fail(endpoint, &cause, &next_step).await
                    }
                    Err(_) => Err(Stuck::Aws),
                }
            }
            Standing::Creating => {
                self.note_phase(endpoint, "AWS is starting a machine and loading the model").await
            }
            Standing::InService { since } => {
                let now = self.parts.env.now();
                let since = since.unwrap_or(now).clamp(endpoint.created_at, now.max(endpoint.created_at));
                self.write(
                    endpoint,
                    EndpointUpdate {
                        state: Some(EndpointState::InService),
                        phase: Some("Answers".to_owned()),
                        in_service_at: Some(since),
                        ..EndpointUpdate::default()
                    },
                )
                .await
            }
            Standing::Deleting => self.fail_outside(endpoint).await,
            Standing::Failed { cause, next_step } => self.fail(endpoint, &cause, &next_step).await,
        }
    }

    async fn watch(&self, endpoint: &Endpoint, heard: &Heard) -> Result<(), Stuck> {
        // Deleting what nobody uses needs no word from AWS first.
        let now = self.parts.env.now();
        if idle_left(endpoint, now).is_some_and(|left| left.is_zero()) {
            // A question may have come since the round began.
            let asked = self.parts.store.endpoint(&endpoint.id).await?;
            if asked.is_some_and(|asked| asked.last_used_at > endpoint.last_used_at) {
                return Ok(());
            }
            let entry = AuditEntry {
                at: now,
                actor: None,
                action: "endpoint.delete_idle".to_owned(),
                object: endpoint.id.to_string(),
                outcome: Outcome::Done,
                ip: String::new(),
                request_id: String::new(),
            };
            let minutes = endpoint.idle_seconds / 60;
            let phase = format!("Deleted because nobody asked it for {minutes} minutes");
            self.parts.store.end_endpoint(&endpoint.id, &phase, &entry).await?;
            self.parts.news.notify_one();
            return Ok(());
        }
        match heard.note(self.parts.outside.hosting.look(&endpoint.name).await)? {
            Standing::InService { .. } | Standing::Creating => Ok(()),
            Standing::Absent | Standing::Deleting => self.fail_outside(endpoint).await,
            Standing::Failed { cause, next_step } => self.fail(endpoint, &cause, &next_step).await,
        }
    }

    async fn remove(&self, endpoint: &Endpoint, heard: &Heard) -> Result<(), Stuck> {
        match heard.note(self.parts.outside.hosting.delete(&endpoint.name).await)? {
            Deletion::UnderWay => Ok(()),
            Deletion::Done => {
                // The bill first: once the row is over, nobody looks at it again.
                let now = self.parts.env.now();
                let over = Endpoint { ended_at: Some(now), ..endpoint.clone() };
                self.charge(&over, true).await?;
                self.write(
                    endpoint,
                    EndpointUpdate {
                        state: Some(EndpointState::Deleted),
                        ended_at: Some(now),
                        ..EndpointUpdate::default()
                    },
                )
                .await
            }
        }
    }

    async fn fail_outside(&self, endpoint: &Endpoint) -> Result<(), Stuck> {
        let next_step = "Deploy the model again, if it is still wanted.";
        self.fail(endpoint, "The endpoint was deleted on AWS, outside LLM Tuner.", next_step).await
    }

    async fn fail(&self, endpoint: &Endpoint, cause: &str, next_step: &str) -> Result<(), Stuck> {
        self.write(
            endpoint,
            EndpointUpdate {
                state: Some(EndpointState::Failed),
                phase: Some("Failed; removing what was made on AWS".to_owned()),
                failure: Some(cause.to_owned()),
                next_step: Some(next_step.to_owned()),
                ..EndpointUpdate::default()
            },
        )
        .await?;
        self.parts.news.notify_one();
        Ok(())
    }

    async fn note_phase(&self, endpoint: &Endpoint, phase: &str) -> Result<(), Stuck> {
        if endpoint.phase == phase {
            return Ok(());
        }
        self.write(endpoint, EndpointUpdate { phase: Some(phase.to_owned()), ..EndpointUpdate::default() })
            .await
    }

    async fn write(&self, endpoint: &Endpoint, update: EndpointUpdate) -> Result<(), Stuck> {
        Ok(self.parts.store.update_endpoint(&endpoint.id, endpoint.state, &update).await?)
    }

    async fn charge(&self, endpoint: &Endpoint, ended: bool) -> ServiceResult<()> {
        for line in ledger::lines(endpoint, self.parts.env.now(), ended) {
            self.parts.store.save_charge(&line).await?;
        }
        Ok(())
    }

    /// Somebody may have deleted it, to the end, while we asked AWS to make it: then AWS is asked at once what it has.
    async fn look_back(&self, endpoint: &Endpoint) -> Result<(), Stuck> {
        let now = self.parts.store.endpoint(&endpoint.id).await?;
        if now.is_none_or(|now| !is_up(now.state)) {
            *self.parts.compared.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(())
    }

    /// Deletes endpoints on AWS whose row says that they are over, and reports those without a row.
    async fn compare(&self, heard: &Heard) -> ServiceResult<()> {
        let now = self.parts.env.now();
        let due = {
            let compared = self.parts.compared.lock().unwrap_or_else(PoisonError::into_inner);
            compared.is_none_or(|at| now.since(at) >= COMPARE)
        };
        if !due {
            return Ok(());
        }
        let ours = match heard.note(self.parts.outside.hosting.list_ours().await) {
            Ok(ours) => ours,
            Err(HostingError::NoAnswer(_)) => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, "what AWS hosts can't be compared with our rows");
                Vec::new()
            }
        };
        let mut clean = true;
        for listed in ours {
            let id = listed.endpoint.as_ref();
            match self.row(id).await? {
                Some(row) if row.state != EndpointState::Deleted => {}
                Some(_) => {
                    clean = false;
                    tracing::warn!(
                        endpoint = listed.name,
                        "an endpoint outlived its row on AWS: deleting it"
                    );
                    let _ = heard.note(self.parts.outside.hosting.delete(&listed.name).await);
                }
                None => tracing::warn!(
                    endpoint = listed.name,
                    "an endpoint of this installation is in no row of the database; delete it in the AWS console if \
                     nobody else keeps it"
                ),
            }
        }
        *self.parts.compared.lock().unwrap_or_else(PoisonError::into_inner) = clean.then_some(now);
        Ok(())
    }

    async fn row(&self, id: Option<&EndpointId>) -> ServiceResult<Option<Endpoint>> {
        match id {
            Some(id) => Ok(self.parts.store.endpoint(id).await?),
            None => Ok(None),
        }
    }

    fn note_silence(&self, heard: &Heard) {
        let why = heard.silence.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut silence = self.parts.silence.lock().unwrap_or_else(PoisonError::into_inner);
        match (why, heard.answer.load(Ordering::Relaxed)) {
            (_, true) => *silence = None,
            (Some(why), false) => {
                let since = silence.as_ref().map_or_else(|| self.parts.env.now(), |before| before.since);
                *silence = Some(Silence { since, why });
            }
            (None, false) => {}
        }
    }
}

/// Why a step ended early. The next round tries again.
enum Stuck {
    Aws,
    Service(ServiceError),
}

impl From<HostingError> for Stuck {
    fn from(_: HostingError) -> Self {
        Self::Aws
    }
}

impl From<StoreError> for Stuck {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

impl From<ServiceError> for Stuck {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}
