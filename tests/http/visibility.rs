//! What is another's does not exist, and what another site sends is refused.

use crate::app::TestApp;
use llm_tuner::services::hosting::Outside;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn anothers_dataset_is_not_found_by_any_door() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let bob = app.person("bob@example.org").await;
    let file = ann.add("secret.csv", b"title,body\nx,y\n").await;
    let id = file["dataset_id"].as_str().unwrap();
    for path in [
        format!("/api/datasets/{id}"),
        format!("/api/datasets/{id}/download"),
        format!("/api/datasets/{id}/rejected"),
        format!("/data/{id}"),
        format!("/data/{id}?tab=findings"),
        format!("/-/datasets/{id}"),
        format!("/-/datasets/{id}/row"),
        format!("/-/datasets/{id}/lengths?length=8"),
    ] {
        let answer = bob.get(&path).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(!answer.text().await.unwrap().contains("secret"), "{path}");
    }
    for (method, path, body) in [
        (Method::DELETE, format!("/api/datasets/{id}"), None),
        (Method::PATCH, format!("/api/datasets/{id}"), Some(json!({ "name": "mine" }))),
        (Method::POST, format!("/api/datasets/{id}/repair"), None),
        (Method::PUT, format!("/api/datasets/{id}/mapping"), Some(json!({ "mapping": [] }))),
    ] {
        let mut request = bob.client.request(method.clone(), bob.at(&path));
        if let Some(body) = body {
            request = request.json(&body);
        }
        assert_eq!(request.send().await.unwrap().status(), StatusCode::NOT_FOUND, "{method} {path}");
    }
    for form in ["rename_dataset", "delete_dataset", "repair_dataset", "check_again", "map_columns"] {
        bob.form(
            "/data",
            &format!("/fn/{form}"),
            &[("id", id), ("name", "mine"), ("columns[0]", "title"), ("roles[0]", "text")],
        )
        .await;
    }
    let still = ann.json(&format!("/api/datasets/{id}")).await;
    assert_eq!((&still["name"], &still["state"]), (&json!("secret.csv"), &json!("needs_mapping")));
    assert_eq!(bob.json("/api/datasets").await["datasets"], Value::Array(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_site_sends_is_refused() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let file = ann.add("a.txt", b"text\n").await;
    let id = file["dataset_id"].as_str().unwrap();
    for (method, path) in [
        (Method::POST, "/api/upload".to_owned()),
        (Method::POST, "/api/samples/sentences-to-commands".to_owned()),
        (Method::DELETE, format!("/api/datasets/{id}")),
        (Method::PATCH, format!("/api/datasets/{id}")),
        (Method::PUT, format!("/api/datasets/{id}/mapping")),
        (Method::POST, format!("/api/datasets/{id}/repair")),
        (Method::POST, "/fn/delete_dataset".to_owned()),
        (Method::POST, "/fn/add_sample".to_owned()),
    ] {
        let request = ann.client.request(method.clone(), ann.at(&path));
        let request = request.header("origin", "https://evil.example").header("sec-fetch-site", "cross-site");
        assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN, "{method} {path}");
    }
    assert_eq!(ann.json("/api/datasets").await["datasets"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_without_signing_in() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let nobody = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let get = |path: &str| nobody.get(ann.at(path)).send();
    assert_eq!(get("/api/datasets").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(get("/-/datasets").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let page = get("/data?cursor=1").await.unwrap();
    assert_eq!(page.status(), StatusCode::SEE_OTHER);
    assert_eq!(page.headers()["location"], "/sign-in?next=%2Fdata%3Fcursor%3D1");
}

#[tokio::test(flavor = "multi_thread")]
async fn why_nothing_can_be_hosted_is_told_to_everybody() {
    let app = TestApp::that_hosts(Outside::none("The operator has not signed up with AWS."), None).await;
    let ann = app.person("ann@example.org").await;
    let page = ann.get("/endpoints").await.text().await.unwrap();
    assert!(page.contains("The operator has not signed up with AWS."), "{page}");
    assert_eq!(ann.json("/api/endpoints").await["endpoints"], json!([]));
}
