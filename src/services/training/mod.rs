//! Training jobs as a person sees them: plan, start, watch, stop, delete. Who runs them is the supervisor.
//!
//! - [`bases`] what a job can start from   - [`plan`] what it will take, before it starts
//! - [`cloud`] where else it can run, and for how much
//! - [`general`] jobs for SageMaker in a script's general words
//! - [`automatic`] settings chosen by the data
//! - [`names`] the job's name              - `tokens`, `machine`: what the plan counts and measures
//! - `reckoning` time, machines and room that a run on SageMaker needs

pub mod automatic;
pub mod bases;
pub mod cloud;
pub mod general;
mod machine;
pub mod names;
pub mod plan;
mod reckoning;
mod tokens;

use super::{
    context::{Actor, Environment},
    error::{ServiceError, ServiceResult},
    hub::JobHub,
    policy::{Action, Resource, authorize},
};
use crate::{
    domain::{
        event::JobEvent,
        ids::{DatasetId, JobId},
        job::{Job, JobSpec, JobState, StopMode},
        model::Model,
    },
    storage::Storage,
    store::{Page, PageRequest, Store, StoreError},
};
use bases::Bases;
use cloud::{Cloud, Where};
use plan::{Plan, Planner};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// Jobs that a person may have waiting or running at once.
const MAX_ACTIVE: u64 = 50;

pub struct Training {
    store: Arc<dyn Store>,
    env: Environment,
    hub: JobHub,
    pub bases: Bases,
    planner: Planner,
}

/// What a person asks for. Values are text, as a form sends them; the plan checks them all.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// A key of [`bases::Base`]: `nano`, `model:<id>` or `dir:<name>`.
    pub base: String,
    pub datasets: Vec<DatasetId>,
    /// May be empty.
    pub title: String,
    /// Share of the rows held out for evaluation; empty takes the default.
    pub validation_share: String,
    /// Names of DESIGN.md §3; empty values take their default.
    pub hyperparameters: BTreeMap<String, String>,
    /// Where it is to run.
    pub place: Where,
    /// The person saw the plan's warnings and goes on.
    pub accept_warnings: bool,
    /// Of the form that was filled in: a second press of the button starts nothing new.
    pub idempotency_key: String,
}

impl Request {
    /// Whether the person gave this hyperparameter a value.
    fn sets(&self, name: &str) -> bool {
        self.hyperparameters.get(name).is_some_and(|value| !matches!(value.trim(), "" | "\"\""))
    }
}

impl Training {
    pub fn new(
        store: Arc<dyn Store>,
        storage: Arc<dyn Storage>,
        env: Environment,
        hub: JobHub,
        models_dir: PathBuf,
        cache: PathBuf,
        cloud: Cloud,
    ) -> Self {
        let bases = Bases::new(store.clone(), models_dir);
        Self {
            planner: Planner::new(store.clone(), storage, cache, cloud, env.clone()),
            bases,
            store,
            env,
            hub,
        }
    }

    /// What the job will take: tokens, steps, memory, time; mistakes as errors, doubts as warnings.
    pub async fn plan(&self, actor: &Actor, request: &Request) -> ServiceResult<Plan> {
        let base = self.bases.find(actor, &request.base).await?;
        self.planner.plan(actor, request, base).await
    }

    /// Plans and queues the job. The same idempotency key again returns the job it made.
    ///
    /// # Errors
    /// `Invalid` with every wrong field; `Refused` for warnings not accepted and for too many jobs.
    pub async fn start(&self, actor: &Actor, request: &Request) -> ServiceResult<Job> {
        let plan = self.plan(actor, request).await?;
        if let (false, Some(warning)) = (request.accept_warnings, plan.warnings.first()) {
            return Err(ServiceError::refused(
                "warnings",
                warning.clone(),
                "Change the settings, or accept the warnings and start again.",
            ));
        }
        self.room_for_one_more(actor).await?;
        // One start at a time between what a budget leaves and the job that takes it.
        let _turn = self.planner.cloud.costs.turn().await;
        if let Some(spec) = &plan.spec.cloud {
            let amount = spec.estimate.or_else(|| spec.at_most());
            self.planner.cloud.costs.check_budget(actor, amount).await?;
        }
        let job = self.draft(actor, request, plan.spec);
        let audit = actor.audit(job.created_at, "job.create", &job.name);
        let job = match self.store.create_job(&job, &audit).await {
            Err(StoreError::NotFound(_)) => {
                return Err(ServiceError::invalid(
                    "dataset",
                    "This dataset was deleted meanwhile. Choose another.",
                ));
            }
            other => other?,
        };
        self.hub.nudge();
        Ok(job)
    }

    fn draft(&self, actor: &Actor, request: &Request, spec: JobSpec) -> Job {
        let now = self.env.now();
        let (millis, random) = self.env.id_parts();
        let id = JobId::from_parts(millis, random);
        let total_steps = spec.total_steps;
        Job {
            name: names::job_name(&request.title, &spec, &id),
            id,
            user_id: actor.user.id.clone(),
            title: request.title.trim().to_owned(),
            notes: String::new(),
            spec,
            state: JobState::Queued,
            phase: "Waiting for its turn".to_owned(),
            stop: None,
            step: 0,
            total_steps,
            attempt: 1,
            first_attempt: 1,
            log_offset: 0,
            last_seq: 0,
            checkpoint_step: 0,
            train_loss: None,
            eval_loss: None,
            tokens_per_second: None,
            failure: None,
            next_step: None,
            idempotency_key: if request.idempotency_key.is_empty() {
                self.env.secret()
            } else {
                request.idempotency_key.chars().take(100).collect()
            },
            lease: None,
            cloud: None,
            created_at: now,
            started_at: None,
            ended_at: None,
        }
    }

    pub async fn list(&self, actor: &Actor, page: &PageRequest) -> ServiceResult<Page<Job>> {
        Ok(self.store.list_jobs(&actor.user.id, page).await?)
    }

    /// The job of this name, if it is the caller's.
    pub async fn job(&self, actor: &Actor, name: &str) -> ServiceResult<Job> {
        self.own(actor, Action::Read, self.store.job_by_name(name).await?)
    }

    /// How many jobs go before this one.
    pub async fn queue_position(&self, job: &Job) -> ServiceResult<Option<u64>> {
        Ok(self.store.queue_position(&job.id).await?)
    }

    /// The model that the job made, once it has.
    pub async fn model(&self, job: &Job) -> ServiceResult<Option<Model>> {
        Ok(self.store.model_of_job(&job.id).await?)
    }

    /// Events after a sequence number, oldest first.
    pub async fn events(&self, job: &Job, after: u64, limit: usize) -> ServiceResult<Vec<JobEvent>> {
        Ok(self.store.events(&job.id, after, limit).await?)
    }
    pub async fn events_of_kind(
        &self,
        job: &Job,
        kind: &str,
        after: u64,
        limit: usize,
    ) -> ServiceResult<Vec<JobEvent>> {
        Ok(self.store.events_of_kind(&job.id, kind, after, limit).await?)
    }
    pub async fn last_events_of_kind(
        &self,
        job: &Job,
        kind: &str,
        limit: usize,
    ) -> ServiceResult<Vec<JobEvent>> {
        Ok(self.store.last_events_of_kind(&job.id, kind, limit).await?)
    }

    /// Asks the job to stop; it may take until its next checkpoint. Returns the state after.
    pub async fn stop(&self, actor: &Actor, name: &str, mode: StopMode) -> ServiceResult<JobState> {
        let job = self.own(actor, Action::Write, self.store.job_by_name(name).await?)?;
        if job.state.is_final() {
            return Err(ServiceError::refused(
                "job_over",
                "This job has already ended.",
                "There is nothing left to stop.",
            ));
        }
        let now = self.env.now();
        let audit = actor.audit(now, "job.stop", &job.name);
        let state = self.store.request_stop(&job.id, mode, now, &audit).await?;
        self.hub.nudge();
        Ok(state)
    }

    /// Puts a job that failed or was stopped back into the queue; it goes on from its checkpoint.
    pub async fn resume(&self, actor: &Actor, name: &str) -> ServiceResult<Job> {
        let job = self.own(actor, Action::Write, self.store.job_by_name(name).await?)?;
        if !job.can_resume() {
            return Err(cannot_resume(&job));
        }
        self.room_for_one_more(actor).await?;
        let now = self.env.now();
        let audit = actor.audit(now, "job.resume", &job.name);
        match self.store.resume_job(&job.id, now, &audit).await {
            // Somebody was quicker: it runs, is deleted, or its checkpoint was too old.
            Err(StoreError::NotFound(_)) => Err(cannot_resume(&self.job(actor, name).await?)),
            Err(error) => Err(error.into()),
            Ok(()) => {
                self.hub.nudge();
                self.job(actor, name).await
            }
        }
    }

    async fn room_for_one_more(&self, actor: &Actor) -> ServiceResult<()> {
        if self.store.count_active_jobs(&actor.user.id).await? < MAX_ACTIVE {
            return Ok(());
        }
        Err(ServiceError::refused(
            "too_many_jobs",
            format!("You already have {MAX_ACTIVE} jobs waiting or running."),
            "Wait for one to finish, or stop one.",
        ))
    }

    /// Title and notes.
    pub async fn describe(&self, actor: &Actor, name: &str, title: &str, notes: &str) -> ServiceResult<()> {
        let job = self.own(actor, Action::Write, self.store.job_by_name(name).await?)?;
        let title = names::parse_title(title)?;
        if notes.chars().count() > 10_000 {
            return Err(ServiceError::invalid("notes", "Notes have at most 10,000 characters."));
        }
        let audit = actor.audit(self.env.now(), "job.describe", &job.name);
        Ok(self.store.describe_job(&job.id, &title, notes, &audit).await?)
    }

    /// Removes a job that has ended, with its log. Its model stays.
    pub async fn delete(&self, actor: &Actor, name: &str) -> ServiceResult<()> {
        let job = self.own(actor, Action::Write, self.store.job_by_name(name).await?)?;
        if !job.state.is_final() {
            return Err(ServiceError::refused("job_running", "This job has not ended.", "Stop it first."));
        }
        let audit = actor.audit(self.env.now(), "job.delete", &job.name);
        self.store.delete_job(&job.id, &audit).await?;
        // Its directory, where one is left, goes too.
        self.hub.nudge();
        Ok(())
    }

    /// The request that would make the same job again: for a filled-in form.
    pub fn clone_request(&self, job: &Job) -> Request {
        let mut request = Request {
            base: bases::key_of(&job.spec.base),
            datasets: job.spec.datasets.clone(),
            title: job.title.clone(),
            validation_share: job.spec.validation_share.to_string(),
            hyperparameters: job.spec.hyperparameters.clone(),
            accept_warnings: false,
            idempotency_key: String::new(),
            place: Where::default(),
        };
        if let Some(spec) = &job.spec.cloud {
            cloud::of_spec(&mut request, spec);
        }
        request
    }

    /// What this installation can do on AWS.
    pub fn cloud(&self) -> &Cloud {
        &self.planner.cloud
    }

    fn own(&self, actor: &Actor, action: Action, job: Option<Job>) -> ServiceResult<Job> {
        job.filter(|job| authorize(actor, action, Resource::Owned(&job.user_id)))
            .ok_or(ServiceError::NotFound("job"))
    }
}

fn cannot_resume(job: &Job) -> ServiceError {
    if !job.state.is_final() {
        return ServiceError::refused(
            "job_running",
            "This job has not ended.",
            "Watch it, or stop it first.",
        );
    }
    let message = match job.state {
        JobState::Completed => "This job is complete: there is nothing left to go on with.",
        _ => "This job has no checkpoint to go on from.",
    };
    ServiceError::refused("no_checkpoint", message, "Clone it to start anew with the same settings.")
}
