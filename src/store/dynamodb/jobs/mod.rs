//! Jobs: [`rows`] reads, makes and removes them, [`lease`] is for whoever drives one, [`queue`] is the fair order,
//! [`events`] what they tell.

mod events;
mod lease;
mod queue;
mod rows;

use super::super::{JobUpdate, Jobs, Page, PageRequest, StoreError, StoreResult};
use super::{
    DynamoStore,
    tables::{Key, Table},
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
use rows::{key, read};

#[async_trait]
impl Jobs for DynamoStore {
    async fn create_job(&self, job: &Job, audit: &AuditEntry) -> StoreResult<Job> {
        rows::create(self, job, audit).await
    }

    async fn job(&self, id: &JobId) -> StoreResult<Option<Job>> {
        self.get(&key(id)).await?.as_ref().map(read).transpose()
    }

    async fn job_by_name(&self, name: &str) -> StoreResult<Option<Job>> {
        let Some(id) = self.named(&rows::named_so(name)).await? else { return Ok(None) };
        self.get(&Key::of(Table::Jobs, id)).await?.as_ref().map(read).transpose()
    }

    async fn list_jobs(&self, user: &UserId, request: &PageRequest) -> StoreResult<Page<Job>> {
        self.page(rows::of_user(user), Table::Jobs, request).await?.try_map(|item| read(&item))
    }

    async fn count_active_jobs(&self, user: &UserId) -> StoreResult<u64> {
        let mut count = 0;
        for row in self.open_jobs().await? {
            let active = !rows::state(&row.item)?.is_final();
            count += u64::from(active && row.item.text("user_id")? == user.as_str());
        }
        Ok(count)
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
        self.edit(key(id), "job", None, |job| {
            if !rows::state(job)?.is_final() {
                return Err(StoreError::NotFound("job"));
            }
            job.set("checkpoint_step", 0_u64);
            Ok(())
        })
        .await
    }

    async fn describe_job(
        &self,
        id: &JobId,
        title: &str,
        notes: &str,
        entry: &AuditEntry,
    ) -> StoreResult<()> {
        self.edit(key(id), "job", Some(entry), |job| {
            job.set("title", title);
            job.set("notes", notes);
            Ok(())
        })
        .await
    }

    async fn delete_job(&self, id: &JobId, entry: &AuditEntry) -> StoreResult<()> {
        rows::delete(self, id, entry).await
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
