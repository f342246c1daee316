//! Objects in an S3 bucket.
//!
//! ```text
//! <prefix>users/<id>/datasets/<id>                      the object; its SHA-256 is its tag `sha256`
//! <prefix>.partial/users/<id>/datasets/<id>/<parts>     the end of an object that comes in pieces (see `partial`)
//! ```
//!
//! An object is one `PutObject` while it is smaller than [`PART`], else a multipart upload, which shows nothing before
//! it is complete and is aborted when it breaks off. The checksum is known when the last byte came, so it is a tag: a
//! crash in between leaves an object without one, never with a wrong one, and [`Storage::head`] reckons it then.
//!
//! Not here: which keys exist and whose they are.

mod blocks;
mod multipart;
mod partial;
mod permissions;
mod reading;

use super::{ByteStream, ObjectMeta, Storage, StorageError, StorageResult, key};
use crate::aws::Failure;
use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    presigning::PresigningConfig,
    types::{Delete, ObjectIdentifier, Tag, Tagging},
};
use blocks::Blocks;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use multipart::Multipart;
use reading::Reading;
use sha2::{Digest, Sha256};
use std::{ops::Range, path::Path, time::Duration};
use tokio::io::AsyncWriteExt;

/// Bytes of one part: S3 takes 10,000 of them, of 5 MiB or more each but for the last.
const PART: usize = 8 * 1024 * 1024;
/// The tag that keeps an object's SHA-256.
const CHECKSUM: &str = "sha256";
/// Keys that one `DeleteObjects` takes.
const DELETED_AT_ONCE: usize = 1_000;

#[derive(Clone)]
pub struct S3Storage {
    client: Client,
    bucket: String,
    /// Before every key: empty, or ending in `/`.
    prefix: String,
}

impl S3Storage {
    /// Asks nothing of S3 yet: [`Storage::ping`] does.
    pub fn new(config: &aws_config::SdkConfig, bucket: impl Into<String>, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { client: Client::new(config), bucket: bucket.into(), prefix }
    }

    /// The bucket's name for a key.
    fn name(&self, key: &str) -> StorageResult<String> {
        key::path(key).ok_or_else(|| StorageError::Io("this is no key".to_owned()))?;
        Ok(format!("{}{key}", self.prefix))
    }

    /// The bucket's name for a key that is to be read. A key that can't be one is simply not there.
    fn existing(&self, key: &str) -> StorageResult<String> {
        self.name(key).map_err(|_| StorageError::NotFound)
    }

    /// One small object, with its checksum.
    async fn put_whole(&self, name: &str, content: Bytes) -> StorageResult<ObjectMeta> {
        let meta = ObjectMeta { bytes: content.len() as u64, sha256: hex::encode(Sha256::digest(&content)) };
        let put = self.client.put_object().bucket(&self.bucket).key(name).body(content.into());
        put.tagging(format!("{CHECKSUM}={}", meta.sha256)).send().await.map_err(failure)?;
        Ok(meta)
    }

    async fn keep_checksum(&self, name: &str, sha256: &str) -> StorageResult<()> {
        let tag = Tag::builder().key(CHECKSUM).value(sha256).build().map_err(incomplete)?;
        let tags = Tagging::builder().tag_set(tag).build().map_err(incomplete)?;
        let put = self.client.put_object_tagging().bucket(&self.bucket).key(name).tagging(tags);
        put.send().await.map_err(failure)?;
        Ok(())
    }

    async fn checksum(&self, name: &str) -> StorageResult<Option<String>> {
        let tags = self.client.get_object_tagging().bucket(&self.bucket).key(name).send().await;
        let tags = tags.map_err(failure)?.tag_set;
        Ok(tags.into_iter().find(|tag| tag.key == CHECKSUM).map(|tag| tag.value))
    }

    async fn head_named(&self, name: &str) -> StorageResult<ObjectMeta> {
        let head = self.client.head_object().bucket(&self.bucket).key(name).send().await.map_err(failure)?;
        let bytes = u64::try_from(head.content_length.unwrap_or(0)).unwrap_or(0);
        if let Some(sha256) = self.checksum(name).await? {
            return Ok(ObjectMeta { bytes, sha256 });
        }
        let mut content = Reading::open(self, name, None).await?.stream();
        let mut hasher = Sha256::new();
        while let Some(chunk) = content.try_next().await.map_err(io)? {
            hasher.update(&chunk);
        }
        let sha256 = hex::encode(hasher.finalize());
        self.keep_checksum(name, &sha256).await?;
        Ok(ObjectMeta { bytes, sha256 })
    }

    async fn delete_named(&self, name: &str) -> StorageResult<()> {
        self.client.delete_object().bucket(&self.bucket).key(name).send().await.map_err(failure)?;
        Ok(())
    }

    /// Removes all objects whose name begins so.
    async fn delete_named_from(&self, start: &str) -> StorageResult<()> {
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(start);
        let mut pages = list.max_keys(DELETED_AT_ONCE as i32).into_paginator().send();
        while let Some(page) = pages.next().await {
            let names = page.map_err(failure)?.contents.unwrap_or_default().into_iter();
            let objects = names
                .filter_map(|object| object.key)
                .map(|name| ObjectIdentifier::builder().key(name).build().map_err(incomplete))
                .collect::<StorageResult<Vec<_>>>()?;
            if objects.is_empty() {
                continue;
            }
            let delete =
                Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(incomplete)?;
            let answer = self.client.delete_objects().bucket(&self.bucket).delete(delete).send().await;
            // The call succeeds also where single objects were kept.
            if let Some(kept) = answer.map_err(failure)?.errors.unwrap_or_default().first() {
                let why = kept.message.as_deref().unwrap_or("no reason was given");
                return Err(StorageError::Io(format!("an object could not be deleted: {why}")));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Storage for S3Storage {
    async fn put(&self, key: &str, content: ByteStream, limit: u64) -> StorageResult<ObjectMeta> {
        let name = self.name(key)?;
        let mut blocks = Blocks::new(content, limit);
        let first = blocks.next().await?;
        if first.len() < PART {
            return self.put_whole(&name, first).await;
        }
        let mut upload = Multipart::begin(self, &name).await?;
        let mut block = first;
        while !block.is_empty() {
            upload.send(block).await?;
            block = blocks.next().await?;
        }
        upload.complete().await?;
        let meta = blocks.meta();
        self.keep_checksum(&name, &meta.sha256).await?;
        Ok(meta)
    }

    async fn put_file(&self, key: &str, path: &Path) -> StorageResult<ObjectMeta> {
        let file = tokio::fs::File::open(path).await.map_err(io)?;
        let content = tokio_util::io::ReaderStream::with_capacity(file, 256 * 1024).boxed();
        self.put(key, content, u64::MAX).await
    }

    async fn head(&self, key: &str) -> StorageResult<ObjectMeta> {
        self.head_named(&self.existing(key)?).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> StorageResult<ByteStream> {
        let name = self.existing(key)?;
        if range.as_ref().is_some_and(Range::is_empty) {
            // S3 knows no empty range, but whether the object is there.
            self.client.head_object().bucket(&self.bucket).key(name).send().await.map_err(failure)?;
            return Ok(stream::empty().boxed());
        }
        Ok(Reading::open(self, &name, range).await?.stream())
    }

    async fn get_file(&self, key: &str, path: &Path) -> StorageResult<ObjectMeta> {
        let meta = self.head(key).await?;
        let mut content = self.get(key, None).await?;
        let mut file = tokio::fs::File::create_new(path).await.map_err(io)?;
        let mut hasher = Sha256::new();
        let written = async {
            while let Some(chunk) = content.try_next().await.map_err(io)? {
                hasher.update(&chunk);
                file.write_all(&chunk).await.map_err(io)?;
            }
            file.flush().await.map_err(io)
        };
        let written = written.await.and_then(|()| {
            let found = hex::encode(hasher.finalize());
            let why = || StorageError::Io(format!("the object was changed: its SHA-256 is {found}"));
            if found == meta.sha256 { Ok(()) } else { Err(why()) }
        });
        if written.is_err() {
            let _ = tokio::fs::remove_file(path).await;
        }
        written.map(|()| meta)
    }

    async fn link(&self, key: &str, file_name: &str, lifetime: Duration) -> StorageResult<Option<String>> {
        let name = self.existing(key)?;
        let signing =
            PresigningConfig::expires_in(lifetime).map_err(|error| StorageError::Io(error.to_string()))?;
        let get = self.client.get_object().bucket(&self.bucket).key(name);
        // An attachment: nothing of a person's files is ever shown as a page.
        let disposition = format!("attachment; filename=\"{}\"", file_name.replace(['"', '\\'], "_"));
        let get =
            get.response_content_disposition(disposition).response_content_type("application/octet-stream");
        let signed = get.presigned(signing).await.map_err(failure)?;
        Ok(Some(signed.uri().to_owned()))
    }

    async fn list(&self, prefix: &str) -> StorageResult<Vec<String>> {
        let Ok(name) = self.name(prefix.trim_end_matches('/')) else { return Ok(Vec::new()) };
        let start = format!("{name}/");
        let mut pages =
            self.client.list_objects_v2().bucket(&self.bucket).prefix(&start).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let names = page.map_err(failure)?.contents.unwrap_or_default().into_iter();
            // S3's console makes empty objects that stand for folders.
            keys.extend(names.filter_map(|object| object.key).filter(|name| !name.ends_with('/')));
        }
        keys.sort();
        Ok(keys.into_iter().filter_map(|name| name.strip_prefix(&start).map(str::to_owned)).collect())
    }

    async fn delete(&self, key: &str) -> StorageResult<()> {
        let Ok(name) = self.name(key) else { return Ok(()) };
        self.delete_named(&name).await
    }

    async fn delete_prefix(&self, prefix: &str) -> StorageResult<()> {
        let Ok(name) = self.name(prefix.trim_end_matches('/')) else { return Ok(()) };
        self.delete_named_from(&format!("{name}/")).await
    }

    async fn append(&self, key: &str, content: ByteStream, limit: u64) -> StorageResult<u64> {
        partial::append(self, &self.name(key)?, &self.tails(key)?, content, limit).await
    }

    async fn appended(&self, key: &str) -> StorageResult<u64> {
        let name = self.name(key)?;
        match partial::Pieces::find(self, &name, &self.tails(key)?).await? {
            Some(pieces) => Ok(pieces.bytes()),
            None => match self.client.head_object().bucket(&self.bucket).key(name).send().await {
                Ok(head) => Ok(u64::try_from(head.content_length.unwrap_or(0)).unwrap_or(0)),
                Err(error) => match failure(error) {
                    StorageError::NotFound => Ok(0),
                    error => Err(error),
                },
            },
        }
    }

    async fn complete(&self, key: &str) -> StorageResult<ObjectMeta> {
        partial::complete(self, &self.name(key)?, &self.tails(key)?).await
    }

    async fn abandon(&self, key: &str) -> StorageResult<()> {
        partial::abandon(self, &self.name(key)?, &self.tails(key)?).await
    }

    async fn ping(&self) -> StorageResult<()> {
        let name = format!("{}.ping", self.prefix);
        self.put_whole(&name, Bytes::from_static(b"ping")).await?;
        self.client.head_object().bucket(&self.bucket).key(name).send().await.map_err(failure)?;
        Ok(())
    }
}

impl S3Storage {
    /// Where the ends of a key's pieces lie.
    fn tails(&self, key: &str) -> StorageResult<String> {
        self.name(key)?;
        Ok(format!("{}.partial/{key}/", self.prefix))
    }
}

/// What the port tells of a refused or unanswered call.
fn failure<E, R>(error: SdkError<E, R>) -> StorageError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    let failure = Failure::of(&error);
    match failure.code() {
        Some("NoSuchKey" | "NotFound" | "NoSuchUpload") => StorageError::NotFound,
        _ if failure.may_pass() => StorageError::Unavailable(failure.to_string()),
        _ => StorageError::Io(failure.to_string()),
    }
}

fn io(error: std::io::Error) -> StorageError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StorageError::Full,
        _ => StorageError::Io(error.to_string()),
    }
}

/// A request that lacks a field: our mistake, never a person's.
fn incomplete(error: aws_sdk_s3::error::BuildError) -> StorageError {
    StorageError::Io(error.to_string())
}
