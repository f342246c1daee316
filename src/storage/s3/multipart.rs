//! One multipart upload from its first part to its last; aborted when it is dropped before.

use super::{S3Storage, failure};
use crate::storage::StorageResult;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use tokio::task::JoinSet;

/// Parts on their way at the same time: with the one being filled, what an upload takes of memory.
const AT_ONCE: usize = 3;

pub struct Multipart {
    storage: S3Storage,
    name: String,
    id: String,
    next: i32,
    sending: JoinSet<StorageResult<CompletedPart>>,
    sent: Vec<CompletedPart>,
    complete: bool,
}

impl Multipart {
    pub async fn begin(storage: &S3Storage, name: &str) -> StorageResult<Self> {
        let id = create(storage, name).await?;
        Ok(Self {
            storage: storage.clone(),
            name: name.to_owned(),
            id,
            next: 1,
            sending: JoinSet::new(),
            sent: Vec::new(),
            complete: false,
        })
    }

    /// Sends a part while the next one is read.
    pub async fn send(&mut self, part: Bytes) -> StorageResult<()> {
        if self.sending.len() >= AT_ONCE {
            self.collect_one().await?;
        }
        let (storage, name, id, number) =
            (self.storage.clone(), self.name.clone(), self.id.clone(), self.next);
        self.next += 1;
        self.sending.spawn(async move { send(&storage, &name, &id, number, part).await });
        Ok(())
    }

    async fn collect_one(&mut self) -> StorageResult<()> {
        if let Some(part) = self.sending.join_next().await {
            self.sent.push(part.map_err(|error| super::StorageError::Io(error.to_string()))??);
        }
        Ok(())
    }

    pub async fn complete(mut self) -> StorageResult<()> {
        while !self.sending.is_empty() {
            self.collect_one().await?;
        }
        let mut parts = std::mem::take(&mut self.sent);
        parts.sort_by_key(|part| part.part_number);
        complete(&self.storage, &self.name, &self.id, parts).await?;
        self.complete = true;
        Ok(())
    }
}

impl Drop for Multipart {
    fn drop(&mut self) {
        if self.complete {
            return;
        }
        self.sending.abort_all();
        let (storage, name, id) = (self.storage.clone(), self.name.clone(), self.id.clone());
        // Where the runtime itself ends, the bucket's rule for unfinished uploads removes it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = abort(&storage, &name, &id).await {
                    tracing::warn!(%error, "an unfinished upload could not be aborted");
                }
            });
        }
    }
}

pub async fn create(storage: &S3Storage, name: &str) -> StorageResult<String> {
    let create = storage.client.create_multipart_upload().bucket(&storage.bucket).key(name);
    // The SDK sends each part with a CRC32, which S3 compares with what arrived.
    let create = create.checksum_algorithm(ChecksumAlgorithm::Crc32);
    Ok(create.send().await.map_err(failure)?.upload_id.unwrap_or_default())
}

pub async fn send(
    storage: &S3Storage,
    name: &str,
    id: &str,
    number: i32,
    part: Bytes,
) -> StorageResult<CompletedPart> {
    let upload = storage.client.upload_part().bucket(&storage.bucket).key(name).upload_id(id);
    let sent = upload.part_number(number).body(part.into()).send().await.map_err(failure)?;
    Ok(CompletedPart::builder()
        .part_number(number)
        .set_e_tag(sent.e_tag)
        .set_checksum_crc32(sent.checksum_crc32)
        .build())
}

pub async fn complete(
    storage: &S3Storage,
    name: &str,
    id: &str,
    parts: Vec<CompletedPart>,
) -> StorageResult<()> {
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = storage.client.complete_multipart_upload().bucket(&storage.bucket).key(name);
    complete.upload_id(id).multipart_upload(parts).send().await.map_err(failure)?;
    Ok(())
}

pub async fn abort(storage: &S3Storage, name: &str, id: &str) -> StorageResult<()> {
    let abort = storage.client.abort_multipart_upload().bucket(&storage.bucket).key(name).upload_id(id);
    abort.send().await.map_err(failure)?;
    Ok(())
}
