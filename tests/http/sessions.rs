//! How long a session lives, in a time that the test moves: idle 12 hours and 7 days in all, for Admins 1 and 12 hours.

use crate::app::{Person, TestApp};
use reqwest::StatusCode;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

struct Limits {
    idle: Duration,
    absolute: Duration,
}

const USER: Limits =
    Limits { idle: Duration::from_secs(12 * 3600), absolute: Duration::from_secs(7 * 24 * 3600) };
const ADMIN: Limits = Limits { idle: HOUR, absolute: Duration::from_secs(12 * 3600) };

/// The first person of a server is its Admin; the second is not.
async fn world() -> (TestApp, [(Person, Limits); 2]) {
    let app = TestApp::start().await;
    app.stop_the_clock();
    let admin = app.person("admin@example.org").await;
    let user = app.person("user@example.org").await;
    (app, [(admin, ADMIN), (user, USER)])
}

async fn assert_signed_in(person: &Person) {
    assert_eq!(person.get("/api/auth/me").await.status(), StatusCode::OK);
}

/// By every door: the API and the fragments answer 401, a page leads to sign in and back.
async fn assert_over(person: &Person) {
    for path in ["/api/auth/me", "/api/datasets", "/-/datasets"] {
        assert_eq!(person.get(path).await.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let page = person.get("/settings").await;
    assert_eq!(page.status(), StatusCode::SEE_OTHER);
    assert_eq!(page.headers()["location"], "/sign-in?next=%2Fsettings");
    let (_, to, _) = person.form("/settings", "/fn/set_full_name", &[("full_name", "Too Late")]).await;
    assert_eq!(to, "/sign-in?next=%2Fsettings");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unused_session_ends_at_the_idle_limit() {
    for which in 0..2 {
        let (app, people) = world().await;
        let (person, limits) = &people[which];
        app.later(limits.idle - SECOND);
        assert_signed_in(person).await;
        app.later(limits.idle);
        assert_over(person).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_use_lives_till_the_absolute_limit_and_no_longer() {
    for which in 0..2 {
        let (app, people) = world().await;
        let (person, limits) = &people[which];
        let pause = limits.idle - SECOND;
        let mut age = Duration::ZERO;
        while age + pause < limits.absolute {
            app.later(pause);
            age += pause;
            assert_signed_in(person).await;
        }
        app.later(limits.absolute - age - SECOND);
        assert_signed_in(person).await;
        app.later(SECOND);
        assert_over(person).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_one_are_not_those_of_another_and_who_signs_in_again_is_back() {
    let (app, [(admin, _), (user, _)]) = world().await;
    app.later(2 * HOUR);
    assert_over(&admin).await;
    assert_signed_in(&user).await;
    let body = serde_json::json!({ "email": "admin@example.org", "password": "correct horse battery" });
    assert_eq!(admin.post("/api/auth/login", body).await.status(), StatusCode::OK);
    assert_signed_in(&admin).await;
    // The session that is over is not listed beside the new one.
    let page = admin.get("/settings").await.text().await.unwrap();
    assert_eq!(page.matches("This one").count(), 1);
    assert!(!page.contains("End all others"));
}
