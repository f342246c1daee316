//! `POST /api/upload`: what comes in, good and bad.

use crate::app::TestApp;
use reqwest::StatusCode;
use serde_json::Value;

const GOOD: &[u8] = b"{\"prompt\":\"a\",\"completion\":\"b\"}\n{\"prompt\":\"c\",\"completion\":\"d\"}\n";

fn utf16(text: &str) -> Vec<u8> {
    [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_answers_as_the_seeds_have_it_and_comes_back_byte_for_byte() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let body: Value = ann.upload(&[("train.jsonl", GOOD)]).await.json().await.unwrap();
    assert_eq!(body["message"], "Files uploaded and processed successfully");
    let file = &body["files"][0];
    assert_eq!(file["originalName"], "train.jsonl");
    assert_eq!(file["size"], GOOD.len());
    assert_eq!(file["contentPreview"], String::from_utf8_lossy(GOOD).into_owned());
    assert_eq!(file["state"], "ready");
    assert_eq!(file["rows"], 2);
    let id = file["dataset_id"].as_str().unwrap();
    assert_eq!(file["s3_key"].as_str().unwrap().rsplit('/').next(), Some(id), "no name of a person in a key");
    let answer = ann.get(&format!("/api/datasets/{id}/download")).await;
    assert!(answer.headers()["content-disposition"].to_str().unwrap().contains("train.jsonl"));
    assert_eq!(answer.bytes().await.unwrap(), GOOD);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_file_says_what_is_wrong_with_it() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let binary: Vec<u8> = (0..4000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (name, bytes, state, words) in [
        ("empty.csv", b"".to_vec(), "refused", "empty"),
        ("blank.txt", b" \n\n ".to_vec(), "refused", "blank"),
        ("picture.csv", binary, "refused", "text"),
        ("photo.csv", b"\x89PNG\r\n\x1a\n0000IHDR".to_vec(), "refused", ""),
        (
            "pairs.jsonl",
            b"{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}\n".to_vec(),
            "refused",
            "not supported",
        ),
        ("bad.jsonl", [GOOD, b"oops\n"].concat(), "needs_fixing", "JSON"),
        ("columns.csv", b"title,body\nx,y\nz,w\n".to_vec(), "needs_mapping", "title"),
    ] {
        let file = ann.add(name, &bytes).await;
        assert_eq!(file["state"], state, "{name}: {file}");
        let reason = file["reason"].as_str().unwrap_or_default();
        assert!(reason.len() > 20 && reason.contains(words), "{name}: {reason}");
        let id = file["dataset_id"].as_str().unwrap();
        let page = ann.get(&format!("/data/{id}?tab=findings")).await.text().await.unwrap();
        assert!(page.contains("<h2"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn utf_16_is_converted_and_said() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let file = ann.add("wide.csv", &utf16("prompt,completion\näpfel,birnen\n")).await;
    assert_eq!(file["state"], "ready", "{file}");
    let id = file["dataset_id"].as_str().unwrap();
    let detail = ann.json(&format!("/api/datasets/{id}")).await;
    let codes: Vec<_> =
        detail["report"]["groups"].as_array().unwrap().iter().map(|group| group["code"].clone()).collect();
    assert!(codes.contains(&"converted_from_utf16".into()), "{codes:?}");
    let page = ann.get(&format!("/data/{id}")).await.text().await.unwrap();
    assert!(page.contains("äpfel"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_file_does_not_lose_the_others() {
    let app = TestApp::with(&[("MAX_UPLOAD_BYTES", "1000")]).await;
    let ann = app.person("ann@example.org").await;
    let large = vec![b'x'; 200_000];
    let body: Value = ann
        .upload(&[("a.jsonl", GOOD), ("large.txt", &large), ("b.jsonl", GOOD)])
        .await
        .json()
        .await
        .unwrap();
    let names: Vec<_> =
        body["files"].as_array().unwrap().iter().map(|file| file["originalName"].clone()).collect();
    assert_eq!(names, ["a.jsonl", "b.jsonl"]);
    assert_eq!(body["errors"][0]["originalName"], "large.txt");
    assert_eq!(body["errors"][0]["code"], "too_large");
    let alone = ann.upload(&[("large.txt", &large)]).await;
    assert_eq!(alone.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_keeps_nothing_and_is_said() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    app.fill_disk(true);
    let answer = ann.upload(&[("a.jsonl", GOOD)]).await;
    assert_eq!(answer.status(), StatusCode::INSUFFICIENT_STORAGE);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["code"], "no_room");
    assert!(body["error"]["next_step"].as_str().unwrap().contains("Delete"));
    assert_eq!(ann.json("/api/datasets").await["datasets"], Value::Array(Vec::new()));
    assert_eq!(app.stored_files(), 0);
    app.fill_disk(false);
    assert_eq!(ann.add("a.jsonl", GOOD).await["state"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_keeps_nothing() {
    use tokio::io::AsyncWriteExt;
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let cookie = ann.sign_in("ann@example.org").await;
    let mut socket = tokio::net::TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /api/upload HTTP/1.1\r\nhost: localhost\r\ncookie: {cookie}\r\ncontent-length: 1000000\r\n\
         content-type: multipart/form-data; boundary=x\r\n\r\n--x\r\ncontent-disposition: form-data; name=\"files\"; \
         filename=\"half.txt\"\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&[b'x'; 100_000]).await.unwrap();
    socket.flush().await.unwrap();
    // The server has begun to write before the sender goes away.
    while app.stored_files() == 0 {
        tokio::task::yield_now().await;
    }
    drop(socket);
    while app.stored_files() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(ann.json("/api/datasets").await["datasets"], Value::Array(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_shown_as_text_and_never_become_paths() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let long = format!("{}.jsonl", "x".repeat(230));
    for (given, kept) in [
        ("../../../etc/passwd", "passwd"),
        ("<img src=x onerror=alert(1)>.jsonl", "<img src=x onerror=alert(1)>.jsonl"),
        ("\u{202e}lnosj.exe", "lnosj.exe"),
        ("بيانات.jsonl", "بيانات.jsonl"),
        (long.as_str(), long.as_str()),
    ] {
        let file = ann.add(given, GOOD).await;
        assert_eq!(file["originalName"], kept);
        let id = file["dataset_id"].as_str().unwrap();
        let page = ann.get(&format!("/data/{id}")).await.text().await.unwrap();
        assert!(!page.contains("<img src=x"), "{given}");
        let answer = ann.get(&format!("/api/datasets/{id}/download")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.headers()["content-disposition"].to_str().unwrap().starts_with("attachment;"));
    }
    assert!(ann.get("/data").await.text().await.unwrap().contains("&lt;img src=x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_form_is_answered_by_a_page() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let send = |files: &[(&'static str, &'static [u8])]| {
        let mut form = reqwest::multipart::Form::new();
        for (name, bytes) in files {
            let part = reqwest::multipart::Part::bytes(*bytes).file_name(*name);
            form = form.part("files", part.mime_str("application/octet-stream").unwrap());
        }
        ann.client.post(ann.at("/api/upload")).header("accept", "text/html").multipart(form).send()
    };
    let one = send(&[("a.jsonl", GOOD)]).await.unwrap();
    assert_eq!(one.status(), StatusCode::SEE_OTHER);
    assert!(one.headers()["location"].to_str().unwrap().starts_with("/data/"));
    let two = send(&[("a.jsonl", GOOD), ("b.jsonl", GOOD)]).await.unwrap();
    assert_eq!(two.headers()["location"], "/data");
    let page = ann.get("/data").await.text().await.unwrap();
    assert!(page.contains("2 files were uploaded."), "{page}");
    // What a browser sends when no file was chosen.
    let none = send(&[("", b"")]).await.unwrap();
    assert_eq!(none.headers()["location"], "/data");
    assert!(ann.get("/data").await.text().await.unwrap().contains("Choose at least one file"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_multipart_is_refused() {
    let app = TestApp::start().await;
    let ann = app.person("ann@example.org").await;
    let answer = ann.client.post(ann.at("/api/upload")).json(&Value::Null).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let nobody = reqwest::Client::new().post(ann.at("/api/upload")).send().await.unwrap();
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
}
