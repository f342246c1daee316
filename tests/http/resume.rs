//! `POST /api/resume-training-job/{job_name}`, and the button on the job's page.

use crate::app::{Person, TestApp};
use llm_tuner::store::PageRequest;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

async fn until(person: &Person, job: &str, met: impl Fn(&Value) -> bool) -> Value {
    loop {
        let job = person.json(&format!("/api/training-job/{job}")).await;
        if met(&job) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn assert_button(person: &Person, job: &str, there: bool) {
    for path in [format!("/training/{job}"), format!("/-/jobs/{job}/head")] {
        let page = person.get(&path).await.text().await.unwrap();
        assert_eq!(page.contains("/fn/resume_job"), there, "{path}");
    }
}

async fn refused(person: &Person, job: &str) -> Value {
    let answer = person.post(&format!("/api/resume-training-job/{job}"), Value::Null).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    answer.json::<Value>().await.unwrap()["error"]["code"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_job_is_resumed_by_its_owner_while_it_can_be() {
    let app = TestApp::that_trains().await;
    let ann = app.person("ann@example.org").await;
    let bob = app.person("bob@example.org").await;
    let rows: String =
        (0..60).map(|n| format!("{{\"prompt\":\"p{n}\",\"completion\":\"c{n}\"}}\n")).collect();
    let dataset = ann.add("rows.jsonl", rows.as_bytes()).await["dataset_id"].take();
    let settings =
        json!({ "max_steps": 100_000, "batch_size": 2, "max_sequence_length": 32, "checkpoint_steps": 5 });
    let started = ann
        .post("/api/start-training", json!({ "dataset_ids": [dataset], "hyperparameters": settings }))
        .await;
    let job = started.json::<Value>().await.unwrap()["job_name"].as_str().unwrap().to_owned();
    until(&ann, &job, |job| job["step"].as_u64() > Some(5)).await;
    assert_eq!(refused(&ann, &job).await, "job_running");
    assert_button(&ann, &job, false).await;

    ann.post(&format!("/api/stop-training-job/{job}"), json!({ "keep": true })).await;
    let stopped = ann.over(&job).await;
    let step = stopped["checkpoint_step"].as_u64().unwrap();
    assert_eq!((&stopped["status"], &stopped["step"]), (&json!("Stopped"), &json!(step)));
    assert_button(&ann, &job, true).await;
    let strange = bob.post(&format!("/api/resume-training-job/{job}"), Value::Null).await;
    assert_eq!(strange.status(), StatusCode::NOT_FOUND);
    bob.form("/training", "/fn/resume_job", &[("name", &job)]).await;
    assert_eq!(ann.json(&format!("/api/training-job/{job}")).await["status"], "Stopped");

    let answer = ann.post(&format!("/api/resume-training-job/{job}"), Value::Null).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!((&answer["status"], &answer["checkpoint_step"]), (&json!("InProgress"), &json!(step)));
    until(&ann, &job, |job| job["step"].as_u64() > Some(step)).await;
    assert_button(&ann, &job, false).await;
    ann.post(&format!("/api/stop-training-job/{job}"), json!({ "keep": true })).await;
    ann.over(&job).await;

    let (_, to, _) = ann.form(&format!("/training/{job}"), "/fn/resume_job", &[("name", &job)]).await;
    assert_eq!(to, format!("/training/{job}"));
    until(&ann, &job, |job| job["phase"] == "training").await;
    ann.post(&format!("/api/stop-training-job/{job}"), json!({ "keep": false })).await;
    assert_eq!(ann.over(&job).await["checkpoint_step"], Value::Null);
    assert_eq!(refused(&ann, &job).await, "no_checkpoint");
    assert_button(&ann, &job, false).await;

    let log = app.store.list_audit(&PageRequest { cursor: None, limit: 100 }).await.unwrap();
    assert_eq!(
        log.items.iter().filter(|entry| entry.action == "job.resume" && entry.object == job).count(),
        2
    );
}
