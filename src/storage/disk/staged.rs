//! A file on its way into the store: written aside and hashed, then flushed and renamed into place.

use super::{StorageError, failure};
use crate::storage::{ObjectMeta, StorageResult};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// Removes its file when dropped before [`swap`].
pub struct Staged {
    file: NamedTempFile,
    hasher: Sha256,
    bytes: u64,
}

impl Staged {
    pub fn create(staging: &Path) -> StorageResult<Self> {
        let file = tempfile::Builder::new().tempfile_in(staging).map_err(failure)?;
        // Says to `sweep`, in this process or another, that somebody is still writing.
        file.as_file().lock().map_err(failure)?;
        Ok(Self { file, hasher: Sha256::new(), bytes: 0 })
    }

    pub fn write(&mut self, block: &[u8]) -> StorageResult<()> {
        self.hasher.update(block);
        self.file.as_file_mut().write_all(block).map_err(failure)?;
        self.bytes += block.len() as u64;
        Ok(())
    }

    pub fn copy_from(&mut self, source: &mut File) -> StorageResult<()> {
        let mut block = vec![0; super::BLOCK];
        loop {
            match source.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(read) => self.write(&block[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failure(error)),
            }
        }
    }

    /// On the disk for good, under its temporary name. A full disk may show only here.
    pub fn finish(self) -> StorageResult<(NamedTempFile, ObjectMeta)> {
        let file = self.file;
        file.as_file().set_permissions(Permissions::from_mode(0o440)).map_err(failure)?;
        file.as_file().sync_all().map_err(failure)?;
        Ok((file, ObjectMeta { bytes: self.bytes, sha256: hex::encode(self.hasher.finalize()) }))
    }
}

/// The checksum's file as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meta {
    bytes: u64,
    sha256: String,
}

/// `.<name>.meta` beside the object; no key can name it.
pub fn meta_path(object: &Path) -> PathBuf {
    let name = object.file_name().unwrap_or_default().to_string_lossy();
    object.with_file_name(format!(".{name}.meta"))
}

pub fn read_meta(object: &Path) -> Option<ObjectMeta> {
    let text = fs::read(meta_path(object)).ok()?;
    let meta: Meta = serde_json::from_slice(&text).ok()?;
    Some(ObjectMeta { bytes: meta.bytes, sha256: meta.sha256 })
}

fn stage_meta(staging: &Path, meta: &ObjectMeta) -> StorageResult<NamedTempFile> {
    let text = serde_json::to_vec(&Meta { bytes: meta.bytes, sha256: meta.sha256.clone() })
        .map_err(|error| StorageError::Io(error.to_string()))?;
    let mut staged = Staged::create(staging)?;
    staged.write(&text)?;
    Ok(staged.finish()?.0)
}

pub fn write_meta(staging: &Path, object: &Path, meta: &ObjectMeta) -> StorageResult<()> {
    persist(stage_meta(staging, meta)?, &meta_path(object))
}

/// Puts object and checksum in place. A crash in between leaves an object without a checksum, never with a wrong one.
/// `place` renames the object, which is on the disk for good, to its path.
pub fn swap(
    staging: &Path,
    place: impl FnOnce(&Path) -> StorageResult<()>,
    meta: &ObjectMeta,
    path: &Path,
) -> StorageResult<()> {
    let staged_meta = stage_meta(staging, meta)?;
    super::absent_is_fine(fs::remove_file(meta_path(path)))?;
    place(path)?;
    persist(staged_meta, &meta_path(path))?;
    let parent = path.parent().unwrap_or(staging);
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(failure)
}

pub fn persist(file: NamedTempFile, path: &Path) -> StorageResult<()> {
    file.persist(path).map(drop).map_err(|error| failure(error.error))
}

pub fn hash(mut file: File) -> StorageResult<ObjectMeta> {
    let mut hasher = Sha256::new();
    let bytes = io::copy(&mut file, &mut hasher).map_err(failure)?;
    Ok(ObjectMeta { bytes, sha256: hex::encode(hasher.finalize()) })
}

/// Removes what nobody is writing any more.
pub fn sweep(staging: &Path) -> io::Result<()> {
    for entry in fs::read_dir(staging)? {
        let path = entry?.path();
        let found = fs::symlink_metadata(&path);
        if found.as_ref().is_ok_and(fs::Metadata::is_dir) {
            fs::remove_dir_all(&path)?;
        } else if found.is_ok_and(|found| found.is_file()) {
            if File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
                fs::remove_file(&path)?;
            }
        } else {
            let _ = fs::remove_file(&path);
        }
    }
    Ok(())
}
