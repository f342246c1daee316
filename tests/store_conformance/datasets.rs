//! Datasets: versions, names, what the check found, and deletion that a job forbids.

use crate::{
    Db,
    support::make::{at, audit, dataset, dataset_id, job, job_id, user, user_id},
};
use llm_tuner::{
    domain::{dataset::DatasetState, time::Instant},
    store::{PageRequest, StoreError},
};

async fn with_users(db: &Db, count: u64) {
    for n in 1..=count {
        db.create_user(&user(n), &audit("user.create")).await.unwrap();
    }
}

async fn names(db: &Db, of: u64) -> Vec<String> {
    let page = db.list_datasets(&user_id(of), &PageRequest { cursor: None, limit: 100 }).await.unwrap();
    page.items.into_iter().map(|dataset| dataset.name).collect()
}

pub async fn a_dataset_reads_back_as_stored(db: Db) {
    with_users(&db, 2).await;
    let mut made = dataset(1, 1);
    made.bytes = 5_000_000_000;
    made.format = Some("\"chat\"".to_owned());
    made.mapping = Some("{}".to_owned());
    made.sample = Some("commands".to_owned());
    db.create_dataset(&made, &audit("dataset.create")).await.unwrap();
    assert_eq!(db.dataset(&dataset_id(1)).await.unwrap(), Some(made));
    assert_eq!(db.dataset(&dataset_id(2)).await.unwrap(), None);
    assert_eq!(names(&db, 2).await, Vec::<String>::new());
    let orphan = db.create_dataset(&dataset(3, 9), &audit("dataset.create")).await;
    assert!(matches!(orphan, Err(StoreError::NotFound("user"))), "{orphan:?}");
}

pub async fn what_the_check_found_is_saved(db: Db) {
    with_users(&db, 1).await;
    let mut made = dataset(1, 1);
    db.create_dataset(&made, &audit("dataset.create")).await.unwrap();
    db.set_checked_bytes(&made.id, 512).await.unwrap();
    assert_eq!(db.dataset(&made.id).await.unwrap().unwrap().checked_bytes, 512);
    made.state = DatasetState::NeedsFixing;
    made.checked_bytes = made.bytes;
    made.rows = 100_000;
    made.format = Some("\"alpaca\"".to_owned());
    made.report = Some(r#"{"findings":["\u0000 is escaped"]}"#.to_owned());
    made.mapping = Some("{\"prompt\":0}".to_owned());
    made.failure = Some("none".to_owned());
    made.updated_at = at(99);
    db.save_check(&made).await.unwrap();
    assert_eq!(db.dataset(&made.id).await.unwrap(), Some(made));
    assert!(matches!(db.save_check(&dataset(2, 1)).await, Err(StoreError::NotFound("dataset"))));
    let nothing = db.set_checked_bytes(&dataset_id(2), 1).await;
    assert!(matches!(nothing, Err(StoreError::NotFound("dataset"))), "{nothing:?}");
}

pub async fn lists_show_the_newest_version(db: Db) {
    with_users(&db, 2).await;
    for (n, family, version) in [(1, 1, 1), (2, 2, 1), (3, 1, 2), (4, 1, 3), (5, 5, 1)] {
        let mut made = dataset(n, 1);
        (made.family_id, made.version) = (dataset_id(family), version);
        db.create_dataset(&made, &audit("dataset.create")).await.unwrap();
    }
    assert_eq!(names(&db, 1).await, ["data 5", "data 4", "data 2"]);
    let versions = db.list_versions(&user_id(1), &dataset_id(1)).await.unwrap();
    assert_eq!(versions.iter().map(|d| d.version).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(db.list_versions(&user_id(2), &dataset_id(1)).await.unwrap(), vec![]);
    let page = db.list_datasets(&user_id(1), &PageRequest { cursor: None, limit: 2 }).await.unwrap();
    let rest = db.list_datasets(&user_id(1), &PageRequest { cursor: page.next, limit: 2 }).await.unwrap();
    assert_eq!((rest.items.len(), rest.items[0].id.clone(), rest.next), (1, dataset_id(2), None));
}

pub async fn a_version_number_is_given_once(db: Db) {
    with_users(&db, 1).await;
    db.create_dataset(&dataset(1, 1), &audit("dataset.create")).await.unwrap();
    let mut twin = dataset(2, 1);
    twin.family_id = dataset_id(1);
    let refused = db.create_dataset(&twin, &audit("dataset.create")).await;
    assert!(matches!(refused, Err(StoreError::Taken("dataset version"))), "{refused:?}");
}

pub async fn the_newest_of_a_file_name_is_found(db: Db) {
    with_users(&db, 2).await;
    for (n, of) in [(1, 1), (2, 1), (3, 2)] {
        let mut made = dataset(n, of);
        made.original_name = "train.jsonl".to_owned();
        db.create_dataset(&made, &audit("dataset.create")).await.unwrap();
    }
    let found = |of, name: &'static str| {
        let db = db.clone();
        async move { db.dataset_by_original_name(&user_id(of), name).await.unwrap().map(|found| found.id) }
    };
    assert_eq!(found(1, "train.jsonl").await, Some(dataset_id(2)));
    assert_eq!(found(2, "train.jsonl").await, Some(dataset_id(3)));
    assert_eq!(found(1, "Train.jsonl").await, None);
}

pub async fn a_dataset_in_use_stays(db: Db) {
    with_users(&db, 1).await;
    for n in 1..=2 {
        db.create_dataset(&dataset(n, 1), &audit("dataset.create")).await.unwrap();
    }
    db.create_job(&job(1, 1, &[1]), &audit("job.create")).await.unwrap();
    db.create_job(&job(2, 1, &[1, 2]), &audit("job.create")).await.unwrap();
    let refused = db.delete_dataset(&dataset_id(1), &audit("dataset.delete")).await;
    assert!(matches!(refused, Err(StoreError::Taken("job"))), "{refused:?}");
    assert_eq!(db.jobs_using_dataset(&dataset_id(1)).await.unwrap(), ["job-2", "job-1"]);
    for n in 1..=2 {
        let mode = llm_tuner::domain::job::StopMode::Discard;
        db.request_stop(&job_id(n), mode, at(1), &audit("job.stop")).await.unwrap();
        db.delete_job(&job_id(n), &audit("job.delete")).await.unwrap();
    }
    db.delete_dataset(&dataset_id(1), &audit("dataset.delete")).await.unwrap();
    assert_eq!(db.dataset(&dataset_id(1)).await.unwrap(), None);
    let again = db.delete_dataset(&dataset_id(1), &audit("dataset.delete")).await;
    assert!(matches!(again, Err(StoreError::NotFound("dataset"))), "{again:?}");
}

pub async fn deletion_and_a_new_job_never_both_win(db: Db) {
    with_users(&db, 1).await;
    for n in 1..=10 {
        db.create_dataset(&dataset(n, 1), &audit("dataset.create")).await.unwrap();
        let (delete, create) = (db.clone(), db.clone());
        let deletion =
            tokio::spawn(
                async move { delete.delete_dataset(&dataset_id(n), &audit("dataset.delete")).await },
            );
        let creation =
            tokio::spawn(async move { create.create_job(&job(n, 1, &[n]), &audit("job.create")).await });
        match (deletion.await.unwrap(), creation.await.unwrap()) {
            (Ok(()), Err(StoreError::NotFound("dataset"))) => {
                assert_eq!(db.job(&job_id(n)).await.unwrap(), None);
            }
            (Err(StoreError::Taken("job")), Ok(_)) => {
                assert!(db.dataset(&dataset_id(n)).await.unwrap().is_some());
            }
            other => panic!("{other:?}"),
        }
    }
}

pub async fn unchecked_datasets_are_found_again(db: Db) {
    with_users(&db, 2).await;
    for (n, of) in [(1, 1), (2, 2), (3, 1)] {
        db.create_dataset(&dataset(n, of), &audit("dataset.create")).await.unwrap();
    }
    let mut checked = dataset(3, 1);
    checked.state = DatasetState::Ready;
    db.save_check(&checked).await.unwrap();
    let open = db.datasets_in_state(DatasetState::Checking).await.unwrap();
    assert_eq!(open.into_iter().map(|d| d.id).collect::<Vec<_>>(), [dataset_id(1), dataset_id(2)]);
    assert_eq!(db.datasets_in_state(DatasetState::Ready).await.unwrap(), vec![checked]);
}

pub async fn sizes_add_up(db: Db) {
    with_users(&db, 2).await;
    assert_eq!(db.dataset_bytes(&user_id(1)).await.unwrap(), 0);
    for n in 1..=3 {
        let mut made = dataset(n, 1);
        made.bytes = 5_000_000_000;
        db.create_dataset(&made, &audit("dataset.create")).await.unwrap();
    }
    assert_eq!(db.dataset_bytes(&user_id(1)).await.unwrap(), 15_000_000_000);
    assert_eq!(db.dataset_bytes(&user_id(2)).await.unwrap(), 0);
}

pub async fn odd_names_are_kept(db: Db) {
    with_users(&db, 1).await;
    let long = "🐍".repeat(200);
    let odd = ["'; drop table users; --", "👩‍👩‍👧 Zoë", "a\u{202e}b", "%_\\", "tab\tline\n", long.as_str(), " "];
    for (n, name) in (1..).zip(odd) {
        let mut made = dataset(n, 1);
        (made.name, made.original_name) = (name.to_owned(), name.to_owned());
        db.create_dataset(&made, &audit("dataset.create")).await.unwrap();
        assert_eq!(db.dataset_by_original_name(&user_id(1), name).await.unwrap(), Some(made));
    }
    // No database can be trusted with NUL; it becomes visible instead.
    let mut made = dataset(50, 1);
    made.original_name = "nul\0.csv".to_owned();
    db.create_dataset(&made, &audit("dataset.create")).await.unwrap();
    let read = db.dataset_by_original_name(&user_id(1), "nul\0.csv").await.unwrap().unwrap();
    assert_eq!(read.original_name, "nul\u{2400}.csv");
    db.rename_dataset(&made.id, "new\0name", Instant(7), &audit("dataset.rename")).await.unwrap();
    let renamed = db.dataset(&made.id).await.unwrap().unwrap();
    assert_eq!((renamed.name.as_str(), renamed.updated_at), ("new\u{2400}name", Instant(7)));
    let nothing = db.rename_dataset(&dataset_id(99), "x", at(0), &audit("dataset.rename")).await;
    assert!(matches!(nothing, Err(StoreError::NotFound("dataset"))), "{nothing:?}");
}
