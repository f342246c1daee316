//! JumpStart's catalogue by page, form and API: found, looked at, its licence accepted; and with AWS away.

use crate::{
    app::{Person, TestApp},
    fake_sagemaker::FakeSageMaker,
};
use llm_tuner::{backends::sagemaker::jumpstart::hub::Hub, store::PageRequest};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const LLAMA: &str = "meta-textgeneration-llama-2-7b";
const FLAN: &str = "huggingface-text2text-flan-t5-base";

async fn page(person: &Person, path: &str) -> String {
    let answer = person.get(path).await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.text().await.unwrap()
}

fn ids(body: &Value) -> Vec<&str> {
    body["models"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect()
}

/// With AWS's own list, as the fake has it.
async fn on_aws(fake: &FakeSageMaker) -> TestApp {
    let config = fake.config().await;
    TestApp::with_catalogue(|clock| Arc::new(Hub::new(&config, clock))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_aws_the_shipped_models_are_shown_and_why() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    assert!(page(&ann, "/models").await.contains("href=\"/models/jumpstart\""));
    let list = page(&ann, "/models/jumpstart").await;
    for words in ["Llama 2 7B", "FLAN-T5 Base", "list of 2026-", "SageMaker is not set up", "ml.g5.12xlarge"]
    {
        assert!(list.contains(words), "{words}");
    }
    assert!(!list.contains("/row\""), "every row is whole already");
    let body = ann.json("/api/jumpstart-models").await;
    assert_eq!((&body["source"], &body["total"]), (&json!("snapshot"), &json!(4)));
    assert!(body["problem"].as_str().unwrap().contains("not set up"));
    assert_eq!(ann.get("/models/jumpstart/no-such-model").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn search_is_by_words_task_provider_and_page() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let search = async |query: &str| ann.json(&format!("/api/jumpstart-models?{query}")).await;
    assert_eq!(ids(&search("q=7B+llama").await), [LLAMA]);
    assert_eq!(ids(&search("task=text2text-generation").await), [FLAN]);
    assert_eq!(search("provider=meta").await["total"], json!(3));
    assert_eq!(search("q=nothing+like+it").await["models"], json!([]));

    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let body = search(&format!("limit=3{cursor}")).await;
        seen.extend(ids(&body).into_iter().map(str::to_owned));
        let Some(next) = body["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen.len(), 4);
    assert!(seen.is_sorted());

    // The page and its fragment find the same.
    for path in ["/models/jumpstart?q=flan", "/-/jumpstart?q=flan&task=&provider="] {
        let found = page(&ann, path).await;
        assert!(found.contains(FLAN) && !found.contains(LLAMA), "{path}");
    }
    assert!(page(&ann, "/models/jumpstart?q=%3Cscript%3E").await.contains("No model matches"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_licence_is_accepted_once_by_one_person_for_one_version() {
    let app = TestApp::start().await;
    let (ann, bob) = (app.person("ann@example.org").await, app.person("bob@example.org").await);
    let address = format!("/models/jumpstart/{LLAMA}");
    let before = page(&ann, &address).await;
    assert!(before.contains("Accept licence") && !before.contains("Tune this model"));
    assert!(before.contains("amazonaws.com/fmhMetadata/eula/llamaEula.txt"));

    let fields = [("id", LLAMA), ("version", "3.0.0")];
    let (status, to, after) = ann.form(&address, "/fn/accept_licence", &fields).await;
    assert_eq!((status, to.as_str()), (StatusCode::SEE_OTHER, address.as_str()));
    assert!(after.contains("You accepted this licence") && after.contains("Your acceptance was recorded"));
    assert!(after.contains(&format!("/training/new?base=jumpstart:{LLAMA}")));
    assert!(page(&bob, &address).await.contains("Accept licence"), "Bob did not");

    // By API, a second time: nothing changes, not even the hour.
    let first = ann.json(&format!("/api/jumpstart-models/{LLAMA}")).await;
    app.later(Duration::from_secs(600));
    let again =
        ann.post(&format!("/api/jumpstart-models/{LLAMA}/licence"), json!({ "version": "3.0.0" })).await;
    assert_eq!(again.status(), StatusCode::OK);
    let again: Value = again.json().await.unwrap();
    assert_eq!(again["licence_accepted"], json!(true));
    assert_eq!(again["licence_accepted_at"], first["licence_accepted_at"]);

    let entries = app.store.list_audit(&PageRequest { cursor: None, limit: 100 }).await.unwrap().items;
    let entries: Vec<_> = entries.iter().filter(|entry| entry.action == "licence.accept").collect();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].object, format!("{LLAMA}@3.0.0"));

    let listed = ann.json("/api/jumpstart-models?provider=meta").await;
    let accepted: Vec<_> = listed["models"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|model| model["licence_accepted"] == true)
        .collect();
    assert_eq!(accepted.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_accepted_is_refused() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let accept =
        async |id: &str, body: Value| ann.post(&format!("/api/jumpstart-models/{id}/licence"), body).await;
    let open = accept(FLAN, json!({ "version": "2.2.3" })).await;
    assert_eq!(open.status(), StatusCode::CONFLICT);
    assert_eq!(open.json::<Value>().await.unwrap()["error"]["code"], json!("no_licence"));
    assert_eq!(accept(LLAMA, json!({ "version": "9.9.9" })).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(accept("no-such-model", json!({ "version": "1.0.0" })).await.status(), StatusCode::NOT_FOUND);
    assert!(accept(LLAMA, json!({ "vers": "3.0.0" })).await.status().is_client_error());
    let (status, _, page) =
        ann.form("/models/jumpstart", "/fn/accept_licence", &[("id", FLAN), ("version", "2.2.3")]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(page.contains("no licence that must be accepted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_shows_its_own_settings_machines_and_data() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let model = ann.json(&format!("/api/jumpstart-models/{FLAN}")).await;
    let names: Vec<_> = model["hyperparameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"epochs") && !names.contains(&"epoch") && !names.contains(&"sagemaker_program"));
    assert_eq!(model["default_instance_type"], json!("ml.p3.16xlarge"));
    assert_eq!(model["data_layouts"], json!(["instruction"]));
    assert_eq!(model["gated"], json!(false));
    let shown = page(&ann, &format!("/models/jumpstart/{FLAN}")).await;
    for words in [
        "label_smoothing_factor",
        "a number from 0 to 1",
        "ml.p3.16xlarge",
        "template.json",
        "Tune this model",
    ] {
        assert!(shown.contains(words), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_aws_its_own_list_is_shown_and_rows_fetch_the_rest() {
    let fake = FakeSageMaker::start();
    let app = on_aws(&fake).await;
    let ann = app.person("ann@example.org").await;
    let list = page(&ann, "/models/jumpstart").await;
    assert!(list.contains(&format!("/-/jumpstart/{LLAMA}/row")) && !list.contains("ml.g5.12xlarge"));
    assert!(!list.contains("falcon"), "it can't be tuned");
    assert!(page(&ann, "/models/jumpstart?all=true").await.contains("falcon"));
    let row = page(&ann, &format!("/-/jumpstart/{LLAMA}/row")).await;
    assert!(row.contains("ml.g5.12xlarge") && row.contains("to be accepted") && !row.contains("hx-get"));
    assert!(page(&ann, "/models/jumpstart").await.contains("ml.g5.12xlarge"), "kept");

    let body = ann.json("/api/jumpstart-models").await;
    assert_eq!((&body["source"], &body["problem"]), (&json!("aws"), &Value::Null));
    let falcon = page(&ann, "/models/jumpstart/huggingface-llm-falcon-7b-bf16").await;
    assert!(falcon.contains("can't be fine-tuned") && !falcon.contains("Tune this model"), "{falcon}");
    let version = json!({ "version": "3.0.0" });
    let accepted = ann.post(&format!("/api/jumpstart-models/{LLAMA}/licence"), version).await;
    assert_eq!(accepted.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_aws_goes_away_pages_say_so_and_come_back_with_it() {
    let fake = FakeSageMaker::start();
    let app = on_aws(&fake).await;
    let ann = app.person("ann@example.org").await;
    fake.fault(json!({ "op": "ListHubContents", "times": 99, "error": "ThrottlingException" })).await;
    fake.fault(json!({ "op": "DescribeHubContent", "times": 99, "status": 500, "body": "garbage" })).await;
    let list = page(&ann, "/models/jumpstart").await;
    assert!(list.contains("list of 2026-") && list.contains("Llama 3.1 70B"));
    assert!(page(&ann, &format!("/models/jumpstart/{LLAMA}")).await.contains("list of 2026-"));
    let unknown = ann.get("/api/jumpstart-models/some-other-model").await;
    assert_eq!(unknown.status(), StatusCode::CONFLICT, "nobody can say whether there is one");
    fake.mend().await;
    app.later(Duration::from_secs(60));
    assert!(!page(&ann, "/models/jumpstart").await.contains("list of 2026-"));
}
