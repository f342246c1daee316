//! What every answer says to the browser, seen from outside.

use crate::app::TestApp;

#[tokio::test]
async fn a_site_on_https_keeps_its_visitors_there_and_binds_its_cookie() {
    let app = TestApp::with(&[("BASE_URL", "https://tuner.example.org")]).await;
    let person = app.person("ada@example.org").await;
    for path in ["/sign-in", "/api/health", "/no-such-page"] {
        let answer = person.get(path).await;
        let hsts = answer.headers().get("strict-transport-security").map(|value| value.to_str().unwrap());
        assert_eq!(hsts, Some("max-age=31536000; includeSubDomains"), "{path}");
    }
    let body = serde_json::json!({ "email": "ada@example.org", "password": "correct horse battery" });
    let answer = person.client.post(person.at("/api/auth/login")).json(&body).send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-session="), "{cookie}");
    for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
}

#[tokio::test]
async fn a_site_on_plain_http_promises_no_https() {
    let app = TestApp::start().await;
    let answer = app.person("ada@example.org").await.get("/sign-in").await;
    assert!(!answer.headers().contains_key("strict-transport-security"));
}

#[tokio::test]
async fn every_answer_is_framed_by_nobody_sniffed_by_nobody_and_kept_by_nobody() {
    let app = TestApp::start().await;
    let person = app.person("ada@example.org").await;
    for path in ["/", "/data", "/sign-in", "/api/auth/me", "/api/training-job/nobody", "/no-such-page"] {
        let answer = person.get(path).await;
        let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("cache-control"), "private, no-store", "{path}");
        assert!(header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert!(!header("x-request-id").is_empty(), "{path}");
    }
}
