//! What only SQLite has: a file, its rights, its version, and pragmas.

use crate::support::{
    databases,
    make::{at, audit, job, job_id, user},
};
use llm_tuner::{
    domain::{cloud::Place, event::EventBody},
    store::{Accounts, JobUpdate, StoreError, sql::SqlStore},
};
use sqlx::{Connection, SqliteConnection};
use std::{os::unix::fs::PermissionsExt, path::PathBuf, str::FromStr};

fn path(url: &str) -> PathBuf {
    PathBuf::from(url.strip_prefix("sqlite://").unwrap())
}

async fn connection(url: &str) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::from_str(url).unwrap();
    SqliteConnection::connect_with(&options).await.unwrap()
}

#[tokio::test]
async fn the_linked_version_has_the_fix_of_the_wal_bug() {
    // https://www.sqlite.org/wal.html#walresetbug: up to 3.51.2 two writers could corrupt the database.
    let mut conn = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    let version: String = sqlx::query_scalar("select sqlite_version()").fetch_one(&mut conn).await.unwrap();
    let numbers: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert!(numbers >= vec![3, 51, 3], "{version}");
}

#[tokio::test]
async fn the_file_is_its_owners_alone() {
    let fresh = databases::sqlite().await;
    fresh.store.create_user(&user(1), &audit("user.create")).await.unwrap();
    let file = path(&fresh.url);
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(file.clone()), 0o600);
    assert_eq!(mode(file.with_extension("db-wal")), 0o600);
    assert_eq!(mode(file.parent().unwrap().to_owned()), 0o700);
    // One that came with wider rights loses them.
    fresh.close().await;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let again = SqlStore::connect(&fresh.url).await.unwrap();
    assert_eq!(mode(file), 0o600);
    assert_eq!(again.count_users().await.unwrap(), 1);
    again.close().await;
    fresh.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_may_start_at_once_and_share_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/llm-tuner.db", folder.path().display());
    let mut starts = tokio::task::JoinSet::new();
    for n in 1..=6 {
        let url = url.clone();
        starts.spawn(async move {
            let store = SqlStore::connect(&url).await.unwrap();
            store.create_user(&user(n), &audit("user.create")).await.unwrap();
            store
        });
    }
    for store in starts.join_all().await {
        assert_eq!(store.count_users().await.unwrap(), 6);
        let admins =
            store.list_users(&llm_tuner::store::PageRequest { cursor: None, limit: 10 }).await.unwrap();
        let admin = llm_tuner::domain::account::Role::Admin;
        assert_eq!(admins.items.iter().filter(|user| user.role == admin).count(), 1);
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_is_whole_after_writers_went_away_in_the_middle() {
    let fresh = databases::sqlite().await;
    fresh.store.create_user(&user(1), &audit("user.create")).await.unwrap();
    fresh.store.create_job(&job(1, 1, &[]), &audit("job.create")).await.unwrap();
    fresh.store.claim_jobs("me", Place::Local, at(1), at(100), 1).await.unwrap();
    let lines: Vec<_> = (0..200).map(|n| (at(1), EventBody::Log { line: format!("line {n}") })).collect();
    let mut acknowledged = 0;
    for round in 0..60 {
        let (store, lines) = (fresh.store.clone(), lines.clone());
        let writer =
            tokio::spawn(async move { store.record(&job_id(1), 1, &JobUpdate::default(), &lines).await });
        // The caller goes away, as a browser does: at another place each time.
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        writer.abort();
        if let Ok(done) = writer.await {
            acknowledged = done.unwrap();
        }
    }
    let last = fresh.store.job(&job_id(1)).await.unwrap().unwrap().last_seq;
    assert!(last >= acknowledged && last.is_multiple_of(200), "all of a record or nothing: {last}");
    let events = fresh.store.events(&job_id(1), 0, 100_000).await.unwrap();
    assert!(events.iter().map(|event| event.seq).eq(1..=last));
    fresh.store.record(&job_id(1), 1, &JobUpdate::default(), &lines).await.unwrap();
    let mut conn = connection(&fresh.url).await;
    let check: String = sqlx::query_scalar("pragma integrity_check").fetch_one(&mut conn).await.unwrap();
    let broken = sqlx::query("pragma foreign_key_check").fetch_all(&mut conn).await.unwrap().len();
    let mode: String = sqlx::query_scalar("pragma journal_mode").fetch_one(&mut conn).await.unwrap();
    assert_eq!((check.as_str(), broken, mode.as_str()), ("ok", 0, "wal"));
    conn.close().await.unwrap();
    fresh.end().await;
}

#[tokio::test]
async fn the_audit_log_can_only_grow() {
    let fresh = databases::sqlite().await;
    fresh.store.create_user(&user(1), &audit("user.create")).await.unwrap();
    let mut conn = connection(&fresh.url).await;
    for sql in ["update audit set action = 'x'", "delete from audit"] {
        let refused = sqlx::query(sql).execute(&mut conn).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
    conn.close().await.unwrap();
    fresh.end().await;
}

#[tokio::test]
async fn what_is_no_database_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("llm-tuner.db");
    let text = "somebody's letter, not a database ".repeat(100);
    std::fs::write(&file, &text).unwrap();
    let refused = SqlStore::connect(&format!("sqlite://{}", file.display())).await.unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt(..)), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let folder_url = format!("sqlite://{}", folder.path().display());
    let refused = SqlStore::connect(&folder_url).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
}

#[tokio::test]
async fn a_row_that_something_else_wrote_is_said_to_be_corrupt() {
    let fresh = databases::sqlite().await;
    fresh.store.create_user(&user(1), &audit("user.create")).await.unwrap();
    let mut conn = connection(&fresh.url).await;
    sqlx::query("update users set role = 'emperor'").execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let refused = fresh.store.user(&user(1).id).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Corrupt("role", text) if text == "emperor"), "{refused:?}");
    fresh.store.ping().await.unwrap();
    fresh.end().await;
}
