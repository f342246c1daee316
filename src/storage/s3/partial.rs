//! Objects that come in pieces: a multipart upload, found again by its key, and the end that is too short for a part.
//!
//! A part has 5 MiB or more, a piece any length. What is left of a piece beyond its last whole part lies in an object
//! of its own, named by how many parts come before it: an end that became part of a part, and was not yet removed when
//! the server died, has another number and counts no more.

use super::{PART, S3Storage, failure, multipart, reading::Reading};
use crate::storage::{ByteStream, ObjectMeta, StorageError, StorageResult};
use aws_sdk_s3::types::CompletedPart;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};

/// What came of an object so far.
pub struct Pieces {
    /// The multipart upload; none where all fits into the end.
    id: Option<String>,
    parts: Vec<CompletedPart>,
    bytes_in_parts: u64,
    tail: BytesMut,
}

impl Pieces {
    /// `None` where nothing came.
    pub async fn find(storage: &S3Storage, name: &str, tails: &str) -> StorageResult<Option<Self>> {
        let mut pieces = Self { id: None, parts: Vec::new(), bytes_in_parts: 0, tail: BytesMut::new() };
        pieces.id = upload(storage, name).await?;
        if let Some(id) = pieces.id.clone() {
            pieces.find_parts(storage, name, &id).await?;
        }
        match read(storage, &format!("{tails}{}", pieces.parts.len())).await? {
            Some(tail) => pieces.tail = tail,
            None if pieces.id.is_none() => return Ok(None),
            None => {}
        }
        Ok(Some(pieces))
    }

    async fn find_parts(&mut self, storage: &S3Storage, name: &str, id: &str) -> StorageResult<()> {
        let list = storage.client.list_parts().bucket(&storage.bucket).key(name).upload_id(id);
        let mut pages = list.into_paginator().send();
        while let Some(page) = pages.next().await {
            for part in page.map_err(failure)?.parts.unwrap_or_default() {
                self.bytes_in_parts += u64::try_from(part.size.unwrap_or(0)).unwrap_or(0);
                let complete = CompletedPart::builder()
                    .set_part_number(part.part_number)
                    .set_e_tag(part.e_tag)
                    .set_checksum_crc32(part.checksum_crc32);
                self.parts.push(complete.build());
            }
        }
        Ok(())
    }

    pub fn bytes(&self) -> u64 {
        self.bytes_in_parts + self.tail.len() as u64
    }

    /// Makes the first bytes of the end a part.
    async fn grow(&mut self, storage: &S3Storage, name: &str, length: usize) -> StorageResult<()> {
        let id = match &self.id {
            Some(id) => id.clone(),
            None => self.id.insert(multipart::create(storage, name).await?).clone(),
        };
        let number = i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX);
        let block = self.tail.split_to(length).freeze();
        match multipart::send(storage, name, &id, number, block.clone()).await {
            Ok(part) => {
                self.bytes_in_parts += length as u64;
                self.parts.push(part);
                Ok(())
            }
            Err(error) => {
                // Kept, to be written as the end.
                let mut whole = BytesMut::from(block);
                whole.unsplit(std::mem::take(&mut self.tail));
                self.tail = whole;
                Err(error)
            }
        }
    }
}

/// Keeps what came, whatever ended it.
pub async fn append(
    storage: &S3Storage,
    name: &str,
    tails: &str,
    mut content: ByteStream,
    limit: u64,
) -> StorageResult<u64> {
    let found = Pieces::find(storage, name, tails).await?;
    let mut pieces =
        found.unwrap_or(Pieces { id: None, parts: Vec::new(), bytes_in_parts: 0, tail: BytesMut::new() });
    let old_tail = (pieces.parts.len(), pieces.tail.len());
    let mut ended = Ok(());
    while let Some(chunk) = content.next().await {
        match chunk {
            Err(error) => ended = Err(StorageError::Interrupted(error.to_string())),
            Ok(chunk) if pieces.bytes() + chunk.len() as u64 > limit => {
                ended = Err(StorageError::TooLarge(limit));
            }
            Ok(chunk) => pieces.tail.extend_from_slice(&chunk),
        }
        while ended.is_ok() && pieces.tail.len() >= PART {
            ended = pieces.grow(storage, name, PART).await;
        }
        if ended.is_err() {
            break;
        }
    }
    // No end of its own: what lies there belongs to fewer parts, and does not count.
    let none = pieces.tail.is_empty() && pieces.id.is_some();
    if !none && old_tail != (pieces.parts.len(), pieces.tail.len()) || pieces.bytes() == 0 {
        storage
            .put_whole(&format!("{tails}{}", pieces.parts.len()), Bytes::copy_from_slice(&pieces.tail))
            .await?;
    }
    if old_tail.1 > 0 && old_tail.0 != pieces.parts.len() {
        storage.delete_named(&format!("{tails}{}", old_tail.0)).await?;
    }
    ended.map(|()| pieces.bytes())
}

pub async fn complete(storage: &S3Storage, name: &str, tails: &str) -> StorageResult<ObjectMeta> {
    let Some(mut pieces) = Pieces::find(storage, name, tails).await? else {
        // Done before.
        return storage.head_named(name).await;
    };
    if pieces.id.is_none() {
        let meta = storage.put_whole(name, pieces.tail.freeze()).await?;
        storage.delete_named_from(tails).await?;
        return Ok(meta);
    }
    if !pieces.tail.is_empty() {
        let length = pieces.tail.len();
        pieces.grow(storage, name, length).await?;
    }
    let id = pieces.id.unwrap_or_default();
    multipart::complete(storage, name, &id, pieces.parts).await?;
    storage.delete_named_from(tails).await?;
    // Reckoned from what is kept.
    storage.head_named(name).await
}

pub async fn abandon(storage: &S3Storage, name: &str, tails: &str) -> StorageResult<()> {
    while let Some(id) = upload(storage, name).await? {
        multipart::abort(storage, name, &id).await?;
    }
    storage.delete_named_from(tails).await
}

/// The multipart upload under way for exactly this name.
async fn upload(storage: &S3Storage, name: &str) -> StorageResult<Option<String>> {
    let list = storage.client.list_multipart_uploads().bucket(&storage.bucket).prefix(name);
    // Names that merely begin so come after it, in the order of the alphabet.
    let found = list.send().await.map_err(failure)?.uploads.unwrap_or_default();
    Ok(found
        .into_iter()
        .find(|upload| upload.key.as_deref() == Some(name))
        .and_then(|upload| upload.upload_id))
}

async fn read(storage: &S3Storage, name: &str) -> StorageResult<Option<BytesMut>> {
    let content = match Reading::open(storage, name, None).await {
        Ok(reading) => reading.stream(),
        Err(StorageError::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    let chunks: Vec<Bytes> = content.try_collect().await.map_err(super::io)?;
    Ok(Some(BytesMut::from(chunks.concat().as_slice())))
}
