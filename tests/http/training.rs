//! What a job would take, and what is chosen where the person leaves it open.

use crate::app::TestApp;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::fmt::Write;

/// Rows of unlike words, so that no tokenizer makes them short: the longest has some 300 tokens.
fn long_rows() -> String {
    let words = |row: usize, count: usize| {
        (0..count).fold(String::new(), |mut text, at| {
            let _ = write!(text, "{:x} ", (row * 7_919 + at * 104_729) % 65_521);
            text
        })
    };
    (0..60).fold(String::new(), |mut lines, row| {
        let line = json!({ "prompt": words(row, 20 + row), "completion": words(row + 100, 20) });
        let _ = writeln!(lines, "{line}");
        lines
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_length_follows_the_data_unless_it_is_typed() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let file = ann.add("long.jsonl", long_rows().as_bytes()).await;
    let id = file["dataset_id"].as_str().unwrap();
    let ask = async |path: &str, settings: Value| -> (StatusCode, Value) {
        let body = json!({ "dataset_ids": [id], "hyperparameters": settings });
        let answer = ann.client.post(ann.at(path)).json(&body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    };

    for open in [json!({}), json!({ "max_sequence_length": "", "epochs": null })] {
        let (_, plan) = ask("/api/training-plan", open).await;
        let length: u32 = plan["hyperparameters"]["max_sequence_length"].as_str().unwrap().parse().unwrap();
        assert!(length > 128 && length.is_multiple_of(64), "{plan}");
        assert_eq!(plan["truncated_share"], 0.0);
        let chosen = &plan["automatic"][0];
        assert_eq!(
            (&chosen["setting"], &chosen["value"]),
            (&json!("max_sequence_length"), &json!(length.to_string()))
        );
        assert!(chosen["reason"].as_str().unwrap().starts_with("every row fits"), "{plan}");
        assert_eq!(plan["automatic"][1]["setting"], "epochs");
        assert_eq!(plan["automatic"][1]["value"], plan["hyperparameters"]["epochs"]);
    }

    // What is typed wins, and what it costs is told.
    let (_, plan) = ask("/api/training-plan", json!({ "max_sequence_length": 96, "max_steps": 5 })).await;
    assert_eq!(plan["automatic"], json!([]));
    assert_eq!(plan["hyperparameters"]["max_sequence_length"], "96");
    assert!(plan["truncated_share"].as_f64().unwrap() > 0.5, "{plan}");
    assert!(plan["warnings"][0].as_str().unwrap().ends_with("Make the maximum length larger."), "{plan}");
    let (status, refused) = ask("/api/training-plan", json!({ "max_sequence_length": 5_000 })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused["error"]["field"], "max_sequence_length");

    // The card says it, and the job keeps the figure.
    let card = ann.get(&format!("/-/training/plan?base_model=nano&dataset={id}")).await.text().await.unwrap();
    assert!(card.contains("automatic: every row fits"), "{card}");
    let (status, job) = ask("/api/start-training", json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let stored = ann.json(&format!("/api/training-job/{}", job["job_name"].as_str().unwrap())).await;
    let (_, plan) = ask("/api/training-plan", json!({})).await;
    assert_eq!(stored["hyperparameters"], plan["hyperparameters"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_sample_is_trained_as_long_as_ever() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let rows = include_bytes!("../../public/samples/sentences-to-commands.jsonl");
    let file = ann.add("sentences-to-commands.jsonl", rows).await;
    let body = json!({ "dataset_ids": [file["dataset_id"]], "validation_share": 0 });
    let answer = ann.client.post(ann.at("/api/training-plan")).json(&body).send().await.unwrap();
    let plan: Value = answer.json().await.unwrap();
    assert_eq!((&plan["steps"], &plan["hyperparameters"]["epochs"]), (&json!(2_250), &json!("6")));
    assert_eq!(plan["hyperparameters"]["max_sequence_length"], "128");
    assert_eq!(plan["warnings"], json!([]));
}
