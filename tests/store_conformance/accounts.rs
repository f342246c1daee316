//! Accounts: the first Admin, unique addresses, changes and the sessions they end.

use crate::{
    Db,
    support::make::{audit, session, user, user_id},
};
use llm_tuner::{
    domain::account::{Email, Role},
    store::{PageRequest, StoreError},
};

pub async fn ten_racing_sign_ups_make_one_admin(db: Db) {
    let tasks: Vec<_> = (1..=10)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move { db.create_user(&user(n), &audit("user.create")).await.unwrap().role })
        })
        .collect();
    let mut admins = 0;
    for task in tasks {
        admins += usize::from(task.await.unwrap() == Role::Admin);
    }
    assert_eq!(admins, 1);
    assert_eq!(db.count_users().await.unwrap(), 10);
    let all = db.list_users(&PageRequest { cursor: None, limit: 20 }).await.unwrap().items;
    assert_eq!(all.iter().filter(|user| user.role == Role::Admin).count(), 1);
}

pub async fn an_email_is_taken_once(db: Db) {
    db.create_user(&user(1), &audit("user.create")).await.unwrap();
    let mut twin = user(2);
    twin.email = user(1).email;
    let refused = db.create_user(&twin, &audit("user.create")).await;
    assert!(matches!(refused, Err(StoreError::Taken("email"))), "{refused:?}");
    assert_eq!(db.count_users().await.unwrap(), 1);
}

pub async fn a_user_reads_back_as_stored(db: Db) {
    let mut made = user(1);
    made.full_name = "Zoë 🚀 «Ünïcødé» \u{202e}שלום".to_owned();
    made.role = Role::Lab;
    let first = db.create_user(&made, &audit("user.create")).await.unwrap();
    assert_eq!(first.role, Role::Admin, "the first account is Admin whatever was asked for");
    let mut lab = user(2);
    lab.role = Role::Lab;
    lab.disabled = true;
    assert_eq!(db.create_user(&lab, &audit("user.create")).await.unwrap(), lab);
    assert_eq!(db.user(&user_id(1)).await.unwrap(), Some(first.clone()));
    assert_eq!(db.user_by_email(&made.email).await.unwrap(), Some(first));
    assert_eq!(db.user(&user_id(2)).await.unwrap(), Some(lab));
    assert_eq!(db.user(&user_id(3)).await.unwrap(), None);
    assert_eq!(db.user_by_email(&Email::parse("no@one.example").unwrap()).await.unwrap(), None);
}

pub async fn users_are_listed_newest_first(db: Db) {
    for n in 1..=5 {
        db.create_user(&user(n), &audit("user.create")).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = db.list_users(&PageRequest { cursor, limit: 2 }).await.unwrap();
        assert!(page.items.len() <= 2);
        seen.extend(page.items.into_iter().map(|user| user.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, (1..=5).rev().map(user_id).collect::<Vec<_>>());
}

pub async fn changes_reach_the_row(db: Db) {
    db.create_user(&user(1), &audit("user.create")).await.unwrap();
    db.create_user(&user(2), &audit("user.create")).await.unwrap();
    let long = "长".repeat(200);
    db.set_full_name(&user_id(2), &long, &audit("user.rename")).await.unwrap();
    db.set_role(&user_id(2), Role::Lab, &audit("user.role")).await.unwrap();
    db.set_password_hash(&user_id(2), "newer").await.unwrap();
    let changed = db.user(&user_id(2)).await.unwrap().unwrap();
    assert_eq!((changed.full_name, changed.role, changed.password_hash.as_str()), (long, Role::Lab, "newer"));
    assert_eq!(db.user(&user_id(1)).await.unwrap().unwrap().full_name, "User 1");
}

pub async fn a_new_password_ends_other_sessions(db: Db) {
    db.create_user(&user(1), &audit("user.create")).await.unwrap();
    db.create_user(&user(2), &audit("user.create")).await.unwrap();
    for (n, of) in [(1, 1), (2, 1), (3, 2)] {
        db.create_session(&session(n, of), 10, &audit("session.create")).await.unwrap();
    }
    db.set_password(&user_id(1), "new", Some(&session(1, 1).id), &audit("user.password")).await.unwrap();
    assert_eq!(db.list_sessions(&user_id(1)).await.unwrap(), vec![session(1, 1)]);
    db.set_password(&user_id(1), "newer", None, &audit("user.password")).await.unwrap();
    assert_eq!(db.list_sessions(&user_id(1)).await.unwrap(), vec![]);
    assert_eq!(db.list_sessions(&user_id(2)).await.unwrap().len(), 1, "another user's session stays");
    assert_eq!(db.user(&user_id(1)).await.unwrap().unwrap().password_hash, "newer");
}

pub async fn disabling_ends_every_session(db: Db) {
    db.create_user(&user(1), &audit("user.create")).await.unwrap();
    db.create_session(&session(1, 1), 10, &audit("session.create")).await.unwrap();
    db.set_disabled(&user_id(1), true, &audit("user.disable")).await.unwrap();
    assert!(db.user(&user_id(1)).await.unwrap().unwrap().disabled);
    assert_eq!(db.list_sessions(&user_id(1)).await.unwrap(), vec![]);
    db.create_session(&session(2, 1), 10, &audit("session.create")).await.unwrap();
    db.set_disabled(&user_id(1), false, &audit("user.enable")).await.unwrap();
    assert!(!db.user(&user_id(1)).await.unwrap().unwrap().disabled);
    assert_eq!(db.list_sessions(&user_id(1)).await.unwrap().len(), 1);
}

pub async fn changing_nobody_is_not_found(db: Db) {
    let nobody = user_id(9);
    let outcomes = [
        db.set_full_name(&nobody, "x", &audit("a")).await,
        db.set_role(&nobody, Role::Lab, &audit("a")).await,
        db.set_disabled(&nobody, true, &audit("a")).await,
        db.set_password(&nobody, "x", None, &audit("a")).await,
        db.set_password_hash(&nobody, "x").await,
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Err(StoreError::NotFound("user"))), "{outcome:?}");
    }
}
