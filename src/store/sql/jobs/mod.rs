//! Jobs: [`rows`] reads and makes them, [`lease`] is for whoever drives one, [`queue`] is the fair order,
//! [`events`] what they tell.

mod events;
mod lease;
mod queue;
mod rows;

use super::super::{JobUpdate, Jobs, Page, PageRequest, StoreError, StoreResult};
use super::{
    SqlStore, audit, found,
    page::{After, limit, page},
    value::args,
};
use crate::domain::{
    audit::AuditEntry,
    cloud::Place,
    event::{EventBody, JobEvent},
    ids::{JobId, UserId},
    job::{Job, JobState, StopMode},
    time::Instant,
};
use async_trait::async_trait;
use rows::{OPEN, read, select};

#[async_trait]
impl Jobs for SqlStore {
    async fn create_job(&self, job: &Job, audit: &AuditEntry) -> StoreResult<Job> {
        rows::create(self, job, audit).await
    }

    async fn job(&self, id: &JobId) -> StoreResult<Option<Job>> {
        self.fetch_optional(select!("where id = $1"), args![id]).await?.as_ref().map(read).transpose()
    }

    async fn job_by_name(&self, name: &str) -> StoreResult<Option<Job>> {
        self.fetch_optional(select!("where name = $1"), args![name]).await?.as_ref().map(read).transpose()
    }

    async fn list_jobs(&self, user: &UserId, request: &PageRequest) -> StoreResult<Page<Job>> {
        let after = After::of(request);
        let rows = self
            .fetch(
                select!(
                    "where user_id = $1 and (created_at, id) < ($2, $3)
                     order by created_at desc, id desc limit $4"
                ),
                vec![user.into(), after.at.into(), after.id.into(), limit(request)],
            )
            .await?;
        page(&rows, request, read, |job| (job.created_at.micros(), job.id.to_string()))
    }

    async fn count_active_jobs(&self, user: &UserId) -> StoreResult<u64> {
        let rows = self
            .fetch(concat!("select count(*) as n from jobs where user_id = $1 and ", OPEN!()), args![user])
            .await?;
        rows.first().map_or(Ok(0), |row| row.count("n"))
    }

    async fn queue_position(&self, id: &JobId) -> StoreResult<Option<u64>> {
        queue::position(self, id).await
    }

    async fn claim_jobs(
        &self,
        owner: &str,
        place: Place,
        now: Instant,
        until: Instant,
        limit: usize,
    ) -> StoreResult<Vec<Job>> {
        queue::claim(self, owner, place, now, until, limit).await
    }

    async fn heartbeat(&self, id: &JobId, epoch: u64, until: Instant) -> StoreResult<Option<StopMode>> {
        lease::heartbeat(self, id, epoch, until).await
    }

    async fn record(
        &self,
        id: &JobId,
        epoch: u64,
        update: &JobUpdate,
        events: &[(Instant, EventBody)],
    ) -> StoreResult<u64> {
        lease::record(self, id, epoch, update, events).await
    }

    async fn next_attempt(&self, id: &JobId, epoch: u64) -> StoreResult<u32> {
        lease::next_attempt(self, id, epoch).await
    }

    async fn release(&self, id: &JobId, epoch: u64) -> StoreResult<()> {
        lease::release(self, id, epoch).await
    }

    async fn release_all(&self, owner: &str) -> StoreResult<u64> {
        lease::release_all(self, owner).await
    }

    async fn request_stop(
        &self,
        id: &JobId,
        mode: StopMode,
        at: Instant,
        audit: &AuditEntry,
    ) -> StoreResult<JobState> {
        lease::request_stop(self, id, mode, at, audit).await
    }

    async fn resume_job(&self, id: &JobId, at: Instant, audit: &AuditEntry) -> StoreResult<()> {
        lease::resume(self, id, at, audit).await
    }

    async fn forget_checkpoint(&self, id: &JobId) -> StoreResult<()> {
        let forgotten = self
            .execute(
                concat!("update jobs set checkpoint_step = 0 where id = $1 and not (", OPEN!(), ")"),
                args![id],
            )
            .await?;
        found(forgotten, "job")
    }

    async fn describe_job(
        &self,
        id: &JobId,
        title: &str,
        notes: &str,
        entry: &AuditEntry,
    ) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        let touched = tx
            .execute("update jobs set title = $2, notes = $3 where id = $1", args![id, title, notes])
            .await?;
        found(touched, "job")?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }

    async fn delete_job(&self, id: &JobId, entry: &AuditEntry) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        let deleted =
            tx.execute(concat!("delete from jobs where id = $1 and not (", OPEN!(), ")"), args![id]).await?;
        found(deleted, "job")?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }

    async fn events(&self, id: &JobId, after: u64, limit: usize) -> StoreResult<Vec<JobEvent>> {
        events::list(self, id, after, limit).await
    }

    async fn events_of_kind(
        &self,
        id: &JobId,
        kind: &str,
        after: u64,
        limit: usize,
    ) -> StoreResult<Vec<JobEvent>> {
        events::of_kind(self, id, kind, after, limit).await
    }

    async fn last_events_of_kind(&self, id: &JobId, kind: &str, limit: usize) -> StoreResult<Vec<JobEvent>> {
        events::last_of_kind(self, id, kind, limit).await
    }
}

/// What a holder gets whose statement touched no row: is the job gone, or did somebody else take it?
async fn lost(store: &SqlStore, id: &JobId) -> StoreError {
    match store.fetch_optional("select id from jobs where id = $1", args![id]).await {
        Ok(Some(_)) => StoreError::LeaseLost,
        Ok(None) => StoreError::NotFound("job"),
        Err(error) => error,
    }
}
