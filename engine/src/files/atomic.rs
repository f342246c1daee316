//! Files and directories that appear whole or not at all, whatever kills the process.
//!
//! Everything is written under another name first, flushed to the disk, and then renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::FileError;

/// Writes a file so that a reader finds either the old content or the new one.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let partial = beside(path, "partial");
    let write = || -> io::Result<()> {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        sync_directory_of(path)
    };
    write().map_err(|source| {
        // What is left over must not fill a full disk further; it is no error if nothing is there.
        let _ = fs::remove_file(&partial);
        FileError::io("write", path)(source)
    })
}

/// Fills a directory by `fill` and puts it in place of `target`, replacing what was there.
///
/// When `fill` fails, `target` is untouched.
pub fn replace_directory<E: From<FileError>>(
    target: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let partial = beside(target, "partial");
    remove_directory(&partial)?;
    fs::create_dir_all(&partial).map_err(FileError::io("create", &partial))?;
    let filled = fill(&partial)
        .and_then(|()| sync_tree(&partial).map_err(FileError::io("flush", &partial)).map_err(E::from));
    if let Err(error) = filled {
        // The first error is the one to report.
        let _ = fs::remove_dir_all(&partial);
        return Err(error);
    }
    put_in_place(&partial, target).map_err(FileError::io("write", target))?;
    Ok(())
}

/// Removes a directory with all its content; absent is fine.
pub fn remove_directory(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn put_in_place(partial: &Path, target: &Path) -> io::Result<()> {
    let old = beside(target, "old");
    if old.exists() {
        fs::remove_dir_all(&old)?;
    }
    match fs::rename(target, &old) {
        Ok(()) => {
            if let Err(error) = fs::rename(partial, target) {
                fs::rename(&old, target)?;
                return Err(error);
            }
            fs::remove_dir_all(&old)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(partial, target)?,
        // A mount point cannot be renamed: SageMaker mounts the model directory.
        Err(_) if target.is_dir() => return move_content(partial, target),
        Err(error) => return Err(error),
    }
    sync_directory_of(target)
}

/// Replaces the content of a directory that itself must stay. `config.json` comes last: without it, nothing
/// takes the directory for a model.
fn move_content(partial: &Path, target: &Path) -> io::Result<()> {
    for entry in fs::read_dir(target)? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
    }
    let mut names: Vec<_> =
        fs::read_dir(partial)?.map(|entry| entry.map(|e| e.file_name())).collect::<io::Result<_>>()?;
    names.sort_by_key(|name| name == "config.json");
    for name in names {
        let (from, to) = (partial.join(&name), target.join(&name));
        if fs::rename(&from, &to).is_err() {
            let hidden = beside(&to, "partial");
            fs::copy(&from, &hidden)?;
            File::open(&hidden)?.sync_all()?;
            fs::rename(&hidden, &to)?;
        }
    }
    File::open(target)?.sync_all()?;
    fs::remove_dir_all(partial)
}

/// `dir/name` becomes `dir/.name.suffix`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{suffix}"))
}

fn sync_tree(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { sync_tree(&path)? } else { File::open(&path)?.sync_all()? }
    }
    File::open(directory)?.sync_all()
}

/// A rename is only durable once its directory is.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) -> Result<(), FileError> {
        fs::write(path, text).map_err(FileError::io("write", path))
    }

    #[test]
    fn a_directory_is_replaced_whole() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("model");
        fs::create_dir(&target).unwrap();
        write(&target.join("stale"), "old").unwrap();
        replace_directory(&target, |dir| write(&dir.join("config.json"), "{}")).unwrap();
        assert!(target.join("config.json").exists());
        assert!(!target.join("stale").exists());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing is left over");
    }

    #[test]
    fn a_failure_leaves_what_was_there() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("model");
        fs::create_dir(&target).unwrap();
        write(&target.join("config.json"), "old").unwrap();
        let result = replace_directory(&target, |dir| {
            write(&dir.join("config.json"), "new")?;
            write(&dir.join("missing").join("file"), "")
        });
        assert!(result.is_err());
        assert_eq!(fs::read_to_string(target.join("config.json")).unwrap(), "old");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn content_can_be_moved_into_a_directory_that_must_stay() {
        let root = tempfile::tempdir().unwrap();
        let (partial, target) = (root.path().join("partial"), root.path().join("target"));
        fs::create_dir(&partial).unwrap();
        fs::create_dir(&target).unwrap();
        write(&target.join("stale"), "").unwrap();
        write(&partial.join("config.json"), "{}").unwrap();
        write(&partial.join("weights"), "w").unwrap();
        move_content(&partial, &target).unwrap();
        let mut names: Vec<_> = fs::read_dir(&target).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["config.json", "weights"]);
    }
}
