//! What a holder may do, and what becomes of one whose lease was taken.

use crate::{
    Db,
    claims::claim_soon,
    support::make::{at, audit, job, job_id, user},
};
use llm_tuner::{
    domain::{
        cloud::Place,
        event::EventBody,
        job::{JobState, StopMode},
    },
    store::{JobUpdate, StoreError},
};

/// One queued job, claimed with epoch 1 until second 130.
async fn held(db: &Db) {
    queued(db).await;
    assert_eq!(db.claim_jobs("first", Place::Local, at(100), at(130), 1).await.unwrap().len(), 1);
}

async fn queued(db: &Db) {
    db.create_user(&user(1), &audit("user.create")).await.unwrap();
    db.create_job(&job(1, 1, &[]), &audit("job.create")).await.unwrap();
}

fn into(state: JobState) -> JobUpdate {
    JobUpdate { state: Some(state), ..JobUpdate::default() }
}

pub async fn a_heartbeat_keeps_the_job(db: Db) {
    held(&db).await;
    assert_eq!(db.heartbeat(&job_id(1), 1, at(160)).await.unwrap(), None);
    assert_eq!(db.job(&job_id(1)).await.unwrap().unwrap().lease.unwrap().until, at(160));
    assert_eq!(db.claim_jobs("second", Place::Local, at(159), at(190), 1).await.unwrap(), vec![]);
    // Late, but nobody took it meanwhile.
    assert_eq!(db.heartbeat(&job_id(1), 1, at(300)).await.unwrap(), None);
    assert_eq!(db.claim_jobs("second", Place::Local, at(299), at(330), 1).await.unwrap(), vec![]);
}

pub async fn an_old_epoch_is_refused(db: Db) {
    held(&db).await;
    db.record(&job_id(1), 1, &into(JobState::Starting), &[]).await.unwrap();
    assert_eq!(db.claim_jobs("second", Place::Local, at(130), at(160), 1).await.unwrap().len(), 1);
    let before = db.job(&job_id(1)).await.unwrap();
    for epoch in [0, 1, 3, u64::MAX] {
        let lost = [
            db.heartbeat(&job_id(1), epoch, at(900)).await.map(drop),
            db.record(&job_id(1), epoch, &into(JobState::Failed), &[]).await.map(drop),
            db.next_attempt(&job_id(1), epoch).await.map(drop),
            db.release(&job_id(1), epoch).await,
        ];
        for outcome in lost {
            assert!(matches!(outcome, Err(StoreError::LeaseLost)), "epoch {epoch}: {outcome:?}");
        }
    }
    assert_eq!(db.job(&job_id(1)).await.unwrap(), before);
    let gone = [
        db.heartbeat(&job_id(2), 1, at(900)).await.map(drop),
        db.record(&job_id(2), 1, &JobUpdate::default(), &[]).await.map(drop),
        db.next_attempt(&job_id(2), 1).await.map(drop),
        db.release(&job_id(2), 1).await,
    ];
    for outcome in gone {
        assert!(matches!(outcome, Err(StoreError::NotFound("job"))), "{outcome:?}");
    }
}

pub async fn a_released_job_is_free_at_once(db: Db) {
    held(&db).await;
    db.release(&job_id(1), 1).await.unwrap();
    assert_eq!(db.job(&job_id(1)).await.unwrap().unwrap().lease, None);
    let lost = db.heartbeat(&job_id(1), 1, at(200)).await;
    assert!(matches!(lost, Err(StoreError::LeaseLost)), "{lost:?}");
    let lost = db.record(&job_id(1), 1, &JobUpdate::default(), &[]).await;
    assert!(matches!(lost, Err(StoreError::LeaseLost)), "{lost:?}");
    let claimed = db.claim_jobs("second", Place::Local, at(101), at(131), 1).await.unwrap();
    assert_eq!(claimed[0].lease.as_ref().unwrap().epoch, 2);
}

pub async fn a_summary_is_written_piece_by_piece(db: Db) {
    held(&db).await;
    let first = JobUpdate {
        cloud: None,
        state: Some(JobState::Starting),
        phase: Some("Loading the data 📦".to_owned()),
        step: Some(3),
        total_steps: Some(1 << 40),
        checkpoint_step: Some(2),
        log_offset: Some(77),
        train_loss: Some(2.5),
        eval_loss: Some(-0.25),
        tokens_per_second: Some(1e9),
        failure: Some("why".to_owned()),
        next_step: Some("what next".to_owned()),
        started_at: Some(at(101)),
        ended_at: Some(at(102)),
    };
    assert_eq!(db.record(&job_id(1), 1, &first, &[]).await.unwrap(), 0);
    assert_eq!(db.record(&job_id(1), 1, &JobUpdate::default(), &[]).await.unwrap(), 0);
    let job = db.job(&job_id(1)).await.unwrap().unwrap();
    assert_eq!(job.checkpoint_step, 2);
    assert_eq!((job.state, job.phase.as_str()), (JobState::Starting, "Loading the data 📦"));
    assert_eq!((job.step, job.total_steps, job.log_offset), (3, 1 << 40, 77));
    assert_eq!((job.train_loss, job.eval_loss), (Some(2.5), Some(-0.25)));
    assert_eq!(job.tokens_per_second, Some(1e9));
    assert_eq!((job.failure.as_deref(), job.next_step.as_deref()), (Some("why"), Some("what next")));
    assert_eq!((job.started_at, job.ended_at), (Some(at(101)), Some(at(102))));
    // A loss that is no number does not wipe out the last one that was.
    let bad =
        JobUpdate { train_loss: Some(f64::NAN), eval_loss: Some(0.0), step: Some(4), ..JobUpdate::default() };
    db.record(&job_id(1), 1, &bad, &[]).await.unwrap();
    let job = db.job(&job_id(1)).await.unwrap().unwrap();
    assert_eq!((job.train_loss, job.eval_loss, job.step), (Some(2.5), Some(0.0), 4));
}

pub async fn states_follow_the_rules(db: Db) {
    held(&db).await;
    let event = [(at(101), EventBody::Log { line: "x".to_owned() })];
    let refused = db.record(&job_id(1), 1, &into(JobState::Uploading), &event).await;
    assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
    assert_eq!(db.events(&job_id(1), 0, 10).await.unwrap(), vec![], "nothing of a refused record is kept");
    use JobState::{Completed, Downloading, Queued, Starting, Training, Uploading};
    for state in [Starting, Starting, Downloading, Training, Training, Uploading, Completed, Completed] {
        db.record(&job_id(1), 1, &into(state), &[]).await.unwrap();
    }
    for state in [Queued, Starting, JobState::Failed, JobState::Stopped] {
        let refused = db.record(&job_id(1), 1, &into(state), &[]).await;
        assert!(matches!(refused, Err(StoreError::NotFound(_))), "{state:?}: {refused:?}");
    }
    assert_eq!(db.job(&job_id(1)).await.unwrap().unwrap().state, Completed);
    // Its last words still count.
    assert_eq!(db.record(&job_id(1), 1, &JobUpdate::default(), &event).await.unwrap(), 1);
}

pub async fn a_stop_reaches_the_holder(db: Db) {
    held(&db).await;
    db.record(&job_id(1), 1, &into(JobState::Starting), &[]).await.unwrap();
    let state = db.request_stop(&job_id(1), StopMode::Keep, at(105), &audit("job.stop")).await.unwrap();
    assert_eq!(state, JobState::Starting);
    assert_eq!(db.heartbeat(&job_id(1), 1, at(160)).await.unwrap(), Some(StopMode::Keep));
    db.request_stop(&job_id(1), StopMode::Discard, at(106), &audit("job.stop")).await.unwrap();
    assert_eq!(db.heartbeat(&job_id(1), 1, at(160)).await.unwrap(), Some(StopMode::Discard));
    // Whoever takes the job over learns of it too.
    let taken = db.claim_jobs("second", Place::Local, at(160), at(190), 1).await.unwrap();
    assert_eq!(taken[0].stop, Some(StopMode::Discard));
    db.record(&job_id(1), 2, &into(JobState::Stopping), &[]).await.unwrap();
    db.record(&job_id(1), 2, &into(JobState::Stopped), &[]).await.unwrap();
}

pub async fn a_queued_job_stops_at_once(db: Db) {
    // Held, but not started: the holder finds its lease gone and starts nothing.
    held(&db).await;
    let state = db.request_stop(&job_id(1), StopMode::Discard, at(105), &audit("job.stop")).await.unwrap();
    assert_eq!(state, JobState::Stopped);
    let stopped = db.job(&job_id(1)).await.unwrap().unwrap();
    assert_eq!((stopped.state, stopped.ended_at, stopped.lease), (JobState::Stopped, Some(at(105)), None));
    assert_eq!((stopped.stop, stopped.last_seq), (Some(StopMode::Discard), 1));
    let lost = db.record(&job_id(1), 1, &into(JobState::Starting), &[]).await;
    assert!(matches!(lost, Err(StoreError::LeaseLost)), "{lost:?}");
    let events = db.events(&job_id(1), 0, 10).await.unwrap();
    assert!(
        matches!(&events[..], [e] if e.seq == 1 && e.at == at(105)
            && matches!(e.body, EventBody::State { state: JobState::Stopped, .. })),
        "whoever watches the job hears of it: {events:?}"
    );
}

pub async fn a_final_job_stays_as_it_is(db: Db) {
    held(&db).await;
    db.record(&job_id(1), 1, &into(JobState::Completed), &[]).await.unwrap();
    let before = db.job(&job_id(1)).await.unwrap();
    let state = db.request_stop(&job_id(1), StopMode::Keep, at(105), &audit("job.stop")).await.unwrap();
    assert_eq!(state, JobState::Completed);
    assert_eq!(db.job(&job_id(1)).await.unwrap(), before);
    let nothing = db.request_stop(&job_id(2), StopMode::Keep, at(105), &audit("job.stop")).await;
    assert!(matches!(nothing, Err(StoreError::NotFound("job"))), "{nothing:?}");
}

pub async fn a_try_is_counted(db: Db) {
    held(&db).await;
    let read = JobUpdate { log_offset: Some(500), ..JobUpdate::default() };
    db.record(&job_id(1), 1, &read, &[]).await.unwrap();
    assert_eq!(db.next_attempt(&job_id(1), 1).await.unwrap(), 2);
    assert_eq!(db.next_attempt(&job_id(1), 1).await.unwrap(), 3);
    let job = db.job(&job_id(1)).await.unwrap().unwrap();
    assert_eq!((job.attempt, job.log_offset), (3, 0));
}

/// One job that ended in this state at second 120, having begun at 110 and with a checkpoint at this step.
async fn ended(db: &Db, state: JobState, step: u64) {
    held(db).await;
    let begun = JobUpdate { started_at: Some(at(110)), log_offset: Some(77), ..into(JobState::Starting) };
    db.record(&job_id(1), 1, &begun, &[]).await.unwrap();
    let over = JobUpdate {
        failure: Some("It broke.".to_owned()),
        next_step: Some("Mend it.".to_owned()),
        ended_at: Some(at(120)),
        checkpoint_step: Some(step),
        ..into(state)
    };
    db.record(&job_id(1), 1, &over, &[]).await.unwrap();
}

pub async fn a_job_with_a_checkpoint_is_resumed(db: Db) {
    ended(&db, JobState::Failed, 40).await;
    assert!(db.job(&job_id(1)).await.unwrap().unwrap().can_resume());
    db.resume_job(&job_id(1), at(500), &audit("job.resume")).await.unwrap();
    let job = db.job(&job_id(1)).await.unwrap().unwrap();
    assert_eq!((job.state, job.stop), (JobState::Queued, None));
    assert_eq!((&job.failure, &job.next_step), (&None, &None));
    assert_eq!((job.attempt, job.first_attempt, job.tries(), job.log_offset), (2, 2, 1, 0));
    assert_eq!(job.checkpoint_step, 40, "it stays until the next end");
    assert_eq!((job.started_at, job.ended_at), (Some(at(490)), None), "ten seconds were spent so far");
    let events = db.events(&job_id(1), 0, 10).await.unwrap();
    assert!(
        matches!(&events[..], [event] if event.seq == 1 && matches!(event.body, EventBody::State { state: JobState::Queued, .. })),
        "{events:?}"
    );
    // The old holder is out; the next one claims it as any job of the queue.
    let late = db.record(&job_id(1), 1, &JobUpdate::default(), &[]).await;
    assert!(matches!(late, Err(StoreError::LeaseLost)), "{late:?}");
    assert_eq!(claim_soon(&db, "second", at(501), at(530)).await.len(), 1);
    let again = db.resume_job(&job_id(1), at(502), &audit("job.resume")).await;
    assert!(matches!(again, Err(StoreError::NotFound(_))), "{again:?}");
}

pub async fn a_checkpoint_is_forgotten(db: Db) {
    ended(&db, JobState::Stopped, 40).await;
    db.forget_checkpoint(&job_id(1)).await.unwrap();
    let refused = db.resume_job(&job_id(1), at(500), &audit("job.resume")).await;
    assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
    let over = db.job(&job_id(1)).await.unwrap().unwrap();
    assert_eq!((over.state, over.checkpoint_step), (JobState::Stopped, 0));
    db.create_job(&job(2, 1, &[]), &audit("job.create")).await.unwrap();
    let running = db.forget_checkpoint(&job_id(2)).await;
    assert!(matches!(running, Err(StoreError::NotFound(_))), "{running:?}");
    let nobody = db.resume_job(&job_id(9), at(500), &audit("job.resume")).await;
    assert!(matches!(nobody, Err(StoreError::NotFound(_))), "{nobody:?}");
}

pub async fn racing_resumes_count_once(db: Db) {
    ended(&db, JobState::Failed, 40).await;
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let db = db.clone();
        racers.spawn(async move { db.resume_job(&job_id(1), at(500), &audit("job.resume")).await.is_ok() });
    }
    assert_eq!(racers.join_all().await.into_iter().filter(|resumed| *resumed).count(), 1);
    assert_eq!(db.job(&job_id(1)).await.unwrap().unwrap().attempt, 2);
}
