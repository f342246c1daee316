//! Objects that come in pieces: `<root>/.partial/<key>`, appended to over many requests and starts of the server, and
//! renamed into place when whole. What S3 calls a multipart upload.
//!
//! An offset is told only when the bytes before it are on the disk for good: every [`SYNC_EVERY`] bytes, at the end of
//! a piece however it ended, and when somebody asks.

use super::{BLOCK, DiskStorage, Inner, absent_is_fine, failure, open, staged};
use crate::storage::{ByteStream, ObjectMeta, StorageError, StorageResult, key};
use futures::StreamExt;
use std::{
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::PoisonError,
};

/// Bytes between two flushes: what a power cut can take of a piece under way.
const SYNC_EVERY: u64 = 16 * 1024 * 1024;

/// The end of an object that is being appended to.
struct Tail {
    file: File,
    /// All bytes, and those that are on the disk for good.
    end: u64,
    synced: u64,
}

impl Tail {
    fn write(&mut self, block: &[u8]) -> StorageResult<()> {
        if let Err(error) = self.file.write_all(block) {
            // Some of the block may have found room, and counts.
            self.end = self.file.metadata().map_err(failure)?.len();
            self.sync()?;
            return Err(failure(error));
        }
        self.end += block.len() as u64;
        if self.end - self.synced >= SYNC_EVERY { self.sync() } else { Ok(()) }
    }

    /// What can't be flushed is cut off again: it would be counted and not be there after a power cut.
    fn sync(&mut self) -> StorageResult<()> {
        if let Err(error) = self.file.sync_data() {
            self.end = self.synced;
            self.file.set_len(self.end).map_err(failure)?;
            return Err(failure(error));
        }
        self.synced = self.end;
        Ok(())
    }
}

impl Inner {
    fn partial(&self, key: &str) -> StorageResult<PathBuf> {
        let relative = key::path(key).ok_or_else(|| StorageError::Io("this is no key".to_owned()))?;
        let path = self.root.join(".partial").join(relative);
        self.refuse_links(&path)?;
        Ok(path)
    }

    fn tail(&self, key: &str) -> StorageResult<Tail> {
        let path = self.partial(key)?;
        let _guard = self.swap.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = !path.exists();
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failure)?;
        }
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
        let file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(flags)
            .open(&path)
            .map_err(failure)?;
        if fresh {
            self.sync_directories(&path)?;
        }
        let end = file.metadata().map_err(failure)?.len();
        Ok(Tail { file, end, synced: end })
    }

    /// A new name is kept for good when the directories that lead to it are.
    fn sync_directories(&self, path: &Path) -> StorageResult<()> {
        for directory in path.ancestors().skip(1).take_while(|directory| directory.starts_with(&self.root)) {
            File::open(directory).and_then(|directory| directory.sync_all()).map_err(failure)?;
        }
        Ok(())
    }

    /// Of the pieces, or of the object that they became.
    pub(super) fn appended(&self, key: &str) -> StorageResult<u64> {
        let file = match open(&self.partial(key)?) {
            Ok(file) => file,
            Err(StorageError::NotFound) => {
                return match self.find(key).and_then(|path| open(&path)) {
                    Ok(object) => Ok(object.metadata().map_err(failure)?.len()),
                    Err(StorageError::NotFound) => Ok(0),
                    Err(error) => Err(error),
                };
            }
            Err(error) => return Err(error),
        };
        file.sync_all().map_err(failure)?;
        Ok(file.metadata().map_err(failure)?.len())
    }

    pub(super) fn complete(&self, key: &str) -> StorageResult<ObjectMeta> {
        let partial = self.partial(key)?;
        let file = match open(&partial) {
            Ok(file) => file,
            // Done before.
            Err(StorageError::NotFound) => return self.head(&self.find(key)?),
            Err(error) => return Err(error),
        };
        file.set_permissions(Permissions::from_mode(0o440)).map_err(failure)?;
        file.sync_all().map_err(failure)?;
        // Read once more from the disk: the checksum is of what is kept, through however many requests it came.
        let meta = staged::hash(file)?;
        let _guard = self.swap.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.place(key)?;
        staged::swap(&self.staging, |path| fs::rename(&partial, path).map_err(failure), &meta, &path)?;
        self.remove_empty_parents(&partial);
        Ok(meta)
    }

    pub(super) fn abandon(&self, key: &str) -> StorageResult<()> {
        let path = self.partial(key)?;
        let _guard = self.swap.lock().unwrap_or_else(PoisonError::into_inner);
        absent_is_fine(fs::remove_file(&path))?;
        self.remove_empty_parents(&path);
        Ok(())
    }
}

impl DiskStorage {
    /// Keeps what came, whatever ended it.
    pub(super) async fn append_stream(
        &self,
        key: &str,
        mut content: ByteStream,
        limit: u64,
    ) -> StorageResult<u64> {
        let key = key.to_owned();
        let mut tail = self.run(move |inner| inner.tail(&key)).await?;
        let mut block = Vec::with_capacity(BLOCK);
        let mut ended = Ok(());
        while let Some(chunk) = content.next().await {
            match chunk {
                Err(error) => ended = Err(StorageError::Interrupted(error.to_string())),
                Ok(chunk) if tail.end + (block.len() + chunk.len()) as u64 > limit => {
                    ended = Err(StorageError::TooLarge(limit));
                }
                Ok(chunk) => block.extend_from_slice(&chunk),
            }
            if ended.is_err() {
                break;
            }
            if block.len() >= BLOCK {
                (tail, block) = self
                    .run(move |_| {
                        tail.write(&block)?;
                        block.clear();
                        Ok((tail, block))
                    })
                    .await?;
            }
        }
        let end = self
            .run(move |_| {
                tail.write(&block)?;
                tail.sync()?;
                Ok(tail.end)
            })
            .await?;
        ended.map(|()| end)
    }
}
