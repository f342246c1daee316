//! Endpoints in the browser and in the API, with the keeper at work behind them.

use crate::{
    app::{Person, TestApp},
    fake_sagemaker::FakeSageMaker,
    make::model,
    world::{Flat, MACHINE, fake, hosting},
};
use llm_tuner::{
    domain::{account::Email, model::Model},
    services::hosting::Outside,
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

async fn start() -> (FakeSageMaker, TestApp) {
    let fake = fake().await;
    let outside = Outside {
        hosting: Arc::new(hosting(&fake, &[]).await),
        recipes: None,
        poll: Duration::from_millis(50),
    };
    (fake, TestApp::that_hosts(outside, Some(Arc::new(Flat))).await)
}

/// A finished model of this person.
async fn give(app: &TestApp, person: &Person, n: u64) -> Model {
    let me = person.json("/api/auth/me").await;
    let email = Email::parse(me["email"].as_str().unwrap()).unwrap();
    let owner = app.store.user_by_email(&email).await.unwrap().unwrap();
    let owned = Model { user_id: owner.id, ..model(n, 1, n) };
    app.store.create_model(&owned).await.unwrap();
    owned
}

async fn deploy(person: &Person, model: &Model) -> Value {
    let body = json!({ "model_id": model.id, "instance_type": MACHINE });
    let answer = person.post("/api/endpoints", body).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    answer.json().await.unwrap()
}

/// Waits until it has this state, while the fake's time runs.
async fn until(fake: &FakeSageMaker, person: &Person, id: &str, state: &str) -> Value {
    fake.control("clock", json!({ "auto": 600 })).await;
    loop {
        let endpoint = person.json(&format!("/api/endpoints/{id}")).await;
        if endpoint["state"] == state {
            return endpoint;
        }
        assert!(endpoint["failure"].is_null() || state == "failed", "{endpoint}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn text(person: &Person, path: &str) -> String {
    let answer = person.get(path).await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.text().await.unwrap()
}

async fn error(answer: reqwest::Response) -> (StatusCode, String) {
    let status = answer.status();
    let mut body: Value = answer.json().await.unwrap();
    (status, body["error"]["code"].take().as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_deploys_asks_and_deletes() {
    let (fake, app) = start().await;
    let ann = app.person("ann@example.org").await;
    let bob = app.person("bob@example.org").await;
    let model = give(&app, &ann, 1).await;
    let made = deploy(&ann, &model).await;
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!((&made["idle_minutes"], &made["price_per_hour_usd"]), (&json!(60), &json!(1.5)));
    assert_eq!(deploy(&ann, &model).await["id"], made["id"]);
    let one = format!("/api/endpoints/{id}");
    let ask = json!({ "prompt": "Hello", "parameters": { "max_new_tokens": 9, "temperature": 0.5 } });
    let early = ann.post(&format!("{one}/invoke"), ask.clone()).await;
    assert_eq!(error(early).await, (StatusCode::CONFLICT, "endpoint_not_in_service".to_owned()));

    let serving = until(&fake, &ann, &id, "in_service").await;
    assert!(serving["idle_seconds_left"].as_u64().unwrap() > 3500, "{serving}");
    let answer: Value = ann.post(&format!("{one}/invoke"), ask.clone()).await.json().await.unwrap();
    assert_eq!(
        (&answer["text"], &answer["finish_reason"]),
        (&json!("Good morning! How can I help you?"), &json!("stop"))
    );
    let wrong =
        ann.post(&format!("{one}/invoke"), json!({ "prompt": "", "parameters": { "temperature": 9 } })).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);

    // Piece by piece, as the playground asks.
    let body = json!({ "model": format!("endpoint:{id}"), "prompt": "Hello" });
    let stream =
        ann.client.post(ann.at("/api/playground/generate")).header("accept", "text/event-stream").json(&body);
    let events = stream.send().await.unwrap().text().await.unwrap();
    assert!(events.matches("event: text").count() > 2 && events.contains("event: end"), "{events}");

    for (method, path) in [("get", one.clone()), ("delete", one.clone()), ("post", format!("{one}/invoke"))] {
        let request = match method {
            "get" => bob.client.get(bob.at(&path)),
            "delete" => bob.client.delete(bob.at(&path)),
            _ => bob.client.post(bob.at(&path)).json(&ask),
        };
        assert_eq!(request.send().await.unwrap().status(), StatusCode::NOT_FOUND, "{method}");
    }
    let strange = bob.post("/api/endpoints", json!({ "model_id": model.id, "instance_type": MACHINE })).await;
    assert_eq!(strange.status(), StatusCode::NOT_FOUND);
    assert_eq!(bob.json("/api/endpoints").await["endpoints"], json!([]));

    // Its model stays while it is hosted.
    let kept = ann.client.delete(ann.at(&format!("/api/models/{}", model.id))).send().await.unwrap();
    assert_eq!(error(kept).await, (StatusCode::CONFLICT, "model_hosted".to_owned()));
    let deleted = ann.client.delete(ann.at(&one)).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::ACCEPTED);
    let over = until(&fake, &ann, &id, "deleted").await;
    assert!(over["ended_at"].is_string() && over["cost_usd"].is_number(), "{over}");
    assert_eq!(ann.json("/api/endpoints").await["endpoints"][0]["id"], json!(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_and_pages_do_the_same_without_javascript() {
    let (fake, app) = start().await;
    let ann = app.person("ann@example.org").await;
    let model = give(&app, &ann, 1).await;
    let page = format!("/models/{}/deploy", model.id);
    assert!(text(&ann, "/models").await.contains(&page));
    assert!(text(&ann, &format!("/models/{}", model.id)).await.contains(&page));
    let form = text(&ann, &page).await;
    assert!(form.contains("ml.g5.xlarge: $1.50 an hour, $1,095.00 a month"), "{form}");
    let fields = |idle| {
        [
            ("model", model.id.as_str().to_owned()),
            ("instance_type", MACHINE.to_owned()),
            ("idle_minutes", idle),
            ("idempotency_key", "key-1".to_owned()),
        ]
    };
    let send = async |idle: &str| {
        let fields = fields(idle.to_owned());
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        ann.form(&page, "/fn/deploy_model", &fields).await
    };
    let (_, back, shown) = send("5").await;
    assert_eq!(back, page);
    assert!(shown.contains("from 15 minutes to 24 hours") && shown.contains("value=\"5\""), "{shown}");
    let (status, to, shown) = send("30").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(to.starts_with("/endpoints/") && shown.contains("It takes five to fifteen minutes"), "{shown}");
    assert_eq!(send("30").await.1, to, "pressed twice");
    assert!(text(&ann, &page).await.contains("This model has an endpoint already"));
    let id = to.trim_start_matches("/endpoints/").to_owned();
    let early = text(&ann, &format!("/playground?model=endpoint:{id}")).await;
    assert!(early.contains("The endpoint does not answer yet"), "{early}");

    until(&fake, &ann, &id, "in_service").await;
    let shown = text(&ann, &to).await;
    assert!(shown.contains("Deleted if unused for") && shown.contains("30 min"), "{shown}");
    assert!(shown.contains("hx-trigger=\"every 15s\""), "{shown}");
    assert!(text(&ann, "/endpoints").await.contains("answers"));
    let asked = format!("/playground?model=endpoint:{id}&prompt=Hello");
    assert!(text(&ann, &asked).await.contains("Good morning! How can I help you?"));

    ann.form(&to, "/fn/delete_endpoint", &[("id", &id)]).await;
    until(&fake, &ann, &id, "deleted").await;
    let shown = text(&ann, &to).await;
    assert!(shown.contains("Deleted on request") && !shown.contains("hx-trigger"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_speak_side_by_side() {
    let (fake, app) = start().await;
    let ann = app.person("ann@example.org").await;
    let mut ids = Vec::new();
    for (n, words) in [(1, "I am the first."), (2, "I am the second.")] {
        let made = deploy(&ann, &give(&app, &ann, n).await).await;
        fake.control("endpoints", json!([{ "name": made["name"], "text": words }])).await;
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    for id in &ids {
        until(&fake, &ann, id, "in_service").await;
    }
    let both = format!("/playground?model=endpoint:{}&other=endpoint:{}&prompt=Who", ids[0], ids[1]);
    let page = text(&ann, &both).await;
    assert!(page.contains("I am the first.") && page.contains("I am the second."), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_wrong_stands_on_the_page() {
    let (fake, app) = start().await;
    let ann = app.person("ann@example.org").await;
    let model = give(&app, &ann, 1).await;
    let body = json!({ "model_id": model.id, "instance_type": "ml.p5.48xlarge" });
    let made: Value = ann.post("/api/endpoints", body).await.json().await.unwrap();
    let id = made["id"].as_str().unwrap();
    let failed = until(&fake, &ann, id, "failed").await;
    assert!(failed["next_step"].as_str().unwrap().contains("Service Quotas"), "{failed}");
    let page = text(&ann, &format!("/endpoints/{id}")).await;
    assert!(
        page.contains("its quota &quot;ml.p5.48xlarge for endpoint usage")
            || page.contains("ml.p5.48xlarge for endpoint usage"),
        "{page}"
    );

    let made = deploy(&ann, &model).await;
    let id = made["id"].as_str().unwrap();
    until(&fake, &ann, id, "in_service").await;
    let fault = |op: &str| json!({ "op": op, "error": "ModelNotReadyException", "times": 9 });
    fake.control("faults", json!([fault("InvokeEndpointWithResponseStream"), fault("InvokeEndpoint")])).await;
    let answer = ann.post(&format!("/api/endpoints/{id}/invoke"), json!({ "prompt": "Hello" })).await;
    assert_eq!(error(answer).await, (StatusCode::CONFLICT, "endpoint_busy".to_owned()));
    let page = text(&ann, &format!("/playground?model=endpoint:{id}&prompt=Hello")).await;
    assert!(page.contains("The model is not ready to answer yet."), "{page}");
    fake.mend().await;
    fake.control(
        "faults",
        json!([{ "op": "DescribeEndpoint", "error": "ExpiredTokenException", "times": 100_000 }]),
    )
    .await;
    loop {
        let page = text(&ann, "/endpoints").await;
        if page.contains("AWS does not answer") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(ann.json("/api/endpoints").await["aws_silent_since"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_aws_it_is_said_at_once() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let model = give(&app, &ann, 1).await;
    let body = json!({ "model_id": model.id, "instance_type": MACHINE });
    let refused = ann.post("/api/endpoints", body).await;
    assert_eq!(error(refused).await, (StatusCode::CONFLICT, "cannot_be_hosted".to_owned()));
    let why = "Set STORAGE_URL to s3://BUCKET/PREFIX";
    for path in
        [format!("/models/{}", model.id), format!("/models/{}/deploy", model.id), "/endpoints".to_owned()]
    {
        assert!(text(&ann, &path).await.contains(why), "{path}");
    }
    assert!(!text(&ann, "/models").await.contains("/deploy"));
}
