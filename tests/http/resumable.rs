//! `/api/uploads`: files in pieces, over lost connections, starts of the server, full disks and time.

use crate::app::{Person, TestApp};
use proptest::{
    collection::vec,
    prelude::any,
    test_runner::{Config, TestRunner},
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::{io::AsyncWriteExt, net::TcpStream};

const ANN: &str = "ann@example.org";

/// Rows to train on.
fn rows(count: usize) -> Vec<u8> {
    let row = |i| format!("{{\"prompt\":\"question {i}\",\"completion\":\"answer {i}\"}}\n");
    (0..count).map(row).collect::<String>().into_bytes()
}

fn request(person: &Person, method: Method, path: &str) -> RequestBuilder {
    person.client.request(method, person.at(path)).header("tus-resumable", "1.0.0")
}

async fn begin(person: &Person, bytes: usize) -> String {
    let answer = request(person, Method::POST, "/api/uploads")
        .header("upload-length", bytes)
        .header("upload-metadata", "filename dHJhaW4uanNvbmw=")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(answer.headers()["tus-resumable"], "1.0.0");
    answer.headers()["location"].to_str().unwrap().to_owned()
}

async fn piece(person: &Person, upload: &str, offset: usize, bytes: &[u8]) -> Response {
    request(person, Method::PATCH, upload)
        .header("upload-offset", offset)
        .header("content-type", "application/offset+octet-stream")
        .body(bytes.to_vec())
        .send()
        .await
        .unwrap()
}

async fn head(person: &Person, upload: &str) -> Response {
    request(person, Method::HEAD, upload).send().await.unwrap()
}

fn number(answer: &Response, name: &str) -> usize {
    answer.headers()[name].to_str().unwrap().parse().unwrap()
}

async fn offset(person: &Person, upload: &str) -> usize {
    let answer = head(person, upload).await;
    assert_eq!(answer.status(), StatusCode::OK);
    number(&answer, "upload-offset")
}

async fn code(answer: Response) -> (StatusCode, Value) {
    (answer.status(), answer.json::<Value>().await.unwrap()["error"]["code"].take())
}

/// Sends at most so many bytes of the file from where the upload stands, as a browser does that lost its connection:
/// the piece that was cut may arrive only now, and is in the way until the next question ends it.
async fn go_on(person: &Person, upload: &str, file: &[u8], bytes: usize) -> Response {
    loop {
        let at = offset(person, upload).await;
        let end = (at + bytes).min(file.len());
        let answer = piece(person, upload, at, &file[at..end]).await;
        if answer.status() != StatusCode::CONFLICT {
            assert_eq!(answer.status(), StatusCode::NO_CONTENT);
            assert_eq!(number(&answer, "upload-offset"), end);
            return answer;
        }
    }
}

/// The only dataset there is, with its bytes.
async fn only_dataset(person: &Person) -> (Value, Vec<u8>) {
    let mut list = person.json("/api/datasets").await;
    assert_eq!(list["datasets"].as_array().unwrap().len(), 1, "{list}");
    let dataset = list["datasets"][0].take();
    let path = format!("/api/datasets/{}/download", dataset["id"].as_str().unwrap());
    (dataset, person.get(&path).await.bytes().await.unwrap().to_vec())
}

/// A piece that says it has `whole` bytes and sends only some. The connection is still open.
async fn half_a_piece(
    app: &TestApp,
    cookie: &str,
    upload: &str,
    at: usize,
    whole: usize,
    sent: &[u8],
) -> TcpStream {
    let mut socket = TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "PATCH {upload} HTTP/1.1\r\nhost: localhost\r\ncookie: {cookie}\r\ntus-resumable: 1.0.0\r\n\
         content-length: {whole}\r\nupload-offset: {at}\r\ncontent-type: application/offset+octet-stream\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(sent).await.unwrap();
    socket.flush().await.unwrap();
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_after_a_lost_connection_and_a_new_start() {
    let mut app = TestApp::start().await;
    let ann = app.person(ANN).await;
    let cookie = ann.sign_in(ANN).await;
    let file = rows(30_000);
    let upload = begin(&ann, file.len()).await;
    let socket = half_a_piece(&app, &cookie, &upload, 0, file.len(), &file[..600_000]).await;
    while app.partial_bytes() == 0 {
        tokio::task::yield_now().await;
    }
    drop(socket);
    let first = offset(&ann, &upload).await;
    assert!(first > 0 && first <= 600_000, "{first}");
    assert_eq!(ann.json("/api/datasets").await["datasets"], json!([]), "nobody sees it half");

    app.restart().await;
    let ann = app.again(&ann);
    let answer = head(&ann, &upload).await;
    assert_eq!((number(&answer, "upload-offset"), number(&answer, "upload-length")), (first, file.len()));
    assert_eq!(answer.headers()["upload-metadata"], "filename dHJhaW4uanNvbmw=");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert!(answer.headers()["upload-expires"].to_str().unwrap().ends_with(" GMT"));
    let middle = first + 100_001;
    let answer = piece(&ann, &upload, first, &file[first..middle]).await;
    assert_eq!((answer.status(), number(&answer, "upload-offset")), (StatusCode::NO_CONTENT, middle));
    assert!(!answer.headers().contains_key("dataset-id"));
    let answer = piece(&ann, &upload, middle, &file[middle..]).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let (dataset, kept) = only_dataset(&ann).await;
    assert_eq!(answer.headers()["dataset-id"], dataset["id"].as_str().unwrap());
    assert_eq!(dataset["sha256"], hex::encode(Sha256::digest(&file)));
    assert_eq!(dataset["original_name"], "train.jsonl");
    assert_eq!(dataset["state"], "ready");
    assert!(kept == file, "the same bytes");
    assert_eq!(app.partial_bytes(), 0);
}

#[test]
fn any_pieces_with_any_cuts_make_the_same_bytes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (app, ann, cookie) = runtime.block_on(async {
        let app = TestApp::start().await;
        let ann = app.person(ANN).await;
        let cookie = ann.sign_in(ANN).await;
        (app, ann, cookie)
    });
    let file = rows(10_000);
    let pieces = vec((1_usize..200_000, any::<bool>()), 0..6);
    // Which cut lands where is up to the network: a seed kept in a file would not bring it back.
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    runner
        .run(&pieces, |pieces| {
            runtime.block_on(async {
                let upload = begin(&ann, file.len()).await;
                for (bytes, cut) in pieces {
                    if cut {
                        let at = offset(&ann, &upload).await;
                        let end = (at + bytes).min(file.len() - 1);
                        let left = file.len() - at;
                        drop(half_a_piece(&app, &cookie, &upload, at, left, &file[at..end]).await);
                    } else {
                        go_on(&ann, &upload, &file[..file.len() - 1], bytes).await;
                    }
                }
                let answer = go_on(&ann, &upload, &file, file.len()).await;
                let id = answer.headers()["dataset-id"].to_str().unwrap().to_owned();
                let dataset = ann.json(&format!("/api/datasets/{id}")).await;
                assert_eq!(dataset["sha256"], hex::encode(Sha256::digest(&file)));
                let deleted = ann.client.delete(ann.at(&format!("/api/datasets/{id}"))).send().await.unwrap();
                assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
            });
            Ok(())
        })
        .unwrap();
    assert_eq!(app.stored_files(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_protocol_is_refused_and_changes_nothing() {
    let app = TestApp::with(&[("MAX_UPLOAD_BYTES", "1000")]).await;
    let ann = app.person(ANN).await;
    let create = |headers: &[(&'static str, &'static str)]| {
        let mut request = ann.client.post(ann.at("/api/uploads"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send()
    };
    let version = ("tus-resumable", "1.0.0");
    for (headers, status) in [
        (vec![("upload-length", "10")], StatusCode::PRECONDITION_FAILED),
        (vec![("tus-resumable", "0.2.2"), ("upload-length", "10")], StatusCode::PRECONDITION_FAILED),
        (vec![version], StatusCode::BAD_REQUEST),
        (vec![version, ("upload-defer-length", "1")], StatusCode::BAD_REQUEST),
        (vec![version, ("upload-length", "-1")], StatusCode::BAD_REQUEST),
        (vec![version, ("upload-length", "+1")], StatusCode::BAD_REQUEST),
        (vec![version, ("upload-length", "1001")], StatusCode::PAYLOAD_TOO_LARGE),
        (vec![version, ("upload-length", "99999999999999999999")], StatusCode::BAD_REQUEST),
        (vec![version, ("upload-length", "9"), ("upload-metadata", "filename %%")], StatusCode::BAD_REQUEST),
    ] {
        let answer = create(&headers).await.unwrap();
        assert_eq!(answer.status(), status, "{headers:?}");
        assert_eq!(answer.headers()["tus-resumable"], "1.0.0");
        assert_eq!(answer.headers().contains_key("tus-version"), status == StatusCode::PRECONDITION_FAILED);
        assert!(answer.json::<Value>().await.unwrap()["error"]["message"].as_str().unwrap().len() > 10);
    }
    let upload = begin(&ann, 10).await;
    assert_eq!(
        code(piece(&ann, &upload, 1, b"x").await).await,
        (StatusCode::CONFLICT, json!("wrong_offset"))
    );
    let answer = request(&ann, Method::PATCH, &upload).header("upload-offset", 0).body("x").send();
    assert_eq!(answer.await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(
        code(piece(&ann, &upload, 0, &[b'x'; 11]).await).await,
        (StatusCode::PAYLOAD_TOO_LARGE, json!("too_large"))
    );
    assert_eq!(offset(&ann, &upload).await, 0);
    let told = ann.client.request(Method::OPTIONS, ann.at("/api/uploads")).send().await.unwrap();
    assert_eq!(told.status(), StatusCode::NO_CONTENT);
    assert_eq!(told.headers()["tus-max-size"], "1000");
    assert_eq!(told.headers()["tus-extension"], "creation,termination,expiration");
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_upload_does_not_exist() {
    let app = TestApp::start().await;
    let (ann, bob) = (app.person(ANN).await, app.person("bob@example.org").await);
    let upload = begin(&ann, 10).await;
    piece(&ann, &upload, 0, b"12345").await;
    assert_eq!(head(&bob, &upload).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(piece(&bob, &upload, 5, b"67890").await.status(), StatusCode::NOT_FOUND);
    let ended = request(&bob, Method::DELETE, &upload).send().await.unwrap();
    assert_eq!(ended.status(), StatusCode::NOT_FOUND);
    assert_eq!(offset(&ann, &upload).await, 5);
    piece(&ann, &upload, 5, b"67890").await;
    assert_eq!(head(&bob, &upload).await.status(), StatusCode::NOT_FOUND, "nor what it became");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pieces_at_once_do_not_mix() {
    let app = TestApp::start().await;
    let ann = app.person(ANN).await;
    let cookie = ann.sign_in(ANN).await;
    let file = rows(20_000);
    let upload = begin(&ann, file.len()).await;
    let _silent = half_a_piece(&app, &cookie, &upload, 0, file.len(), &file[..300_000]).await;
    while app.partial_bytes() == 0 {
        tokio::task::yield_now().await;
    }
    let second = piece(&ann, &upload, 0, b"something else").await;
    assert_eq!(code(second).await, (StatusCode::CONFLICT, json!("upload_busy")));
    // A connection that is lost without a word holds nobody up: who asks where to go on may go on.
    let at = offset(&ann, &upload).await;
    assert!(at > 0 && at <= 300_000, "{at}");
    assert_eq!(piece(&ann, &upload, at, &file[at..]).await.status(), StatusCode::NO_CONTENT);
    assert!(only_dataset(&ann).await.1 == file);
}

#[tokio::test(flavor = "multi_thread")]
async fn finishing_again_makes_no_second_dataset() {
    let app = TestApp::start().await;
    let ann = app.person(ANN).await;
    let file = rows(100);
    let upload = begin(&ann, file.len()).await;
    let answers = futures::future::join_all((0..4).map(|_| piece(&ann, &upload, 0, &file))).await;
    assert!(answers.iter().any(|answer| answer.status() == StatusCode::NO_CONTENT));
    // The answer was lost: the question tells, and the last step said again tells the same.
    let (dataset, _) = only_dataset(&ann).await;
    let id = dataset["id"].as_str().unwrap();
    let told = head(&ann, &upload).await;
    assert_eq!((number(&told, "upload-offset"), number(&told, "upload-length")), (file.len(), file.len()));
    assert_eq!(told.headers()["dataset-id"], id);
    let again = piece(&ann, &upload, file.len(), b"").await;
    assert_eq!(
        (again.status(), &again.headers()["dataset-id"]),
        (StatusCode::NO_CONTENT, &id.parse().unwrap())
    );
    assert_eq!(piece(&ann, &upload, 0, &file).await.status(), StatusCode::CONFLICT);
    let ended = request(&ann, Method::DELETE, &upload).send().await.unwrap();
    assert_eq!(code(ended).await, (StatusCode::CONFLICT, json!("upload_finished")));
    only_dataset(&ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_last_step_is_made_good() {
    use llm_tuner::storage::Storage;
    let app = TestApp::start().await;
    let ann = app.person(ANN).await;
    let file = rows(100);
    let other = ann.add("other.jsonl", &file).await["s3_key"].as_str().unwrap().to_owned();
    let (folder, _) = other.rsplit_once('/').unwrap();
    for pieces_are_an_object in [false, true] {
        let upload = begin(&ann, file.len()).await;
        let id = upload.rsplit('/').next().unwrap().to_owned();
        // As a crash leaves it: all bytes are there, the row is not.
        let key = format!("{folder}/{id}");
        let content = futures::stream::iter([Ok(file.clone().into())]);
        app.disk.append(&key, Box::pin(content), u64::MAX).await.unwrap();
        if pieces_are_an_object {
            app.disk.complete(&key).await.unwrap();
        }
        assert_eq!(head(&ann, &upload).await.headers()["dataset-id"], id.as_str());
        assert_eq!(ann.json(&format!("/api/datasets/{id}")).await["state"], "ready");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_nobody_goes_on_with_is_removed_after_a_day() {
    let app = TestApp::start().await;
    let ann = app.person(ANN).await;
    let (upload, other) = (begin(&ann, 10).await, begin(&ann, 10).await);
    piece(&ann, &upload, 0, b"12345").await;
    app.later(Duration::from_secs(11 * 3600));
    ann.sign_in(ANN).await;
    assert_eq!(piece(&ann, &upload, 5, b"6").await.status(), StatusCode::NO_CONTENT);
    app.later(Duration::from_secs(13 * 3600 + 1));
    ann.sign_in(ANN).await;
    assert_eq!(head(&ann, &other).await.status(), StatusCode::NOT_FOUND, "its day is over");
    assert_eq!(offset(&ann, &upload).await, 6, "a piece gave it another day");
    assert_eq!(app.services.datasets.sweep_uploads().await.unwrap(), 1);
    assert_eq!(app.partial_bytes(), 6);
    app.later(Duration::from_secs(11 * 3600));
    ann.sign_in(ANN).await;
    assert_eq!(piece(&ann, &upload, 6, b"7890").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(app.services.datasets.sweep_uploads().await.unwrap(), 1);
    assert_eq!(app.stored_files(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_only_the_piece_that_had_no_room() {
    let app = TestApp::start().await;
    let ann = app.person(ANN).await;
    let file = rows(20_000);
    let upload = begin(&ann, file.len()).await;
    piece(&ann, &upload, 0, &file[..1_000]).await;
    app.fill_disk(true);
    assert_eq!(
        code(piece(&ann, &upload, 1_000, &file[1_000..]).await).await,
        (StatusCode::INSUFFICIENT_STORAGE, json!("no_room"))
    );
    app.fill_disk(false);
    let at = offset(&ann, &upload).await;
    assert!(at >= 1_000, "{at}");
    assert_eq!(piece(&ann, &upload, at, &file[at..]).await.status(), StatusCode::NO_CONTENT);
    assert!(only_dataset(&ann).await.1 == file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_upload_leaves_nothing_also_while_a_piece_comes() {
    let app = TestApp::start().await;
    let ann = app.person(ANN).await;
    let cookie = ann.sign_in(ANN).await;
    let upload = begin(&ann, 1_000_000).await;
    let _open = half_a_piece(&app, &cookie, &upload, 0, 1_000_000, &[b'x'; 300_000]).await;
    while app.partial_bytes() == 0 {
        tokio::task::yield_now().await;
    }
    let ended = request(&ann, Method::DELETE, &upload).send().await.unwrap();
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    assert_eq!(head(&ann, &upload).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(app.stored_files(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_is_done_when_it_is_announced() {
    let app = TestApp::start().await;
    let ann = app.person(ANN).await;
    begin(&ann, 0).await;
    let (dataset, kept) = only_dataset(&ann).await;
    assert_eq!((&dataset["state"], kept.len()), (&json!("refused"), 0));
}
