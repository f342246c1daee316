//! What can be done with a dataset: columns, repair, names, paging, samples, deletion.

use crate::app::TestApp;
use reqwest::StatusCode;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_named_and_the_file_is_checked_again() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let file = ann.add("table.csv", b"note,title,body\n1,x,y\n2,z,w\n").await;
    let id = file["dataset_id"].as_str().unwrap();
    let put = |mapping: Value| {
        ann.client
            .put(ann.at(&format!("/api/datasets/{id}/mapping")))
            .json(&json!({ "mapping": mapping }))
            .send()
    };
    let nonsense = put(json!([{ "column": "title", "role": "prompt" }])).await.unwrap();
    assert_eq!(nonsense.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(nonsense.json::<Value>().await.unwrap()["error"]["field"], "mapping");
    let unknown = put(json!([{ "column": "none", "role": "text" }])).await.unwrap();
    assert_eq!(unknown.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let good =
        put(json!([{ "column": "title", "role": "prompt" }, { "column": "body", "role": "completion" }]));
    let dataset: Value = good.await.unwrap().json().await.unwrap();
    assert_eq!(dataset["state"], "ready", "{dataset}");
    assert_eq!(dataset["id"], id);

    // The same by the form of the page, with a mistake first.
    let fields = [
        ("id", id),
        ("columns[0]", "note"),
        ("roles[0]", "prompt"),
        ("columns[1]", "title"),
        ("roles[1]", "ignore"),
    ];
    let (status, _, page) = ann.form(&format!("/data/{id}"), "/fn/map_columns", &fields).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(page.contains("completion"), "the mistake is told on the next page");
    let fields = [
        ("id", id),
        ("columns[0]", "note"),
        ("roles[0]", "ignore"),
        ("columns[1]", "title"),
        ("roles[1]", "text"),
    ];
    let (_, to, _) = ann.form(&format!("/data/{id}"), "/fn/map_columns", &fields).await;
    assert_eq!(to, format!("/data/{id}"));
    assert_eq!(
        ann.json(&format!("/api/datasets/{id}")).await["report"]["schema"]["mapping"][1]["role"],
        "text"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_keeps_the_good_rows_and_hands_out_the_others() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let lines = "{\"prompt\":\"a\",\"completion\":\"b\"}\nbroken\n{\"prompt\":\"c\",\"completion\":7}\n{\"prompt\":\"e\",\"completion\":\"f\"}\n";
    let file = ann.add("mixed.jsonl", lines.as_bytes()).await;
    assert_eq!(file["state"], "needs_fixing");
    let id = file["dataset_id"].as_str().unwrap();
    let answer = ann.client.post(ann.at(&format!("/api/datasets/{id}/repair"))).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let made: Value = answer.json().await.unwrap();
    assert_eq!((&made["kept"], &made["mended"], &made["rejected"]), (&json!(3), &json!(1), &json!(1)));
    let new = made["dataset"]["id"].as_str().unwrap();
    assert_eq!(made["dataset"]["version"], 2);
    assert_eq!(made["dataset"]["state"], "ready");
    let rejected = ann.get(&format!("/api/datasets/{new}/rejected")).await.text().await.unwrap();
    let line: Value = serde_json::from_str(rejected.trim()).unwrap();
    assert_eq!((&line["line"], &line["row"]), (&json!(2), &json!("broken")));
    let repaired = ann.get(&format!("/api/datasets/{new}/download")).await.text().await.unwrap();
    assert_eq!(repaired.lines().count(), 3);
    // The list shows the newest version only; the first one is still there.
    assert_eq!(ann.json("/api/datasets").await["datasets"].as_array().unwrap().len(), 1);
    assert_eq!(ann.json(&format!("/api/datasets/{id}")).await["versions"], json!([new, id]));

    let (_, to, page) = ann
        .form(&format!("/data/{id}"), "/fn/repair_dataset", &[("id", id), ("remove_duplicates", "false")])
        .await;
    assert!(to.starts_with("/data/") && !to.ends_with(id), "{to}");
    assert!(page.contains("Version 3 keeps 3 rows"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_a_repair_without_a_trace() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let file = ann.add("mixed.jsonl", b"{\"prompt\":\"a\",\"completion\":\"b\"}\nbroken\n").await;
    let id = file["dataset_id"].as_str().unwrap();
    let before = app.stored_files();
    app.fill_disk(true);
    let answer = ann.client.post(ann.at(&format!("/api/datasets/{id}/repair"))).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::INSUFFICIENT_STORAGE);
    assert_eq!(app.stored_files(), before);
    assert_eq!(ann.json(&format!("/api/datasets/{id}")).await["versions"], json!([id]));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_row_is_a_page_away() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    // Larger than what is checked before the upload is answered.
    let text: String = (1..=120_000)
        .map(|i| format!("{{\"prompt\":\"question {i}\",\"completion\":\"answer {i}\"}}\n"))
        .collect();
    assert!(text.len() > 4 * 1024 * 1024);
    let file = ann.add("many.jsonl", text.as_bytes()).await;
    let id = file["dataset_id"].as_str().unwrap();
    loop {
        let dataset = ann.json(&format!("/api/datasets/{id}")).await;
        if dataset["state"] != "checking" {
            assert_eq!((&dataset["state"], &dataset["rows"]), (&json!("ready"), &json!(120_000)));
            break;
        }
        // What a page shows meanwhile.
        assert_eq!(ann.get(&format!("/-/datasets/{id}/row")).await.status(), StatusCode::OK);
        assert_eq!(ann.get(&format!("/data/{id}")).await.status(), StatusCode::OK);
    }
    for row in [1, 20, 21, 99_999, 120_000] {
        let page = ann.get(&format!("/data/{id}?row={row}")).await.text().await.unwrap();
        assert!(page.contains(&format!("question {row}<")), "row {row}");
        assert_eq!(page.matches("class=\"bubble bubble-user\"").count(), 20);
    }
    let past = ann.get(&format!("/data/{id}?row=999999999&view=raw")).await.text().await.unwrap();
    assert!(past.contains("question 120000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_changed_and_bad_ones_refused() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let file = ann.add("a.txt", b"Some text to learn from.\n").await;
    let id = file["dataset_id"].as_str().unwrap();
    let (_, to, page) = ann
        .form(&format!("/data/{id}"), "/fn/rename_dataset", &[("id", id), ("name", "My <b>corpus</b>")])
        .await;
    assert_eq!(to, format!("/data/{id}"));
    assert!(page.contains("My &lt;b&gt;corpus&lt;/b&gt;"));
    let patch = |name: String| {
        ann.client.patch(ann.at(&format!("/api/datasets/{id}"))).json(&json!({ "name": name })).send()
    };
    for bad in [String::new(), "x".repeat(256), "a\nb".to_owned()] {
        assert_eq!(patch(bad).await.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(ann.json(&format!("/api/datasets/{id}")).await["name"], "My <b>corpus</b>");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_that_a_job_uses_stays() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let rows: String =
        (0..60).map(|i| format!("{{\"prompt\":\"question {i}\",\"completion\":\"answer {i}\"}}\n")).collect();
    let file = ann.add("used.jsonl", rows.as_bytes()).await;
    let id = file["dataset_id"].as_str().unwrap();
    let body = json!({ "files": ["used.jsonl"], "hyperparameters": { "max_steps": 10 } });
    let started = ann.client.post(ann.at("/api/start-training")).json(&body).send().await.unwrap();
    assert_eq!(started.status(), StatusCode::ACCEPTED);
    let started: Value = started.json().await.unwrap();
    let job = started["job_name"].as_str().unwrap();

    let refused = ann.client.delete(ann.at(&format!("/api/datasets/{id}"))).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    let refused: Value = refused.json().await.unwrap();
    assert!(refused["error"]["message"].as_str().unwrap().contains(job), "{refused}");
    assert_eq!(ann.json(&format!("/api/datasets/{id}")).await["used_by"], json!([job]));
    // What it was trained on stays as it was: other columns make a new version.
    let free = ann.add("free.txt", b"text\n").await;
    let free = free["dataset_id"].as_str().unwrap();
    let gone = ann.client.delete(ann.at(&format!("/api/datasets/{free}"))).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    assert_eq!(ann.get(&format!("/api/datasets/{free}")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_leaves_no_file() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let file = ann.add("a.txt", b"Some text to learn from.\n").await;
    assert!(app.stored_files() > 0);
    let (_, to, page) =
        ann.form("/data", "/fn/delete_dataset", &[("id", file["dataset_id"].as_str().unwrap())]).await;
    assert_eq!(to, "/data");
    assert!(page.contains("The dataset was deleted."));
    assert_eq!(app.stored_files(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_is_ready_and_added_once() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let samples = ann.json("/api/samples").await;
    let samples = samples["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 10);
    for sample in samples {
        let path = format!("/api/samples/{}", sample["slug"].as_str().unwrap());
        let first: Value = ann.client.post(ann.at(&path)).send().await.unwrap().json().await.unwrap();
        let second: Value = ann.client.post(ann.at(&path)).send().await.unwrap().json().await.unwrap();
        // The one whose columns need a meaning shows how they are given one.
        let state = if sample["format"] == "Table" { "needs_mapping" } else { "ready" };
        assert_eq!(first["state"], state, "{first}");
        assert_eq!(first["id"], second["id"]);
    }
    assert_eq!(
        ann.client.post(ann.at("/api/samples/none")).send().await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
}
