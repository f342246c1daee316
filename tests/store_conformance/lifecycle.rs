//! Random histories of many holders, checked against a model small enough to be plainly right: no job is held by
//! two, no event is lost or doubled, and what the store answers is what the model says, also across crashes.

use crate::support::{
    databases,
    make::{at, audit, job, job_id, user},
    moto::Moto,
};
use llm_tuner::{
    domain::{
        cloud::Place,
        event::EventBody,
        job::{JobState, StopMode},
    },
    store::{
        JobUpdate, Store, StoreError,
        dynamodb::{Address, DynamoStore},
        sql::SqlStore,
    },
};
use proptest::{prelude::*, sample::select, test_runner::FileFailurePersistence};

const JOBS: u64 = 4;
const HOLDERS: usize = 3;
const LEASE: i64 = 30;

#[derive(Debug, Clone)]
enum Step {
    Wait(i64),
    Claim {
        holder: usize,
        limit: usize,
    },
    Heartbeat {
        holder: usize,
        job: u64,
    },
    Record {
        holder: usize,
        job: u64,
        state: Option<JobState>,
        lines: usize,
    },
    NextAttempt {
        holder: usize,
        job: u64,
    },
    Release {
        holder: usize,
        job: u64,
    },
    Stop {
        job: u64,
        mode: StopMode,
    },
    Resume {
        job: u64,
    },
    /// The server is killed and started again. The holders' memories live in other servers and stay.
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let holder = 0..HOLDERS;
    let job = 1..=JOBS;
    let state = prop_oneof![2 => Just(None), 5 => select(&JobState::ALL[1..]).prop_map(Some)];
    let step = prop_oneof![
        3 => (1..25_i64).prop_map(Step::Wait),
        4 => (holder.clone(), 1..4_usize).prop_map(|(holder, limit)| Step::Claim { holder, limit }),
        3 => (holder.clone(), job.clone()).prop_map(|(holder, job)| Step::Heartbeat { holder, job }),
        9 => (holder.clone(), job.clone(), state, 0..10_usize)
            .prop_map(|(holder, job, state, lines)| Step::Record { holder, job, state, lines }),
        1 => (holder.clone(), job.clone()).prop_map(|(holder, job)| Step::NextAttempt { holder, job }),
        2 => (holder, job.clone()).prop_map(|(holder, job)| Step::Release { holder, job }),
        2 => job.clone().prop_map(|job| Step::Resume { job }),
        1 => (job, select(&[StopMode::Keep, StopMode::Discard][..]))
            .prop_map(|(job, mode)| Step::Stop { job, mode }),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..60)
}

/// One job as it should be.
#[derive(Debug, Clone)]
struct Expected {
    state: JobState,
    stop: Option<StopMode>,
    attempt: u32,
    /// Was a checkpoint kept at its last end?
    checkpoint: bool,
    epoch: u64,
    /// Holder and end of the lease.
    lease: Option<(usize, i64)>,
    /// The text of each event, in order.
    events: Vec<String>,
}

struct World {
    now: i64,
    jobs: Vec<Expected>,
    /// What each holder believes its epoch of each job to be; it never learns of a loss but by being refused.
    beliefs: Vec<Vec<u64>>,
    told: usize,
}

impl World {
    fn new() -> Self {
        let fresh = Expected {
            state: JobState::Queued,
            stop: None,
            attempt: 1,
            checkpoint: false,
            epoch: 0,
            lease: None,
            events: Vec::new(),
        };
        let jobs = usize::try_from(JOBS).unwrap();
        Self { now: 100, jobs: vec![fresh; jobs], beliefs: vec![vec![0; jobs]; HOLDERS], told: 0 }
    }

    /// Does this holder's epoch still hold?
    fn holds(&self, holder: usize, job: usize) -> bool {
        let expected = &self.jobs[job];
        expected.lease.is_some() && expected.epoch == self.beliefs[holder][job]
    }

    async fn step(&mut self, store: &dyn Store, step: &Step) {
        match step.clone() {
            Step::Crash => unreachable!("the caller's"),
            Step::Wait(seconds) => self.now += seconds,
            Step::Claim { holder, limit } => self.claim(store, holder, limit).await,
            Step::Heartbeat { holder, job } => {
                let index = usize::try_from(job - 1).unwrap();
                let until = self.now + LEASE;
                let answer = store.heartbeat(&job_id(job), self.beliefs[holder][index], at(until)).await;
                if self.holds(holder, index) {
                    assert_eq!(answer.unwrap(), self.jobs[index].stop);
                    self.jobs[index].lease = Some((holder, until));
                } else {
                    assert!(matches!(answer, Err(StoreError::LeaseLost)), "{answer:?}");
                }
            }
            Step::Record { holder, job, state, lines } => {
                self.record(store, holder, job, state, lines).await;
            }
            Step::NextAttempt { holder, job } => {
                let index = usize::try_from(job - 1).unwrap();
                let answer = store.next_attempt(&job_id(job), self.beliefs[holder][index]).await;
                if self.holds(holder, index) {
                    self.jobs[index].attempt += 1;
                    assert_eq!(answer.unwrap(), self.jobs[index].attempt);
                } else {
                    assert!(matches!(answer, Err(StoreError::LeaseLost)), "{answer:?}");
                }
            }
            Step::Release { holder, job } => {
                let index = usize::try_from(job - 1).unwrap();
                let answer = store.release(&job_id(job), self.beliefs[holder][index]).await;
                if self.holds(holder, index) {
                    answer.unwrap();
                    self.jobs[index].lease = None;
                } else {
                    assert!(matches!(answer, Err(StoreError::LeaseLost)), "{answer:?}");
                }
            }
            Step::Resume { job } => {
                let expected = &mut self.jobs[usize::try_from(job - 1).unwrap()];
                let answer = store.resume_job(&job_id(job), at(self.now), &audit("job.resume")).await;
                if expected.state.may_resume() && expected.checkpoint {
                    answer.unwrap();
                    (expected.state, expected.stop, expected.lease) = (JobState::Queued, None, None);
                    expected.attempt += 1;
                    expected.epoch += 1;
                    expected.events.push("queued".to_owned());
                } else {
                    assert!(matches!(answer, Err(StoreError::NotFound(_))), "{answer:?}");
                }
            }
            Step::Stop { job, mode } => {
                let expected = &mut self.jobs[usize::try_from(job - 1).unwrap()];
                let state =
                    store.request_stop(&job_id(job), mode, at(self.now), &audit("job.stop")).await.unwrap();
                if expected.state == JobState::Queued {
                    (expected.state, expected.stop, expected.lease) = (JobState::Stopped, Some(mode), None);
                    expected.epoch += 1;
                    expected.checkpoint &= mode == StopMode::Keep;
                    expected.events.push("stopped".to_owned());
                } else if !expected.state.is_final() {
                    expected.stop = Some(mode);
                }
                assert_eq!(state, expected.state);
            }
        }
    }

    async fn claim(&mut self, store: &dyn Store, holder: usize, limit: usize) {
        let free = |expected: &Expected| {
            !expected.state.is_final() && expected.lease.is_none_or(|(_, until)| until <= self.now)
        };
        let was_free: Vec<bool> = self.jobs.iter().map(free).collect();
        let until = self.now + LEASE;
        let owner = format!("holder {holder}");
        let claimed = store.claim_jobs(&owner, Place::Local, at(self.now), at(until), limit).await.unwrap();
        let count = was_free.iter().filter(|free| **free).count();
        assert_eq!(claimed.len(), limit.min(count), "takes as many as there are");
        for job in &claimed {
            let index = (1..=JOBS).position(|n| job_id(n) == job.id).unwrap();
            assert!(was_free[index], "somebody else holds it");
            let expected = &mut self.jobs[index];
            expected.epoch += 1;
            expected.lease = Some((holder, until));
            self.beliefs[holder][index] = expected.epoch;
            assert_eq!(job.lease.as_ref().unwrap().epoch, expected.epoch);
            assert_eq!((job.state, job.stop), (expected.state, expected.stop));
        }
        // Jobs that lost their holder while they ran come before the queue.
        let waiting = claimed.iter().position(|job| job.state == JobState::Queued).unwrap_or(claimed.len());
        assert!(claimed[waiting..].iter().all(|job| job.state == JobState::Queued));
    }

    async fn record(
        &mut self,
        store: &dyn Store,
        holder: usize,
        job: u64,
        state: Option<JobState>,
        lines: usize,
    ) {
        let index = usize::try_from(job - 1).unwrap();
        let lines: Vec<String> = (0..lines).map(|n| format!("{holder} told {} {n}", self.told)).collect();
        self.told += 1;
        let events: Vec<_> =
            lines.iter().map(|line| (at(self.now), EventBody::Log { line: line.clone() })).collect();
        // Every other end keeps a checkpoint.
        let checkpoint = state.filter(|state| state.is_final()).map(|_| self.told.is_multiple_of(2));
        let checkpoint_step = checkpoint.map(u64::from);
        let update = JobUpdate { state, checkpoint_step, ..JobUpdate::default() };
        let answer = store.record(&job_id(job), self.beliefs[holder][index], &update, &events).await;
        let holds = self.holds(holder, index);
        let expected = &mut self.jobs[index];
        let allowed = state.is_none_or(|next| next == expected.state || expected.state.may_become(next));
        match (holds, allowed) {
            (false, _) => assert!(matches!(answer, Err(StoreError::LeaseLost)), "{answer:?}"),
            (true, false) => assert!(matches!(answer, Err(StoreError::NotFound(_))), "{answer:?}"),
            (true, true) => {
                expected.state = state.unwrap_or(expected.state);
                expected.checkpoint = checkpoint.unwrap_or(expected.checkpoint);
                expected.events.extend(lines);
                assert_eq!(answer.unwrap(), u64::try_from(expected.events.len()).unwrap());
            }
        }
    }

    /// The whole database against the whole model.
    async fn check(&self, store: &dyn Store) {
        for (n, expected) in (1..).zip(&self.jobs) {
            let job = store.job(&job_id(n)).await.unwrap().unwrap();
            assert_eq!((job.state, job.stop, job.attempt), (expected.state, expected.stop, expected.attempt));
            assert_eq!(job.checkpoint_step, u64::from(expected.checkpoint));
            let lease = job.lease.map(|lease| (lease.owner, lease.until, lease.epoch));
            let model =
                expected.lease.map(|(holder, until)| (format!("holder {holder}"), at(until), expected.epoch));
            assert_eq!(lease, model);
            let events = store.events(&job_id(n), 0, 100_000).await.unwrap();
            assert!(events.iter().map(|event| event.seq).eq(1..=job.last_seq), "numbers without gaps");
            let texts: Vec<String> = events
                .into_iter()
                .map(|event| match event.body {
                    EventBody::Log { line } => line,
                    EventBody::State { state, .. } => state.as_str().to_owned(),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(texts, expected.events);
        }
    }
}

/// `connect` opens the same database each time.
async fn history<C, F, S>(connect: C, steps: &[Step]) -> Vec<S>
where
    C: Fn() -> F,
    F: Future<Output = S>,
    S: Store,
{
    // The old server's connections are still open while the new one starts, as after a kill.
    let mut servers = vec![connect().await];
    let store: &dyn Store = &servers[0];
    for n in 1..=2 {
        store.create_user(&user(n), &audit("user.create")).await.unwrap();
    }
    for n in 1..=JOBS {
        store.create_job(&job(n, 1 + n % 2, &[]), &audit("job.create")).await.unwrap();
    }
    let mut world = World::new();
    for step in steps {
        if matches!(step, Step::Crash) {
            servers.push(connect().await);
            world.check(servers.last().unwrap()).await;
        } else {
            world.step(servers.last().unwrap(), step).await;
        }
    }
    world.check(servers.last().unwrap()).await;
    servers
}

async fn on_sqlite(steps: &[Step]) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/llm-tuner.db", folder.path().display());
    let servers = history(async || SqlStore::connect(&url).await.unwrap(), steps).await;
    for store in servers {
        store.close().await;
    }
}

/// On tables of its own: one server of moto for all histories.
async fn on_dynamodb(moto: &Moto, steps: &[Step]) {
    let config = moto.config().await;
    let address = Address { prefix: format!("h{:032x}", rand::random::<u128>()), ..databases::tables() };
    history(async || DynamoStore::connect(&config, &address).await.unwrap(), steps).await;
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        max_shrink_iters: 400,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    }
}

fn run(history: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(history);
}

#[test]
fn no_job_is_held_twice_and_no_event_is_lost_or_doubled() {
    proptest!(config(48), |(steps in steps())| run(on_sqlite(&steps)));
}

#[test]
fn the_same_holds_on_dynamodb() {
    let moto = Moto::start();
    proptest!(config(16), |(steps in steps())| run(on_dynamodb(&moto, &steps)));
}
