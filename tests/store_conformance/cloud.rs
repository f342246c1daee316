//! Jobs that run elsewhere: each place has a queue of its own, and how a job stands there is kept.

use crate::{
    Db,
    support::make::{at, audit, cloud, job, job_id, user},
};
use llm_tuner::{
    domain::{
        cloud::{CloudRun, Place},
        job::{Job, JobState},
        money::Money,
    },
    store::JobUpdate,
};

/// A job of user 1; even ones run on SageMaker.
fn placed(n: u64) -> Job {
    let mut job = job(n, 1, &[]);
    job.spec.cloud = n.is_multiple_of(2).then(cloud);
    job
}

async fn queue(db: &Db, count: u64) {
    db.create_user(&user(1), &audit("user.create")).await.unwrap();
    for n in 1..=count {
        let made = db.create_job(&placed(n), &audit("job.create")).await.unwrap();
        assert_eq!(made.spec, placed(n).spec);
    }
}

pub async fn a_place_takes_its_own_jobs(db: Db) {
    queue(&db, 4).await;
    let ids = |jobs: Vec<Job>| jobs.into_iter().map(|job| job.id).collect::<Vec<_>>();
    let there = db.claim_jobs("me", Place::SageMaker, at(100), at(130), 10).await.unwrap();
    assert_eq!(ids(there), [job_id(2), job_id(4)]);
    let here = db.claim_jobs("me", Place::Local, at(100), at(130), 10).await.unwrap();
    assert_eq!(ids(here), [job_id(1), job_id(3)]);
}

pub async fn positions_count_within_a_place(db: Db) {
    queue(&db, 6).await;
    for (n, before) in [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (6, 2)] {
        assert_eq!(db.queue_position(&job_id(n)).await.unwrap(), Some(before), "job {n}");
    }
}

pub async fn a_run_is_written_and_stays(db: Db) {
    queue(&db, 2).await;
    let job = db.claim_jobs("me", Place::SageMaker, at(100), at(130), 1).await.unwrap().remove(0);
    let epoch = job.lease.unwrap().epoch;
    let run = CloudRun {
        external_name: "job-2-1".to_owned(),
        instance_type: "ml.g5.4xlarge".to_owned(),
        choice: 1,
        arn: Some("arn:aws:sagemaker:eu-west-1:123456789012:training-job/job-2-1".to_owned()),
        status: "InProgress".to_owned(),
        secondary_status: "Downloading".to_owned(),
        billable_seconds: Some(61),
        training_seconds: None,
        artifact: None,
        earlier_seconds: 40,
        earlier_cost: Some(Money(12_345)),
    };
    let update = JobUpdate { cloud: Some(run.clone()), ..JobUpdate::default() };
    db.record(&job.id, epoch, &update, &[]).await.unwrap();
    let other = JobUpdate { state: Some(JobState::Starting), ..JobUpdate::default() };
    db.record(&job.id, epoch, &other, &[]).await.unwrap();
    assert_eq!(db.job(&job.id).await.unwrap().unwrap().cloud, Some(run));
}
