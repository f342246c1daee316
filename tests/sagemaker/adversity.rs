//! Lost answers, broken networks, kills.

use super::{
    proxy::Line,
    server::{IMAGE, Server},
};
use rand::Rng as _;
use reqwest::Method;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

async fn body(server: &Server) -> Value {
    json!({
        "place": "image", "instance_type": "ml.m5.xlarge", "max_hours": 24, "dataset_ids": [server.numbers().await],
        "hyperparameters": { "max_steps": 4, "batch_size": 4 },
    })
}

/// A container that leaves a model and says a word, in no time.
async fn quick(server: &Server) {
    let command = "mkdir -p {dir}/model && echo '{}' > {dir}/model/config.json && echo done";
    server.aws.control("images", json!({ IMAGE: ["/bin/sh", "-c", command] })).await;
    server.aws.control("quota", json!({ "ml.m5.xlarge": 10_000 })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_answer_was_lost_is_taken_on() {
    let server = Server::start().await;
    quick(&server).await;
    server.aws.fault(json!({ "op": "CreateTrainingJob", "drop_after_accept": true })).await;
    let name = server.train(body(&server).await).await;
    assert_eq!(server.over(&name).await["status"], "Completed");
    assert_eq!(server.requests("CreateTrainingJob").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_somebody_else_took_is_not_ours() {
    let server = Server::start().await;
    quick(&server).await;
    // Somebody deletes our tags, which is all that makes it ours.
    server.aws.fault(json!({ "op": "CreateTrainingJob", "drop_after_accept": true })).await;
    server.aws.fault(json!({ "op": "ListTags", "status": 200, "body": "{\"Tags\":[]}", "times": 100 })).await;
    let name = server.train(body(&server).await).await;
    let job = server.over(&name).await;
    assert_eq!(job["status"], "Failed", "{job}");
    assert!(job["failure_reason"].as_str().unwrap().contains("not ours"), "{job}");
}

/// AWS does this to every call about training jobs until the page says so; then it is well again.
async fn goes_on_after(fault: Value) {
    let server = Server::start().await;
    quick(&server).await;
    for operation in ["CreateTrainingJob", "DescribeTrainingJob"] {
        let mut all = fault.clone();
        all["op"] = json!(operation);
        all["times"] = json!(1_000_000);
        server.aws.fault(all).await;
    }
    let name = server.train(body(&server).await).await;
    // AWS is asked several times before the page says that it does not answer; meanwhile everything else goes on.
    server.until(&name, |job| job["message"].as_str().unwrap().contains("It is asked again")).await;
    for page in ["/", "/training", "/models", "/costs", "/api/training-jobs", "/api/health"] {
        let (status, _) = server.call(Method::GET, page, None).await;
        assert!(status.is_success(), "{page}");
    }
    let (status, page) = server.call(Method::GET, &format!("/training/{name}"), None).await;
    assert!(status.is_success() && page.to_string().contains("It is asked again"));
    server.aws.mend().await;
    assert_eq!(server.over(&name).await["status"], "Completed", "{fault}");
    assert_eq!(server.requests("CreateTrainingJob").await.len(), 1, "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_after_calls_that_hang() {
    goes_on_after(json!({ "hang": true })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_after_garbage() {
    goes_on_after(json!({ "status": 500, "body": "garbage" })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_after_throttling() {
    goes_on_after(json!({ "error": "ThrottlingException" })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_after_answers_that_break_off() {
    goes_on_after(json!({ "drop_after_accept": true })).await;
}

/// The bucket is not to be reached, at the job's beginning and at its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_does_not_answer_is_waited_for() {
    let (server, line) = Server::behind_a_line().await;
    quick(&server).await;
    let body = body(&server).await;
    // Its tokens are counted while the bucket is there.
    server.post("/api/training-plan", body.clone()).await;
    line.set(Line::Cut);
    let name = server.train(body.clone()).await;
    server.until(&name, |job| job["message"].as_str().unwrap().contains("tried again")).await;
    for page in ["/", "/data", "/training", "/models", "/api/health"] {
        let (status, _) = server.call(Method::GET, page, None).await;
        assert!(status.is_success(), "{page}");
    }
    line.set(Line::Open);
    assert_eq!(server.over(&name).await["status"], "Completed");

    let name = server.train(body).await;
    server.until(&name, |job| job["job_arn"].is_string()).await;
    line.set(Line::Cut);
    server.aws.until(&name, "Completed").await;
    // It is over there; here it can't be, before the model is seen.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(server.job(&name).await["status"], "InProgress");
    line.set(Line::Open);
    let job = server.over(&name).await;
    assert!(job["status"] == "Completed" && job["model_id"].is_string(), "{job}");
}

/// What no look has seen, from fetching the data to the end, is no reason to refuse the model.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_trained_while_this_server_was_away_is_saved() {
    let mut server = Server::start().await;
    quick(&server).await;
    server.aws.control("clock", json!({ "auto": 0 })).await;
    let name = server.train(body(&server).await).await;
    server.until(&name, |job| job["job_arn"].is_string()).await;
    server.aws.until(&name, "Downloading").await;
    server.until(&name, |job| job["message"] == "The machine fetches the data").await;
    server.kill();
    server.aws.until(&name, "Completed").await;
    server.restart().await;
    let job = server.over(&name).await;
    assert!(job["status"] == "Completed" && job["model_id"].is_string(), "{job}");
}

/// Kills at random moments around the call that makes a job. `LLM_TUNER_KILLS=500` for the long run.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_nothing_is_doubled_or_lost() {
    let mut server = Server::start().await;
    quick(&server).await;
    let body = body(&server).await;
    let kills = std::env::var("LLM_TUNER_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let mut names = Vec::new();
    for cycle in 0..kills {
        let mut body = body.clone();
        body["idempotency_key"] = json!(format!("cycle-{cycle}"));
        let (client, url) = (server.client.clone(), format!("{}/api/start-training", server.url));
        let asked = tokio::spawn({
            let (client, url, body) = (client.clone(), url.clone(), body.clone());
            async move { client.post(url).json(&body).send().await?.json::<Value>().await }
        });
        // From before the row is written to after the job was seen on SageMaker.
        let moment = Duration::from_micros(rand::rng().random_range(0..400_000));
        tokio::time::sleep(moment).await;
        server.kill();
        let _ = asked.await;
        server.restart().await;
        // Who got no answer asks again with the same key.
        names.push(server.train(body).await);
    }
    for name in &names {
        let job = server.over(name).await;
        assert_eq!(job["status"], "Completed", "{job}");
    }
    let mut made: BTreeMap<String, usize> = BTreeMap::new();
    for request in server.requests("CreateTrainingJob").await {
        *made.entry(request["TrainingJobName"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let doubled: Vec<_> = made.iter().filter(|(_, count)| **count != 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    let lost: Vec<_> = names.iter().filter(|name| !made.contains_key(*name)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(made.len(), kills, "as many jobs as were asked for");
    println!("{kills} kills, {} jobs: 0 doubled, 0 lost", made.len());
}
