//! Rules that hold for every route, asked of the routes themselves: the API's own description, and the forms.

use crate::app::TestApp;
use reqwest::{Method, StatusCode};
use serde_json::Value;

const FORMS: [&str; 27] = [
    "check_aws",
    "accept_licence",
    "register",
    "sign_in",
    "sign_out",
    "set_full_name",
    "change_password",
    "end_session",
    "end_other_sessions",
    "set_theme",
    "add_sample",
    "rename_dataset",
    "delete_dataset",
    "repair_dataset",
    "check_again",
    "map_columns",
    "rename_model",
    "delete_model",
    "start_training",
    "stop_job",
    "resume_job",
    "try_sample",
    "describe_job",
    "delete_job",
    "deploy_model",
    "delete_endpoint",
    "set_budget",
];

/// Method and address of every operation that the description names, with its parameters filled in.
async fn operations(app: &TestApp) -> Vec<(Method, String)> {
    let person = app.person("reader@example.org").await;
    let description: Value = person.json("/api/openapi.json").await;
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let path: String = path
            .split('/')
            .map(|part| if part.starts_with('{') { "01hzzzzzzzzzzzzzzzzzzzzzzz" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        for method in methods.as_object().unwrap().keys() {
            operations.push((Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), path.clone()));
        }
    }
    operations
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_site_sends_is_refused_everywhere() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let mut writing: Vec<_> =
        operations(&app).await.into_iter().filter(|(method, _)| !method.is_safe()).collect();
    assert!(writing.len() >= 10, "{writing:?}");
    writing.extend(FORMS.map(|form| (Method::POST, format!("/fn/{form}"))));
    for (method, path) in writing {
        for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
            let answer =
                ann.client.request(method.clone(), ann.at(&path)).header(name, value).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{method} {path} with {name}");
        }
    }
    assert_eq!(ann.get("/api/auth/me").await.status(), StatusCode::OK, "nothing signed her out");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_nothing_is_told() {
    let app = TestApp::start().await;
    let open = ["/api/health", "/api/auth/register", "/api/auth/login", "/api/auth/logout"];
    for (method, path) in operations(&app).await {
        if open.contains(&path.as_str()) {
            continue;
        }
        let stranger = reqwest::Client::new();
        let answer = stranger.request(method.clone(), format!("{}{path}", app.url)).send().await.unwrap();
        // A body that is missing may be told before the session is asked for; the object never is.
        let status = answer.status();
        let refused = [StatusCode::UNAUTHORIZED, StatusCode::UNSUPPORTED_MEDIA_TYPE, StatusCode::BAD_REQUEST];
        assert!(refused.contains(&status), "{method} {path}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_nobodys_is_not_found() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    for (method, path) in operations(&app).await {
        let whole = [Method::GET, Method::HEAD, Method::DELETE].contains(&method);
        if !whole || !path.contains("01hzz") {
            continue;
        }
        let request = ann.client.request(method.clone(), ann.at(&path)).header("tus-resumable", "1.0.0");
        assert_eq!(request.send().await.unwrap().status(), StatusCode::NOT_FOUND, "{method} {path}");
    }
    for page in [
        "/training/no-such-job",
        "/models/01hzzzzzzzzzzzzzzzzzzzzzzz",
        "/data/01hzzzzzzzzzzzzzzzzzzzzzzz",
        "/nowhere",
    ] {
        assert_eq!(ann.get(page).await.status(), StatusCode::NOT_FOUND, "{page}");
    }
}
