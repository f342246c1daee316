//! Who waits for news of a job is woken here. A hint only: listeners read the store, which is the truth, and look
//! again now and then by themselves, since another server may have written.

use crate::domain::ids::JobId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;

/// Cheap to clone; all clones are one hub.
#[derive(Clone, Default)]
pub struct JobHub {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    jobs: Mutex<HashMap<JobId, watch::Sender<u64>>>,
    nudges: watch::Sender<u64>,
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

    /// Tells the supervisors that there may be work: a new job, or one to stop.
    pub fn nudge(&self) {
        self.inner.nudges.send_modify(|count| *count += 1);
    }

    /// Changes with every nudge from now on.
    pub fn nudges(&self) -> watch::Receiver<u64> {
        self.inner.nudges.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn listeners_wake_and_a_nudge_reaches_all() {
        let hub = JobHub::default();
        let job = JobId::from_parts(1, 1);
        let mut news = hub.subscribe(&job);
        hub.publish(&job, 7);
        news.changed().await.unwrap();
        assert_eq!(*news.borrow(), 7);
        let mut nudges = [hub.nudges(), hub.nudges()];
        hub.nudge();
        for nudged in &mut nudges {
            nudged.changed().await.unwrap();
        }
    }
}
