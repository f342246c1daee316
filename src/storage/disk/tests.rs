//! The disk adapter against a real directory.

use super::*;
use bytes::Bytes;
use futures::{TryStreamExt, stream};
use std::process::Command;

fn fresh() -> (tempfile::TempDir, DiskStorage) {
    let root = tempfile::tempdir().unwrap();
    let storage = DiskStorage::open(root.path()).unwrap();
    (root, storage)
}

fn content(parts: &[&'static [u8]]) -> ByteStream {
    let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::from_static(part))).collect();
    stream::iter(parts).boxed()
}

async fn read(storage: &DiskStorage, key: &str, range: Option<Range<u64>>) -> StorageResult<Vec<u8>> {
    let parts: Vec<Bytes> = storage.get(key, range).await?.try_collect().await.unwrap();
    Ok(parts.concat())
}

/// Every file below the root, staging included.
fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn what_was_put_is_got_with_its_checksum() {
    let (root, storage) = fresh();
    let meta = storage.put("users/u/datasets/d", content(&[b"ab", b"", b"c"]), 3).await.unwrap();
    assert_eq!(meta.bytes, 3);
    assert_eq!(meta.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(storage.head("users/u/datasets/d").await.unwrap(), meta);
    assert_eq!(read(&storage, "users/u/datasets/d", None).await.unwrap(), b"abc");
    assert_eq!(files(root.path()), ["users/u/datasets/.d.meta", "users/u/datasets/d"]);
    storage.ping().await.unwrap();
}

#[tokio::test]
async fn ranges_are_cut_at_the_end() {
    let (_root, storage) = fresh();
    storage.put("k", content(&[b"0123456789"]), 100).await.unwrap();
    for (range, expected) in [(0..4, "0123"), (8..100, "89"), (10..12, ""), (50..60, ""), (3..3, "")] {
        assert_eq!(read(&storage, "k", Some(range.clone())).await.unwrap(), expected.as_bytes(), "{range:?}");
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_or_grows_too_large_leaves_nothing() {
    let (root, storage) = fresh();
    let broken = stream::iter([Ok(Bytes::from_static(b"half")), Err(io::Error::other("gone"))]).boxed();
    assert!(matches!(storage.put("k", broken, 100).await, Err(StorageError::Interrupted(_))));
    assert!(matches!(storage.put("k", content(&[b"12", b"345"]), 4).await, Err(StorageError::TooLarge(4))));
    assert!(matches!(storage.put("../k", content(&[b"1"]), 4).await, Err(StorageError::Io(_))));
    assert!(files(root.path()).is_empty(), "{:?}", files(root.path()));
}

#[tokio::test]
async fn a_cancelled_upload_leaves_nothing() {
    let (root, storage) = fresh();
    let endless = stream::iter([Ok(Bytes::from(vec![7; 2 * BLOCK]))]).chain(stream::pending()).boxed();
    let upload = tokio::spawn({
        let storage = storage.clone();
        async move { storage.put("k", endless, u64::MAX).await }
    });
    while files(root.path()).is_empty() {
        tokio::task::yield_now().await;
    }
    upload.abort();
    assert!(upload.await.unwrap_err().is_cancelled());
    // A write under way on its own thread ends first; then its file goes.
    while !files(root.path()).is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_failed_overwrite_keeps_the_old_object() {
    let (_root, storage) = fresh();
    storage.put("k", content(&[b"old"]), 10).await.unwrap();
    let broken = stream::iter([Ok(Bytes::from_static(b"new")), Err(io::Error::other("gone"))]).boxed();
    storage.put("k", broken, 10).await.unwrap_err();
    assert_eq!(read(&storage, "k", None).await.unwrap(), b"old");
    let meta = storage.put("k", content(&[b"newer"]), 10).await.unwrap();
    assert_eq!(read(&storage, "k", None).await.unwrap(), b"newer");
    assert_eq!(storage.head("k").await.unwrap(), meta);
}

#[tokio::test]
async fn links_are_not_followed() {
    let (root, storage) = fresh();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(outside.path(), root.path().join("directory")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), root.path().join("file")).unwrap();
    for key in ["directory/secret", "file"] {
        assert!(matches!(storage.head(key).await, Err(StorageError::NotFound)), "{key}");
        assert!(matches!(read(&storage, key, None).await, Err(StorageError::NotFound)), "{key}");
    }
    storage.put("directory/new", content(&[b"x"]), 10).await.unwrap_err();
    storage.delete("directory/secret").await.unwrap();
    storage.delete_prefix("directory").await.unwrap();
    let target = root.path().join("from-link");
    storage.put_file("copy", &root.path().join("file")).await.unwrap_err();
    storage.get_file("file", &target).await.unwrap_err();
    assert_eq!(files(outside.path()), ["secret"]);
}

#[tokio::test]
async fn files_go_in_and_come_out_as_copies() {
    let (root, storage) = fresh();
    let outside = tempfile::tempdir().unwrap();
    let (source, target) = (outside.path().join("source"), outside.path().join("target"));
    fs::write(&source, vec![5; 3 * BLOCK + 1]).unwrap();
    let put = storage.put_file("models/m/model.safetensors", &source).await.unwrap();
    assert_eq!(put.bytes, 3 * BLOCK as u64 + 1);
    assert_eq!(storage.get_file("models/m/model.safetensors", &target).await.unwrap(), put);
    // A job that writes to what it was given changes its own copy only.
    fs::write(&target, "changed").unwrap();
    fs::write(&source, "changed").unwrap();
    let stored = fs::read(root.path().join("models/m/model.safetensors")).unwrap();
    assert_eq!(stored, vec![5; 3 * BLOCK + 1]);
    assert!(storage.get_file("models/m/model.safetensors", &target).await.is_err(), "it exists already");
    assert_eq!(fs::read(&target).unwrap(), b"changed");
}

#[tokio::test]
async fn deleting_takes_the_empty_directories_too() {
    let (root, storage) = fresh();
    for key in ["users/u/models/m/a", "users/u/models/m/b/c", "users/u/models/mm"] {
        storage.put(key, content(&[b"x"]), 10).await.unwrap();
    }
    storage.delete_prefix("users/u/models/m/").await.unwrap();
    assert!(matches!(storage.head("users/u/models/m/a").await, Err(StorageError::NotFound)));
    storage.head("users/u/models/mm").await.unwrap();
    storage.delete("users/u/models/mm").await.unwrap();
    storage.delete("users/u/models/mm").await.unwrap();
    storage.delete_prefix("users/u").await.unwrap();
    let left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".staging"]);
}

#[tokio::test]
async fn a_lost_checksum_is_made_again_and_a_wrong_size_is_noticed() {
    let (root, storage) = fresh();
    let meta = storage.put("k", content(&[b"abc"]), 10).await.unwrap();
    fs::remove_file(root.path().join(".k.meta")).unwrap();
    assert_eq!(storage.head("k").await.unwrap(), meta);
    assert!(root.path().join(".k.meta").exists());
    fs::remove_file(root.path().join("k")).unwrap();
    fs::write(root.path().join("k"), "abcd").unwrap();
    assert!(matches!(storage.head("k").await, Err(StorageError::Io(_))));
}

#[test]
fn what_a_dead_process_left_is_swept_and_what_a_live_one_writes_is_not() {
    let (root, storage) = fresh();
    let staging = root.path().join(".staging");
    fs::write(staging.join("stale"), "x").unwrap();
    fs::create_dir(staging.join("grave")).unwrap();
    let mut live = Staged::create(&staging).unwrap();
    live.write(b"alive").unwrap();
    DiskStorage::open(root.path()).unwrap();
    assert_eq!(fs::read_dir(&staging).unwrap().count(), 1);
    storage.inner.commit(live, "k").unwrap();
    assert_eq!(fs::read(root.path().join("k")).unwrap(), b"alive");
}

/// A full disk, as an unprivileged process can have it: in a child whose files may not grow past 64 KiB.
#[test]
fn a_full_disk_is_said_and_nothing_is_kept() {
    const INNER: &str = "LLM_TUNER_TEST_FULL_DISK";
    if let Some(root) = std::env::var_os(INNER) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let storage = DiskStorage::open(Path::new(&root)).unwrap();
        let large = stream::iter((0..4).map(|_| Ok(Bytes::from(vec![1; 32 * 1024])))).boxed();
        let result = runtime.block_on(storage.put("large", large, u64::MAX));
        assert!(matches!(result, Err(StorageError::Full)), "{result:?}");
        runtime.block_on(storage.put("small", content(&[b"fits"]), 100)).unwrap();
        // Of what comes in pieces only the piece without room is missing: here the files may grow to 64 KiB.
        let piece = |bytes: usize| stream::iter([Ok(Bytes::from(vec![1; bytes]))]).boxed();
        assert_eq!(runtime.block_on(storage.append("p", piece(60_000), u64::MAX)).unwrap(), 60_000);
        let result = runtime.block_on(storage.append("p", piece(60_000), u64::MAX));
        assert!(matches!(result, Err(StorageError::Full)), "{result:?}");
        assert_eq!(runtime.block_on(storage.appended("p")).unwrap(), 65_536);
        runtime.block_on(storage.abandon("p")).unwrap();
        return;
    }
    let root = tempfile::tempdir().unwrap();
    // The ignored signal and the limit (in blocks of 512 bytes) are both kept over `exec`.
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 128; exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .arg("storage::disk::tests::a_full_disk_is_said_and_nothing_is_kept")
        .env(INNER, root.path())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(files(root.path()), [".small.meta", "small"], "the child ran, and kept only what fitted");
}

#[test]
fn the_systems_word_for_a_full_disk_is_understood() {
    use std::io::Write;
    let error = fs::OpenOptions::new().write(true).open("/dev/full").unwrap().write_all(b"x").unwrap_err();
    assert!(matches!(failure(error), StorageError::Full));
    assert!(matches!(failure(io::Error::from_raw_os_error(nix::libc::EDQUOT)), StorageError::Full));
}

#[tokio::test]
async fn pieces_become_an_object_through_breaks_and_starts() {
    let (root, storage) = fresh();
    let key = "users/u/datasets/d";
    assert_eq!(storage.appended(key).await.unwrap(), 0);
    assert_eq!(storage.append(key, content(&[b"ab"]), 6).await.unwrap(), 2);
    let broken = stream::iter([Ok(Bytes::from_static(b"cd")), Err(io::Error::other("gone"))]).boxed();
    assert!(matches!(storage.append(key, broken, 6).await, Err(StorageError::Interrupted(_))));
    assert!(matches!(storage.head(key).await, Err(StorageError::NotFound)), "nobody sees it half");
    let storage = DiskStorage::open(root.path()).unwrap();
    assert_eq!(storage.appended(key).await.unwrap(), 4);
    let large = storage.append(key, content(&[b"e", b"fgh"]), 6).await;
    assert!(matches!(large, Err(StorageError::TooLarge(6))), "{large:?}");
    assert_eq!(storage.append(key, content(&[b"f"]), 6).await.unwrap(), 6);
    let meta = storage.complete(key).await.unwrap();
    assert_eq!(read(&storage, key, None).await.unwrap(), b"abcdef");
    assert_eq!(meta, staged::hash(open(&root.path().join(key)).unwrap()).unwrap());
    assert_eq!(storage.complete(key).await.unwrap(), meta, "said again");
    assert_eq!((storage.head(key).await.unwrap(), storage.appended(key).await.unwrap()), (meta, 6));
    assert_eq!(files(root.path()), ["users/u/datasets/.d.meta", "users/u/datasets/d"]);
}

#[tokio::test]
async fn abandoned_pieces_are_gone_and_nothing_is_an_object_too() {
    let (root, storage) = fresh();
    storage.append("a/b", content(&[b"x"]), 9).await.unwrap();
    storage.append("a/c", content(&[]), 9).await.unwrap();
    storage.abandon("a/b").await.unwrap();
    storage.abandon("a/b").await.unwrap();
    assert_eq!(storage.appended("a/b").await.unwrap(), 0);
    assert!(matches!(storage.complete("a/b").await, Err(StorageError::NotFound)));
    assert_eq!(storage.complete("a/c").await.unwrap().bytes, 0);
    assert_eq!(files(root.path()), ["a/.c.meta", "a/c"]);
    let left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.contains(&".partial".into()), "{left:?}");
    storage.append("../b", content(&[b"x"]), 9).await.unwrap_err();
}
