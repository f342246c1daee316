//! The queue's fair order, and taking jobs from it.
//!
//! A waiting job's turn is the number of its user's running jobs plus the number of the same user's waiting jobs
//! before it. Lowest turn first, then the oldest: so one user's hundred jobs delay another's first by one at most,
//! and taking several at once gives the same jobs as taking them one by one.

use super::super::super::StoreResult;
use super::super::{SqlStore, value::args};
use super::rows::{OPEN, read, select};
use crate::domain::{cloud::Place, ids::JobId, job::Job, time::Instant};

/// Held by whoever claims: the order is decided by one at a time.
const CLAIM_LOCK: i64 = 0x6c6c_6d74_0002;

/// Ranks the free jobs of the place `$2` at the time `$1`; `takeover` is 0 for those that were running and lost their holder.
macro_rules! RANKED {
    () => {
        concat!(
            "with open as (select id, user_id, state, created_at,
                 case when lease_owner is not null and lease_until > $1 then 1 else 0 end as held
                 from jobs where place = $2 and ",
            OPEN!(),
            "), running as (select user_id, count(*) as n from open
                 where held = 1 or state <> 'queued' group by user_id),
             ranked as (select o.id, o.created_at,
                 case when o.state = 'queued' then 1 else 0 end as takeover,
                 case when o.state = 'queued' then coalesce(r.n, 0) + row_number() over (
                     partition by o.user_id, o.state order by o.created_at, o.id) else 0 end as turn
                 from open o left join running r on r.user_id = o.user_id where o.held = 0) "
        )
    };
}

pub(super) async fn claim(
    store: &SqlStore,
    owner: &str,
    place: Place,
    now: Instant,
    until: Instant,
    limit: usize,
) -> StoreResult<Vec<Job>> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let mut tx = store.begin().await?;
    tx.alone(CLAIM_LOCK).await?;
    // A row that somebody writes to just now (a stop, a last word of the old holder) is left for the next round.
    let candidates = tx.pick(
        concat!(RANKED!(), "select id from ranked order by takeover, turn, created_at, id limit $3"),
        concat!(
            RANKED!(),
            "select j.id from jobs j join ranked r on r.id = j.id
             where j.lease_owner is null or j.lease_until <= $1
             order by r.takeover, r.turn, r.created_at, r.id limit $3 for update of j skip locked"
        ),
    );
    let mut jobs = Vec::new();
    for candidate in tx.fetch(candidates, args![now, place.as_str(), limit]).await? {
        let id = candidate.parsed("id", JobId::parse)?;
        let taken = tx
            .execute(
                concat!(
                    "update jobs set lease_owner = $2, lease_until = $3, lease_epoch = lease_epoch + 1
                     where id = $1 and (lease_owner is null or lease_until <= $4) and ",
                    OPEN!()
                ),
                args![&id, owner, until, now],
            )
            .await?;
        if taken == 1
            && let Some(row) = tx.fetch_optional(select!("where id = $1"), args![&id]).await?
        {
            jobs.push(read(&row)?);
        }
    }
    tx.commit().await?;
    Ok(jobs)
}

/// Counts by the same order. A queued job that has a holder already is the next to start.
pub(super) async fn position(store: &SqlStore, id: &JobId) -> StoreResult<Option<u64>> {
    let place = store.fetch_optional("select place from jobs where id = $1", args![id]).await?;
    let Some(place) = place else { return Ok(None) };
    let place = place.parsed("place", Place::parse)?;
    // Here a lease counts whatever its end: $1 is before all of them.
    let row = store
        .fetch_optional(
            concat!(
                RANKED!(),
                "select case when me.id is null then 0 else (select count(*) from ranked b
                     where b.takeover = 1 and (b.turn, b.created_at, b.id) < (me.turn, me.created_at, me.id))
                 end as n
                 from jobs j left join ranked me on me.id = j.id where j.id = $3 and j.state = 'queued'"
            ),
            args![i64::MIN, place.as_str(), id],
        )
        .await?;
    row.map(|row| row.count("n")).transpose()
}
