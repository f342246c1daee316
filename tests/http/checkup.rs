//! The page that says whether AWS is as the server needs it: for administrators, and at once where nothing is set.

use crate::app::TestApp;
use llm_tuner::store::PageRequest;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn without_settings_the_page_says_which_to_set() {
    let app = TestApp::start().await;
    let admin = app.person("admin@example.org").await;
    let page = admin.get("/settings/aws").await.text().await.unwrap();
    for words in ["AWS is not used", "AWS_REGION", "AWS_ACCESS_KEY_ID", "STORAGE_URL", "AWS_SETUP.md"] {
        assert!(page.contains(words), "no {words:?} in {page}");
    }
    assert!(!page.contains("Check now") && !page.contains("hx-get"), "{page}");
    assert!(admin.get("/settings").await.text().await.unwrap().contains("href=\"/settings/aws\""));
    let status = admin.json("/api/aws/status").await;
    assert_eq!(
        (&status["used"], &status["checking"], &status["last"]),
        (&json!(false), &json!(false), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_know_of_it() {
    let app = TestApp::start().await;
    let admin = app.person("admin@example.org").await;
    let ann = app.person("ann@example.org").await;
    for (method, path) in
        [(Method::GET, "/settings/aws"), (Method::GET, "/api/aws/status"), (Method::POST, "/api/aws/check")]
    {
        let answer = ann.client.request(method, ann.at(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let (_, _, page) = ann.form("/settings", "/fn/check_aws", &[]).await;
    assert!(!page.contains("/settings/aws") && page.contains("There is no such page"), "{page}");

    let (status, to, _) = admin.form("/settings/aws", "/fn/check_aws", &[]).await;
    assert_eq!((status, to.as_str()), (StatusCode::SEE_OTHER, "/settings/aws"));
    let audit = app.store.list_audit(&PageRequest { cursor: None, limit: 50 }).await.unwrap().items;
    assert_eq!(audit.iter().filter(|entry| entry.action == "aws.check").count(), 1, "{audit:?}");
}
