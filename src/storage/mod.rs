//! The object port: bytes under keys. A key is made by the server (`users/<id>/datasets/<id>`), never by a person.
//!
//! Adapters: [`disk`], [`s3`]. Not here: what the bytes mean, and who may read them.

pub mod disk;
mod key;
pub mod s3;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::{ops::Range, time::Duration};

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("no object under this key")]
    NotFound,
    /// The disk is full, or the bucket's quota is used up.
    #[error("there is no room left for files")]
    Full,
    /// The sender stopped or failed half-way; nothing was kept.
    #[error("the upload broke off: {0}")]
    Interrupted(String),
    /// More came than was allowed; nothing was kept.
    #[error("the object is larger than {0} bytes")]
    TooLarge(u64),
    /// Nobody answered, or only to say that they can't just now; worth asking again.
    #[error("file storage does not answer: {0}")]
    Unavailable(String),
    #[error("file storage failed: {0}")]
    Io(String),
}

pub type StorageResult<T> = Result<T, StorageError>;

/// What lies under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    pub bytes: u64,
    /// Hexadecimal SHA-256 of the content, kept when it was written.
    pub sha256: String,
}

/// Bytes on their way; an error ends the stream.
pub type ByteStream = BoxStream<'static, Result<Bytes, std::io::Error>>;

#[async_trait]
pub trait Storage: Send + Sync {
    /// Writes the stream under the key: whole or not at all. At most `limit` bytes; constant memory.
    async fn put(&self, key: &str, content: ByteStream, limit: u64) -> StorageResult<ObjectMeta>;
    /// Writes a file of this machine under the key, without reading it into memory.
    async fn put_file(&self, key: &str, path: &std::path::Path) -> StorageResult<ObjectMeta>;
    async fn head(&self, key: &str) -> StorageResult<ObjectMeta>;
    /// The bytes in `range`, or all.
    async fn get(&self, key: &str, range: Option<Range<u64>>) -> StorageResult<ByteStream>;
    /// Copies the object to a file of this machine (which must not exist). Never a link: the copy may be written to.
    async fn get_file(&self, key: &str, path: &std::path::Path) -> StorageResult<ObjectMeta>;
    /// An address at which anybody can fetch the object for so long, as a file of this name, without us in between;
    /// `None` where the storage has none.
    async fn link(&self, _key: &str, _file_name: &str, _lifetime: Duration) -> StorageResult<Option<String>> {
        Ok(None)
    }
    /// The keys below `prefix/`, without it, in order.
    async fn list(&self, prefix: &str) -> StorageResult<Vec<String>>;
    /// Removes the object; no error where there is none.
    async fn delete(&self, key: &str) -> StorageResult<()>;
    /// Removes everything under `prefix/`.
    async fn delete_prefix(&self, prefix: &str) -> StorageResult<()>;

    /// Adds to an object that comes in pieces; answers how many bytes there are now. What came before an error stays;
    /// what would go past `limit` bytes in all does not. Nobody reads the object before [`Storage::complete`]. One
    /// piece after the other, each run to its end: the caller sees to it. (In a bucket: a multipart upload.)
    async fn append(&self, key: &str, content: ByteStream, limit: u64) -> StorageResult<u64>;
    /// How many bytes of it are kept for good, also through a crash or a power cut; 0 where there are none.
    async fn appended(&self, key: &str) -> StorageResult<u64>;
    /// Makes the pieces an object. Said again, it answers the same.
    async fn complete(&self, key: &str) -> StorageResult<ObjectMeta>;
    /// Removes the pieces; no error where there are none.
    async fn abandon(&self, key: &str) -> StorageResult<()>;

    /// One cheap write and read, for `/ready`.
    async fn ping(&self) -> StorageResult<()>;
}

/// Reads the object from a blocking thread, as [`std::io::Read`]. Call inside `spawn_blocking` only.
pub fn blocking_reader(stream: ByteStream) -> impl std::io::Read + Send {
    tokio_util::io::SyncIoBridge::new(tokio_util::io::StreamReader::new(stream))
}
