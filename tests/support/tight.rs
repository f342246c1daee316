//! A storage that runs out of room when a test says so.

use async_trait::async_trait;
use futures::StreamExt;
use llm_tuner::storage::{ByteStream, ObjectMeta, Storage, StorageError, StorageResult};
use std::{
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

pub struct Tight {
    inner: Arc<dyn Storage>,
    /// No room for anything that is sent.
    pub full: AtomicBool,
    /// No room for so many files of this machine; then there is.
    pub refusals: AtomicU32,
}

impl Tight {
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, full: AtomicBool::new(false), refusals: AtomicU32::new(0) }
    }
}

#[async_trait]
impl Storage for Tight {
    async fn put(&self, key: &str, mut content: ByteStream, limit: u64) -> StorageResult<ObjectMeta> {
        if self.full.load(Ordering::Relaxed) {
            // Some of it came, then there was no room.
            content.next().await;
            return Err(StorageError::Full);
        }
        self.inner.put(key, content, limit).await
    }
    async fn put_file(&self, key: &str, path: &Path) -> StorageResult<ObjectMeta> {
        let left =
            self.refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_ok() { Err(StorageError::Full) } else { self.inner.put_file(key, path).await }
    }
    async fn head(&self, key: &str) -> StorageResult<ObjectMeta> {
        self.inner.head(key).await
    }
    async fn get(&self, key: &str, range: Option<Range<u64>>) -> StorageResult<ByteStream> {
        self.inner.get(key, range).await
    }
    async fn get_file(&self, key: &str, path: &Path) -> StorageResult<ObjectMeta> {
        self.inner.get_file(key, path).await
    }
    async fn list(&self, prefix: &str) -> StorageResult<Vec<String>> {
        self.inner.list(prefix).await
    }
    async fn delete(&self, key: &str) -> StorageResult<()> {
        self.inner.delete(key).await
    }
    async fn delete_prefix(&self, prefix: &str) -> StorageResult<()> {
        self.inner.delete_prefix(prefix).await
    }
    async fn append(&self, key: &str, content: ByteStream, limit: u64) -> StorageResult<u64> {
        if !self.full.load(Ordering::Relaxed) {
            return self.inner.append(key, content, limit).await;
        }
        // Some of it found room.
        let first = content.take(1).boxed();
        self.inner.append(key, first, limit).await?;
        Err(StorageError::Full)
    }
    async fn appended(&self, key: &str) -> StorageResult<u64> {
        self.inner.appended(key).await
    }
    async fn complete(&self, key: &str) -> StorageResult<ObjectMeta> {
        self.inner.complete(key).await
    }
    async fn abandon(&self, key: &str) -> StorageResult<()> {
        self.inner.abandon(key).await
    }
    async fn ping(&self) -> StorageResult<()> {
        self.inner.ping().await
    }
}
