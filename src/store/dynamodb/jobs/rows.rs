//! Reading, making and removing job rows, and the list of open jobs.

use super::super::super::{StoreError, StoreResult, encoding::to_json};
use super::super::{
    DynamoStore, accounts, datasets,
    error::Turns,
    item::{Item, REVISION},
    large::of_job,
    lists::{by_age, entry as list_entry, hashed, names, unique},
    tables::{Key, Table},
    transaction::{Refused, Row, Transaction},
};
use crate::domain::{
    audit::AuditEntry,
    ids::{DatasetId, JobId, UserId},
    job::{Job, JobState, Lease, StopMode},
};
use std::collections::BTreeSet;

/// Jobs that are not final, and those that somebody holds still.
const OPEN: &str = "open-jobs";

pub(super) fn key(id: &JobId) -> Key {
    Key::of(Table::Jobs, id.as_str())
}
pub(super) fn of_user(user: &UserId) -> String {
    format!("jobs:{user}")
}
pub(super) fn named_so(name: &str) -> Key {
    unique("job-name", name)
}
fn of_request(job: &Job) -> Key {
    unique("job-key", &format!("{}:{}", job.user_id, hashed(&job.idempotency_key)))
}

pub(super) fn read(item: &Item) -> StoreResult<Job> {
    let lease = match item.optional_text("lease_owner")? {
        None => None,
        Some(owner) => {
            Some(Lease { owner, until: item.instant("lease_until")?, epoch: item.count("lease_epoch")? })
        }
    };
    Ok(Job {
        id: item.parsed("job_id", JobId::parse)?,
        user_id: item.parsed("user_id", UserId::parse)?,
        name: item.text("name")?,
        title: item.text("title")?,
        notes: item.text("notes")?,
        spec: item.json("spec")?,
        state: item.parsed("state", JobState::parse)?,
        phase: item.text("phase")?,
        stop: item.optional_parsed("stop", StopMode::parse)?,
        step: item.count("step")?,
        total_steps: item.count("total_steps")?,
        attempt: item.small("attempt")?,
        first_attempt: item.small("first_attempt")?,
        log_offset: item.count("log_offset")?,
        last_seq: item.count("last_seq")?,
        checkpoint_step: item.count("checkpoint_step")?,
        train_loss: item.optional_real("train_loss")?,
        eval_loss: item.optional_real("eval_loss")?,
        tokens_per_second: item.optional_real("tokens_per_second")?,
        failure: item.optional_text("failure")?,
        next_step: item.optional_text("next_step")?,
        idempotency_key: item.text("idempotency_key")?,
        lease,
        cloud: item.optional_json("cloud")?,
        created_at: item.instant("created_at")?,
        started_at: item.optional_instant("started_at")?,
        ended_at: item.optional_instant("ended_at")?,
    })
}

/// A new job's row: queued, held by nobody, its first try.
fn item(job: &Job) -> StoreResult<Item> {
    Ok(Item::default()
        .with("user_id", &job.user_id)
        .with("name", &job.name)
        .with("title", &job.title)
        .with("notes", &job.notes)
        .with("spec", to_json("spec", &job.spec)?)
        .with("state", JobState::Queued.as_str())
        .with("phase", &job.phase)
        .with("step", job.step)
        .with("total_steps", job.total_steps)
        .with("attempt", job.attempt)
        .with("first_attempt", 1_u32)
        .with("log_offset", job.log_offset)
        .with("last_seq", 0_u64)
        .with("checkpoint_step", 0_u64)
        .with("train_loss", job.train_loss)
        .with("eval_loss", job.eval_loss)
        .with("tokens_per_second", job.tokens_per_second)
        .with("failure", &job.failure)
        .with("next_step", &job.next_step)
        .with("idempotency_key", &job.idempotency_key)
        .with("lease_epoch", 0_u64)
        .with("place", job.spec.place().as_str())
        .with("created_at", job.created_at)
        .with("started_at", job.started_at)
        .with("ended_at", job.ended_at))
}

pub(super) fn state(item: &Item) -> StoreResult<JobState> {
    item.parsed("state", JobState::parse)
}

/// The job's place in a list by age.
fn place(list: &str, item: &Item) -> StoreResult<Key> {
    Ok(list_entry(list, by_age(item.instant("created_at")?, &item.text("job_id")?)))
}

fn is_open(item: &Item) -> StoreResult<bool> {
    Ok(!state(item)?.is_final() || item.get("lease_owner").is_some())
}

/// Keeps the list of open jobs as the row will be.
pub(super) fn list_open(tx: &mut Transaction<'_>, before: &Row, after: &Item) -> StoreResult<()> {
    match (is_open(&before.item)?, is_open(after)?) {
        (true, false) => tx.delete(&place(OPEN, after)?),
        (false, true) => tx.put(&place(OPEN, after)?, names(&after.text("job_id")?)),
        _ => {}
    }
    Ok(())
}

impl DynamoStore {
    /// The rows of all open jobs.
    pub(super) async fn open_jobs(&self) -> StoreResult<Vec<Row>> {
        let entries = self.entries(OPEN).await?;
        let rows = self.rows_of(Table::Jobs, entries).await?;
        let row = |item: Item| Ok(Row { key: Key::of(Table::Jobs, item.text("job_id")?), item });
        rows.into_iter().map(|(_, item)| row(item)).collect()
    }

    /// The job that this user already made with this key.
    async fn made_before(&self, job: &Job) -> StoreResult<Option<Job>> {
        let Some(id) = self.named(&of_request(job)).await? else { return Ok(None) };
        self.get(&Key::of(Table::Jobs, id)).await?.as_ref().map(read).transpose()
    }
}

pub(super) async fn create(store: &DynamoStore, job: &Job, entry: &AuditEntry) -> StoreResult<Job> {
    let mut turns = Turns::default();
    loop {
        if let Some(job) = store.made_before(job).await? {
            return Ok(job);
        }
        let mut tx = store.transaction();
        let mut row = item(job)?;
        let id = || names(job.id.as_str());
        // The same request is quicker on another connection: then that job is found above.
        tx.create_unless_quicker(&of_request(job), id());
        tx.create(&named_so(&job.name), id(), StoreError::Taken("job name"));
        tx.create(&key(&job.id), row.clone(), StoreError::Taken("id"));
        tx.require(&accounts::key(&job.user_id), Refused::Error(StoreError::NotFound("user")));
        row.set("job_id", &job.id);
        for list in [&of_user(&job.user_id), OPEN] {
            tx.put(&place(list, &row)?, id());
        }
        for dataset in datasets_of(job) {
            tx.add(&datasets::key(dataset), datasets::JOBS, 1, StoreError::NotFound("dataset"));
            tx.put(&place(&datasets::uses(dataset), &row)?, id().with("name", &job.name));
        }
        tx.audit(entry);
        if tx.commit().await? {
            let stored = store.get(&key(&job.id)).await?.ok_or(StoreError::NotFound("job"))?;
            return read(&stored);
        }
        turns.next().await?;
    }
}

fn datasets_of(job: &Job) -> BTreeSet<&DatasetId> {
    job.spec.datasets.iter().collect()
}

pub(super) async fn delete(store: &DynamoStore, id: &JobId, entry: &AuditEntry) -> StoreResult<()> {
    let mut turns = Turns::default();
    loop {
        let row = store.row(key(id)).await?.ok_or(StoreError::NotFound("job"))?;
        let job = read(&row.item)?;
        if !job.state.is_final() {
            return Err(StoreError::NotFound("job"));
        }
        let mut tx = store.transaction();
        tx.delete_row(&row, &[REVISION]);
        for entry in [of_request(&job), named_so(&job.name)] {
            tx.delete(&entry);
        }
        for list in [&of_user(&job.user_id), OPEN] {
            tx.delete(&place(list, &row.item)?);
        }
        for dataset in datasets_of(&job) {
            tx.add(&datasets::key(dataset), datasets::JOBS, -1, StoreError::NotFound("dataset"));
            tx.delete(&place(&datasets::uses(dataset), &row.item)?);
        }
        let owner = of_job(id.as_str());
        tx.leave_garbage(&owner);
        tx.audit(entry);
        if tx.commit().await? {
            return store.collect_garbage(&owner).await;
        }
        turns.next().await?;
    }
}
