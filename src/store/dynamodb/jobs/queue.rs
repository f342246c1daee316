//! The queue's fair order, and taking jobs from it.
//!
//! A waiting job's turn is the number of its user's running jobs plus the number of the same user's waiting jobs
//! before it. Lowest turn first, then the oldest: so one user's hundred jobs delay another's first by one at most,
//! and taking several at once gives the same jobs as taking them one by one.
//!
//! The open jobs are few, so they are read and put into order here. A claim is one transaction on the leases as they
//! were read: of two who claim at once, one takes its jobs and the other looks again.

use super::super::super::StoreResult;
use super::super::{
    DynamoStore,
    error::Turns,
    transaction::{Row, STEPS},
};
use super::rows::{key, read};
use crate::domain::{
    cloud::Place,
    ids::{JobId, UserId},
    job::{Job, JobState},
    time::Instant,
};
use std::collections::HashMap;

struct Open {
    row: Row,
    job: Job,
}

impl Open {
    fn is_held(&self, now: Instant) -> bool {
        self.job.lease.as_ref().is_some_and(|lease| lease.until > now)
    }
    fn age(&self) -> (Instant, &JobId) {
        (self.job.created_at, &self.job.id)
    }
}

/// Those of one place: each has a queue of its own.
async fn open_jobs(store: &DynamoStore, place: Place) -> StoreResult<Vec<Open>> {
    let rows = store.open_jobs().await?.into_iter();
    let mut open =
        rows.map(|row| Ok(Open { job: read(&row.item)?, row })).collect::<StoreResult<Vec<_>>>()?;
    // Those that are final and still held only wait to be released.
    open.retain(|open| !open.job.state.is_final() && open.job.spec.place() == place);
    Ok(open)
}

/// The free jobs in the order in which they are taken at this time.
fn in_order(open: &[Open], now: Instant) -> Vec<&Open> {
    let mut turns: HashMap<&UserId, usize> = HashMap::new();
    let (mut left_behind, mut waiting) = (Vec::new(), Vec::new());
    for each in open {
        let queued = each.job.state == JobState::Queued;
        if each.is_held(now) || !queued {
            *turns.entry(&each.job.user_id).or_default() += 1;
        }
        match (each.is_held(now), queued) {
            (true, _) => {}
            (false, true) => waiting.push(each),
            (false, false) => left_behind.push(each),
        }
    }
    left_behind.sort_by(|a, b| a.age().cmp(&b.age()));
    waiting.sort_by(|a, b| a.age().cmp(&b.age()));
    let mut waiting: Vec<_> = waiting
        .into_iter()
        .map(|each| {
            let turn = turns.entry(&each.job.user_id).or_default();
            *turn += 1;
            (*turn, each)
        })
        .collect();
    // Stable: within a turn the oldest stays first.
    waiting.sort_by_key(|(turn, _)| *turn);
    left_behind.into_iter().chain(waiting.into_iter().map(|(_, each)| each)).collect()
}

pub(super) async fn claim(
    store: &DynamoStore,
    owner: &str,
    place: Place,
    now: Instant,
    until: Instant,
    limit: usize,
) -> StoreResult<Vec<Job>> {
    let mut turns = Turns::default();
    loop {
        let open = open_jobs(store, place).await?;
        let chosen: Vec<_> = in_order(&open, now).into_iter().take(limit.min(STEPS)).collect();
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = store.transaction();
        let mut keys = Vec::new();
        for Open { row, .. } in chosen {
            let epoch = row.item.count("lease_epoch")?.saturating_add(1);
            let after = row
                .item
                .clone()
                .with("lease_owner", owner)
                .with("lease_until", until)
                .with("lease_epoch", epoch);
            // Whatever else its old holder writes meanwhile: only the lease counts, and whether it is still open.
            tx.change_unless(row, &after, &["state", "lease_owner", "lease_until", "lease_epoch"]);
            keys.push((row.key.clone(), epoch));
        }
        if tx.commit().await? {
            return taken(store, &keys).await;
        }
        turns.next().await?;
    }
}

/// The rows as they are under the new lease, but for those that were taken away again in between.
async fn taken(store: &DynamoStore, keys: &[(super::super::Key, u64)]) -> StoreResult<Vec<Job>> {
    let mut jobs = Vec::new();
    for (key, epoch) in keys {
        if let Some(item) = store.get(key).await? {
            let job = read(&item)?;
            if job.lease.as_ref().is_some_and(|lease| lease.epoch == *epoch) {
                jobs.push(job);
            }
        }
    }
    Ok(jobs)
}

/// Counts by the same order. A queued job that has a holder already is the next to start.
pub(super) async fn position(store: &DynamoStore, id: &JobId) -> StoreResult<Option<u64>> {
    let Some(item) = store.get(&key(id)).await? else { return Ok(None) };
    let job = read(&item)?;
    if job.state != JobState::Queued {
        return Ok(None);
    }
    let open = open_jobs(store, job.spec.place()).await?;
    // Here a lease counts whatever its end: no time is before all of them but the first.
    let order = in_order(&open, Instant(i64::MIN));
    let waiting = order.into_iter().filter(|open| open.job.state == JobState::Queued);
    Ok(Some(waiting.map(|open| &open.job.id).position(|other| other == id).unwrap_or(0) as u64))
}
