//! Objects for blocking code: read with seeking, and written through a channel. Used inside `spawn_blocking` only.

use crate::storage::{ByteStream, Storage, blocking_reader};
use bytes::Bytes;
use futures::StreamExt;
use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    sync::Arc,
};
use tokio::sync::mpsc;

/// An object as [`Read`] and [`Seek`]; opens it where the first read after a seek is.
pub(super) struct StoredReader {
    storage: Arc<dyn Storage>,
    runtime: tokio::runtime::Handle,
    key: String,
    bytes: u64,
    position: u64,
    open: Option<Box<dyn Read + Send>>,
}

impl StoredReader {
    /// Call on the runtime, use on a blocking thread.
    pub(super) fn new(storage: Arc<dyn Storage>, key: String, bytes: u64) -> Self {
        Self { storage, runtime: tokio::runtime::Handle::current(), key, bytes, position: 0, open: None }
    }
}

impl Read for StoredReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.bytes {
            return Ok(0);
        }
        let open = match &mut self.open {
            Some(open) => open,
            closed => {
                let range = Some(self.position..self.bytes);
                let stream =
                    self.runtime.block_on(self.storage.get(&self.key, range)).map_err(io::Error::other)?;
                closed.insert(Box::new(blocking_reader(stream)))
            }
        };
        let count = open.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for StoredReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.bytes.checked_add_signed(by),
        };
        let position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        if position != self.position {
            (self.position, self.open) = (position, None);
        }
        Ok(position)
    }
}

/// Bytes on their way at once, in chunks.
const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 8;

/// A writer for a blocking thread, and the stream of what it writes.
///
/// The stream ends with an error unless [`ChannelWriter::complete`] was called, so that nothing half is kept.
pub(super) fn channel() -> (ChannelWriter, ByteStream) {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let stream = futures::stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver: mpsc::Receiver<Message> = receiver?;
        match receiver.recv().await {
            Some(Message::Chunk(chunk)) => Some((Ok(chunk), Some(receiver))),
            Some(Message::Complete) => None,
            None => Some((Err(io::Error::other("the writer gave up")), None)),
        }
    });
    (ChannelWriter { sender, buffer: Vec::with_capacity(CHUNK) }, stream.boxed())
}

enum Message {
    Chunk(Bytes),
    Complete,
}

pub(super) struct ChannelWriter {
    sender: mpsc::Sender<Message>,
    buffer: Vec<u8>,
}

impl ChannelWriter {
    fn send(&self, message: Message) -> io::Result<()> {
        // The other side is gone: storage refused the rest, and says why itself.
        self.sender.blocking_send(message).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    /// Says that all has been written.
    pub(super) fn complete(mut self) -> io::Result<()> {
        self.flush()?;
        self.send(Message::Complete)
    }
}

impl Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        self.send(Message::Chunk(Bytes::from(chunk)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{StorageError, disk::DiskStorage};

    fn storage() -> (tempfile::TempDir, Arc<dyn Storage>) {
        let dir = tempfile::tempdir().unwrap();
        let storage = DiskStorage::open(dir.path()).unwrap();
        (dir, Arc::new(storage))
    }

    #[tokio::test]
    async fn what_is_written_is_kept_only_when_complete() {
        let (_dir, storage) = storage();
        let (mut whole, content) = channel();
        tokio::task::spawn_blocking(move || {
            whole.write_all(&vec![7; 200_000]).and_then(|()| whole.complete())
        });
        assert_eq!(storage.put("a/whole", content, u64::MAX).await.unwrap().bytes, 200_000);

        let (mut half, content) = channel();
        tokio::task::spawn_blocking(move || half.write_all(&vec![7; 200_000]));
        assert!(storage.put("a/half", content, u64::MAX).await.is_err());
        assert!(matches!(storage.head("a/half").await, Err(StorageError::NotFound)));
    }

    #[tokio::test]
    async fn reads_from_where_it_is_told_to() {
        let (_dir, storage) = storage();
        let (mut writer, content) = channel();
        tokio::task::spawn_blocking(move || writer.write_all(b"0123456789").and_then(|()| writer.complete()));
        storage.put("a/b", content, 10).await.unwrap();
        let mut reader = StoredReader::new(storage, "a/b".to_owned(), 10);
        let read = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            reader.seek(SeekFrom::End(-3)).unwrap();
            reader.read_to_string(&mut text).unwrap();
            reader.seek(SeekFrom::Start(1)).unwrap();
            let mut two = [0; 2];
            reader.read_exact(&mut two).unwrap();
            (text, two)
        });
        assert_eq!(read.await.unwrap(), ("789".to_owned(), *b"12"));
    }
}
