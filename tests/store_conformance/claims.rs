//! The queue: whose turn it is, and that no job is ever held by two.

use crate::{
    Db,
    support::make::{at, audit, job, job_id, user},
};
use llm_tuner::{
    domain::{
        cloud::Place,
        ids::JobId,
        job::{Job, JobState, StopMode},
        time::Instant,
    },
    store::JobUpdate,
};
use std::collections::BTreeSet;

async fn with_users(db: &Db, count: u64) {
    for n in 1..=count {
        db.create_user(&user(n), &audit("user.create")).await.unwrap();
    }
}

/// Job `n` belongs to the `n`-th of these users.
async fn queue(db: &Db, users: &[u64]) {
    with_users(db, *users.iter().max().unwrap()).await;
    for (n, of) in (1..).zip(users) {
        db.create_job(&job(n, *of, &[]), &audit("job.create")).await.unwrap();
    }
}

fn ids(jobs: &[Job]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id.clone()).collect()
}

fn into(state: JobState) -> JobUpdate {
    JobUpdate { state: Some(state), ..JobUpdate::default() }
}

/// User 1 queues four jobs, then users 2 and 3 come: by turns, the oldest first within a turn.
const QUEUE: [u64; 8] = [1, 1, 1, 2, 1, 2, 3, 1];
const TURNS: [u64; 8] = [1, 4, 7, 2, 6, 3, 5, 8];

/// The next job of the queue. A claim passes over a row that a writer holds at that moment (a refused write may still
/// be on its way back); the next one finds it.
pub async fn claim_soon(db: &Db, owner: &str, now: Instant, until: Instant) -> Vec<Job> {
    for _ in 0..10_000 {
        let claimed = db.claim_jobs(owner, Place::Local, now, until, 1).await.unwrap();
        if !claimed.is_empty() {
            return claimed;
        }
        tokio::task::yield_now().await;
    }
    Vec::new()
}

pub async fn turns_are_fair_between_users(db: Db) {
    queue(&db, &QUEUE).await;
    assert_eq!(ids(&db.claim_jobs("me", Place::Local, at(100), at(130), 0).await.unwrap()), []);
    let claimed = db.claim_jobs("me", Place::Local, at(100), at(130), 100).await.unwrap();
    assert_eq!(ids(&claimed), TURNS.map(job_id));
    for job in claimed {
        let lease = job.lease.unwrap();
        assert_eq!((lease.owner.as_str(), lease.until, lease.epoch), ("me", at(130), 1));
        assert_eq!(job.state, JobState::Queued);
    }
}

pub async fn one_by_one_is_the_same_order(db: Db) {
    queue(&db, &QUEUE).await;
    let mut order = Vec::new();
    loop {
        let claimed = db.claim_jobs("me", Place::Local, at(100), at(130), 1).await.unwrap();
        let Some(job) = claimed.first() else { break };
        order.push(job.id.clone());
        // Some start at once, some are still only held: both count as running.
        if order.len() % 2 == 0 {
            db.record(&job.id, 1, &into(JobState::Starting), &[]).await.unwrap();
        }
    }
    assert_eq!(order, TURNS.map(job_id));
}

pub async fn running_jobs_weigh(db: Db) {
    queue(&db, &[1, 1, 2, 2, 1]).await;
    for (n, of) in [(6, 2), (7, 2)] {
        db.create_job(&job(n, of, &[]), &audit("job.create")).await.unwrap();
    }
    // Users 1 and 2 have one running each; 1's ends.
    let first = db.claim_jobs("me", Place::Local, at(100), at(130), 2).await.unwrap();
    assert_eq!(ids(&first), [job_id(1), job_id(3)]);
    for job in &first {
        db.record(&job.id, 1, &into(JobState::Training), &[]).await.unwrap_err();
        db.record(&job.id, 1, &into(JobState::Starting), &[]).await.unwrap();
    }
    db.record(&job_id(1), 1, &into(JobState::Completed), &[]).await.unwrap();
    let next = db.claim_jobs("me", Place::Local, at(101), at(131), 3).await.unwrap();
    assert_eq!(ids(&next), [job_id(2), job_id(4), job_id(5)]);
}

pub async fn a_job_left_behind_comes_first(db: Db) {
    queue(&db, &[1, 2, 1]).await;
    let held = db.claim_jobs("first", Place::Local, at(100), at(130), 1).await.unwrap();
    assert_eq!(ids(&held), [job_id(1)]);
    db.record(&job_id(1), 1, &into(JobState::Starting), &[]).await.unwrap();
    assert_eq!(ids(&db.claim_jobs("second", Place::Local, at(129), at(159), 1).await.unwrap()), [job_id(2)]);
    // At the very end of the lease the job is free: the holder of it had until then, not longer.
    let taken_over = db.claim_jobs("second", Place::Local, at(130), at(160), 2).await.unwrap();
    assert_eq!(ids(&taken_over), [job_id(1), job_id(3)]);
    assert_eq!(taken_over[0].state, JobState::Starting, "the state is the new holder's to change");
    let lease = taken_over[0].lease.clone().unwrap();
    assert_eq!((lease.owner.as_str(), lease.epoch), ("second", 2));
}

pub async fn racing_claims_take_each_job_once(db: Db) {
    queue(&db, &[1, 2, 3].repeat(8)).await;
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let owner = format!("holder {n}");
                    let claimed = db.claim_jobs(&owner, Place::Local, at(100), at(130), 2).await.unwrap();
                    if claimed.is_empty() {
                        return mine;
                    }
                    assert!(claimed.iter().all(|job| job.lease.as_ref().unwrap().owner == owner));
                    assert!(claimed.iter().all(|job| job.lease.as_ref().unwrap().epoch == 1));
                    mine.extend(ids(&claimed));
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    assert_eq!(all.len(), 24, "none was taken twice");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 24, "none was left out");
}

pub async fn a_final_job_is_never_claimed(db: Db) {
    queue(&db, &[1, 1]).await;
    db.request_stop(&job_id(1), StopMode::Keep, at(50), &audit("job.stop")).await.unwrap();
    assert_eq!(ids(&db.claim_jobs("me", Place::Local, at(100), at(130), 5).await.unwrap()), [job_id(2)]);
    db.record(&job_id(2), 1, &into(JobState::Lost), &[]).await.unwrap();
    assert_eq!(ids(&db.claim_jobs("me", Place::Local, at(500), at(530), 5).await.unwrap()), []);
}

pub async fn the_position_counts_those_before(db: Db) {
    queue(&db, &QUEUE).await;
    for (expected, n) in (0..).zip(TURNS) {
        assert_eq!(db.queue_position(&job_id(n)).await.unwrap(), Some(expected), "job {n}");
    }
    let claimed = db.claim_jobs("me", Place::Local, at(100), at(130), 2).await.unwrap();
    assert_eq!(db.queue_position(&job_id(1)).await.unwrap(), Some(0), "held, about to start");
    db.record(&claimed[0].id, 1, &into(JobState::Starting), &[]).await.unwrap();
    assert_eq!(db.queue_position(&job_id(1)).await.unwrap(), None, "runs");
    for (expected, n) in (0..).zip(&TURNS[2..]) {
        assert_eq!(db.queue_position(&job_id(*n)).await.unwrap(), Some(expected), "job {n}");
    }
    assert_eq!(db.queue_position(&job_id(99)).await.unwrap(), None);
}
