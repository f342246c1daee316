//! The metadata port: what the product keeps about people, datasets, jobs and models.
//!
//! One trait per area; [`Store`] is all of them. Each method is atomic by itself, and a method that changes something
//! on a person's behalf takes the [`AuditEntry`] that goes into the log in the same transaction. So a service method
//! stays one unit of work on every database, DynamoDB's transactions included.
//!
//! Text comes back as it was given, but for NUL, which not every database can hold: it comes back as `␀` (U+2400).
//! A number that is none (NaN, infinity) is kept in events, and reads as unknown (`None`) in a row.
//!
//! Adapters: [`sql`] (SQLite and Postgres), [`dynamodb`]; [`Location`] says which. `tests/store_conformance/` runs one suite over all of them.
//! Not here: files (see `storage`), rules about who may do what (see `services`).

mod cursor;
pub mod dynamodb;
mod encoding;
mod location;
pub mod sql;

pub use location::Location;

use crate::domain::{
    account::{Email, Role, Session, User},
    audit::AuditEntry,
    charge::Charge,
    cloud::{CloudRun, Place},
    dataset::{Dataset, DatasetState},
    endpoint::{Endpoint, EndpointState},
    event::{EventBody, JobEvent},
    ids::{DatasetId, EndpointId, JobId, ModelId, SessionId, UserId},
    job::{Job, JobState, StopMode},
    licence::LicenceAcceptance,
    model::Model,
    money::Money,
    time::Instant,
    upload::Upload,
};
use async_trait::async_trait;

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique value is taken; names the value's kind (`email`, `job name`, `dataset version`). Also `job`, where a
    /// dataset is to go that a job uses.
    #[error("{0} is taken")]
    Taken(&'static str),
    /// The row is gone, or not in the state that the change needs.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// Somebody else holds the job: the write carried an old lease epoch.
    #[error("the lease on the job was lost")]
    LeaseLost,
    /// The database has no room left.
    #[error("the database's disk is full")]
    Full,
    /// The database can't be reached or did not answer in time.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// A stored value can't be read: a bug, or a database that something else wrote to.
    #[error("a stored value of {0} can't be read: {1}")]
    Corrupt(&'static str, String),
}

pub type StoreResult<T> = Result<T, StoreError>;

/// A page of a list, newest first. `next` is the cursor of the following page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The same page of what `read` makes of each item.
    pub(super) fn try_map<U>(self, read: impl FnMut(T) -> StoreResult<U>) -> StoreResult<Page<U>> {
        let items = self.items.into_iter().map(read).collect::<StoreResult<_>>()?;
        Ok(Page { items, next: self.next })
    }
}

/// Which page: at most `limit` rows after the row that `cursor` names. A cursor is opaque to callers; one that is
/// not of our making reads as the first page.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    pub cursor: Option<String>,
    pub limit: usize,
}

#[async_trait]
pub trait Accounts: Send + Sync {
    /// Adds a user; the very first one becomes Admin whatever `role` says, also when several sign up at once.
    /// Returns the user as stored. `Taken("email")`.
    async fn create_user(&self, user: &User, audit: &AuditEntry) -> StoreResult<User>;
    async fn user(&self, id: &UserId) -> StoreResult<Option<User>>;
    async fn user_by_email(&self, email: &Email) -> StoreResult<Option<User>>;
    async fn count_users(&self) -> StoreResult<u64>;
    async fn list_users(&self, page: &PageRequest) -> StoreResult<Page<User>>;
    async fn set_full_name(&self, id: &UserId, full_name: &str, audit: &AuditEntry) -> StoreResult<()>;
    /// Sets the hash and ends every session of the user but `keep`.
    async fn set_password(
        &self,
        id: &UserId,
        password_hash: &str,
        keep: Option<&SessionId>,
        audit: &AuditEntry,
    ) -> StoreResult<()>;
    /// The same password under newer parameters: no session ends, nothing to audit.
    async fn set_password_hash(&self, id: &UserId, password_hash: &str) -> StoreResult<()>;
    async fn set_role(&self, id: &UserId, role: Role, audit: &AuditEntry) -> StoreResult<()>;
    /// Disables or enables; disabling ends every session.
    async fn set_disabled(&self, id: &UserId, disabled: bool, audit: &AuditEntry) -> StoreResult<()>;
}

#[async_trait]
pub trait Sessions: Send + Sync {
    /// Adds a session and, where the user then has more than `keep`, ends the longest unused ones.
    async fn create_session(&self, session: &Session, keep: usize, audit: &AuditEntry) -> StoreResult<()>;
    /// The session of this secret with its user, whatever their age or state; the caller applies the limits.
    async fn session(&self, secret_hash: &str) -> StoreResult<Option<(Session, User)>>;
    async fn touch_session(&self, id: &SessionId, seen: Instant) -> StoreResult<()>;
    /// Newest first.
    async fn list_sessions(&self, user: &UserId) -> StoreResult<Vec<Session>>;
    /// Ends one session of this user. `NotFound` where it is another's or none.
    async fn end_session(&self, user: &UserId, id: &SessionId, audit: &AuditEntry) -> StoreResult<()>;
    /// Ends all sessions of this user but `keep`; returns how many ended.
    async fn end_other_sessions(
        &self,
        user: &UserId,
        keep: &SessionId,
        audit: &AuditEntry,
    ) -> StoreResult<u64>;
    /// Removes sessions that are over: past `expires_at`, or unused since before `idle_since`.
    async fn sweep_sessions(&self, now: Instant, idle_since: Instant) -> StoreResult<u64>;
}

#[async_trait]
pub trait Datasets: Send + Sync {
    async fn create_dataset(&self, dataset: &Dataset, audit: &AuditEntry) -> StoreResult<()>;
    /// The dataset, whoever owns it; the service asks whether the caller may see it.
    async fn dataset(&self, id: &DatasetId) -> StoreResult<Option<Dataset>>;
    /// The newest version of each of the user's datasets, newest first, reports included.
    async fn list_datasets(&self, user: &UserId, page: &PageRequest) -> StoreResult<Page<Dataset>>;
    /// All versions of one dataset, newest first.
    async fn list_versions(&self, user: &UserId, family: &DatasetId) -> StoreResult<Vec<Dataset>>;
    /// The newest dataset of this user that was uploaded under this file name.
    async fn dataset_by_original_name(
        &self,
        user: &UserId,
        original_name: &str,
    ) -> StoreResult<Option<Dataset>>;
    /// Those in `checking`, of all users: work to take up again after a restart.
    async fn datasets_in_state(&self, state: DatasetState) -> StoreResult<Vec<Dataset>>;
    async fn set_checked_bytes(&self, id: &DatasetId, bytes: u64) -> StoreResult<()>;
    /// Writes what the check found: state, checked_bytes, rows, format, report, mapping, failure, updated_at.
    async fn save_check(&self, dataset: &Dataset) -> StoreResult<()>;
    async fn rename_dataset(
        &self,
        id: &DatasetId,
        name: &str,
        at: Instant,
        audit: &AuditEntry,
    ) -> StoreResult<()>;
    /// Removes the row unless a job uses it. `Err(Taken("job"))` where one does.
    async fn delete_dataset(&self, id: &DatasetId, audit: &AuditEntry) -> StoreResult<()>;
    /// Names of the jobs that use this dataset, newest first.
    async fn jobs_using_dataset(&self, id: &DatasetId) -> StoreResult<Vec<String>>;
    /// Sum of bytes of the user's datasets.
    async fn dataset_bytes(&self, user: &UserId) -> StoreResult<u64>;
}

/// Files that come in pieces. Where the bytes are is the business of `storage`.
#[async_trait]
pub trait Uploads: Send + Sync {
    async fn create_upload(&self, upload: &Upload, audit: &AuditEntry) -> StoreResult<()>;
    /// The upload, whoever owns it.
    async fn upload(&self, id: &DatasetId) -> StoreResult<Option<Upload>>;
    /// Moves its end.
    async fn keep_upload(&self, id: &DatasetId, until: Instant) -> StoreResult<()>;
    /// The dataset takes the place of the upload with its id. `NotFound("upload")` where there is none, so that racing
    /// finishers make one dataset.
    async fn finish_upload(&self, dataset: &Dataset, audit: &AuditEntry) -> StoreResult<()>;
    /// Removes the row. Nobody asked for it, and nothing is audited, where it ran out of time.
    async fn delete_upload(&self, id: &DatasetId, audit: Option<&AuditEntry>) -> StoreResult<()>;
    /// Those of all users whose end has come, oldest end first, at most `limit`.
    async fn expired_uploads(&self, now: Instant, limit: usize) -> StoreResult<Vec<Upload>>;
}

/// What a holder writes while it drives a job. `None` leaves a value as it is.
#[derive(Debug, Clone, Default)]
pub struct JobUpdate {
    pub state: Option<JobState>,
    pub phase: Option<String>,
    pub step: Option<u64>,
    pub total_steps: Option<u64>,
    pub log_offset: Option<u64>,
    pub checkpoint_step: Option<u64>,
    pub train_loss: Option<f64>,
    pub eval_loss: Option<f64>,
    pub tokens_per_second: Option<f64>,
    pub failure: Option<String>,
    pub next_step: Option<String>,
    pub started_at: Option<Instant>,
    pub ended_at: Option<Instant>,
    pub cloud: Option<CloudRun>,
}

#[async_trait]
pub trait Jobs: Send + Sync {
    /// Adds a queued job and the uses of its datasets. Where the user already made one with this idempotency key,
    /// nothing is added and that job is returned. `NotFound("dataset")` where a dataset is gone meanwhile.
    async fn create_job(&self, job: &Job, audit: &AuditEntry) -> StoreResult<Job>;
    async fn job(&self, id: &JobId) -> StoreResult<Option<Job>>;
    async fn job_by_name(&self, name: &str) -> StoreResult<Option<Job>>;
    async fn list_jobs(&self, user: &UserId, page: &PageRequest) -> StoreResult<Page<Job>>;
    /// How many of the user's jobs are not final.
    async fn count_active_jobs(&self, user: &UserId) -> StoreResult<u64>;
    /// How many queued jobs of the same place go before this one in the order of [`claim_jobs`](Jobs::claim_jobs); `None` where it is
    /// not queued.
    async fn queue_position(&self, id: &JobId) -> StoreResult<Option<u64>>;

    /// Takes up to `limit` jobs of this place that nobody holds, queued or left by a holder whose lease ran out, and leases them to
    /// `owner` until `until`, one epoch up. Jobs in a running state come first (they were taken over), then the
    /// queue in fair order: the user with fewest running jobs first, then the oldest job. What is taken counts as
    /// running, so several at once are the same as one by one.
    async fn claim_jobs(
        &self,
        owner: &str,
        place: Place,
        now: Instant,
        until: Instant,
        limit: usize,
    ) -> StoreResult<Vec<Job>>;
    /// Extends the lease; answers what the person asked for meanwhile (stop). `LeaseLost` for an old epoch.
    async fn heartbeat(&self, id: &JobId, epoch: u64, until: Instant) -> StoreResult<Option<StopMode>>;
    /// Writes the update and appends the events with the next sequence numbers, in one transaction, when `epoch` is
    /// still the lease's. Returns the last sequence number. A state may only follow as `JobState::may_become` says
    /// (the same state again is no change), else `NotFound` and nothing is written. After a final state the holder
    /// may still append events.
    async fn record(
        &self,
        id: &JobId,
        epoch: u64,
        update: &JobUpdate,
        events: &[(Instant, EventBody)],
    ) -> StoreResult<u64>;
    /// Counts a new try: attempt + 1, log_offset back to 0.
    async fn next_attempt(&self, id: &JobId, epoch: u64) -> StoreResult<u32>;
    /// Gives the lease back, so that another holder may claim at once.
    async fn release(&self, id: &JobId, epoch: u64) -> StoreResult<()>;

    /// Gives back every lease of this owner and says how many. For one who starts anew under its old name and knows
    /// that its former self is dead.
    async fn release_all(&self, owner: &str) -> StoreResult<u64>;

    /// Asks for a stop. A queued job is `stopped` at once, with a state event; whoever held it already finds the lease
    /// lost. The holder of a running one sees it at its next heartbeat. Returns the state after. A final job stays as
    /// it is.
    async fn request_stop(
        &self,
        id: &JobId,
        mode: StopMode,
        at: Instant,
        audit: &AuditEntry,
    ) -> StoreResult<JobState>;
    /// Puts a job that failed or was stopped back into the queue, one try up, to go on from its checkpoint; its failure
    /// and the wish to stop are forgotten, and its pause is not counted as time spent. Whoever held it finds the lease
    /// lost. `NotFound` where it is in another state or has no checkpoint.
    async fn resume_job(&self, id: &JobId, at: Instant, audit: &AuditEntry) -> StoreResult<()>;
    /// Notes that the checkpoint of a final job is gone. `NotFound` where it is not final.
    async fn forget_checkpoint(&self, id: &JobId) -> StoreResult<()>;
    async fn describe_job(&self, id: &JobId, title: &str, notes: &str, audit: &AuditEntry)
    -> StoreResult<()>;
    /// Removes a final job with its events. `NotFound` where it is not final.
    async fn delete_job(&self, id: &JobId, audit: &AuditEntry) -> StoreResult<()>;

    /// Events with `seq > after`, in order, at most `limit`.
    async fn events(&self, id: &JobId, after: u64, limit: usize) -> StoreResult<Vec<JobEvent>>;
    /// Events of one kind with `seq > after`, in order, at most `limit`.
    async fn events_of_kind(
        &self,
        id: &JobId,
        kind: &str,
        after: u64,
        limit: usize,
    ) -> StoreResult<Vec<JobEvent>>;
    /// The last `limit` events of one kind, in order.
    async fn last_events_of_kind(&self, id: &JobId, kind: &str, limit: usize) -> StoreResult<Vec<JobEvent>>;
}

#[async_trait]
pub trait Models: Send + Sync {
    /// Adds a model; where the job already has one (a crash after the first try), that one is replaced.
    async fn create_model(&self, model: &Model) -> StoreResult<()>;
    async fn model(&self, id: &ModelId) -> StoreResult<Option<Model>>;
    async fn model_of_job(&self, job: &JobId) -> StoreResult<Option<Model>>;
    async fn list_models(&self, user: &UserId, page: &PageRequest) -> StoreResult<Page<Model>>;
    async fn rename_model(&self, id: &ModelId, name: &str, audit: &AuditEntry) -> StoreResult<()>;
    async fn delete_model(&self, id: &ModelId, audit: &AuditEntry) -> StoreResult<()>;
}

#[async_trait]
pub trait AuditLog: Send + Sync {
    /// For refusals and downloads, which change nothing else.
    async fn audit(&self, entry: &AuditEntry) -> StoreResult<()>;
    async fn list_audit(&self, page: &PageRequest) -> StoreResult<Page<AuditEntry>>;
}

/// What running things on AWS cost, and how much it may.
#[async_trait]
pub trait Costs: Send + Sync {
    /// Writes the line, in the place of the one with its id.
    async fn save_charge(&self, charge: &Charge) -> StoreResult<()>;
    /// The lines of one month, of one person or of all, newest first.
    async fn charges(&self, month: &str, user: Option<&UserId>) -> StoreResult<Vec<Charge>>;
    /// The months that have lines, newest first, at most 120.
    async fn charged_months(&self, user: Option<&UserId>) -> StoreResult<Vec<String>>;
    /// What a person may spend in a month; `None` sets no limit.
    async fn set_budget(&self, user: &UserId, budget: Option<Money>, audit: &AuditEntry) -> StoreResult<()>;
    async fn budget(&self, user: &UserId) -> StoreResult<Option<Money>>;
}

/// What the keeper of endpoints writes. `None` leaves a value as it is.
#[derive(Debug, Clone, Default)]
pub struct EndpointUpdate {
    pub state: Option<EndpointState>,
    pub phase: Option<String>,
    pub failure: Option<String>,
    pub next_step: Option<String>,
    pub in_service_at: Option<Instant>,
    pub ended_at: Option<Instant>,
}

#[async_trait]
pub trait Endpoints: Send + Sync {
    /// Adds an endpoint in `creating`. `Taken("endpoint name")` where its name is in use.
    async fn create_endpoint(&self, endpoint: &Endpoint, audit: &AuditEntry) -> StoreResult<()>;
    async fn endpoint(&self, id: &EndpointId) -> StoreResult<Option<Endpoint>>;
    /// Newest first, those that are deleted included.
    async fn list_endpoints(&self, user: &UserId, page: &PageRequest) -> StoreResult<Page<Endpoint>>;
    /// Those of all users that are not `deleted`, oldest first: what may cost money.
    async fn open_endpoints(&self) -> StoreResult<Vec<Endpoint>>;
    /// Writes the update where the endpoint is still in the state `from`; else `NotFound` and nothing is written.
    async fn update_endpoint(
        &self,
        id: &EndpointId,
        from: EndpointState,
        update: &EndpointUpdate,
    ) -> StoreResult<()>;
    /// Puts an endpoint that is not over into `deleting`. `NotFound` where it is `deleted`.
    async fn end_endpoint(&self, id: &EndpointId, phase: &str, audit: &AuditEntry) -> StoreResult<()>;
    /// Notes that it was used; never back in time.
    async fn touch_endpoint(&self, id: &EndpointId, at: Instant) -> StoreResult<()>;
}

#[async_trait]
pub trait Licences: Send + Sync {
    /// Records it; a second acceptance of the same version changes nothing, and nothing is audited.
    async fn accept_licence(&self, acceptance: &LicenceAcceptance, audit: &AuditEntry) -> StoreResult<()>;
    /// What this person accepted, newest first.
    async fn accepted_licences(&self, user: &UserId) -> StoreResult<Vec<LicenceAcceptance>>;
}

/// The whole port.
#[async_trait]
pub trait Store:
    Accounts + Sessions + Datasets + Uploads + Jobs + Models + AuditLog + Costs + Endpoints + Licences
{
    /// One cheap question, for `/ready`.
    async fn ping(&self) -> StoreResult<()>;
}
