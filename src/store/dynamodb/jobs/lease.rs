//! What the holder of a job's lease does with it, and how a stop reaches it.
//!
//! The epoch is the fence: it grows with every claim, and each write asks for the one it was given.

use super::super::super::{JobUpdate, StoreError, StoreResult, encoding::to_json};
use super::super::{
    DynamoStore,
    error::{Turns, failed, is_conflict},
    item::Item,
    transaction::{Row, Transaction},
};
use super::{
    events::{Batches, pack},
    rows::{key, list_open, state},
};
use crate::domain::{
    audit::AuditEntry,
    event::EventBody,
    ids::JobId,
    job::{JobState, StopMode},
    time::Instant,
};
use aws_sdk_dynamodb::{
    error::ProvideErrorMetadata,
    types::{AttributeValue, ReturnValue},
};

/// One call, since it comes often: it may be said twice, and changes nothing that others decide by but the lease's end.
pub(super) async fn heartbeat(
    store: &DynamoStore,
    id: &JobId,
    epoch: u64,
    until: Instant,
) -> StoreResult<Option<StopMode>> {
    let key = key(id);
    let mut turns = Turns::default();
    loop {
        let update = store.client.update_item().table_name(store.names.of(key.table));
        let update = update
            .set_key(Some(key.attributes()))
            .update_expression("set lease_until = :until")
            .condition_expression("lease_epoch = :epoch and attribute_exists(lease_owner)")
            .expression_attribute_values(":until", AttributeValue::S(super::super::item::time(until)))
            .expression_attribute_values(":epoch", AttributeValue::N(epoch.to_string()))
            .return_values(ReturnValue::AllNew);
        match update.send().await {
            Ok(done) => {
                return Item(done.attributes.unwrap_or_default()).optional_parsed("stop", StopMode::parse);
            }
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => {
                return Err(match store.get(&key).await? {
                    Some(_) => StoreError::LeaseLost,
                    None => StoreError::NotFound("job"),
                });
            }
            Err(error) if is_conflict(error.code()) => turns.next().await?,
            Err(error) => return Err(failed(error)),
        }
    }
}

/// `LeaseLost` unless the row is held under this epoch.
fn held(job: &Item, epoch: u64) -> StoreResult<()> {
    let owned = job.get("lease_owner").is_some();
    if owned && job.count("lease_epoch")? == epoch { Ok(()) } else { Err(StoreError::LeaseLost) }
}

/// Nobody holds it, and whoever did has an old epoch.
fn take_away(job: &mut Item) -> StoreResult<()> {
    let epoch = job.count("lease_epoch")?.saturating_add(1);
    give_back(job);
    job.set("lease_epoch", epoch);
    Ok(())
}

fn give_back(job: &mut Item) {
    job.set("lease_owner", None::<&str>);
    job.set("lease_until", None::<&str>);
}

/// Changes a job's row, keeps the list of open jobs, appends what the job tells, and audits.
async fn change<T: Send>(
    store: &DynamoStore,
    id: &JobId,
    events: &Batches,
    entry: Option<&AuditEntry>,
    edit: impl Fn(&mut Item) -> StoreResult<T> + Send + Sync,
) -> StoreResult<T> {
    let edit = |job: &mut Item| {
        let said = edit(job)?;
        let last = job.count("last_seq")?;
        job.set("last_seq", last.saturating_add(events.count()));
        Ok(said)
    };
    let beside = |tx: &mut Transaction<'_>, before: &Row, after: &Item| {
        events.append(tx, id, before.item.count("last_seq")?);
        list_open(tx, before, after)
    };
    store.edit_with(key(id), "job", entry, edit, beside).await
}

pub(super) async fn record(
    store: &DynamoStore,
    id: &JobId,
    epoch: u64,
    update: &JobUpdate,
    new_events: &[(Instant, EventBody)],
) -> StoreResult<u64> {
    let events = pack(store, id, new_events).await?;
    let recorded = change(store, id, &events, None, |job| {
        held(job, epoch)?;
        let now = state(job)?;
        if let Some(next) = update.state
            && next != now
            && !now.may_become(next)
        {
            return Err(StoreError::NotFound("job in a state that this may follow"));
        }
        job.set_some("state", update.state.map(JobState::as_str));
        job.set_some("phase", &update.phase);
        job.set_some("step", update.step);
        job.set_some("total_steps", update.total_steps);
        job.set_some("log_offset", update.log_offset);
        job.set_some("checkpoint_step", update.checkpoint_step);
        job.set_some("train_loss", update.train_loss);
        job.set_some("eval_loss", update.eval_loss);
        job.set_some("tokens_per_second", update.tokens_per_second);
        job.set_some("failure", &update.failure);
        job.set_some("next_step", &update.next_step);
        job.set_some("started_at", update.started_at);
        job.set_some("ended_at", update.ended_at);
        let cloud = update.cloud.as_ref().map(|cloud| to_json("cloud", cloud)).transpose()?;
        job.set_some("cloud", cloud);
        Ok(job.count("last_seq")?.saturating_add(events.count()))
    });
    match recorded.await {
        // Refused for certain. Without an answer they may have been written all the same.
        Err(error @ (StoreError::LeaseLost | StoreError::NotFound(_))) => {
            events.forget(store, id).await;
            Err(error)
        }
        done => done,
    }
}

pub(super) async fn next_attempt(store: &DynamoStore, id: &JobId, epoch: u64) -> StoreResult<u32> {
    change(store, id, &Batches::default(), None, |job| {
        held(job, epoch)?;
        let attempt = job.small("attempt")?.saturating_add(1);
        job.set("attempt", attempt);
        job.set("log_offset", 0_u64);
        Ok(attempt)
    })
    .await
}

pub(super) async fn release(store: &DynamoStore, id: &JobId, epoch: u64) -> StoreResult<()> {
    change(store, id, &Batches::default(), None, |job| {
        held(job, epoch)?;
        give_back(job);
        Ok(())
    })
    .await
}

/// One after the other: a lease that is not given back because DynamoDB stops answering is found by the next call.
pub(super) async fn release_all(store: &DynamoStore, owner: &str) -> StoreResult<u64> {
    let mut count = 0;
    for row in store.open_jobs().await? {
        if row.item.optional_text("lease_owner")?.as_deref() != Some(owner) {
            continue;
        }
        let Some(id) = JobId::parse(&row.key.hash) else { continue };
        match release(store, &id, row.item.count("lease_epoch")?).await {
            Ok(()) => count += 1,
            // Somebody took it over in between.
            Err(StoreError::LeaseLost | StoreError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

pub(super) async fn request_stop(
    store: &DynamoStore,
    id: &JobId,
    mode: StopMode,
    at: Instant,
    entry: &AuditEntry,
) -> StoreResult<JobState> {
    let message = "Stopped before it started.".to_owned();
    let stopped = [(at, EventBody::State { state: JobState::Stopped, message })];
    let (told, nothing) = (pack(store, id, &stopped).await?, Batches::default());
    // Whether it is queued decides about the event too, and may change before it is written: so the states are two
    // changes, each of which asks for its own.
    let mut turns = Turns::default();
    loop {
        let row = store.get(&key(id)).await?.ok_or(StoreError::NotFound("job"))?;
        let seen = state(&row)?;
        if seen.is_final() {
            return Ok(seen);
        }
        let queued = seen == JobState::Queued;
        let events = if queued { &told } else { &nothing };
        let changed = change(store, id, events, Some(entry), |job| {
            if state(job)?.is_final() || (state(job)? == JobState::Queued) != queued {
                return Err(StoreError::LeaseLost);
            }
            job.set("stop", mode.as_str());
            if queued {
                // Whoever was about to start it finds its lease gone.
                job.set("state", JobState::Stopped.as_str());
                job.set("ended_at", at);
                take_away(job)?;
                if mode == StopMode::Discard {
                    job.set("checkpoint_step", 0_u64);
                }
            }
            state(job)
        });
        match changed.await {
            Err(StoreError::LeaseLost) => turns.next().await?,
            other => return other,
        }
    }
}

pub(super) async fn resume(
    store: &DynamoStore,
    id: &JobId,
    at: Instant,
    entry: &AuditEntry,
) -> StoreResult<()> {
    let message = "Waiting for its turn to go on".to_owned();
    let told = [(at, EventBody::State { state: JobState::Queued, message: message.clone() })];
    let events = pack(store, id, &told).await?;
    change(store, id, &events, Some(entry), |job| {
        if !state(job)?.may_resume() || job.count("checkpoint_step")? == 0 {
            return Err(StoreError::NotFound("job with a checkpoint"));
        }
        // The pause is no time of the job's. Whoever held it has nothing more to say.
        let started = match (job.optional_instant("started_at")?, job.optional_instant("ended_at")?) {
            (Some(started), Some(ended)) => {
                Some(Instant(started.micros().saturating_add(at.micros()).saturating_sub(ended.micros())))
            }
            _ => None,
        };
        let attempt = job.small("attempt")?.saturating_add(1);
        job.set("state", JobState::Queued.as_str());
        job.set("phase", &message);
        for gone in ["stop", "failure", "next_step", "ended_at"] {
            job.set(gone, None::<&str>);
        }
        job.set("attempt", attempt);
        job.set("first_attempt", attempt);
        job.set("log_offset", 0_u64);
        job.set("started_at", started);
        take_away(job)
    })
    .await
}
