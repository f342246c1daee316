//! Servers and trainers that die at any moment: no job is lost, none is run twice, no line is lost or doubled.

use crate::bench::Bench;
use llm_tuner::domain::job::JobState;
use std::{fs, time::Duration};

/// Counts to 40, a step at a time, with a checkpoint after each; goes on from it.
const COUNTS: &str = r#"
    mkdir -p "$job/checkpoints"; echo started >> "$job/../../starts"
    at=$(cat "$job/checkpoints/at" 2>/dev/null || echo 0)
    while [ "$at" -lt 40 ]; do
        at=$((at + 1)); echo "step $at"
        echo "$at" > "$job/checkpoints/part"; mv "$job/checkpoints/part" "$job/checkpoints/at"
        while [ -e "$job/../../hold" ] && [ "$at" -ge 10 ]; do sleep 0.01; done
        sleep 0.005
    done
    save; done_with completed"#;

fn steps() -> Vec<String> {
    (1..=40).map(|step| format!("step {step}")).collect()
}

fn starts(bench: &Bench) -> usize {
    fs::read_to_string(bench.root.path().join("starts")).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn a_server_that_dies_again_and_again_loses_and_doubles_nothing() {
    let bench = Bench::script(COUNTS).await;
    let job = bench.job(1, |_| {}).await;
    // Each life is a little longer than the last, so that they end in all kinds of places.
    for life in 0.. {
        let running = bench.start();
        tokio::time::sleep(Duration::from_millis(life * 2)).await;
        running.kill().await;
        if bench.read(&job.id).await.state.is_final() {
            break;
        }
    }
    let done = bench.read(&job.id).await;
    assert_eq!((done.state, done.failure.clone()), (JobState::Completed, None));
    assert_eq!(bench.log(&job.id).await, steps());
    assert_eq!(starts(&bench), 1, "every server but the first adopted the running trainer");
    assert_eq!(bench.model(&job.id).await.unwrap().files.len(), 2);
    // The last server may have died before it tidied up; the next one does.
    let _running = bench.start();
    bench.tidy(&done).await;
}

#[tokio::test]
async fn a_killed_trainer_goes_on_from_its_checkpoint() {
    let bench = Bench::script(COUNTS).await;
    bench.touch(&bench.root.path().join("hold"));
    let job = bench.job(1, |_| {}).await;
    let _running = bench.start();
    bench.line(&job.id, "step 10").await;
    bench.kill_trainer(&job).await;
    bench.wait(&job.id, |job| job.attempt == 2).await;
    fs::remove_file(bench.root.path().join("hold")).unwrap();
    let done = bench.over(&job.id).await;
    assert_eq!((done.state, done.attempt), (JobState::Completed, 2));
    assert_eq!(bench.log(&job.id).await, steps());
    assert_eq!(starts(&bench), 2);
}

#[tokio::test]
async fn server_and_trainer_may_die_together() {
    let bench = Bench::script(COUNTS).await;
    bench.touch(&bench.root.path().join("hold"));
    let job = bench.job(1, |_| {}).await;
    let running = bench.start();
    bench.line(&job.id, "step 10").await;
    running.kill().await;
    bench.kill_trainer(&job).await;
    fs::remove_file(bench.root.path().join("hold")).unwrap();
    let _running = bench.start();
    let done = bench.over(&job.id).await;
    assert_eq!((done.state, done.attempt), (JobState::Completed, 2));
    assert_eq!(bench.log(&job.id).await, steps());
}

#[tokio::test]
async fn a_job_that_is_always_killed_is_given_up() {
    let bench = Bench::script("echo try; kill -KILL $$").await;
    let job = bench.job(1, |_| {}).await;
    let _running = bench.start();
    let job = bench.over(&job.id).await;
    assert_eq!((job.state, job.attempt), (JobState::Failed, 3));
    assert_eq!(bench.log(&job.id).await, ["try", "try", "try"]);
    assert!(job.failure.unwrap().contains("memory"));
    assert!(job.next_step.is_some());
}

#[tokio::test]
async fn a_directory_that_is_removed_is_made_again() {
    let bench = Bench::script(COUNTS).await;
    bench.touch(&bench.root.path().join("hold"));
    let job = bench.job(1, |_| {}).await;
    let running = bench.start();
    bench.line(&job.id, "step 10").await;
    running.kill().await;
    bench.kill_trainer(&job).await;
    fs::remove_dir_all(bench.path(&job, "")).unwrap();
    fs::remove_file(bench.root.path().join("hold")).unwrap();
    let _running = bench.start();
    let done = bench.over(&job.id).await;
    assert_eq!((done.state, done.attempt), (JobState::Completed, 2));
    let log = bench.log(&job.id).await;
    assert_eq!((&log[..10], &log[10..]), (&steps()[..10], &steps()[..]));
}

#[tokio::test]
async fn two_supervisors_start_a_job_once() {
    let bench = Bench::script(COUNTS).await;
    let mut jobs = Vec::new();
    for number in 1..=4 {
        jobs.push(bench.job(number, |_| {}).await);
    }
    let _one = bench.start_with(bench.settings("one"));
    let _two = bench.start_with(bench.settings("two"));
    for job in &jobs {
        let done = bench.over(&job.id).await;
        assert_eq!((done.state, done.attempt), (JobState::Completed, 1));
        assert_eq!(bench.log(&job.id).await, steps());
    }
    assert_eq!(starts(&bench), jobs.len());
}

#[tokio::test]
async fn an_orderly_end_gives_the_job_to_whoever_comes_next() {
    let bench = Bench::script(COUNTS).await;
    bench.touch(&bench.root.path().join("hold"));
    let job = bench.job(1, |_| {}).await;
    let one = bench.start_with(bench.settings("one"));
    bench.line(&job.id, "step 10").await;
    one.end().await;
    assert!(bench.read(&job.id).await.lease.is_none());
    fs::remove_file(bench.root.path().join("hold")).unwrap();
    let mut settings = bench.settings("two");
    // Its lease would outlast the test.
    settings.lease = Duration::from_secs(3600);
    let _two = bench.start_with(settings);
    let done = bench.over(&job.id).await;
    assert_eq!((done.state, done.attempt), (JobState::Completed, 1));
    assert_eq!(bench.log(&job.id).await, steps());
}

#[tokio::test]
async fn a_supervisor_that_lost_its_lease_writes_nothing_more() {
    let bench = Bench::script(COUNTS).await;
    bench.touch(&bench.root.path().join("hold"));
    let job = bench.job(1, |_| {}).await;
    let mut settings = bench.settings("slow");
    settings.heartbeat = Duration::from_secs(3600);
    let _slow = bench.start_with(settings);
    bench.line(&job.id, "step 10").await;
    // Somebody else takes it over: its lease counts as run out.
    bench.db.store.release_all("slow").await.unwrap();
    let mut quick = bench.settings("quick");
    quick.queue = Duration::from_millis(1);
    let _quick = bench.start_with(quick);
    fs::remove_file(bench.root.path().join("hold")).unwrap();
    let done = bench.over(&job.id).await;
    assert_eq!((done.state, done.attempt), (JobState::Completed, 1));
    assert_eq!(bench.log(&job.id).await, steps());
    assert_eq!(starts(&bench), 1);
}
