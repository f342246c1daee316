//! Plain values for tests. Numbers in, values out: nothing here is random or knows the time.

use llm_tuner::domain::{
    account::{Email, Role, Session, User},
    audit::{AuditEntry, Outcome},
    charge::{Charge, ChargeKind},
    cloud::{CloudSpec, Route},
    dataset::{Dataset, DatasetState},
    endpoint::{Endpoint, EndpointState},
    ids::{DatasetId, EndpointId, JobId, ModelId, SessionId, UserId},
    job::{BaseModel, Job, JobSpec, JobState},
    licence::LicenceAcceptance,
    model::{Model, ModelFile, ModelKind},
    money::Money,
    time::Instant,
    upload::Upload,
};
use std::collections::BTreeMap;

/// Seconds after a fixed moment.
pub fn at(seconds: i64) -> Instant {
    Instant(1_800_000_000_000_000 + seconds * 1_000_000)
}

pub fn user_id(n: u64) -> UserId {
    UserId::from_parts(n, 1)
}
pub fn job_id(n: u64) -> JobId {
    JobId::from_parts(n, 2)
}
pub fn dataset_id(n: u64) -> DatasetId {
    DatasetId::from_parts(n, 3)
}
pub fn model_id(n: u64) -> ModelId {
    ModelId::from_parts(n, 4)
}
pub fn endpoint_id(n: u64) -> EndpointId {
    EndpointId::from_parts(n, 6)
}
pub fn session_id(n: u64) -> SessionId {
    SessionId::from_parts(n, 5)
}

fn seconds(n: u64) -> Instant {
    at(i64::try_from(n).unwrap())
}

pub fn audit(action: &str) -> AuditEntry {
    AuditEntry {
        at: at(0),
        actor: Some(user_id(1)),
        action: action.to_owned(),
        object: "object".to_owned(),
        outcome: Outcome::Done,
        ip: "127.0.0.1".to_owned(),
        request_id: "r-1".to_owned(),
    }
}

pub fn user(n: u64) -> User {
    User {
        id: user_id(n),
        email: Email::parse(&format!("user{n}@example.com")).unwrap(),
        full_name: format!("User {n}"),
        password_hash: format!("$argon2id${n}"),
        role: Role::User,
        disabled: false,
        created_at: seconds(n),
    }
}

/// Session `n` of user `of`, last used `n` seconds after the start, over after a week.
pub fn session(n: u64, of: u64) -> Session {
    Session {
        id: session_id(n),
        secret_hash: format!("hash-{n}"),
        user_id: user_id(of),
        created_at: seconds(n),
        last_seen_at: seconds(n),
        expires_at: seconds(n + 604_800),
        ip: "::1".to_owned(),
        user_agent: "Mozilla/5.0".to_owned(),
    }
}

pub fn dataset(n: u64, of: u64) -> Dataset {
    Dataset {
        id: dataset_id(n),
        user_id: user_id(of),
        name: format!("data {n}"),
        original_name: format!("data{n}.jsonl"),
        object_key: format!("{of}/{n}"),
        bytes: 1_000 + n,
        sha256: "ab".repeat(32),
        state: DatasetState::Checking,
        checked_bytes: 0,
        rows: 0,
        format: None,
        report: None,
        mapping: None,
        failure: None,
        family_id: dataset_id(n),
        version: 1,
        sample: None,
        created_at: seconds(n),
        updated_at: seconds(n),
    }
}

/// What becomes [`dataset`] `n`.
pub fn upload(n: u64, of: u64) -> Upload {
    Upload {
        id: dataset_id(n),
        user_id: user_id(of),
        original_name: format!("data{n}.jsonl"),
        object_key: format!("{of}/{n}"),
        bytes: 1_000 + n,
        metadata: String::new(),
        created_at: seconds(n),
        expires_at: seconds(n + 86_400),
    }
}

pub fn job(n: u64, of: u64, datasets: &[u64]) -> Job {
    Job {
        id: job_id(n),
        user_id: user_id(of),
        name: format!("job-{n}"),
        title: format!("Job {n}"),
        notes: String::new(),
        spec: JobSpec {
            base: BaseModel::Nano,
            base_name: "nano".to_owned(),
            datasets: datasets.iter().map(|n| dataset_id(*n)).collect(),
            dataset_names: datasets.iter().map(|n| format!("data {n}")).collect(),
            validation_share: 0.125,
            hyperparameters: BTreeMap::from([("learning_rate".to_owned(), "3e-3".to_owned())]),
            tokens: 12_345,
            total_steps: 100,
            memory_bytes: 1 << 30,
            seconds: 60,
            cloud: None,
        },
        state: JobState::Queued,
        phase: "Waiting".to_owned(),
        stop: None,
        step: 0,
        total_steps: 100,
        attempt: 1,
        first_attempt: 1,
        log_offset: 0,
        last_seq: 0,
        checkpoint_step: 0,
        train_loss: None,
        eval_loss: None,
        tokens_per_second: None,
        failure: None,
        next_step: None,
        idempotency_key: format!("key-{n}"),
        lease: None,
        cloud: None,
        created_at: seconds(n),
        started_at: None,
        ended_at: None,
    }
}

pub fn model(n: u64, of: u64, of_job: u64) -> Model {
    Model {
        id: model_id(n),
        user_id: user_id(of),
        job_id: job_id(of_job),
        job_name: format!("job-{of_job}"),
        name: format!("model {n}"),
        kind: ModelKind::Full,
        base_name: "nano".to_owned(),
        base: BaseModel::Nano,
        dataset_names: vec!["data 1".to_owned()],
        train_loss: Some(0.5),
        eval_loss: None,
        prefix: format!("models/{n}"),
        files: vec![ModelFile { path: "model.safetensors".to_owned(), bytes: 42, sha256: "cd".repeat(32) }],
        bytes: 42,
        created_at: seconds(n),
    }
}

/// What job `n` needs to run on SageMaker.
pub fn cloud() -> CloudSpec {
    CloudSpec {
        route: Route::Script,
        layout: None,
        instance_type: "ml.g5.2xlarge".to_owned(),
        instance_count: 1,
        volume_gb: 30,
        max_runtime_seconds: 3600,
        spot: true,
        fallback: vec!["ml.g5.4xlarge".to_owned()],
        prices: BTreeMap::from([("ml.g5.2xlarge".to_owned(), Money(1_515_000))]),
        prices_as_of: Some("2026-11-21".to_owned()),
        estimate: Some(Money(750_000)),
        licence_accepted: false,
    }
}

/// What job `n` of user `of` cost in a month.
pub fn charge(n: u64, of: u64, month: &str) -> Charge {
    Charge {
        id: format!("job:{}", job_id(n)),
        user_id: user_id(of),
        kind: ChargeKind::Training,
        name: format!("job-{n}"),
        instance_type: "ml.g5.2xlarge".to_owned(),
        month: month.to_owned(),
        estimate: Some(Money(2_000_000)),
        cost: None,
        seconds: 60 * n,
        ended: false,
        updated_at: seconds(n),
    }
}

pub fn endpoint(n: u64, of: u64) -> Endpoint {
    Endpoint {
        id: endpoint_id(n),
        user_id: user_id(of),
        model_id: model_id(n),
        model_name: format!("model {n}"),
        name: format!("endpoint-{n}"),
        instance_type: "ml.g5.2xlarge".to_owned(),
        state: EndpointState::Creating,
        phase: "Asking AWS".to_owned(),
        failure: None,
        next_step: None,
        idle_seconds: 3600,
        price_per_hour: Some(Money(1_515_000)),
        created_at: seconds(n),
        in_service_at: None,
        last_used_at: seconds(n),
        ended_at: None,
    }
}

pub fn licence(of: u64, model: &str, version: &str, second: i64) -> LicenceAcceptance {
    LicenceAcceptance {
        user_id: user_id(of),
        model: model.to_owned(),
        version: version.to_owned(),
        licence: "s3://bucket/eula.txt".to_owned(),
        at: at(second),
    }
}
