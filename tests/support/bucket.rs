//! Buckets for tests.

use crate::moto::Moto;
use std::sync::atomic::{AtomicU32, Ordering};

/// A bucket that nobody used before.
pub async fn fresh(moto: &Moto) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let name = format!("bucket-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let client = aws_sdk_s3::Client::new(&moto.config().await);
    client.create_bucket().bucket(&name).send().await.unwrap();
    name
}
