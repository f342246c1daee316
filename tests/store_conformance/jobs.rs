//! Jobs: made once, listed in pages, deleted when they are over.

use crate::{
    Db,
    support::make::{at, audit, dataset, dataset_id, job, job_id, user, user_id},
};
use llm_tuner::{
    domain::{
        cloud::Place,
        job::{BaseModel, Job, JobState, StopMode},
    },
    store::{JobUpdate, PageRequest, StoreError},
};
use std::collections::BTreeSet;

async fn with_users(db: &Db, count: u64) {
    for n in 1..=count {
        db.create_user(&user(n), &audit("user.create")).await.unwrap();
    }
}

/// All pages of a list, checked for size.
async fn all_jobs(db: &Db, of: u64, limit: usize) -> Vec<Job> {
    let (mut jobs, mut cursor) = (Vec::new(), None);
    loop {
        let page = db.list_jobs(&user_id(of), &PageRequest { cursor, limit }).await.unwrap();
        assert!(page.items.len() <= limit);
        assert!(page.next.is_none() || page.items.len() == limit);
        jobs.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return jobs;
        }
    }
}

pub async fn a_job_reads_back_as_stored(db: Db) {
    with_users(&db, 1).await;
    for n in 1..=2 {
        db.create_dataset(&dataset(n, 1), &audit("dataset.create")).await.unwrap();
    }
    let mut made = job(1, 1, &[1, 2]);
    made.spec.base = BaseModel::Directory { name: "gpt2 🦙".to_owned() };
    made.notes = "first line\nsecond\0line".to_owned();
    let stored = db.create_job(&made, &audit("job.create")).await.unwrap();
    made.notes = "first line\nsecond\u{2400}line".to_owned();
    assert_eq!(db.job(&job_id(1)).await.unwrap(), Some(made.clone()));
    assert_eq!(db.job_by_name("job-1").await.unwrap(), Some(made.clone()));
    assert_eq!(stored, made, "what is returned is what is stored");
    assert_eq!(db.job(&job_id(2)).await.unwrap(), None);
    assert_eq!(db.job_by_name("JOB-1").await.unwrap(), None);
}

pub async fn one_key_makes_one_job(db: Db) {
    with_users(&db, 1).await;
    let first = db.create_job(&job(1, 1, &[]), &audit("job.create")).await.unwrap();
    let mut again = job(2, 1, &[]);
    again.idempotency_key = first.idempotency_key.clone();
    assert_eq!(db.create_job(&again, &audit("job.create")).await.unwrap(), first);
    // The very same request, name and all.
    assert_eq!(db.create_job(&first, &audit("job.create")).await.unwrap(), first);
    assert_eq!(all_jobs(&db, 1, 10).await, vec![first]);
}

pub async fn a_double_click_makes_one_job(db: Db) {
    with_users(&db, 1).await;
    for round in 0..5 {
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let db = db.clone();
                tokio::spawn(async move {
                    let mut job = job(round * 8 + n + 1, 1, &[]);
                    // The name is often made of the request too: both are taken at once.
                    job.idempotency_key = format!("round-{round}");
                    job.name = format!("round-{round}");
                    db.create_job(&job, &audit("job.create")).await.unwrap().id
                })
            })
            .collect();
        let mut made = BTreeSet::new();
        for task in tasks {
            made.insert(task.await.unwrap());
        }
        assert_eq!(made.len(), 1, "everybody got the same job");
    }
    assert_eq!(all_jobs(&db, 1, 10).await.len(), 5);
}

pub async fn keys_are_per_user(db: Db) {
    with_users(&db, 2).await;
    let mut other = job(2, 2, &[]);
    other.idempotency_key = job(1, 1, &[]).idempotency_key;
    db.create_job(&job(1, 1, &[]), &audit("job.create")).await.unwrap();
    assert_eq!(db.create_job(&other, &audit("job.create")).await.unwrap().id, other.id);
}

pub async fn a_name_is_taken_once(db: Db) {
    with_users(&db, 2).await;
    db.create_job(&job(1, 1, &[]), &audit("job.create")).await.unwrap();
    let mut twin = job(2, 2, &[]);
    twin.name = "job-1".to_owned();
    let refused = db.create_job(&twin, &audit("job.create")).await;
    assert!(matches!(refused, Err(StoreError::Taken("job name"))), "{refused:?}");
    assert_eq!(all_jobs(&db, 2, 10).await, vec![]);
}

pub async fn a_job_needs_its_datasets(db: Db) {
    with_users(&db, 1).await;
    db.create_dataset(&dataset(1, 1), &audit("dataset.create")).await.unwrap();
    let refused = db.create_job(&job(1, 1, &[1, 2]), &audit("job.create")).await;
    assert!(matches!(refused, Err(StoreError::NotFound("dataset"))), "{refused:?}");
    assert_eq!(db.job(&job_id(1)).await.unwrap(), None, "nothing of it is left");
    assert_eq!(db.jobs_using_dataset(&dataset_id(1)).await.unwrap(), Vec::<String>::new());
    let nobody = db.create_job(&job(1, 7, &[]), &audit("job.create")).await;
    assert!(matches!(nobody, Err(StoreError::NotFound("user"))), "{nobody:?}");
}

pub async fn pages_cover_equal_times(db: Db) {
    with_users(&db, 2).await;
    for n in 1..=25 {
        let mut made = job(n, if n == 13 { 2 } else { 1 }, &[]);
        made.created_at = at(i64::try_from(n / 10).unwrap());
        db.create_job(&made, &audit("job.create")).await.unwrap();
    }
    for limit in [1, 3, 12, 24, 100] {
        let ids: Vec<_> = all_jobs(&db, 1, limit).await.into_iter().map(|job| job.id).collect();
        let expected: Vec<_> = (1..=25).filter(|n| *n != 13).rev().map(job_id).collect();
        assert_eq!(ids, expected, "limit {limit}");
    }
    let foreign = PageRequest { cursor: Some("not of our making".to_owned()), limit: 2 };
    assert_eq!(db.list_jobs(&user_id(1), &foreign).await.unwrap().items[0].id, job_id(25));
}

pub async fn a_page_is_stable_while_jobs_come(db: Db) {
    with_users(&db, 1).await;
    for n in 1..=4 {
        db.create_job(&job(n, 1, &[]), &audit("job.create")).await.unwrap();
    }
    let first = db.list_jobs(&user_id(1), &PageRequest { cursor: None, limit: 2 }).await.unwrap();
    // The row that the cursor names goes, and a newer one comes.
    db.request_stop(&job_id(3), StopMode::Discard, at(9), &audit("job.stop")).await.unwrap();
    db.delete_job(&job_id(3), &audit("job.delete")).await.unwrap();
    db.create_job(&job(5, 1, &[]), &audit("job.create")).await.unwrap();
    let second = db.list_jobs(&user_id(1), &PageRequest { cursor: first.next, limit: 2 }).await.unwrap();
    assert_eq!(second.items.into_iter().map(|job| job.id).collect::<Vec<_>>(), [job_id(2), job_id(1)]);
}

pub async fn a_thousand_jobs_page_through(db: Db) {
    with_users(&db, 1).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let db = db.clone();
        writers.spawn(async move {
            for n in 0..250 {
                db.create_job(&job(1 + writer * 250 + n, 1, &[]), &audit("job.create")).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let jobs = all_jobs(&db, 1, 50).await;
    assert_eq!(jobs.len(), 1_000);
    assert!(jobs.is_sorted_by(|a, b| (a.created_at, &a.id) > (b.created_at, &b.id)));
}

pub async fn active_jobs_are_counted(db: Db) {
    with_users(&db, 2).await;
    for (n, of) in [(1, 1), (2, 1), (3, 1), (4, 2)] {
        db.create_job(&job(n, of, &[]), &audit("job.create")).await.unwrap();
    }
    let claimed = db.claim_jobs("me", Place::Local, at(10), at(40), 1).await.unwrap();
    let running = JobUpdate { state: Some(JobState::Starting), ..JobUpdate::default() };
    db.record(&claimed[0].id, 1, &running, &[]).await.unwrap();
    db.request_stop(&job_id(3), StopMode::Keep, at(11), &audit("job.stop")).await.unwrap();
    assert_eq!(db.count_active_jobs(&user_id(1)).await.unwrap(), 2);
    assert_eq!(db.count_active_jobs(&user_id(2)).await.unwrap(), 1);
    assert_eq!(db.count_active_jobs(&user_id(3)).await.unwrap(), 0);
}

pub async fn only_a_final_job_is_deleted(db: Db) {
    with_users(&db, 1).await;
    db.create_dataset(&dataset(1, 1), &audit("dataset.create")).await.unwrap();
    db.create_job(&job(1, 1, &[1]), &audit("job.create")).await.unwrap();
    let refused = db.delete_job(&job_id(1), &audit("job.delete")).await;
    assert!(matches!(refused, Err(StoreError::NotFound("job"))), "{refused:?}");
    db.claim_jobs("me", Place::Local, at(10), at(40), 1).await.unwrap();
    let failed = JobUpdate { state: Some(JobState::Failed), ..JobUpdate::default() };
    db.record(&job_id(1), 1, &failed, &[]).await.unwrap();
    db.delete_job(&job_id(1), &audit("job.delete")).await.unwrap();
    assert_eq!(db.job(&job_id(1)).await.unwrap(), None);
    assert_eq!(db.jobs_using_dataset(&dataset_id(1)).await.unwrap(), Vec::<String>::new());
}

pub async fn a_description_changes(db: Db) {
    with_users(&db, 1).await;
    db.create_job(&job(1, 1, &[]), &audit("job.create")).await.unwrap();
    db.describe_job(&job_id(1), "Tïtle 🎯", "", &audit("job.describe")).await.unwrap();
    let read = db.job(&job_id(1)).await.unwrap().unwrap();
    assert_eq!((read.title.as_str(), read.notes.as_str()), ("Tïtle 🎯", ""));
    let nothing = db.describe_job(&job_id(2), "x", "y", &audit("job.describe")).await;
    assert!(matches!(nothing, Err(StoreError::NotFound("job"))), "{nothing:?}");
}
