//! A job that failed or was stopped goes on from its checkpoint, for as long as that is kept.

use crate::{
    bench::{Bench, Running},
    engine::{ENDLESS, hashes, small},
    support::make,
};
use llm_tuner::{
    domain::job::{Job, JobState, StopMode},
    store::StoreError,
};
use std::time::Duration;

const STEPS: u32 = 60;

/// A supervisor that gives up at the first kill.
fn impatient(bench: &Bench) -> Running {
    let mut settings = bench.settings("one");
    settings.max_attempts = 1;
    bench.start_with(settings)
}

/// A job that was killed after its first checkpoint.
async fn failed(bench: &Bench, number: u64, steps: u32) -> Job {
    let job = bench.job(number, |job| small(job, steps)).await;
    bench.line(&job.id, "Checkpoint written at step 5.").await;
    bench.kill_trainer(&job).await;
    let job = bench.over(&job.id).await;
    assert_eq!((job.state, job.attempt), (JobState::Failed, 1));
    assert!(job.can_resume() && job.checkpoint_step.is_multiple_of(5), "{}", job.checkpoint_step);
    assert!(bench.path(&job, "checkpoints").is_dir());
    job
}

async fn resume(bench: &Bench, job: &Job) {
    bench.db.store.resume_job(&job.id, make::at(1_000_000), &make::audit("job.resume")).await.unwrap();
    bench.hub.nudge();
}

async fn assert_not_resumable(bench: &Bench, job: &Job) {
    let refused = bench.db.store.resume_job(&job.id, make::at(0), &make::audit("job.resume")).await;
    assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
}

#[tokio::test]
async fn a_failed_and_a_stopped_job_go_on_as_if_nothing_had_been() {
    let bench = Bench::real().await;
    let _running = impatient(&bench);
    let straight = bench.job(1, |job| small(job, STEPS)).await;
    let straight = bench.over(&straight.id).await;
    let model = hashes(&bench.model(&straight.id).await.unwrap());
    assert_not_resumable(&bench, &straight).await;

    let job = failed(&bench, 2, STEPS).await;
    resume(&bench, &job).await;
    let job = bench.over(&job.id).await;
    assert_eq!((job.state, &job.failure, job.attempt, job.tries()), (JobState::Completed, &None, 2, 1));
    let log = bench.log(&job.id).await;
    assert!(log.iter().any(|line| line.starts_with("Going on from the checkpoint of step ")), "{log:?}");
    assert_eq!(hashes(&bench.model(&job.id).await.unwrap()), model);
    bench.tidy(&job).await;

    let job = bench.job(3, |job| small(job, STEPS)).await;
    bench.line(&job.id, "Checkpoint written at step 5.").await;
    bench.stop(&job.id, StopMode::Keep).await;
    let job = bench.over(&job.id).await;
    assert_eq!(job.state, JobState::Stopped);
    let so_far = hashes(&bench.model(&job.id).await.unwrap());
    assert_ne!(so_far, model);
    resume(&bench, &job).await;
    let job = bench.over(&job.id).await;
    assert_eq!((job.state, job.stop), (JobState::Completed, None));
    assert_eq!(hashes(&bench.model(&job.id).await.unwrap()), model, "in place of the model so far");
    bench.tidy(&job).await;
}

#[tokio::test]
async fn a_checkpoint_goes_when_it_is_discarded_or_its_job_is_deleted() {
    let bench = Bench::real().await;
    let _running = impatient(&bench);
    let job = failed(&bench, 1, ENDLESS).await;
    resume(&bench, &job).await;
    bench.wait(&job.id, |now| now.state == JobState::Training && now.step > job.checkpoint_step + 5).await;
    bench.stop(&job.id, StopMode::Discard).await;
    let job = bench.over(&job.id).await;
    assert_eq!((job.state, job.checkpoint_step), (JobState::Stopped, 0));
    assert_not_resumable(&bench, &job).await;
    bench.tidy(&job).await;

    let job = failed(&bench, 2, ENDLESS).await;
    bench.db.store.delete_job(&job.id, &make::audit("job.delete")).await.unwrap();
    bench.hub.nudge();
    bench.tidy(&job).await;
}

#[tokio::test]
async fn a_job_that_waits_to_go_on_is_stopped_with_or_without_its_checkpoint() {
    let bench = Bench::real().await;
    let running = impatient(&bench);
    let job = failed(&bench, 1, ENDLESS).await;
    running.end().await;
    for (mode, step) in [(StopMode::Keep, job.checkpoint_step), (StopMode::Discard, 0)] {
        resume(&bench, &job).await;
        bench.stop(&job.id, mode).await;
        let job = bench.read(&job.id).await;
        assert_eq!((job.state, job.checkpoint_step), (JobState::Stopped, step));
    }
    let _running = bench.start();
    bench.tidy(&job).await;
}

#[tokio::test]
async fn a_checkpoint_that_is_too_old_goes() {
    let bench = Bench::real().await;
    let running = impatient(&bench);
    let job = failed(&bench, 1, ENDLESS).await;
    running.end().await;
    let mut settings = bench.settings("one");
    settings.keep_checkpoints = Duration::ZERO;
    let _running = bench.start_with(settings);
    bench.tidy(&job).await;
    assert_not_resumable(&bench, &job).await;
    assert_eq!(bench.read(&job.id).await.state, JobState::Failed);
}
