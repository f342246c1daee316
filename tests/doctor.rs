//! `llm-tuner doctor` as an operator runs it: every part tried, each fault with what to do about it.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "support/bucket.rs"]
mod bucket;
#[path = "support/moto.rs"]
mod moto;

use std::process::Command;

/// What it says, and whether all was well. Nothing of this machine's own settings reaches it.
fn doctor(settings: &[(&str, &str)]) -> (String, bool) {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site/pkg");
    std::fs::create_dir_all(&site).unwrap();
    let names = [
        "css",
        "htmx",
        "app",
        "islands",
        "chat-js",
        "chat-wasm",
        "job-js",
        "job-wasm",
        "uploader-js",
        "uploader-wasm",
    ];
    let manifest: std::collections::BTreeMap<_, _> = names.iter().map(|name| (name, "file")).collect();
    std::fs::write(site.join("manifest.json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_llm-tuner"))
        .arg("doctor")
        .current_dir(folder.path())
        .env_clear()
        .env("HOME", folder.path())
        .env("LEPTOS_SITE_ROOT", folder.path().join("site"))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.success())
}

fn assert_says(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.contains(line), "no {line:?} in\n{said}");
    }
}

#[test]
fn a_fresh_machine_is_well() {
    let (said, well) = doctor(&[]);
    assert_says(
        &said,
        &["ok    settings", "ok    data folder", "ok    pages", "ok    database", "ok    files"],
    );
    assert!(well, "{said}");
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let (said, well) = doctor(&[("DATA_DIR", "/proc/no"), ("DATABASE_URL", "sqlite:///proc/no/x.db")]);
    assert_says(
        &said,
        &["fail  data folder (DATA_DIR)", "set DATA_DIR", "fail  database", "Correct DATABASE_URL"],
    );
    assert!(!well);
    let (said, well) = doctor(&[("MAX_PARALLEL_JOBS", "many")]);
    assert_says(&said, &["fail  settings", "MAX_PARALLEL_JOBS"]);
    assert!(!well);
}

#[test]
fn no_credentials_are_said_at_once() {
    let (said, well) = doctor(&[("STORAGE_URL", "s3://team-data/tuner")]);
    assert_says(&said, &["fail  AWS region", "Set AWS_REGION"]);
    assert!(!well);
    let (said, well) = doctor(&[("STORAGE_URL", "s3://team-data/tuner"), ("AWS_REGION", "eu-central-1")]);
    assert_says(&said, &["fail  AWS credentials", "AWS_ACCESS_KEY_ID"]);
    assert!(!well);
}

#[tokio::test]
async fn every_permission_on_the_bucket_is_tried() {
    let moto = moto::Moto::start();
    let url = format!("s3://{}/tuner", bucket::fresh(&moto).await);
    let aws = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", moto.url.as_str()),
    ];
    let with = |url| [&aws[..], &[("STORAGE_URL", url)]].concat();
    let (said, well) = doctor(&with(&url));
    let permissions = [
        "ListBucket",
        "PutObject",
        "GetObject",
        "PutObjectTagging",
        "ListMultipartUploadParts",
        "DeleteObject",
    ];
    assert_says(&said, &["ok    AWS credentials: arn:aws:"]);
    for permission in permissions {
        assert_says(&said, &[&format!("ok    s3:{permission} on ")]);
    }
    assert!(well, "{said}");
    let (said, well) = doctor(&with("s3://no-such-bucket"));
    assert_says(&said, &["fail  s3:PutObject on no-such-bucket", "NoSuchBucket", "correct STORAGE_URL"]);
    assert!(!well);
}

#[tokio::test]
async fn tables_on_dynamodb_are_made_and_told() {
    let moto = moto::Moto::start();
    let settings = [
        ("DATABASE_URL", "dynamodb://us-east-1/tuner"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL_DYNAMODB", moto.url.as_str()),
    ];
    let (said, well) = doctor(&settings);
    assert_says(&said, &["ok    database (DATABASE_URL): dynamodb answers"]);
    assert!(well, "{said}");
    let (said, well) = doctor(&settings[..1]);
    assert_says(&said, &["fail  database (DATABASE_URL)", "credentials", "llm-tuner migrate"]);
    assert!(!well, "{said}");
    let (said, well) = doctor(&[("DATABASE_URL", "dynamodb://somewhere")]);
    assert_says(&said, &["fail  settings", "dynamodb://REGION/PREFIX"]);
    assert!(!well, "{said}");
}
