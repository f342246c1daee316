//! The seeds' routes for SageMaker: short names of models, general names of settings, the seeds' answer.

use crate::app::{Person, TestApp};
use llm_tuner::domain::{cloud::Route, job::BaseModel};
use reqwest::StatusCode;
use serde_json::{Value, json};

const LLAMA: &str = "meta-textgeneration-llama-2-7b";

/// Adds a dataset; its id.
async fn rows(person: &Person) -> String {
    let row = |n: u32| format!("{{\"prompt\":\"count {n}\",\"completion\":\"{}\"}}\n", n + 1);
    let added = person.add("rows.jsonl", (0..60).map(row).collect::<String>().as_bytes()).await;
    added["dataset_id"].as_str().unwrap().to_owned()
}

async fn ask(person: &Person, route: &str, body: Value) -> (StatusCode, Value) {
    let answer = person.post(&format!("/api/{route}"), body).await;
    (answer.status(), answer.json().await.unwrap())
}

async fn accept(person: &Person) {
    let version = json!({ "version": "3.0.0" });
    let answer = person.post(&format!("/api/jumpstart-models/{LLAMA}/licence"), version).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seeds_body_starts_a_jumpstart_job_and_gets_the_seeds_answer() {
    let app = TestApp::that_queues_for_sagemaker().await;
    let ann = app.person("ann@example.org").await;
    rows(&ann).await;
    let body = json!({
        "base_model": "llama-2-7b",
        "hyperparameters": { "learning_rate": 0.0001, "batch_size": 4, "epochs": 3, "max_sequence_length": 2048 },
        "files": ["rows.jsonl"],
        "instance_type": "ml.g5.12xlarge",
        "validation_share": 0.25,
        "max_hours": 12,
        "idempotency_key": "once",
    });
    for route in ["sagemaker-training", "jumpstart-training"] {
        let (status, refused) = ask(&ann, route, body.clone()).await;
        assert_eq!((status.as_u16(), &refused["error"]["field"]), (422, &json!("base_model")), "{refused}");
        assert!(refused["error"]["message"].as_str().unwrap().contains("licence"), "{refused}");
    }
    accept(&ann).await;
    let (status, started) = ask(&ann, "sagemaker-training", body.clone()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{started}");
    let mut names: Vec<_> = started.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let seeds = [
        "created_at",
        "estimated_cost_per_hour",
        "instance_type",
        "job_arn",
        "job_name",
        "output_s3_uri",
        "status",
        "training_data_s3_uri",
    ];
    assert_eq!(names, seeds);
    assert_eq!((&started["status"], &started["job_arn"]), (&json!("InProgress"), &Value::Null));
    assert_eq!(started["instance_type"], "ml.g5.12xlarge");
    assert!(started["estimated_cost_per_hour"].as_f64().unwrap() > 1.0, "{started}");
    for (field, folder) in [("training_data_s3_uri", "training-data"), ("output_s3_uri", "models")] {
        let uri = started[field].as_str().unwrap();
        assert!(uri.starts_with("s3://bucket/team/users/") && uri.contains(&format!("/{folder}/")), "{uri}");
    }

    let job = ann.json(&format!("/api/training-job/{}", started["job_name"].as_str().unwrap())).await;
    assert_eq!(job["base_model"], "Llama 2 7B");
    for (own, value) in [
        ("epoch", "3"),
        ("per_device_train_batch_size", "4"),
        ("max_input_length", "2048"),
        ("validation_split_ratio", "0.25"),
        ("learning_rate", "0.0001"),
    ] {
        assert_eq!(job["hyperparameters"][own], value, "{job}");
    }
    // The same key, by the other route: the same job.
    let (_, again) = ask(&ann, "jumpstart-training", body).await;
    assert_eq!(again["job_name"], started["job_name"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_says_how_often_the_model_goes_through_the_data() {
    let app = TestApp::that_queues_for_sagemaker().await;
    let ann = app.person("ann@example.org").await;
    let dataset = rows(&ann).await;
    accept(&ann).await;
    // The model's own default is five.
    for (typed, said) in [("", "5 epochs"), ("&own_epoch=1", "1 epoch"), ("&own_epoch=7", "7 epochs")] {
        let path = format!("/-/training/plan?base_model=jumpstart:{LLAMA}&dataset={dataset}{typed}");
        let card = ann.get(&path).await.text().await.unwrap();
        assert!(card.contains(&format!("<strong>{said}</strong>")), "{typed}: {card}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_under_the_name_that_was_sent() {
    let app = TestApp::that_queues_for_sagemaker().await;
    let ann = app.person("ann@example.org").await;
    rows(&ann).await;
    accept(&ann).await;
    let field = async |route: &str, more: Value| {
        let mut body = json!({ "base_model": "llama-2-7b", "files": ["rows.jsonl"] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, refused) = ask(&ann, route, body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
        refused["error"]["field"].as_str().unwrap_or_default().to_owned()
    };
    for (settings, wrong) in [
        (json!({ "epochs": 0 }), "epochs"),
        (json!({ "batch_size": "many" }), "batch_size"),
        // Llama's script has none.
        (json!({ "weight_decay": 0.01 }), "weight_decay"),
        // Which of the two should it be?
        (json!({ "epochs": 2, "epoch": 3 }), "epochs"),
    ] {
        assert_eq!(field("sagemaker-training", json!({ "hyperparameters": settings })).await, wrong);
    }
    for (more, wrong) in [
        (json!({ "base_model": null }), "base_model"),
        (json!({ "base_model": "llama-99" }), "base_model"),
        (json!({ "base_model": "" }), "base_model"),
        (json!({ "validation_share": 7 }), "validation_share"),
        (json!({ "instance_type": "ml.g5.2xlarge" }), "instance_type"),
        (json!({ "files": ["other.jsonl"] }), "files"),
        (json!({ "place": "local" }), "place"),
    ] {
        assert_eq!(field("jumpstart-training", more.clone()).await, wrong, "{more}");
        assert_eq!(field("sagemaker-training", more.clone()).await, wrong, "{more}");
    }
    // A model of the Hub, or of this machine, is none of JumpStart's.
    for other in ["Qwen/Qwen2.5-0.5B", "nano", "hub:Qwen/Qwen2.5-0.5B"] {
        assert_eq!(
            field("jumpstart-training", json!({ "base_model": other })).await,
            "base_model",
            "{other}"
        );
    }
    // nano needs our own image, and here there is none.
    assert_eq!(field("sagemaker-training", json!({ "base_model": "nano" })).await, "base_model");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_a_slash_is_fetched_from_the_hub_by_the_hugging_face_container() {
    let app = TestApp::that_queues_for_sagemaker().await;
    let ann = app.person("ann@example.org").await;
    rows(&ann).await;
    let body = json!({
        "base_model": "Qwen/Qwen2.5-0.5B", "files": ["rows.jsonl"], "instance_type": "ml.g5.2xlarge",
        "hyperparameters": { "epochs": 2 }, "spot": true,
    });
    let (status, started) = ask(&ann, "sagemaker-training", body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{started}");
    let name = started["job_name"].as_str().unwrap();
    let job = app.store.job_by_name(name).await.unwrap().unwrap();
    let spec = job.spec.cloud.unwrap();
    assert_eq!((spec.route, spec.spot), (Route::Script, true));
    assert_eq!(job.spec.base, BaseModel::Hub { id: "Qwen/Qwen2.5-0.5B".to_owned() });
    assert_eq!(job.spec.hyperparameters["epochs"], "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_aws_both_routes_say_so() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    rows(&ann).await;
    for route in ["sagemaker-training", "jumpstart-training"] {
        let body = json!({ "base_model": "llama-2-7b", "files": ["rows.jsonl"] });
        let (status, refused) = ask(&ann, route, body).await;
        assert_eq!(status, StatusCode::CONFLICT, "{refused}");
        assert_eq!(refused["error"]["code"], "aws_not_configured");
    }
}
