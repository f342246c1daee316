//! What the holder of a job's lease does with it, and how a stop reaches it.
//!
//! The epoch is the fence: it grows with every claim, and each write asks for the one it was given.

use super::super::super::{JobUpdate, StoreError, StoreResult};
use super::super::{
    SqlStore, audit,
    conn::Tx,
    found,
    value::{args, to_json},
};
use super::{events, lost};
use crate::domain::{
    audit::AuditEntry,
    event::EventBody,
    ids::JobId,
    job::{JobState, StopMode},
    time::Instant,
};

pub(super) async fn heartbeat(
    store: &SqlStore,
    id: &JobId,
    epoch: u64,
    until: Instant,
) -> StoreResult<Option<StopMode>> {
    let mut tx = store.begin().await?;
    let row = tx
        .fetch_optional(
            "update jobs set lease_until = $3
             where id = $1 and lease_epoch = $2 and lease_owner is not null returning stop",
            args![id, epoch, until],
        )
        .await?;
    tx.commit().await?;
    match row {
        Some(row) => row.optional_parsed("stop", StopMode::parse),
        None => Err(lost(store, id).await),
    }
}

/// A job's row as a writer holds it.
struct Held {
    state: JobState,
    last_seq: u64,
    owned: bool,
    epoch: u64,
}

/// Reads the row and keeps others from writing it until the transaction ends.
async fn hold(tx: &mut Tx, id: &JobId) -> StoreResult<Held> {
    let sql = tx.pick(
        "select state, last_seq, lease_owner, lease_epoch from jobs where id = $1",
        "select state, last_seq, lease_owner, lease_epoch from jobs where id = $1 for no key update",
    );
    let row = tx.fetch_optional(sql, args![id]).await?.ok_or(StoreError::NotFound("job"))?;
    Ok(Held {
        state: row.parsed("state", JobState::parse)?,
        last_seq: row.count("last_seq")?,
        owned: row.optional_text("lease_owner")?.is_some(),
        epoch: row.count("lease_epoch")?,
    })
}

pub(super) async fn record(
    store: &SqlStore,
    id: &JobId,
    epoch: u64,
    update: &JobUpdate,
    new_events: &[(Instant, EventBody)],
) -> StoreResult<u64> {
    let mut tx = store.begin().await?;
    let held = hold(&mut tx, id).await?;
    if !held.owned || held.epoch != epoch {
        // Nothing was written; this lets go of the row at once, where a drop would do it a moment later.
        tx.commit().await?;
        return Err(StoreError::LeaseLost);
    }
    if let Some(next) = update.state
        && next != held.state
        && !held.state.may_become(next)
    {
        return Err(StoreError::NotFound("job in a state that this may follow"));
    }
    let last_seq = held.last_seq.saturating_add(u64::try_from(new_events.len()).unwrap_or(u64::MAX));
    tx.execute(
        "update jobs set state = coalesce($2, state), phase = coalesce($3, phase), step = coalesce($4, step),
             total_steps = coalesce($5, total_steps), log_offset = coalesce($6, log_offset),
             train_loss = coalesce($7, train_loss), eval_loss = coalesce($8, eval_loss),
             tokens_per_second = coalesce($9, tokens_per_second), failure = coalesce($10, failure),
             next_step = coalesce($11, next_step), started_at = coalesce($12, started_at),
             ended_at = coalesce($13, ended_at), last_seq = $14,
             checkpoint_step = coalesce($15, checkpoint_step), cloud = coalesce($16, cloud)
         where id = $1",
        args![
            id,
            update.state.map(JobState::as_str),
            &update.phase,
            update.step,
            update.total_steps,
            update.log_offset,
            update.train_loss,
            update.eval_loss,
            update.tokens_per_second,
            &update.failure,
            &update.next_step,
            update.started_at,
            update.ended_at,
            last_seq,
            update.checkpoint_step,
            update.cloud.as_ref().map(|cloud| to_json("cloud", cloud)).transpose()?
        ],
    )
    .await?;
    events::append(&mut tx, id, held.last_seq, new_events).await?;
    tx.commit().await?;
    Ok(last_seq)
}

pub(super) async fn next_attempt(store: &SqlStore, id: &JobId, epoch: u64) -> StoreResult<u32> {
    let mut tx = store.begin().await?;
    let row = tx
        .fetch_optional(
            "update jobs set attempt = attempt + 1, log_offset = 0
             where id = $1 and lease_epoch = $2 and lease_owner is not null returning attempt",
            args![id, epoch],
        )
        .await?;
    tx.commit().await?;
    match row {
        Some(row) => row.small("attempt"),
        None => Err(lost(store, id).await),
    }
}

pub(super) async fn release(store: &SqlStore, id: &JobId, epoch: u64) -> StoreResult<()> {
    let released = store
        .execute(
            "update jobs set lease_owner = null, lease_until = 0
             where id = $1 and lease_epoch = $2 and lease_owner is not null",
            args![id, epoch],
        )
        .await?;
    if released == 0 { Err(lost(store, id).await) } else { Ok(()) }
}

pub(super) async fn release_all(store: &SqlStore, owner: &str) -> StoreResult<u64> {
    store
        .execute("update jobs set lease_owner = null, lease_until = 0 where lease_owner = $1", args![owner])
        .await
}

pub(super) async fn request_stop(
    store: &SqlStore,
    id: &JobId,
    mode: StopMode,
    at: Instant,
    entry: &AuditEntry,
) -> StoreResult<JobState> {
    let mut tx = store.begin().await?;
    let held = hold(&mut tx, id).await?;
    if held.state.is_final() {
        return Ok(held.state);
    }
    let state = if held.state == JobState::Queued {
        // Whoever was about to start it finds its lease gone.
        tx.execute(
            "update jobs set state = 'stopped', stop = $2, ended_at = $3, last_seq = $4, lease_owner = null,
                 lease_until = 0, lease_epoch = lease_epoch + 1,
                 checkpoint_step = case when $2 = 'discard' then 0 else checkpoint_step end
             where id = $1",
            args![id, mode.as_str(), at, held.last_seq.saturating_add(1)],
        )
        .await?;
        let message = "Stopped before it started.".to_owned();
        let event = EventBody::State { state: JobState::Stopped, message };
        events::append(&mut tx, id, held.last_seq, &[(at, event)]).await?;
        JobState::Stopped
    } else {
        tx.execute("update jobs set stop = $2 where id = $1", args![id, mode.as_str()]).await?;
        held.state
    };
    audit::append(&mut tx, entry).await?;
    tx.commit().await?;
    Ok(state)
}

pub(super) async fn resume(store: &SqlStore, id: &JobId, at: Instant, entry: &AuditEntry) -> StoreResult<()> {
    let mut tx = store.begin().await?;
    let held = hold(&mut tx, id).await?;
    let message = "Waiting for its turn to go on".to_owned();
    // The pause is no time of the job's. Whoever held it has nothing more to say.
    let resumed = tx
        .execute(
            "update jobs set state = 'queued', phase = $2, stop = null, failure = null, next_step = null,
                 attempt = attempt + 1, first_attempt = attempt + 1, log_offset = 0, last_seq = $3,
                 started_at = started_at + ($4 - ended_at), ended_at = null,
                 lease_owner = null, lease_until = 0, lease_epoch = lease_epoch + 1
             where id = $1 and state in ('failed', 'stopped', 'lost') and checkpoint_step > 0",
            args![id, &message, held.last_seq.saturating_add(1), at],
        )
        .await?;
    found(resumed, "job with a checkpoint")?;
    let event = EventBody::State { state: JobState::Queued, message };
    events::append(&mut tx, id, held.last_seq, &[(at, event)]).await?;
    audit::append(&mut tx, entry).await?;
    tx.commit().await
}
