//! From the queue to the end, with everything that a person or the trainer can do in between.

use crate::{bench::Bench, support::make, tight::Tight};
use llm_tuner::domain::{
    event::EventBody,
    job::{JobState, StopMode},
    model::ModelKind,
};
use std::{
    fs,
    sync::{Arc, atomic::Ordering},
};

#[tokio::test]
async fn a_job_becomes_a_model() {
    let bench = Bench::script(
        r#"
        echo "rows $(cat "$job"/input/data/training/*.jsonl | wc -l)"
        echo '{"metric":"train_loss","value":0.25,"step":4,"time":"2024-05-01T12:00:00.250Z"}'
        echo '{"metric":"eval_loss","value":0.5,"step":4}'
        echo '{"event":"sample","step":4,"prompt":"p","expected":"c","output":"d"}'
        echo '{"event":"progress","step":5,"total_steps":6}'
        save; done_with completed"#,
    )
    .await;
    let job = bench.job(1, |_| {}).await;
    let _running = bench.start();
    let job = bench.over(&job.id).await;
    assert_eq!((job.state, job.phase.as_str(), &job.failure), (JobState::Completed, "Completed", &None));
    assert_eq!((job.step, job.total_steps, job.train_loss, job.eval_loss), (5, 6, Some(0.25), Some(0.5)));
    assert!(job.started_at.is_some() && job.ended_at >= job.started_at);
    use JobState::{Completed, Downloading, Starting, Training, Uploading};
    assert_eq!(bench.states(&job.id).await, [Starting, Downloading, Training, Uploading, Completed]);
    // Of ten rows an eighth is held out, rounded.
    assert_eq!(bench.log(&job.id).await, ["rows 9"]);
    let events = bench.events(&job.id).await;
    assert_eq!(events.iter().filter(|event| matches!(event.body, EventBody::Metric { .. })).count(), 2);
    assert_eq!(events.iter().filter(|event| matches!(event.body, EventBody::Sample { .. })).count(), 1);

    let model = bench.model(&job.id).await.unwrap();
    assert_eq!((model.kind, model.name.as_str(), model.eval_loss), (ModelKind::Full, "Job 1", Some(0.5)));
    let files: Vec<_> = model.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(files, ["config.json", "model.safetensors"]);
    assert_eq!(model.bytes, 3 + 8);
    for file in &model.files {
        let stored = bench.storage.head(&format!("{}/{}", model.prefix, file.path)).await.unwrap();
        assert_eq!((stored.bytes, stored.sha256), (file.bytes, file.sha256.clone()));
    }
    bench.tidy(&job).await;
}

#[tokio::test]
async fn jobs_wait_for_each_other_and_a_failure_says_what_to_do() {
    let bench = Bench::script(
        r#"
        if [ -e "$job/../../fail" ]; then
            printf '{"outcome":"failed","message":"No.","next_step":"Do."}' > "$job/output/exit"; rm "$job/../../fail"; exit 1
        fi
        save; done_with completed"#,
    )
    .await;
    bench.touch(&bench.root.path().join("fail"));
    let first = bench.job(1, |_| {}).await;
    let second = bench.job(2, |_| {}).await;
    let _running = bench.start();
    let first = bench.over(&first.id).await;
    assert_eq!(first.state, JobState::Failed);
    assert_eq!((first.failure.as_deref(), first.next_step.as_deref()), (Some("No."), Some("Do.")));
    assert!(bench.model(&first.id).await.is_none());
    let second = bench.over(&second.id).await;
    assert_eq!(second.state, JobState::Completed);
    assert!(second.started_at >= first.ended_at, "one at a time");
    bench.tidy(&first).await;
}

/// A trainer that waits to be stopped, and then does as it is told.
const OBEDIENT: &str = r#"
    trap 'echo wish $(cat "$job/input/config/stop"); [ "$(cat "$job/input/config/stop")" = keep ] && save; done_with stopped; exit 3' TERM
    echo ready; while :; do sleep 0.01; done"#;

#[tokio::test]
async fn a_stopped_job_keeps_its_model() {
    let bench = Bench::script(OBEDIENT).await;
    let job = bench.job(1, |_| {}).await;
    let _running = bench.start();
    bench.line(&job.id, "ready").await;
    bench.stop(&job.id, StopMode::Keep).await;
    let job = bench.over(&job.id).await;
    assert_eq!(job.state, JobState::Stopped);
    assert_eq!(bench.log(&job.id).await, ["ready", "wish keep"]);
    assert_eq!(bench.model(&job.id).await.unwrap().files.len(), 2);
    assert!(bench.states(&job.id).await.contains(&JobState::Stopping));
    bench.tidy(&job).await;
}

#[tokio::test]
async fn a_discarded_job_keeps_nothing_but_its_log() {
    let bench = Bench::script(OBEDIENT).await;
    let job = bench.job(1, |_| {}).await;
    let _running = bench.start();
    bench.line(&job.id, "ready").await;
    bench.stop(&job.id, StopMode::Discard).await;
    let job = bench.over(&job.id).await;
    assert_eq!(job.state, JobState::Stopped);
    assert_eq!(bench.log(&job.id).await, ["ready", "wish discard"]);
    assert!(bench.model(&job.id).await.is_none());
    bench.tidy(&job).await;
}

#[tokio::test]
async fn a_wish_to_stop_survives_a_restart() {
    let bench = Bench::script(OBEDIENT).await;
    let job = bench.job(1, |_| {}).await;
    let running = bench.start();
    bench.line(&job.id, "ready").await;
    running.kill().await;
    bench.stop(&job.id, StopMode::Keep).await;
    let _running = bench.start();
    let job = bench.over(&job.id).await;
    assert_eq!(job.state, JobState::Stopped);
    assert!(bench.model(&job.id).await.is_some());
}

#[tokio::test]
async fn a_trainer_that_claims_success_without_a_model_fails() {
    let bench = Bench::script("done_with completed").await;
    let job = bench.job(1, |_| {}).await;
    let _running = bench.start();
    let job = bench.over(&job.id).await;
    assert_eq!(job.state, JobState::Failed);
    assert!(job.failure.is_some() && job.next_step.is_some());
    assert!(bench.model(&job.id).await.is_none());
}

#[tokio::test]
async fn a_crash_of_the_engine_is_not_tried_again() {
    let bench = Bench::script(
        r#"echo "memory allocation of 99999999999 bytes failed" >&2; kill -ABRT $$; while :; do sleep 1; done"#,
    )
    .await;
    let job = bench.job(1, |_| {}).await;
    let _running = bench.start();
    let job = bench.over(&job.id).await;
    assert_eq!((job.state, job.attempt), (JobState::Failed, 1));
    assert_eq!(job.failure.as_deref(), Some("The job needs more memory than this machine has."));
}

#[tokio::test]
async fn a_finished_model_waits_for_room_for_a_while() {
    for (refusals, expected) in [(5, JobState::Completed), (1_000, JobState::Failed)] {
        let bench = Bench::script("save; done_with completed").await;
        let job = bench.job(1, |_| {}).await;
        let tight = Tight::new(Arc::clone(&bench.storage));
        tight.refusals.store(refusals, Ordering::Relaxed);
        let _running = bench.start_on(bench.settings("one"), Arc::new(tight));
        let job = bench.over(&job.id).await;
        assert_eq!(job.state, expected);
        assert_eq!(bench.model(&job.id).await.is_some(), expected == JobState::Completed);
        if expected == JobState::Failed {
            assert_eq!(job.failure.as_deref(), Some("There is no room left on the server's disk."));
        }
    }
}

#[tokio::test]
async fn a_nudge_starts_a_job_at_once_and_listeners_hear_of_it() {
    let bench = Bench::script("save; done_with completed").await;
    let mut settings = bench.settings("one");
    // So long that only a nudge can be what started it.
    settings.queue = std::time::Duration::from_secs(3600);
    let _running = bench.start_with(settings);
    // The first look at the queue is over then, so that the nudge is put to the test.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let mut news = bench.hub.subscribe(&make::job_id(1));
    let job = bench.job(1, |_| {}).await;
    news.changed().await.unwrap();
    let job = bench.over(&job.id).await;
    assert_eq!(job.state, JobState::Completed);
    // Listeners are told after the row is written, so we may be here first.
    news.wait_for(|seq| *seq == job.last_seq).await.unwrap();
}

#[tokio::test]
async fn directories_of_jobs_that_are_over_are_swept() {
    let bench = Bench::script("save; done_with completed").await;
    let job = bench.job(1, |_| {}).await;
    bench.start_and_finish(&job.id).await;
    for left in
        [bench.path(&job, "output"), bench.root.path().join(format!("jobs/{}/input", make::job_id(7)))]
    {
        fs::create_dir_all(left).unwrap();
    }
    let _running = bench.start();
    bench.tidy(&job).await;
    while bench.root.path().join(format!("jobs/{}", make::job_id(7))).exists() {
        tokio::task::yield_now().await;
    }
}
