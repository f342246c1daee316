//! A job to test backends with.

use crate::domain::{
    ids::{JobId, UserId},
    job::{BaseModel, Job, JobSpec, JobState},
    time::Instant,
};
use std::collections::BTreeMap;

/// Queued, for this machine; a test changes what it is about.
pub fn job() -> Job {
    Job {
        id: JobId::from_parts(1, 1),
        user_id: UserId::from_parts(1, 2),
        name: "a-job-0123456789".to_owned(),
        title: String::new(),
        notes: String::new(),
        spec: JobSpec {
            base: BaseModel::Nano,
            base_name: "nano".to_owned(),
            datasets: Vec::new(),
            dataset_names: Vec::new(),
            validation_share: 0.1,
            hyperparameters: BTreeMap::new(),
            tokens: 0,
            total_steps: 0,
            memory_bytes: 0,
            seconds: 0,
            cloud: None,
        },
        state: JobState::Queued,
        phase: String::new(),
        stop: None,
        step: 0,
        total_steps: 0,
        attempt: 1,
        first_attempt: 1,
        log_offset: 0,
        last_seq: 0,
        checkpoint_step: 0,
        train_loss: None,
        eval_loss: None,
        tokens_per_second: None,
        failure: None,
        next_step: None,
        idempotency_key: String::new(),
        lease: None,
        cloud: None,
        created_at: Instant(0),
        started_at: None,
        ended_at: None,
    }
}
