//! An object on its way out, which goes on where a connection broke.

use super::{S3Storage, failure};
use crate::storage::{ByteStream, StorageError, StorageResult};
use aws_sdk_s3::{error::ProvideErrorMetadata, operation::get_object::GetObjectOutput, primitives};
use bytes::Bytes;
use futures::{StreamExt, stream};
use std::{io, ops::Range};

/// A connection may break this often without a byte between.
const PATIENCE: usize = 4;

pub struct Reading {
    storage: S3Storage,
    name: String,
    /// Of the object as it was first seen: the rest comes from the same one.
    etag: Option<String>,
    /// Where the next byte lies, and where the last one wanted ends.
    at: u64,
    end: u64,
    body: Option<primitives::ByteStream>,
    broken: usize,
}

impl Reading {
    /// The bytes in `range` as far as the object goes, or all. The range is not empty.
    pub async fn open(storage: &S3Storage, name: &str, range: Option<Range<u64>>) -> StorageResult<Self> {
        let get = storage.client.get_object().bucket(&storage.bucket).key(name);
        let get = match &range {
            Some(range) => get.range(format!("bytes={}-{}", range.start, range.end - 1)),
            None => get,
        };
        let start = range.as_ref().map_or(0, |range| range.start);
        let mut reading = Self {
            storage: storage.clone(),
            name: name.to_owned(),
            etag: None,
            at: start,
            end: start,
            body: None,
            broken: 0,
        };
        match get.send().await {
            Ok(answer) => reading.take(answer),
            // Behind the end of the object there is nothing.
            Err(error) if error.code() == Some("InvalidRange") => {}
            Err(error) => return Err(failure(error)),
        }
        Ok(reading)
    }

    fn take(&mut self, answer: GetObjectOutput) {
        self.end = self.at + u64::try_from(answer.content_length.unwrap_or(0)).unwrap_or(0);
        self.etag = answer.e_tag;
        self.body = Some(answer.body);
    }

    pub fn stream(self) -> ByteStream {
        stream::try_unfold(self, |mut reading| async move {
            Ok(reading.next().await?.map(|chunk| (chunk, reading)))
        })
        .boxed()
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while self.at < self.end {
            let chunk = match &mut self.body {
                Some(body) => body.try_next().await.map_err(|error| error.to_string()),
                None => Err("there is no connection".to_owned()),
            };
            match chunk {
                Ok(Some(chunk)) => {
                    self.at += chunk.len() as u64;
                    self.broken = 0;
                    return Ok(Some(chunk));
                }
                Ok(None) => self.go_on("the answer ended early").await?,
                Err(why) => self.go_on(&why).await?,
            }
        }
        Ok(None)
    }

    /// Asks for the rest. The SDK itself waits between its tries.
    async fn go_on(&mut self, why: &str) -> io::Result<()> {
        self.broken += 1;
        if self.broken > PATIENCE {
            return Err(io::Error::other(format!("the download broke off: {why}")));
        }
        tracing::debug!(why, at = self.at, "a download goes on after a broken connection");
        let get = self.storage.client.get_object().bucket(&self.storage.bucket).key(&self.name);
        let get = get.range(format!("bytes={}-{}", self.at, self.end - 1)).set_if_match(self.etag.clone());
        let answer = get.send().await.map_err(|error| match failure(error) {
            StorageError::NotFound => io::Error::new(io::ErrorKind::NotFound, "the object was removed"),
            error => io::Error::other(error.to_string()),
        })?;
        self.take(answer);
        Ok(())
    }
}
