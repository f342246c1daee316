//! Stops, failures, other machines.

use super::server::{IMAGE, Server};
use reqwest::Method;
use serde_json::{Value, json};

/// A job of our own image that trains nano on numbers, with `more` settings over it.
async fn small(server: &Server, more: Value) -> Value {
    let mut body = json!({
        "place": "image", "instance_type": "ml.m5.xlarge", "max_hours": 24, "dataset_ids": [server.numbers().await],
        "hyperparameters": { "max_steps": 6, "batch_size": 4, "checkpoint_steps": 2 },
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn long() -> Value {
    json!({ "hyperparameters": { "max_steps": 1_000_000, "batch_size": 4, "checkpoint_steps": 5 } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_stopped_and_its_model_kept_or_not() {
    let server = Server::start().await;
    for keep in [true, false] {
        let name = server.train(small(&server, long()).await).await;
        server.until(&name, |job| job["step"].as_u64().unwrap() > 0).await;
        server.post(&format!("/api/stop-training-job/{name}"), json!({ "keep": keep })).await;
        let job = server.over(&name).await;
        assert_eq!(job["status"], "Stopped", "{job}");
        assert_eq!(job["model_id"].is_string(), keep, "{job}");
        // What was kept can go on; AWS bills the time that it ran.
        assert_eq!(job["checkpoint_step"].is_u64(), keep, "{job}");
        assert!(job["billable_seconds"].as_u64().unwrap() > 0, "{job}");
    }
    assert_eq!(server.requests("StopTrainingJob").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_job_goes_on_from_its_checkpoint_under_a_new_name() {
    let server = Server::start().await;
    let name = server.train(small(&server, long()).await).await;
    server.until(&name, |job| job["step"].as_u64().unwrap() > 10).await;
    server.post(&format!("/api/stop-training-job/{name}"), json!({ "keep": true })).await;
    let stopped = server.over(&name).await;
    let step = stopped["checkpoint_step"].as_u64().unwrap_or_else(|| panic!("{stopped}"));
    server.post(&format!("/api/resume-training-job/{name}"), json!({})).await;
    server.until(&name, |job| job["step"].as_u64().unwrap() > step + 3).await;
    let names: Vec<Value> =
        server.requests("CreateTrainingJob").await.iter().map(|one| one["TrainingJobName"].clone()).collect();
    assert_eq!(names, [json!(name), json!(format!("{name}-2"))]);
    let lines = server.log(&name).await;
    assert!(
        lines.iter().any(|line| line.contains("checkpoint") && line.contains(&step.to_string())),
        "{lines:?}"
    );
    server.post(&format!("/api/stop-training-job/{name}"), json!({ "keep": false })).await;
    // Both tries are paid for.
    let over = server.over(&name).await;
    assert!(over["cost"].as_f64() > stopped["cost"].as_f64(), "{over}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_machine_is_taken_only_where_that_was_agreed() {
    let server = Server::start().await;
    let capacity = json!([{ "name_prefix": "none", "fail": "CapacityError", "during": "Starting" }]);
    server.aws.control("jobs", capacity).await;
    let alone = server.train(small(&server, json!({ "title": "none" })).await).await;
    let job = server.over(&alone).await;
    assert_eq!(job["status"], "Failed");
    assert!(job["failure_reason"].as_str().unwrap().contains("no free machine"), "{job}");
    assert!(job["next_step"].as_str().unwrap().contains("another instance type"), "{job}");
    assert_eq!(job["cost"], 0.0, "{job}");

    server.aws.control("quota", json!({ "ml.m5.xlarge": 0 })).await;
    let agreed = json!({ "title": "agreed", "fallback_instance_types": ["auto"] });
    let name = server.train(small(&server, agreed).await).await;
    let job = server.over(&name).await;
    assert_eq!(
        (&job["status"], &job["instance_type"]),
        (&json!("Completed"), &json!("ml.m5.2xlarge")),
        "{job}"
    );

    // Nothing is free anywhere: each kind is tried once, and each try has a name of its own.
    let nowhere = json!({
        "title": "none", "instance_type": "ml.m5.2xlarge", "fallback_instance_types": ["ml.m5.4xlarge"],
    });
    let tried = server.train(small(&server, nowhere).await).await;
    assert_eq!(server.over(&tried).await["status"], "Failed");
    let all = server.requests("CreateTrainingJob").await;
    let tries = all.iter().filter(|one| one["TrainingJobName"].as_str().unwrap().starts_with(&tried));
    let kinds: Vec<_> = tries.map(|one| one["ResourceConfig"]["InstanceType"].clone()).collect();
    assert_eq!(kinds, ["ml.m5.2xlarge", "ml.m5.4xlarge"]);
    let page = server.client.get(format!("{}/training/{name}", server.url)).send().await.unwrap();
    assert!(page.status().is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_nothing_is_told_and_one_in_use_is_waited_for() {
    let server = Server::start().await;
    server.aws.control("quota", json!({ "ml.m5.xlarge": 1, "ml.m5.4xlarge": 0 })).await;
    let none = small(&server, json!({ "instance_type": "ml.m5.4xlarge" })).await;
    let plan = server.post("/api/training-plan", none.clone()).await;
    let warnings = plan["warnings"].to_string();
    assert!(warnings.contains("ml.m5.4xlarge for training job usage"), "{plan}");
    let job = server.over(&server.train(none).await).await;
    assert!(job["failure_reason"].as_str().unwrap().contains("is 0"), "{job}");
    assert!(job["next_step"].as_str().unwrap().contains("Service Quotas"), "{job}");

    let first = server.train(small(&server, long()).await).await;
    server.until(&first, |job| job["step"].as_u64().unwrap() > 0).await;
    let second = server.train(small(&server, json!({})).await).await;
    server.until(&second, |job| job["message"].as_str().unwrap().starts_with("Waiting for a machine")).await;
    server.post(&format!("/api/stop-training-job/{first}"), json!({ "keep": false })).await;
    assert_eq!(server.over(&second).await["status"], "Completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_spot_job_goes_on_and_says_each_line_once() {
    let server = Server::start().await;
    server
        .aws
        .control("jobs", json!([{ "name_prefix": "spot", "interrupt": [{ "on_line": "\"step\":3" }] }]))
        .await;
    let more = json!({ "title": "spot", "spot": true, "hyperparameters": { "max_steps": 8, "batch_size": 4, "checkpoint_steps": 2 } });
    let name = server.train(small(&server, more).await).await;
    let job = server.over(&name).await;
    assert_eq!(
        (&job["status"], &job["step"]),
        (&json!("Completed"), &json!(8)),
        "{job}\n{:?}",
        server.log(&name).await
    );
    let request = server.requests("CreateTrainingJob").await.pop().unwrap();
    assert_eq!(request["EnableManagedSpotTraining"], true);
    let stopping = &request["StoppingCondition"];
    assert!(
        stopping["MaxWaitTimeInSeconds"].as_u64() > stopping["MaxRuntimeInSeconds"].as_u64(),
        "{request}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_trainer_says_of_its_failure_reaches_the_person() {
    let server = Server::start().await;
    let words = "The loss is not a number.\\nMake the learning rate smaller.";
    let command = format!("mkdir -p {{dir}}/output; printf '{words}' > {{dir}}/output/failure; exit 1");
    server.aws.control("images", json!({ IMAGE: ["/bin/sh", "-c", command] })).await;
    let name = server.train(small(&server, json!({})).await).await;
    let job = server.over(&name).await;
    assert_eq!(job["status"], "Failed", "{job}");
    assert_eq!(job["failure_reason"], "The loss is not a number.", "{job}");
    assert_eq!(job["next_step"], "Make the learning rate smaller.", "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_named_before_anything_costs() {
    let server = Server::start().await;
    for (more, field) in [
        (json!({ "instance_type": "ml.g5.large" }), "instance_type"),
        (json!({ "instance_type": "" }), "instance_type"),
        (json!({ "max_hours": 1000 }), "max_hours"),
        (json!({ "place": "moon" }), "place"),
        (json!({ "place": "script" }), "base_model"),
        (json!({ "place": "jumpstart" }), "base_model"),
        (json!({ "base_model": "hub:../etc" }), "base_model"),
        (json!({ "fallback_instance_types": ["ml.c5.large"] }), "fallback_instance_types"),
    ] {
        let body = small(&server, more.clone()).await;
        let (status, answer) = server.call(Method::POST, "/api/start-training", Some(body)).await;
        assert_eq!((status.as_u16(), &answer["error"]["field"]), (422, &json!(field)), "{more} {answer}");
    }
    assert!(server.requests("CreateTrainingJob").await.is_empty());
}
