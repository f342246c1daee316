//! Uploads under way: each becomes one dataset, or ends.

use crate::{
    Db,
    support::make::{at, audit, dataset, dataset_id, upload, user, user_id},
};
use llm_tuner::{
    domain::ids::DatasetId,
    store::{PageRequest, StoreError},
};

async fn with_user(db: &Db) {
    db.create_user(&user(1), &audit("user.create")).await.unwrap();
}

async fn audited(db: &Db) -> Vec<String> {
    let log = db.list_audit(&PageRequest { cursor: None, limit: 100 }).await.unwrap();
    log.items.into_iter().rev().map(|entry| entry.action).collect()
}

async fn expired(db: &Db, seconds: i64, limit: usize) -> Vec<DatasetId> {
    db.expired_uploads(at(seconds), limit).await.unwrap().into_iter().map(|upload| upload.id).collect()
}

pub async fn an_upload_reads_back_as_stored(db: Db) {
    with_user(&db).await;
    let mut made = upload(1, 1);
    made.bytes = 5_000_000_000;
    made.metadata = "filename bmFtZQ==,empty".to_owned();
    db.create_upload(&made, &audit("upload.begin")).await.unwrap();
    assert_eq!(db.upload(&made.id).await.unwrap(), Some(made));
    assert_eq!(db.upload(&dataset_id(2)).await.unwrap(), None);
    let orphan = db.create_upload(&upload(3, 9), &audit("upload.begin")).await;
    assert!(matches!(orphan, Err(StoreError::NotFound("user"))), "{orphan:?}");
    assert_eq!(audited(&db).await, ["user.create", "upload.begin"]);
}

pub async fn racing_finishers_make_one_dataset(db: Db) {
    with_user(&db).await;
    db.create_upload(&upload(1, 1), &audit("upload.begin")).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move { db.finish_upload(&dataset(1, 1), &audit("dataset.create")).await })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => won += 1,
            Err(StoreError::NotFound("upload")) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(db.upload(&dataset_id(1)).await.unwrap(), None);
    assert_eq!(db.dataset(&dataset_id(1)).await.unwrap(), Some(dataset(1, 1)));
    assert_eq!(audited(&db).await, ["user.create", "upload.begin", "dataset.create"]);
}

pub async fn a_dataset_that_cannot_be_made_leaves_the_upload(db: Db) {
    with_user(&db).await;
    for n in [1, 2] {
        db.create_upload(&upload(n, 1), &audit("upload.begin")).await.unwrap();
    }
    db.finish_upload(&dataset(1, 1), &audit("dataset.create")).await.unwrap();
    let mut twin = dataset(2, 1);
    twin.family_id = dataset_id(1);
    let refused = db.finish_upload(&twin, &audit("dataset.create")).await;
    assert!(matches!(refused, Err(StoreError::Taken(_))), "{refused:?}");
    assert_eq!(db.upload(&dataset_id(2)).await.unwrap(), Some(upload(2, 1)));
    assert_eq!(db.dataset(&dataset_id(2)).await.unwrap(), None);
}

pub async fn uploads_end_when_their_time_has_come(db: Db) {
    with_user(&db).await;
    for (n, end) in [(1, 300), (2, 100), (3, 101), (4, 100)] {
        let mut made = upload(n, 1);
        made.expires_at = at(end);
        db.create_upload(&made, &audit("upload.begin")).await.unwrap();
    }
    assert_eq!(expired(&db, 99, 10).await, []);
    assert_eq!(expired(&db, 100, 10).await, [dataset_id(2), dataset_id(4)]);
    assert_eq!(expired(&db, 100, 1).await, [dataset_id(2)]);
    db.keep_upload(&dataset_id(2), at(500)).await.unwrap();
    db.delete_upload(&dataset_id(4), None).await.unwrap();
    assert_eq!(expired(&db, 400, 10).await, [dataset_id(3), dataset_id(1)]);
    for gone in [
        db.keep_upload(&dataset_id(4), at(500)).await,
        db.delete_upload(&dataset_id(4), Some(&audit("upload.cancel"))).await,
    ] {
        assert!(matches!(gone, Err(StoreError::NotFound("upload"))), "{gone:?}");
    }
    db.delete_upload(&dataset_id(3), Some(&audit("upload.cancel"))).await.unwrap();
    assert_eq!(audited(&db).await.last().unwrap(), "upload.cancel");
    assert_eq!(
        audited(&db).await.len(),
        6,
        "what failed is not audited, and what ran out of time is not either"
    );
    assert_eq!(
        db.list_datasets(&user_id(1), &PageRequest { cursor: None, limit: 9 }).await.unwrap().items,
        []
    );
}
