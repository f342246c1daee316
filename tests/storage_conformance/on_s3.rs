//! What only a bucket has: parts that are never seen half, and a service that fails.

use crate::{
    bucket,
    cases::{content, noise, read, sha256},
    moto::Moto,
};
use futures::{StreamExt, stream};
use llm_tuner::storage::{Storage, StorageError, s3::S3Storage};
use std::time::Duration;

async fn uploads(client: &aws_sdk_s3::Client, bucket: &str) -> usize {
    let list = client.list_multipart_uploads().bucket(bucket).send().await.unwrap();
    list.uploads.unwrap_or_default().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_broke_off_leaves_no_parts_that_are_paid_for() {
    let moto = Moto::start();
    let (config, bucket) = (moto.config().await, bucket::fresh(&moto).await);
    let storage = S3Storage::new(&config, &bucket, "");
    let client = aws_sdk_s3::Client::new(&config);
    let bytes = noise(9 * 1024 * 1024);
    let endless = content(&[&bytes]).chain(stream::pending()).boxed();
    let upload = tokio::spawn({
        let storage = storage.clone();
        async move { storage.put("k", endless, u64::MAX).await }
    });
    while uploads(&client, &bucket).await == 0 {
        tokio::task::yield_now().await;
    }
    upload.abort();
    assert!(upload.await.unwrap_err().is_cancelled());
    while uploads(&client, &bucket).await > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_lost_checksum_is_reckoned_again_and_kept() {
    let moto = Moto::start();
    let (config, bucket) = (moto.config().await, bucket::fresh(&moto).await);
    let storage = S3Storage::new(&config, &bucket, "p");
    let client = aws_sdk_s3::Client::new(&config);
    client.put_object().bucket(&bucket).key("p/k").body(b"abc".to_vec().into()).send().await.unwrap();
    assert_eq!(storage.head("k").await.unwrap().sha256, sha256(b"abc"));
    let tags = client.get_object_tagging().bucket(&bucket).key("p/k").send().await.unwrap().tag_set;
    assert_eq!(tags[0].value, sha256(b"abc"));
}

#[tokio::test]
async fn an_object_that_was_changed_behind_our_back_is_not_handed_out() {
    let moto = Moto::start();
    let (config, bucket) = (moto.config().await, bucket::fresh(&moto).await);
    let storage = S3Storage::new(&config, &bucket, "");
    let client = aws_sdk_s3::Client::new(&config);
    let wrong = format!("sha256={}", sha256(b"abc"));
    let put = client.put_object().bucket(&bucket).key("k").body(b"other".to_vec().into());
    put.tagging(wrong).send().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = storage.get_file("k", &folder.path().join("k")).await.unwrap_err();
    assert!(error.to_string().contains("SHA-256"), "{error}");
    assert!(!folder.path().join("k").exists());
}

#[tokio::test]
async fn pieces_are_found_again_by_another_server() {
    let moto = Moto::start();
    let (config, bucket) = (moto.config().await, bucket::fresh(&moto).await);
    let bytes = noise(17 * 1024 * 1024);
    let (first, second) = bytes.split_at(10 * 1024 * 1024);
    let before = S3Storage::new(&config, &bucket, "p");
    before.append("k", content(&[first]), u64::MAX).await.unwrap();
    let after = S3Storage::new(&config, &bucket, "p");
    assert_eq!(after.appended("k").await.unwrap(), first.len() as u64);
    after.append("k", content(&[second]), u64::MAX).await.unwrap();
    assert_eq!(after.complete("k").await.unwrap().sha256, sha256(&bytes));
    let left = aws_sdk_s3::Client::new(&config).list_objects_v2().bucket(&bucket).send().await.unwrap();
    let names: Vec<_> =
        left.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect();
    assert_eq!(names, ["p/k"]);
    assert!(read(&after, "k", None).await.unwrap() == bytes);
}

#[tokio::test]
async fn a_missing_bucket_is_named() {
    let moto = Moto::start();
    let storage = S3Storage::new(&moto.config().await, "no-such-bucket", "");
    let error = storage.ping().await.unwrap_err();
    assert!(matches!(&error, StorageError::Io(why) if why.contains("NoSuchBucket")), "{error}");
}

#[tokio::test]
async fn a_link_leads_to_the_object_for_so_long() {
    let moto = Moto::start();
    let storage = S3Storage::new(&moto.config().await, bucket::fresh(&moto).await, "p");
    storage.put("users/u/k", content(&[b"0123456789"]), 100).await.unwrap();
    let link =
        storage.link("users/u/k", "my \"model\".zip", Duration::from_secs(300)).await.unwrap().unwrap();
    assert!(link.contains("X-Amz-Expires=300"), "{link}");
    // Whoever has the link needs nothing else; a part of it is enough for a download that goes on.
    let answer = reqwest::Client::new().get(&link).header("range", "bytes=4-").send().await.unwrap();
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"my _model_.zip\"");
    assert_eq!(answer.text().await.unwrap(), "456789");
    let unsigned = link.split('?').next().unwrap();
    assert_eq!(reqwest::get(unsigned).await.unwrap().status(), 403);
    for key in ["", "../k"] {
        assert!(storage.link(key, "k", Duration::from_secs(300)).await.is_err(), "{key:?}");
    }
}
