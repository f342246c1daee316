//! Who waits for news of a job is woken here. A hint only: listeners read the store, which is the truth, and look
//! again now and then by themselves, since another server may have written.

use crate::domain::ids::JobId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{Notify, watch};

/// Cheap to clone; all clones are one hub.
#[derive(Clone, Default)]
pub struct JobHub {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    jobs: Mutex<HashMap<JobId, watch::Sender<u64>>>,
    queue: Notify,
}

impl JobHub {
    /// Tells that the job has events up to this number.
    pub fn publish(&self, job: &JobId, last_seq: u64) {
        let mut jobs = self.inner.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = jobs.get(job)
            && sender.send(last_seq).is_err()
        {
            // Nobody listens any more.
            jobs.remove(job);
        }
    }

    /// Wakes whenever the job has news from now on.
    pub fn subscribe(&self, job: &JobId) -> watch::Receiver<u64> {
        let mut jobs = self.inner.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.entry(job.clone()).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    /// Tells the supervisor that there may be work: a new job, or one to stop.
    pub fn nudge(&self) {
        self.inner.queue.notify_one();
    }

    /// Waits for a nudge; one given before counts.
    pub async fn nudged(&self) {
        self.inner.queue.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn listeners_wake_and_a_nudge_is_kept() {
        let hub = JobHub::default();
        let job = JobId::from_parts(1, 1);
        let mut news = hub.subscribe(&job);
        hub.publish(&job, 7);
        news.changed().await.unwrap();
        assert_eq!(*news.borrow(), 7);
        hub.nudge();
        hub.nudged().await;
    }
}
