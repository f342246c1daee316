//! What only Postgres has: a line that can be cut, and a server that can go away.

use crate::support::{
    databases,
    make::{audit, user},
    proxy::{Line, Proxy},
};
use llm_tuner::store::{Accounts, Store, StoreError, sql::SqlStore};
use sqlx::{Connection, PgConnection};
use std::{sync::Arc, time::Duration};

/// Far above the store's own limits: it only ends a test that would hang for ever.
async fn answers<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), call).await.expect("the call never answers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_line_is_said_and_healed() {
    let (admin, name, direct) = databases::postgres_database().await;
    let mut url = url::Url::parse(&direct).unwrap();
    let target = url.socket_addrs(|| Some(5432)).unwrap()[0];
    let proxy = Proxy::to(target).await;
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(proxy.address.port())).unwrap();
    let store = Arc::new(SqlStore::connect(url.as_str()).await.unwrap());
    let mut n = 0;
    for line in [Line::Cut, Line::Silent, Line::Cut] {
        n += 1;
        store.create_user(&user(n), &audit("user.create")).await.unwrap();
        proxy.set(line);
        // More callers than the pool has places: all get an answer, in reading and in writing.
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..20 {
            let store = store.clone();
            callers.spawn(async move {
                match caller % 2 {
                    0 => store.ping().await,
                    _ => store.create_user(&user(100 + caller), &audit("user.create")).await.map(drop),
                }
            });
        }
        for outcome in answers(callers.join_all()).await {
            assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{line:?}: {outcome:?}");
        }
        proxy.set(Line::Open);
        n += 1;
        answers(store.ping()).await.unwrap();
        answers(store.create_user(&user(n), &audit("user.create"))).await.unwrap();
        assert_eq!(store.count_users().await.unwrap(), n, "what was refused did not happen");
    }
    store.close().await;
    databases::drop_database(&admin, &name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_the_line_swallows_are_given_up() {
    let (admin, name, direct) = databases::postgres_database().await;
    let mut url = url::Url::parse(&direct).unwrap();
    let proxy = Proxy::to(url.socket_addrs(|| Some(5432)).unwrap()[0]).await;
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(proxy.address.port())).unwrap();
    let store = Arc::new(SqlStore::connect(url.as_str()).await.unwrap());
    // Somebody holds the table: every connection of the pool has a statement under way when the line falls silent.
    let mut blocker = PgConnection::connect(&direct).await.unwrap();
    sqlx::query("begin").execute(&mut blocker).await.unwrap();
    sqlx::query("lock table users in access exclusive mode").execute(&mut blocker).await.unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for n in 1..=12 {
        let store = store.clone();
        callers.spawn(async move { store.create_user(&user(n), &audit("user.create")).await });
    }
    // On a connection of its own: within a transaction the view stays as it was at the first look.
    let mut watcher = PgConnection::connect(&direct).await.unwrap();
    let waiting = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    answers(async {
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut watcher).await.unwrap() < 8 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    watcher.close().await.unwrap();
    proxy.set(Line::Silent);
    for outcome in answers(callers.join_all()).await {
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    }
    proxy.set(Line::Open);
    sqlx::query("rollback").execute(&mut blocker).await.unwrap();
    // The server may hold what the dead connections held for its own few seconds.
    answers(async {
        while let Err(refused) = store.create_user(&user(20), &audit("user.create")).await {
            assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
        }
    })
    .await;
    assert_eq!(store.count_users().await.unwrap(), 1);
    store.close().await;
    blocker.close().await.unwrap();
    databases::drop_database(&admin, &name).await;
}

#[tokio::test]
async fn a_server_that_ends_our_connections_is_forgiven() {
    let fresh = databases::postgres().await;
    fresh.store.create_user(&user(1), &audit("user.create")).await.unwrap();
    let mut conn = PgConnection::connect(&fresh.url).await.unwrap();
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    fresh.store.ping().await.unwrap();
    assert_eq!(fresh.store.count_users().await.unwrap(), 1);
    conn.close().await.unwrap();
    fresh.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_may_start_at_once() {
    let (admin, name, url) = databases::postgres_database().await;
    let mut starts = tokio::task::JoinSet::new();
    for n in 1..=6 {
        let url = url.clone();
        starts.spawn(async move {
            let store = SqlStore::connect(&url).await.unwrap();
            store.create_user(&user(n), &audit("user.create")).await.unwrap();
            store.close().await;
        });
    }
    starts.join_all().await;
    databases::drop_database(&admin, &name).await;
}

#[tokio::test]
async fn the_audit_log_can_only_grow() {
    let fresh = databases::postgres().await;
    fresh.store.create_user(&user(1), &audit("user.create")).await.unwrap();
    let mut conn = PgConnection::connect(&fresh.url).await.unwrap();
    for sql in ["update audit set action = 'x'", "delete from audit", "truncate audit"] {
        let refused = sqlx::query(sql).execute(&mut conn).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
    conn.close().await.unwrap();
    fresh.end().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("postgres://me:secret@127.0.0.1:{port}/db");
    let refused = answers(SqlStore::connect(&url)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
    assert!(!refused.to_string().contains("secret"), "{refused}");
}
