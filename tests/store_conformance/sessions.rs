//! Sessions: how many, whose, and when they are over.

use crate::{
    Db,
    support::make::{at, audit, session, session_id, user, user_id},
};
use llm_tuner::store::StoreError;

async fn with_users(db: &Db, count: u64) {
    for n in 1..=count {
        db.create_user(&user(n), &audit("user.create")).await.unwrap();
    }
}

async fn ids(db: &Db, user: u64) -> Vec<u64> {
    let sessions = db.list_sessions(&user_id(user)).await.unwrap();
    sessions.iter().map(|session| (1..100).find(|n| session_id(*n) == session.id).unwrap()).collect()
}

pub async fn a_session_comes_with_its_user(db: Db) {
    with_users(&db, 1).await;
    let made = session(1, 1);
    db.create_session(&made, 10, &audit("session.create")).await.unwrap();
    let (read, of) = db.session(&made.secret_hash).await.unwrap().unwrap();
    assert_eq!(read, made);
    assert_eq!(Some(of), db.user(&user_id(1)).await.unwrap());
    assert_eq!(db.session("hash-2").await.unwrap(), None);
    db.touch_session(&made.id, at(500)).await.unwrap();
    assert_eq!(db.session(&made.secret_hash).await.unwrap().unwrap().0.last_seen_at, at(500));
    assert!(matches!(db.touch_session(&session_id(7), at(1)).await, Err(StoreError::NotFound("session"))));
}

pub async fn the_longest_unused_session_makes_room(db: Db) {
    with_users(&db, 1).await;
    for n in 1..=3 {
        db.create_session(&session(n, 1), 3, &audit("session.create")).await.unwrap();
    }
    db.touch_session(&session_id(1), at(1_000)).await.unwrap();
    db.create_session(&session(4, 1), 3, &audit("session.create")).await.unwrap();
    assert_eq!(ids(&db, 1).await, [4, 3, 1]);
}

pub async fn the_newest_session_stays(db: Db) {
    with_users(&db, 1).await;
    let mut early = session(9, 1);
    early.last_seen_at = at(-5);
    for n in 1..=2 {
        db.create_session(&session(n, 1), 2, &audit("session.create")).await.unwrap();
    }
    db.create_session(&early, 2, &audit("session.create")).await.unwrap();
    assert_eq!(ids(&db, 1).await, [9, 2], "the clock went back, the person who signs in gets in");
}

pub async fn racing_sign_ins_keep_the_limit(db: Db) {
    with_users(&db, 1).await;
    let tasks: Vec<_> = (1..=12)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move { db.create_session(&session(n, 1), 4, &audit("session.create")).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(ids(&db, 1).await.len(), 4);
}

pub async fn a_session_ends_only_for_its_owner(db: Db) {
    with_users(&db, 2).await;
    db.create_session(&session(1, 1), 10, &audit("session.create")).await.unwrap();
    let refused = db.end_session(&user_id(2), &session_id(1), &audit("session.end")).await;
    assert!(matches!(refused, Err(StoreError::NotFound("session"))), "{refused:?}");
    assert!(db.session("hash-1").await.unwrap().is_some());
    db.end_session(&user_id(1), &session_id(1), &audit("session.end")).await.unwrap();
    assert_eq!(db.session("hash-1").await.unwrap(), None);
}

pub async fn all_others_end(db: Db) {
    with_users(&db, 2).await;
    for (n, of) in [(1, 1), (2, 1), (3, 1), (4, 2)] {
        db.create_session(&session(n, of), 10, &audit("session.create")).await.unwrap();
    }
    assert_eq!(
        db.end_other_sessions(&user_id(1), &session_id(2), &audit("session.end_others")).await.unwrap(),
        2
    );
    assert_eq!((ids(&db, 1).await, ids(&db, 2).await), (vec![2], vec![4]));
}

pub async fn sweeping_takes_what_is_over_and_nothing_else(db: Db) {
    with_users(&db, 1).await;
    // Expires now; expires later; unused for too long; used at the very limit.
    for (n, expires, seen) in [(1, 100, 90), (2, 101, 90), (3, 900, 49), (4, 900, 50)] {
        let mut session = session(n, 1);
        (session.expires_at, session.last_seen_at) = (at(expires), at(seen));
        db.create_session(&session, 10, &audit("session.create")).await.unwrap();
    }
    assert_eq!(db.sweep_sessions(at(100), at(50)).await.unwrap(), 2);
    assert_eq!(ids(&db, 1).await, [4, 2]);
    assert_eq!(db.sweep_sessions(at(100), at(50)).await.unwrap(), 0);
}

pub async fn a_session_needs_its_user(db: Db) {
    let refused = db.create_session(&session(1, 1), 10, &audit("session.create")).await;
    assert!(matches!(refused, Err(StoreError::NotFound("user"))), "{refused:?}");
    assert_eq!(db.session("hash-1").await.unwrap(), None);
}
