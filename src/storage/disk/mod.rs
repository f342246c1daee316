//! Storage on this machine's disk: one file per object under a root directory.
//!
//! ```text
//! <root>/users/<id>/datasets/<id>            the object
//! <root>/users/<id>/datasets/.<id>.meta      its size and SHA-256, kept from when it was written
//! <root>/.partial/users/<id>/datasets/<id>   what came so far of an object that comes in pieces
//! <root>/.staging/                           what is being written, and what is being removed
//! ```
//!
//! An object is written aside, flushed to the disk and then renamed, so a reader sees all of it or nothing, also after
//! a power cut. Objects are read-only files and never shared by hard link: `get_file` copies (the kernel clones the
//! blocks where the file system can), because a training process must not be able to change what it was given, and
//! permission bits alone do not stop a process of the same user.
//!
//! Not here: which keys exist and whose they are.

mod partial;
mod staged;

use super::{ByteStream, ObjectMeta, Storage, StorageError, StorageResult, key};
use async_trait::async_trait;
use futures::StreamExt;
use staged::Staged;
use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom},
    ops::Range,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// Bytes gathered before a trip to the thread that hashes and writes them: what one transfer costs in memory.
const BLOCK: usize = 256 * 1024;

/// Objects in a directory of this machine.
#[derive(Clone)]
pub struct DiskStorage {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    staging: PathBuf,
    /// Held while an object and its checksum change places, so that two writers of one key do not mix them.
    swap: Mutex<()>,
}

impl DiskStorage {
    /// Opens the directory, makes it where there is none, and removes what an earlier process left half-written.
    pub fn open(root: &Path) -> StorageResult<Self> {
        let make = |path: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        make(root).map_err(failure)?;
        // The operator may have put a link in place of the root itself; below it none is followed.
        let root = root.canonicalize().map_err(failure)?;
        let staging = root.join(".staging");
        make(&staging).map_err(failure)?;
        staged::sweep(&staging).map_err(failure)?;
        Ok(Self { inner: Arc::new(Inner { root, staging, swap: Mutex::new(()) }) })
    }

    /// Runs blocking file work away from the threads that serve requests.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> StorageResult<T> + Send + 'static,
    ) -> StorageResult<T> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(|error| StorageError::Io(error.to_string()))?
    }
}

impl Inner {
    /// The file of a key that is to be written, its directory made.
    fn place(&self, key: &str) -> StorageResult<PathBuf> {
        let path = key::path(key).ok_or_else(|| StorageError::Io("this is no key".to_owned()))?;
        let path = self.root.join(path);
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failure)?;
        }
        self.refuse_links(&path)?;
        Ok(path)
    }

    /// The file of a key that is to be read. A key that can't be one is simply not there.
    fn find(&self, key: &str) -> StorageResult<PathBuf> {
        let path = self.root.join(key::path(key).ok_or(StorageError::NotFound)?);
        self.refuse_links(&path)?;
        Ok(path)
    }

    /// Nothing between the root and the object may be a link: it would lead out of the store.
    fn refuse_links(&self, path: &Path) -> StorageResult<()> {
        for step in path.ancestors().take_while(|step| *step != self.root) {
            match fs::symlink_metadata(step) {
                Ok(found) if found.is_symlink() => return Err(StorageError::NotFound),
                _ => {}
            }
        }
        Ok(())
    }

    fn head(&self, path: &Path) -> StorageResult<ObjectMeta> {
        let bytes = open(path)?.metadata().map_err(failure)?.len();
        let meta = match staged::read_meta(path) {
            Some(meta) => meta,
            // A crash between the two renames left the object without its checksum.
            None => {
                let guard = self.swap.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                let meta = staged::hash(open(path)?)?;
                staged::write_meta(&self.staging, path, &meta)?;
                drop(guard);
                meta
            }
        };
        if meta.bytes == bytes {
            Ok(meta)
        } else {
            Err(StorageError::Io(
                "an object was changed from outside: its size is not the recorded one".into(),
            ))
        }
    }

    fn commit(&self, staged: Staged, key: &str) -> StorageResult<ObjectMeta> {
        let (file, meta) = staged.finish()?;
        let _guard = self.swap.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Inside the guard: `delete` may just have removed the directory because it was empty.
        let path = self.place(key)?;
        staged::swap(&self.staging, |path| staged::persist(file, path), &meta, &path)?;
        Ok(meta)
    }

    fn delete(&self, key: &str) -> StorageResult<()> {
        let Ok(path) = self.find(key) else { return Ok(()) };
        let _guard = self.swap.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        absent_is_fine(fs::remove_file(&path))?;
        absent_is_fine(fs::remove_file(staged::meta_path(&path)))?;
        self.remove_empty_parents(&path);
        Ok(())
    }

    fn list(&self, prefix: &str) -> StorageResult<Vec<String>> {
        let Ok(root) = self.find(prefix.trim_end_matches('/')) else { return Ok(Vec::new()) };
        let (mut found, mut open) = (Vec::new(), vec![PathBuf::new()]);
        while let Some(folder) = open.pop() {
            let entries = match fs::read_dir(root.join(&folder)) {
                Err(error)
                    if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) =>
                {
                    continue;
                }
                other => other.map_err(failure)?,
            };
            for entry in entries {
                let entry = entry.map_err(failure)?;
                let path = folder.join(entry.file_name());
                // Hidden files are the store's own.
                let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
                let kind = entry.file_type().map_err(failure)?;
                match path.to_str() {
                    Some(_) if kind.is_dir() && !hidden => open.push(path),
                    Some(key) if kind.is_file() && !hidden => found.push(key.to_owned()),
                    _ => {}
                }
            }
        }
        found.sort();
        Ok(found)
    }

    fn delete_prefix(&self, prefix: &str) -> StorageResult<()> {
        let Ok(path) = self.find(prefix.trim_end_matches('/')) else { return Ok(()) };
        if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
            return Ok(());
        }
        // Renamed first: it is gone at once, and what a crash leaves is swept at the next start.
        let grave = tempfile::Builder::new().tempdir_in(&self.staging).map_err(failure)?;
        {
            let _guard = self.swap.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            absent_is_fine(fs::rename(&path, grave.path().join("gone")))?;
            self.remove_empty_parents(&path);
        }
        grave.close().map_err(failure)
    }

    fn remove_empty_parents(&self, path: &Path) {
        for parent in path.ancestors().skip(1).take_while(|parent| *parent != self.root) {
            // Fails where something is left in it, which is the end of the climb.
            if fs::remove_dir(parent).is_err() {
                break;
            }
        }
    }
}

#[async_trait]
impl Storage for DiskStorage {
    async fn put(&self, key: &str, mut content: ByteStream, limit: u64) -> StorageResult<ObjectMeta> {
        let key = key.to_owned();
        if key::path(&key).is_none() {
            return Err(StorageError::Io("this is no key".to_owned()));
        }
        let mut staged = self.run(|inner| Staged::create(&inner.staging)).await?;
        let mut block = Vec::with_capacity(BLOCK);
        let mut total = 0_u64;
        // Dropped at any point (an error, a cancelled request), `staged` takes its file with it.
        while let Some(chunk) = content.next().await {
            let chunk = chunk.map_err(|error| StorageError::Interrupted(error.to_string()))?;
            total = total.saturating_add(chunk.len() as u64);
            if total > limit {
                return Err(StorageError::TooLarge(limit));
            }
            block.extend_from_slice(&chunk);
            if block.len() >= BLOCK {
                (staged, block) = self
                    .run(move |_| {
                        staged.write(&block)?;
                        block.clear();
                        Ok((staged, block))
                    })
                    .await?;
            }
        }
        self.run(move |inner| {
            staged.write(&block)?;
            inner.commit(staged, &key)
        })
        .await
    }

    async fn put_file(&self, key: &str, path: &Path) -> StorageResult<ObjectMeta> {
        let (key, path) = (key.to_owned(), path.to_owned());
        self.run(move |inner| {
            let mut source = open(&path)?;
            let mut staged = Staged::create(&inner.staging)?;
            staged.copy_from(&mut source)?;
            inner.commit(staged, &key)
        })
        .await
    }

    async fn head(&self, key: &str) -> StorageResult<ObjectMeta> {
        let key = key.to_owned();
        self.run(move |inner| inner.head(&inner.find(&key)?)).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> StorageResult<ByteStream> {
        let key = key.to_owned();
        let (file, length) = self
            .run(move |inner| {
                let mut file = open(&inner.find(&key)?)?;
                let bytes = file.metadata().map_err(failure)?.len();
                let range = range.unwrap_or(0..bytes);
                let (start, end) = (range.start.min(bytes), range.end.min(bytes));
                file.seek(SeekFrom::Start(start)).map_err(failure)?;
                Ok((file, end.saturating_sub(start)))
            })
            .await?;
        let reader = tokio::fs::File::from_std(file).take(length);
        Ok(ReaderStream::with_capacity(reader, BLOCK).boxed())
    }

    async fn get_file(&self, key: &str, path: &Path) -> StorageResult<ObjectMeta> {
        let (key, target) = (key.to_owned(), path.to_owned());
        self.run(move |inner| {
            let path = inner.find(&key)?;
            let meta = inner.head(&path)?;
            let mut source = open(&path)?;
            let mut copy = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&target)
                .map_err(failure)?;
            let copied = io::copy(&mut source, &mut copy);
            if !copied.as_ref().is_ok_and(|bytes| *bytes == meta.bytes) {
                let _ = fs::remove_file(&target);
            }
            match copied.map_err(failure)? {
                bytes if bytes == meta.bytes => Ok(meta),
                _ => Err(StorageError::Io("an object changed while it was copied".into())),
            }
        })
        .await
    }

    async fn delete(&self, key: &str) -> StorageResult<()> {
        let key = key.to_owned();
        self.run(move |inner| inner.delete(&key)).await
    }

    async fn list(&self, prefix: &str) -> StorageResult<Vec<String>> {
        let prefix = prefix.to_owned();
        self.run(move |inner| inner.list(&prefix)).await
    }

    async fn delete_prefix(&self, prefix: &str) -> StorageResult<()> {
        let prefix = prefix.to_owned();
        self.run(move |inner| inner.delete_prefix(&prefix)).await
    }

    async fn append(&self, key: &str, content: ByteStream, limit: u64) -> StorageResult<u64> {
        self.append_stream(key, content, limit).await
    }

    async fn appended(&self, key: &str) -> StorageResult<u64> {
        let key = key.to_owned();
        self.run(move |inner| inner.appended(&key)).await
    }

    async fn complete(&self, key: &str) -> StorageResult<ObjectMeta> {
        let key = key.to_owned();
        self.run(move |inner| inner.complete(&key)).await
    }

    async fn abandon(&self, key: &str) -> StorageResult<()> {
        let key = key.to_owned();
        self.run(move |inner| inner.abandon(&key)).await
    }

    async fn ping(&self) -> StorageResult<()> {
        self.run(|inner| {
            let mut staged = Staged::create(&inner.staging)?;
            staged.write(b"ping")?;
            let (file, _) = staged.finish()?;
            match fs::read(file.path()).map_err(failure)?.as_slice() {
                b"ping" => Ok(()),
                _ => Err(StorageError::Io("a file did not read back as it was written".into())),
            }
        })
        .await
    }
}

/// Opens a plain file for reading; a link, pipe or directory is not one. `O_NONBLOCK` lets a pipe's open return.
fn open(path: &Path) -> StorageResult<File> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file =
        fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| {
            match error.raw_os_error() {
                Some(nix::libc::ENOTDIR | nix::libc::ELOOP) => StorageError::NotFound,
                _ => failure(error),
            }
        })?;
    if file.metadata().map_err(failure)?.is_file() { Ok(file) } else { Err(StorageError::NotFound) }
}

fn absent_is_fine(result: io::Result<()>) -> StorageResult<()> {
    match result.map_err(failure) {
        Err(StorageError::NotFound) => Ok(()),
        other => other,
    }
}

/// What an error of the file system means to the product.
fn failure(error: io::Error) -> StorageError {
    use io::ErrorKind::{FileTooLarge, NotFound, QuotaExceeded, StorageFull};
    match error.kind() {
        NotFound => StorageError::NotFound,
        StorageFull | QuotaExceeded | FileTooLarge => StorageError::Full,
        _ => StorageError::Io(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
