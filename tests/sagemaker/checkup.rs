//! Whether AWS is as the server needs it, asked of the running server by its page and its API.

use super::server::Server;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

async fn looked(server: &Server) -> Value {
    let (status, begun) = server.call(Method::POST, "/api/aws/check", None).await;
    assert_eq!((status.as_u16(), &begun["checking"]), (202, &json!(true)), "{begun}");
    let started = Instant::now();
    loop {
        let status = server.get("/api/aws/status").await;
        if status["checking"] == false {
            return status["last"].clone();
        }
        assert!(started.elapsed() < Duration::from_secs(75), "{status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn page(server: &Server) -> String {
    server.client.get(format!("{}/settings/aws", server.url)).send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_shows_what_it_may_do_and_what_runs_unknown() {
    let server = Server::start().await;
    server.aws.control("clock", json!({ "auto": 0 })).await;
    let before = page(&server).await;
    assert!(before.contains("Not looked at since") && before.contains("Check now"), "{before}");
    let body = json!({
        "place": "image", "instance_type": "ml.m5.xlarge", "dataset_ids": [server.numbers().await],
        "hyperparameters": { "max_steps": 2 },
    });
    let name = server.train(body).await;
    let started = Instant::now();
    while server.requests("CreateTrainingJob").await.is_empty() {
        assert!(started.elapsed() < Duration::from_secs(60), "{}", server.job(&name).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let found = looked(&server).await;
    assert_eq!(
        (&found["well"], &found["orphans"]),
        (&json!(true), &json!([])),
        "a job of ours is known: {found:#}"
    );
    let after = page(&server).await;
    for words in ["AWS is as this server needs it", "sagemaker:CreateTrainingJob", "ask for more"] {
        assert!(after.contains(words), "no {words:?} in {after}");
    }

    // What is wrong is said with what to do; while it is looked at, the page fetches itself again.
    let denied = json!({ "op": "ListTrainingJobs", "error": "AccessDeniedException", "times": 9,
        "message": "not authorized to perform: sagemaker:ListTrainingJobs" });
    server.aws.fault(denied).await;
    server.aws.fault(json!({ "op": "CreateModel", "hang": true, "times": 9 })).await;
    let (_, during) = tokio::join!(looked(&server), async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        page(&server).await
    });
    assert!(during.contains("hx-get=\"/settings/aws\"") && during.contains("Looking, since"), "{during}");
    let after = page(&server).await;
    assert!(
        after.contains("things are wrong") && after.contains("Allow sagemaker:ListTrainingJobs"),
        "{after}"
    );
    assert!(after.contains("What runs on AWS is not known whole"), "{after}");
    server.aws.mend().await;
}
