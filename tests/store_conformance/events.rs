//! What jobs tell: every event once, in order, and as it was told.

use crate::{
    Db,
    claims::claim_soon,
    support::make::{at, audit, job, job_id, user},
};
use llm_tuner::{
    domain::{
        cloud::Place,
        event::{EventBody, JobEvent},
        job::JobState,
        time::Instant,
    },
    store::{JobUpdate, StoreError},
};

async fn held(db: &Db, jobs: u64) {
    db.create_user(&user(1), &audit("user.create")).await.unwrap();
    for n in 1..=jobs {
        db.create_job(&job(n, 1, &[]), &audit("job.create")).await.unwrap();
    }
    db.claim_jobs("first", Place::Local, at(100), at(130), 100).await.unwrap();
}

fn line(text: impl Into<String>) -> (Instant, EventBody) {
    (at(1), EventBody::Log { line: text.into() })
}

fn metric(name: &str, value: f64, step: u64) -> (Instant, EventBody) {
    (at(2), EventBody::Metric { name: name.to_owned(), value, step })
}

async fn record(db: &Db, events: &[(Instant, EventBody)]) -> u64 {
    db.record(&job_id(1), 1, &JobUpdate::default(), events).await.unwrap()
}

fn numbers(events: &[JobEvent]) -> Vec<u64> {
    events.iter().map(|event| event.seq).collect()
}

pub async fn numbers_have_no_gaps(db: Db) {
    held(&db, 2).await;
    // Sizes around those in which rows are written together; two writers with one lease at once.
    let sizes = [1, 7, 8, 9, 63, 64, 65, 130, 0, 2];
    let tasks: Vec<_> = sizes
        .into_iter()
        .enumerate()
        .map(|(writer, size)| {
            let db = db.clone();
            tokio::spawn(async move {
                let lines: Vec<_> = (0..size).map(|n| line(format!("{writer} {n}"))).collect();
                record(&db, &lines).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let total: u64 = sizes.iter().map(|size| u64::try_from(*size).unwrap()).sum();
    let events = db.events(&job_id(1), 0, 1_000).await.unwrap();
    assert_eq!(numbers(&events), (1..=total).collect::<Vec<_>>());
    assert_eq!(db.job(&job_id(1)).await.unwrap().unwrap().last_seq, total);
    // Each writer's own lines lie together and in order.
    let mut place = std::collections::BTreeMap::new();
    for event in &events {
        let EventBody::Log { line } = &event.body else { panic!("{event:?}") };
        let (writer, n) = line.split_once(' ').unwrap();
        let n: u64 = n.parse().unwrap();
        let first = *place.entry(writer.to_owned()).or_insert(event.seq);
        assert_eq!(event.seq, first + n, "{line}");
    }
    assert_eq!(numbers(&db.events(&job_id(1), 5, 3).await.unwrap()), [6, 7, 8]);
    assert_eq!(numbers(&db.events(&job_id(1), total, 3).await.unwrap()), [0; 0]);
    assert_eq!(numbers(&db.events(&job_id(2), 0, 3).await.unwrap()), [0; 0], "another job's");
}

pub async fn stale_writers_leave_no_event(db: Db) {
    held(&db, 1).await;
    record(&db, &[line("old 0")]).await;
    // A new holder takes the job while the old one goes on writing.
    let old = {
        let db = db.clone();
        tokio::spawn(async move {
            for n in 1.. {
                let lines = [line(format!("old {n}")), line("old, second of two")];
                match db.record(&job_id(1), 1, &JobUpdate::default(), &lines).await {
                    Ok(_) => {}
                    Err(StoreError::LeaseLost) => return n,
                    Err(other) => panic!("{other:?}"),
                }
            }
            unreachable!("the lease is lost at some time")
        })
    };
    while db.job(&job_id(1)).await.unwrap().unwrap().last_seq < 5 {
        tokio::task::yield_now().await;
    }
    let taken = claim_soon(&db, "second", at(130), at(160)).await;
    let mut last = taken[0].last_seq;
    for n in 0..20 {
        let next =
            db.record(&job_id(1), 2, &JobUpdate::default(), &[line(format!("new {n}"))]).await.unwrap();
        assert_eq!(next, last + 1, "nobody writes in between");
        last = next;
    }
    let refused = old.await.unwrap();
    let events = db.events(&job_id(1), 0, 100_000).await.unwrap();
    assert_eq!(numbers(&events), (1..=last).collect::<Vec<_>>());
    let old_lines = events.iter().filter(|event| format!("{event:?}").contains("old")).count();
    assert_eq!(old_lines, 1 + 2 * (refused - 1), "what was acknowledged is there, what was refused is not");
}

pub async fn kinds_are_read_apart(db: Db) {
    held(&db, 1).await;
    let mut events = Vec::new();
    for n in 0..10 {
        events.extend([line(format!("{n}")), metric("train_loss", 0.5, n), line("more")]);
    }
    record(&db, &events).await;
    let kind = |kind: &'static str, after, limit| {
        let db = db.clone();
        async move { numbers(&db.events_of_kind(&job_id(1), kind, after, limit).await.unwrap()) }
    };
    assert_eq!(kind("metric", 0, 3).await, [2, 5, 8]);
    assert_eq!(kind("metric", 8, 100).await, [11, 14, 17, 20, 23, 26, 29]);
    assert_eq!(kind("log", 27, 100).await, [28, 30]);
    assert_eq!(kind("sample", 0, 100).await, [0; 0]);
    let last = db.last_events_of_kind(&job_id(1), "metric", 2).await.unwrap();
    assert_eq!(numbers(&last), [26, 29]);
    assert_eq!(db.last_events_of_kind(&job_id(1), "log", 100).await.unwrap().len(), 20);
}

pub async fn every_kind_reads_back(db: Db) {
    held(&db, 1).await;
    let bodies = [
        EventBody::Log { line: "nul \0 esc \u{1b}[31m 🦀 \u{202e} </script> \\u0000 \"".to_owned() },
        EventBody::Log { line: "x".repeat(1 << 20) },
        EventBody::Metric { name: "grad_norm".to_owned(), value: -1.5e300, step: u64::MAX },
        EventBody::Sample {
            step: 7,
            prompt: "p\r\n".to_owned(),
            expected: String::new(),
            output: "\0".to_owned(),
        },
        EventBody::Batch { json: "{\"a\":[1,2]}".to_owned() },
        EventBody::State { state: JobState::Training, message: "Training".to_owned() },
    ];
    let told: Vec<_> = bodies.into_iter().map(|body| (at(3), body)).collect();
    assert_eq!(record(&db, &told).await, 6);
    let read = db.events(&job_id(1), 0, 100).await.unwrap();
    assert_eq!(read.into_iter().map(|event| (event.at, event.body)).collect::<Vec<_>>(), told);
}

pub async fn a_loss_that_is_no_number_is_kept(db: Db) {
    held(&db, 1).await;
    let told = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.25].map(|value| metric("train_loss", value, 9));
    record(&db, &told).await;
    let read: Vec<f64> = db
        .events_of_kind(&job_id(1), "metric", 0, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|event| match event.body {
            EventBody::Metric { value, step: 9, .. } => value,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(read[0].is_nan());
    assert_eq!(read[1..], [f64::INFINITY, f64::NEG_INFINITY, 0.25]);
}

pub async fn events_go_with_their_job(db: Db) {
    held(&db, 2).await;
    record(&db, &[line("one")]).await;
    db.record(&job_id(2), 1, &JobUpdate::default(), &[line("two")]).await.unwrap();
    let done = JobUpdate { state: Some(JobState::Completed), ..JobUpdate::default() };
    db.record(&job_id(1), 1, &done, &[]).await.unwrap();
    assert_eq!(db.events(&job_id(1), 0, 10).await.unwrap().len(), 1, "they survive the job's end");
    db.delete_job(&job_id(1), &audit("job.delete")).await.unwrap();
    assert_eq!(db.events(&job_id(1), 0, 10).await.unwrap(), vec![]);
    assert_eq!(db.events(&job_id(2), 0, 10).await.unwrap().len(), 1);
}
