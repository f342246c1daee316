//! The audit log: complete, and nothing in it that did not happen.

use crate::{
    Db,
    support::make::{at, audit, dataset, dataset_id, job, user, user_id},
};
use llm_tuner::{
    domain::audit::{AuditEntry, Outcome},
    store::PageRequest,
};

async fn actions(db: &Db) -> Vec<String> {
    let page = db.list_audit(&PageRequest { cursor: None, limit: 1_000 }).await.unwrap();
    page.items.into_iter().rev().map(|entry| entry.action).collect()
}

pub async fn what_changes_is_audited_with_it(db: Db) {
    db.create_user(&user(1), &audit("user.create")).await.unwrap();
    db.create_dataset(&dataset(1, 1), &audit("dataset.create")).await.unwrap();
    db.create_job(&job(1, 1, &[1]), &audit("job.create")).await.unwrap();
    db.create_job(&job(1, 1, &[1]), &audit("job.create")).await.unwrap();
    assert_eq!(actions(&db).await, ["user.create", "dataset.create", "job.create"]);
    let refusal = AuditEntry {
        at: at(-1),
        actor: None,
        action: "session.create".to_owned(),
        object: "user@\0example.com 🕵".to_owned(),
        outcome: Outcome::Refused,
        ip: String::new(),
        request_id: "r-2".to_owned(),
    };
    db.audit(&refusal).await.unwrap();
    let newest = db.list_audit(&PageRequest { cursor: None, limit: 1 }).await.unwrap().items;
    assert_eq!(newest, vec![AuditEntry { object: "user@\u{2400}example.com 🕵".to_owned(), ..refusal }]);
}

pub async fn what_fails_is_not_audited(db: Db) {
    db.create_user(&user(1), &audit("user.create")).await.unwrap();
    db.create_user(&user(1), &audit("twice")).await.unwrap_err();
    db.set_full_name(&user_id(2), "x", &audit("nobody")).await.unwrap_err();
    db.delete_dataset(&dataset_id(1), &audit("nothing")).await.unwrap_err();
    db.create_job(&job(1, 1, &[1]), &audit("without data")).await.unwrap_err();
    assert_eq!(actions(&db).await, ["user.create"]);
}

pub async fn the_log_pages_backwards(db: Db) {
    for n in 0..7 {
        // The clock stands still, then goes back: the order is that of writing.
        let entry = AuditEntry { at: at(-(n / 3)), ..audit(&format!("a.{n}")) };
        db.audit(&entry).await.unwrap();
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = db.list_audit(&PageRequest { cursor, limit: 3 }).await.unwrap();
        seen.extend(page.items.into_iter().map(|entry| entry.action));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..7).rev().map(|n| format!("a.{n}")).collect::<Vec<_>>());
}
