//! The real thing: the program itself as trainer, nano on a handful of rows.

use crate::bench::Bench;
use llm_tuner::domain::{
    event::EventBody,
    job::{BaseModel, Job, JobState, StopMode},
    model::{Model, ModelKind},
};
use std::fs;

/// A job of so many steps, small enough for a test.
pub fn small(job: &mut Job, steps: u32) {
    let settings = &mut job.spec.hyperparameters;
    settings.clear();
    for (name, value) in [
        ("max_steps", steps.to_string().as_str()),
        ("batch_size", "2"),
        ("max_sequence_length", "32"),
        ("learning_rate", "1e-3"),
        ("checkpoint_steps", "5"),
        ("eval_steps", "1000000"),
        ("seed", "7"),
        ("threads", "1"),
    ] {
        settings.insert(name.to_owned(), value.to_owned());
    }
}

/// Without an end of its own, as far as a test is concerned.
pub const ENDLESS: u32 = 1_000_000;

pub fn hashes(model: &Model) -> Vec<(String, String)> {
    let weights = model.files.iter().filter(|file| file.path.ends_with(".safetensors"));
    weights.map(|file| (file.path.clone(), file.sha256.clone())).collect()
}

async fn metrics(bench: &Bench, job: &Job, name: &str) -> Vec<u64> {
    let bodies = bench.events(&job.id).await.into_iter().map(|event| event.body);
    bodies
        .filter_map(|body| match body {
            EventBody::Metric { name: found, step, .. } if found == name => Some(step),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn nano_learns_and_a_killed_trainer_makes_the_same_model() {
    let bench = Bench::real().await;
    // The trainer does not look for the server's secrets: this file would stop it if it did.
    fs::write(bench.root.path().join(".env"), "SECRET='never closed\n").unwrap();
    let steps = 60;
    let straight = bench.job(1, |job| small(job, steps)).await;
    let running = bench.start();
    let straight = bench.over(&straight.id).await;
    assert_eq!((straight.state, &straight.failure), (JobState::Completed, &None));
    assert_eq!((straight.step, straight.total_steps, straight.attempt), (60, 60, 1));
    assert!(straight.train_loss.is_some() && straight.eval_loss.is_some());
    assert_eq!(metrics(&bench, &straight, "train_loss").await.last(), Some(&60));
    let events = bench.events(&straight.id).await;
    assert!(events.iter().any(|event| matches!(event.body, EventBody::Sample { .. })));
    assert!(events.iter().any(|event| matches!(event.body, EventBody::Batch { .. })));
    assert!(events.iter().any(
        |event| matches!(&event.body, EventBody::State { message, .. } if message == "Writing the model")
    ));
    let model = bench.model(&straight.id).await.unwrap();
    assert_eq!(model.kind, ModelKind::Full);
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        assert!(model.files.iter().any(|file| file.path == name), "{name}");
    }

    let killed = bench.job(2, |job| small(job, steps)).await;
    bench.line(&killed.id, "Checkpoint written at step 5.").await;
    bench.kill_trainer(&killed).await;
    running.kill().await;
    let _running = bench.start();
    let killed = bench.over(&killed.id).await;
    assert_eq!((killed.state, killed.attempt, killed.failure.as_deref()), (JobState::Completed, 2, None));
    let log = bench.log(&killed.id).await;
    assert!(log.iter().any(|line| line.starts_with("Going on from the checkpoint of step ")), "{log:?}");
    let other = bench.model(&killed.id).await.unwrap();
    assert_eq!(hashes(&other), hashes(&model));
    bench.tidy(&killed).await;
}

#[tokio::test]
async fn a_stopped_training_is_kept_or_not_as_asked() {
    let bench = Bench::real().await;
    let running = bench.start();
    let keep = bench.job(1, |job| small(job, ENDLESS)).await;
    bench.line(&keep.id, "Checkpoint written at step 5.").await;
    // In between, the server is replaced: the next one finds the same trainer.
    let pid = bench.pid(&keep).await;
    running.end().await;
    let _running = bench.start();
    let at = bench.read(&keep.id).await.step;
    bench.wait(&keep.id, |job| job.step > at).await;
    assert_eq!(bench.pid(&keep).await, pid);
    bench.stop(&keep.id, StopMode::Keep).await;
    let keep = bench.over(&keep.id).await;
    assert_eq!((keep.state, keep.attempt), (JobState::Stopped, 1));
    let model = bench.model(&keep.id).await.unwrap();
    assert!(model.files.iter().any(|file| file.path == "model.safetensors"));

    let discard = bench.job(2, |job| small(job, ENDLESS)).await;
    bench.line(&discard.id, "Checkpoint written at step 5.").await;
    bench.stop(&discard.id, StopMode::Discard).await;
    let discard = bench.over(&discard.id).await;
    assert_eq!(discard.state, JobState::Stopped);
    assert!(bench.model(&discard.id).await.is_none());
    bench.tidy(&discard).await;
}

#[tokio::test]
async fn a_model_that_was_made_here_is_tuned_further_with_lora() {
    let bench = Bench::real().await;
    let _running = bench.start();
    let base = bench.job(1, |job| small(job, 5)).await;
    let base = bench.over(&base.id).await;
    assert_eq!((base.state, &base.failure), (JobState::Completed, &None));
    let id = bench.model(&base.id).await.unwrap().id;
    let tuned = bench
        .job(2, |job| {
            small(job, 5);
            job.spec.base = BaseModel::Model { id };
            job.spec.hyperparameters.insert("lora".into(), "true".into());
        })
        .await;
    let tuned = bench.over(&tuned.id).await;
    assert_eq!((tuned.state, &tuned.failure), (JobState::Completed, &None));
    let model = bench.model(&tuned.id).await.unwrap();
    assert_eq!(model.kind, ModelKind::Adapter);
    assert!(model.files.iter().any(|file| file.path == "adapter_model.safetensors"));
}

#[tokio::test]
async fn what_the_engine_refuses_reaches_the_person() {
    let bench = Bench::real().await;
    let _running = bench.start();
    let job = bench
        .job(1, |job| {
            small(job, 5);
            job.spec.hyperparameters.insert("learning_rate".into(), "abc".into());
        })
        .await;
    let job = bench.over(&job.id).await;
    assert_eq!((job.state, job.attempt), (JobState::Failed, 1));
    assert!(job.failure.as_deref().unwrap().contains("learning_rate"), "{:?}", job.failure);
    assert_eq!(job.next_step.as_deref(), Some("Correct these settings and start the job again."));
    // It says the same in the log, where a person may look first.
    assert!(bench.log(&job.id).await.iter().any(|line| line.contains("learning_rate")));
}
