//! Reading and making job rows.

use super::super::super::{StoreError, StoreResult};
use super::super::{
    SqlStore, audit,
    error::reference,
    value::{Row, args, to_json},
};
use crate::domain::{
    audit::AuditEntry,
    ids::{JobId, UserId},
    job::{Job, JobState, Lease, StopMode},
};

/// A job that is not final. The words of the index `jobs_open`: both databases then use it.
macro_rules! OPEN {
    () => {
        "state not in ('completed', 'failed', 'stopped', 'lost')"
    };
}
pub(super) use OPEN;

macro_rules! select {
    ($rest:expr) => {
        concat!(
            "select id, user_id, name, title, notes, spec, state, phase, stop, step, total_steps, attempt, first_attempt, ",
            "log_offset, last_seq, checkpoint_step, train_loss, eval_loss, tokens_per_second, failure, next_step, ",
            "idempotency_key, lease_owner, lease_until, lease_epoch, cloud, created_at, started_at, ended_at from jobs ",
            $rest
        )
    };
}
pub(super) use select;

pub(super) fn read(row: &Row) -> StoreResult<Job> {
    let lease = match row.optional_text("lease_owner")? {
        None => None,
        Some(owner) => {
            Some(Lease { owner, until: row.instant("lease_until")?, epoch: row.count("lease_epoch")? })
        }
    };
    Ok(Job {
        id: row.parsed("id", JobId::parse)?,
        user_id: row.parsed("user_id", UserId::parse)?,
        name: row.text("name")?,
        title: row.text("title")?,
        notes: row.text("notes")?,
        spec: row.json("spec")?,
        state: row.parsed("state", JobState::parse)?,
        phase: row.text("phase")?,
        stop: row.optional_parsed("stop", StopMode::parse)?,
        step: row.count("step")?,
        total_steps: row.count("total_steps")?,
        attempt: row.small("attempt")?,
        first_attempt: row.small("first_attempt")?,
        log_offset: row.count("log_offset")?,
        last_seq: row.count("last_seq")?,
        checkpoint_step: row.count("checkpoint_step")?,
        train_loss: row.optional_real("train_loss")?,
        eval_loss: row.optional_real("eval_loss")?,
        tokens_per_second: row.optional_real("tokens_per_second")?,
        failure: row.optional_text("failure")?,
        next_step: row.optional_text("next_step")?,
        idempotency_key: row.text("idempotency_key")?,
        lease,
        cloud: row.optional_json("cloud")?,
        created_at: row.instant("created_at")?,
        started_at: row.optional_instant("started_at")?,
        ended_at: row.optional_instant("ended_at")?,
    })
}

/// The job that this user already made with this key.
async fn made_before(store: &SqlStore, job: &Job) -> StoreResult<Option<Job>> {
    store
        .fetch_optional(
            select!("where user_id = $1 and idempotency_key = $2"),
            args![&job.user_id, &job.idempotency_key],
        )
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

pub(super) async fn create(store: &SqlStore, job: &Job, entry: &AuditEntry) -> StoreResult<Job> {
    if let Some(job) = made_before(store, job).await? {
        return Ok(job);
    }
    match insert(store, job, entry).await {
        // The same request was quicker on another connection. Which unique value it hits first is chance.
        Err(StoreError::Taken(what)) => made_before(store, job).await?.ok_or(StoreError::Taken(what)),
        other => other,
    }
}

async fn insert(store: &SqlStore, job: &Job, entry: &AuditEntry) -> StoreResult<Job> {
    let mut tx = store.begin().await?;
    tx.execute(
        "insert into jobs (id, user_id, name, title, notes, spec, state, phase, stop, step, total_steps, attempt,
             log_offset, last_seq, train_loss, eval_loss, tokens_per_second, failure, next_step,
             idempotency_key, lease_owner, lease_until, lease_epoch, created_at, started_at, ended_at, place)
         values ($1, $2, $3, $4, $5, $6, $7, $8, null, $9, $10, $11, $12, 0, $13, $14, $15, $16, $17, $18,
             null, 0, 0, $19, $20, $21, $22)",
        args![
            &job.id,
            &job.user_id,
            &job.name,
            &job.title,
            &job.notes,
            to_json("spec", &job.spec)?,
            JobState::Queued.as_str(),
            &job.phase,
            job.step,
            job.total_steps,
            job.attempt,
            job.log_offset,
            job.train_loss,
            job.eval_loss,
            job.tokens_per_second,
            &job.failure,
            &job.next_step,
            &job.idempotency_key,
            job.created_at,
            job.started_at,
            job.ended_at,
            job.spec.place().as_str()
        ],
    )
    .await
    .map_err(|error| reference(error, StoreError::NotFound("user")))?;
    for dataset in &job.spec.datasets {
        tx.execute(
            "insert into job_datasets (job_id, dataset_id) values ($1, $2) on conflict do nothing",
            args![&job.id, dataset],
        )
        .await
        .map_err(|error| reference(error, StoreError::NotFound("dataset")))?;
    }
    audit::append(&mut tx, entry).await?;
    let row = tx.fetch_optional(select!("where id = $1"), args![&job.id]).await?;
    let stored = read(&row.ok_or(StoreError::NotFound("job"))?)?;
    tx.commit().await?;
    Ok(stored)
}
