//! A stream of any chunks in blocks of one part's size, counted and hashed on the way.

use super::PART;
use crate::storage::{ByteStream, ObjectMeta, StorageError, StorageResult};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use sha2::{Digest, Sha256};

pub struct Blocks {
    content: ByteStream,
    limit: u64,
    bytes: u64,
    hasher: Sha256,
    /// What came beyond the last block.
    rest: BytesMut,
}

impl Blocks {
    pub fn new(content: ByteStream, limit: u64) -> Self {
        Self { content, limit, bytes: 0, hasher: Sha256::new(), rest: BytesMut::new() }
    }

    /// The next [`PART`] bytes; fewer are the last, none come after them.
    pub async fn next(&mut self) -> StorageResult<Bytes> {
        while self.rest.len() < PART {
            let Some(chunk) = self.content.next().await else { break };
            let chunk = chunk.map_err(|error| StorageError::Interrupted(error.to_string()))?;
            self.bytes += chunk.len() as u64;
            if self.bytes > self.limit {
                return Err(StorageError::TooLarge(self.limit));
            }
            self.hasher.update(&chunk);
            self.rest.extend_from_slice(&chunk);
        }
        let length = self.rest.len().min(PART);
        Ok(self.rest.split_to(length).freeze())
    }

    /// Of all that came.
    pub fn meta(self) -> ObjectMeta {
        ObjectMeta { bytes: self.bytes, sha256: hex::encode(self.hasher.finalize()) }
    }
}
