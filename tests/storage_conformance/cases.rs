//! What every storage does.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use llm_tuner::storage::{ByteStream, Storage, StorageError, StorageResult};
use sha2::{Digest, Sha256};
use std::{io, ops::Range};

/// More than two parts of a multipart upload, and an odd end.
const LARGE: usize = 21 * 1024 * 1024 + 17;

pub fn content(parts: &[&[u8]]) -> ByteStream {
    let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::copy_from_slice(part))).collect();
    stream::iter(parts).boxed()
}

fn broken(parts: &[&[u8]]) -> ByteStream {
    content(parts).chain(stream::once(async { Err(io::Error::other("gone")) })).boxed()
}

pub async fn read(storage: &dyn Storage, key: &str, range: Option<Range<u64>>) -> StorageResult<Vec<u8>> {
    let parts: Vec<Bytes> = storage.get(key, range).await?.try_collect().await.unwrap();
    Ok(parts.concat())
}

/// Bytes without a pattern that a mistake in the order of parts would hide behind.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

pub fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

pub async fn what_was_put_is_got_with_its_checksum(storage: &dyn Storage) {
    let meta = storage.put("users/u/datasets/d", content(&[b"ab", b"", b"c"]), 3).await.unwrap();
    assert_eq!((meta.bytes, meta.sha256.as_str()), (3, sha256(b"abc").as_str()));
    assert_eq!(storage.head("users/u/datasets/d").await.unwrap(), meta);
    assert_eq!(read(storage, "users/u/datasets/d", None).await.unwrap(), b"abc");
    assert!(matches!(storage.head("users/u/datasets/other").await, Err(StorageError::NotFound)));
    assert!(matches!(read(storage, "users/u", None).await, Err(StorageError::NotFound)));
    storage.ping().await.unwrap();
}

pub async fn ranges_are_cut_at_the_end(storage: &dyn Storage) {
    storage.put("k", content(&[b"0123456789"]), 100).await.unwrap();
    for (range, expected) in
        [(0..4, "0123"), (8..100, "89"), (9..10, "9"), (10..12, ""), (50..60, ""), (3..3, "")]
    {
        assert_eq!(read(storage, "k", Some(range.clone())).await.unwrap(), expected.as_bytes(), "{range:?}");
    }
    for range in [0..1, 3..3] {
        let missing = read(storage, "missing", Some(range.clone())).await;
        assert!(matches!(missing, Err(StorageError::NotFound)), "{range:?}");
    }
}

pub async fn nothing_is_an_object_too(storage: &dyn Storage) {
    let meta = storage.put("k", content(&[]), 0).await.unwrap();
    assert_eq!((meta.bytes, meta.sha256.as_str()), (0, sha256(b"").as_str()));
    assert_eq!(storage.head("k").await.unwrap(), meta);
    assert_eq!(read(storage, "k", None).await.unwrap(), b"");
}

pub async fn an_upload_that_breaks_off_or_grows_too_large_leaves_nothing(storage: &dyn Storage) {
    let large = noise(LARGE);
    assert!(matches!(storage.put("k", broken(&[b"half"]), 100).await, Err(StorageError::Interrupted(_))));
    assert!(matches!(storage.put("k", broken(&[&large]), u64::MAX).await, Err(StorageError::Interrupted(_))));
    assert!(matches!(storage.put("k", content(&[b"12", b"345"]), 4).await, Err(StorageError::TooLarge(4))));
    let limit = LARGE as u64 - 1;
    let too_large = storage.put("k", content(&[&large]), limit).await;
    assert!(matches!(too_large, Err(StorageError::TooLarge(told)) if told == limit));
    assert!(matches!(storage.head("k").await, Err(StorageError::NotFound)));
}

pub async fn a_failed_overwrite_keeps_the_old_object(storage: &dyn Storage) {
    storage.put("k", content(&[b"old"]), 10).await.unwrap();
    storage.put("k", broken(&[b"new"]), 10).await.unwrap_err();
    assert_eq!(read(storage, "k", None).await.unwrap(), b"old");
    let meta = storage.put("k", content(&[b"newer"]), 10).await.unwrap();
    assert_eq!(read(storage, "k", None).await.unwrap(), b"newer");
    assert_eq!(storage.head("k").await.unwrap(), meta);
}

pub async fn files_go_in_and_come_out_as_copies(storage: &dyn Storage) {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    let bytes = noise(LARGE);
    std::fs::write(&source, &bytes).unwrap();
    let put = storage.put_file("models/m/model.safetensors", &source).await.unwrap();
    assert_eq!((put.bytes, &put.sha256), (LARGE as u64, &sha256(&bytes)));
    assert_eq!(storage.get_file("models/m/model.safetensors", &target).await.unwrap(), put);
    assert!(std::fs::read(&target).unwrap() == bytes);
    std::fs::write(&target, "changed").unwrap();
    assert!(storage.get_file("models/m/model.safetensors", &target).await.is_err(), "it exists already");
    assert_eq!(std::fs::read(&target).unwrap(), b"changed");
    let none = storage.get_file("models/m/other", &folder.path().join("other")).await;
    assert!(matches!(none, Err(StorageError::NotFound)));
    assert!(!folder.path().join("other").exists());
}

pub async fn deleting_takes_what_is_below_and_nothing_beside(storage: &dyn Storage) {
    for key in ["users/u/models/m/a", "users/u/models/m/b/c", "users/u/models/mm"] {
        storage.put(key, content(&[b"x"]), 10).await.unwrap();
    }
    storage.delete_prefix("users/u/models/m/").await.unwrap();
    for key in ["users/u/models/m/a", "users/u/models/m/b/c"] {
        assert!(matches!(storage.head(key).await, Err(StorageError::NotFound)), "{key}");
    }
    storage.head("users/u/models/mm").await.unwrap();
    storage.delete("users/u/models/mm").await.unwrap();
    storage.delete("users/u/models/mm").await.unwrap();
    storage.delete_prefix("users/u").await.unwrap();
}

pub async fn what_is_below_a_prefix_is_listed(storage: &dyn Storage) {
    for key in ["users/u/models/m/b", "users/u/models/m/a/c", "users/u/models/mm", "users/u/models/m/a/b"] {
        storage.put(key, content(&[b"x"]), 10).await.unwrap();
    }
    assert_eq!(storage.list("users/u/models/m").await.unwrap(), ["a/b", "a/c", "b"]);
    assert_eq!(storage.list("users/u/models/m/a/").await.unwrap(), ["b", "c"]);
    for nothing in ["users/u/models/m/b", "users/other", "../users", ""] {
        assert_eq!(storage.list(nothing).await.unwrap(), Vec::<String>::new(), "{nothing:?}");
    }
}

pub async fn keys_that_lead_elsewhere_are_refused(storage: &dyn Storage) {
    for key in ["", "../k", "a/../b", "a//b", "/a", ".partial/k", "a b", "a\nb"] {
        assert!(storage.put(key, content(&[b"x"]), 10).await.is_err(), "{key:?}");
        assert!(storage.append(key, content(&[b"x"]), 10).await.is_err(), "{key:?}");
        assert!(matches!(storage.head(key).await, Err(StorageError::NotFound)), "{key:?}");
        storage.delete(key).await.unwrap();
    }
}

pub async fn large_objects_are_whole(storage: &dyn Storage) {
    let bytes = noise(LARGE);
    let chunks: Vec<&[u8]> = bytes.chunks(70_001).collect();
    let meta = storage.put("k", content(&chunks), LARGE as u64).await.unwrap();
    assert_eq!((meta.bytes, &meta.sha256), (LARGE as u64, &sha256(&bytes)));
    assert_eq!(storage.head("k").await.unwrap(), meta);
    assert!(read(storage, "k", None).await.unwrap() == bytes);
    let (from, to) = (8 * 1024 * 1024 - 3, 16 * 1024 * 1024 + 5);
    assert!(read(storage, "k", Some(from as u64..to as u64)).await.unwrap() == bytes[from..to]);
}

pub async fn pieces_become_an_object(storage: &dyn Storage) {
    let key = "users/u/datasets/d";
    assert_eq!(storage.appended(key).await.unwrap(), 0);
    assert_eq!(storage.append(key, content(&[b"ab"]), 6).await.unwrap(), 2);
    assert!(matches!(storage.append(key, broken(&[b"cd"]), 6).await, Err(StorageError::Interrupted(_))));
    assert!(matches!(storage.head(key).await, Err(StorageError::NotFound)), "nobody sees it half");
    assert_eq!(storage.appended(key).await.unwrap(), 4);
    let large = storage.append(key, content(&[b"e", b"fgh"]), 6).await;
    assert!(matches!(large, Err(StorageError::TooLarge(6))), "{large:?}");
    assert_eq!(storage.append(key, content(&[b"f"]), 6).await.unwrap(), 6);
    let meta = storage.complete(key).await.unwrap();
    assert_eq!((meta.bytes, &meta.sha256), (6, &sha256(b"abcdef")));
    assert_eq!(read(storage, key, None).await.unwrap(), b"abcdef");
    assert_eq!(storage.complete(key).await.unwrap(), meta, "said again");
    assert_eq!((storage.head(key).await.unwrap(), storage.appended(key).await.unwrap()), (meta, 6));
}

pub async fn large_pieces_become_an_object(storage: &dyn Storage) {
    let bytes = noise(LARGE);
    let (first, rest) = bytes.split_at(9 * 1024 * 1024 + 5);
    let (second, third) = rest.split_at(100);
    storage.append("k", broken(&[first]), u64::MAX).await.unwrap_err();
    assert_eq!(storage.appended("k").await.unwrap(), first.len() as u64);
    storage.append("k", content(&[second]), u64::MAX).await.unwrap();
    assert_eq!(storage.append("k", content(&[third]), u64::MAX).await.unwrap(), LARGE as u64);
    let meta = storage.complete("k").await.unwrap();
    assert_eq!((meta.bytes, &meta.sha256), (LARGE as u64, &sha256(&bytes)));
    assert!(read(storage, "k", None).await.unwrap() == bytes);
    assert_eq!(storage.complete("k").await.unwrap(), meta);
}

pub async fn abandoned_pieces_are_gone(storage: &dyn Storage) {
    let bytes = noise(LARGE);
    storage.append("a/b", content(&[&bytes]), u64::MAX).await.unwrap();
    storage.append("a/bc", content(&[b"beside"]), 9).await.unwrap();
    storage.abandon("a/b").await.unwrap();
    storage.abandon("a/b").await.unwrap();
    assert_eq!(storage.appended("a/b").await.unwrap(), 0);
    assert!(matches!(storage.complete("a/b").await, Err(StorageError::NotFound)));
    assert_eq!(storage.complete("a/bc").await.unwrap().bytes, 6);
    storage.append("a/c", content(&[]), 9).await.unwrap();
    assert_eq!(storage.complete("a/c").await.unwrap().bytes, 0);
}

/// Lengths around the size of a part, in pieces that break off or end anywhere.
pub async fn any_pieces_make_the_same_object(storage: &dyn Storage) {
    const PART: usize = 8 * 1024 * 1024;
    let bytes = noise(2 * PART + 1);
    let cuts: [&[usize]; 4] =
        [&[PART], &[PART - 1, PART], &[1, PART + 1, 2 * PART], &[PART, PART, 2 * PART - 1, 2 * PART]];
    for (number, cuts) in cuts.iter().enumerate() {
        let key = format!("k{number}");
        let mut from = 0;
        for (at, to) in cuts.iter().copied().chain([bytes.len()]).enumerate() {
            let piece = &bytes[from..to];
            if at % 2 == 0 {
                storage.append(&key, broken(&[piece]), u64::MAX).await.unwrap_err();
            } else {
                assert_eq!(storage.append(&key, content(&[piece]), u64::MAX).await.unwrap(), to as u64);
            }
            assert_eq!(storage.appended(&key).await.unwrap(), to as u64, "{cuts:?}");
            from = to;
        }
        assert_eq!(storage.complete(&key).await.unwrap().sha256, sha256(&bytes), "{cuts:?}");
    }
}
