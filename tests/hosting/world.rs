//! One fake AWS for all tests of a process, each with names of its own; and what is deployed there.

use crate::{
    fake_sagemaker::FakeSageMaker,
    make::{at, audit, model, user},
};
use async_trait::async_trait;
use llm_tuner::{
    backends::{
        hosting::{Deployment, ModelFiles, Recipes},
        prices::{Prices, Quote, Usage},
        sagemaker::hosting::SageMakerHosting,
    },
    config::{Config, aws::AwsSettings},
    domain::{
        account::Session,
        ids::EndpointId,
        money::Money,
        time::{Clock, Instant},
    },
    services::{
        context::{Actor, Environment, Origin, SystemRandom},
        costs::Costs,
        hosting::{Endpoints, Outside},
    },
    storage::disk::DiskStorage,
    store::{Accounts, Models, sql::SqlStore},
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

pub const ROLE: &str = "arn:aws:iam::123456789012:role/SageMakerRole";
pub const MACHINE: &str = "ml.g5.xlarge";

pub fn settings(more: &[(&str, &str)]) -> AwsSettings {
    let read = |name: &str| match name {
        "SAGEMAKER_EXECUTION_ROLE_ARN" => Some(ROLE.to_owned()),
        _ => more.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()),
    };
    Config::read(read).unwrap().aws
}

pub async fn hosting(fake: &FakeSageMaker, more: &[(&str, &str)]) -> SageMakerHosting {
    SageMakerHosting::new(&fake.config().await, settings(more), "models", "/tuned/").unwrap()
}

/// A fake whose account may run machines with a GPU.
pub async fn fake() -> FakeSageMaker {
    let fake = FakeSageMaker::start();
    fake.control("quota", json!({ "ml.g5.xlarge for endpoint usage": 4 })).await;
    fake
}

pub fn deployment(n: u64) -> Deployment {
    let endpoint = EndpointId::from_parts(n, 7);
    Deployment {
        name: format!("llm-tuner-{endpoint}"),
        endpoint,
        owner: crate::make::user_id(1),
        instance_type: MACHINE.to_owned(),
        files: ModelFiles::Folder("users/1/models/1".to_owned()),
        recipe: None,
        licence_accepted: false,
    }
}

/// The bodies of the requests of one operation that took effect.
pub async fn accepted(fake: &FakeSageMaker, operation: &str) -> Vec<Value> {
    let requests = fake.requests().await.into_iter();
    let theirs = requests.filter(|one| one["operation"] == operation && one["accepted"] == true);
    theirs.map(|mut one| one["body"].take()).collect()
}

/// Time that stands still until it is moved.
pub struct Still(AtomicI64);

impl Clock for Still {
    fn now(&self) -> Instant {
        Instant(self.0.load(Ordering::Relaxed))
    }
}

/// A dollar and a half an hour for everything.
pub struct Flat;

#[async_trait]
impl Prices for Flat {
    async fn per_hour(&self, _: &str, _: Usage) -> Quote {
        Quote {
            per_hour: Some(Money(1_500_000)),
            as_of: "2026-11-21".to_owned(),
            region: "us-east-1".to_owned(),
            live: true,
            problem: None,
        }
    }
}

/// A database with one person and one model, and the service on it.
pub struct World {
    pub fake: FakeSageMaker,
    pub store: Arc<SqlStore>,
    pub storage: Arc<DiskStorage>,
    pub endpoints: Endpoints,
    pub actor: Actor,
    clock: Arc<Still>,
    outside: Outside,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn start() -> Self {
        Self::with(None).await
    }

    /// Where this says how catalogued models are hosted.
    pub async fn with(recipes: Option<Arc<dyn Recipes>>) -> Self {
        let fake = fake().await;
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("db").display());
        let store = Arc::new(SqlStore::connect(&url).await.unwrap());
        let storage = Arc::new(DiskStorage::open(&folder.path().join("objects")).unwrap());
        let person = store.create_user(&user(1), &audit("user.create")).await.unwrap();
        for n in 1..=3 {
            store.create_model(&model(n, 1, n)).await.unwrap();
        }
        // The fake's clock stands at the second in which it started.
        let shown = reqwest::get(format!("{}/_fake/clock", fake.url)).await.unwrap();
        let now = shown.json::<Value>().await.unwrap()["now"].as_f64().unwrap() as i64;
        let clock = Arc::new(Still(AtomicI64::new(now * 1_000_000)));
        let outside = Outside {
            hosting: Arc::new(hosting(&fake, &[]).await),
            recipes,
            poll: Duration::from_secs(3600),
        };
        let session = Session { created_at: at(0), ..crate::make::session(1, 1) };
        let actor = Actor { user: person, session: session.id, origin: Origin::default() };
        let endpoints = service(&store, &storage, &clock, &outside);
        Self { fake, store, storage, endpoints, actor, clock, outside, _folder: folder }
    }

    /// Another server on the same database.
    pub fn another(&self) -> Endpoints {
        service(&self.store, &self.storage, &self.clock, &self.outside)
    }

    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Both clocks.
    pub async fn later(&self, by: Duration) {
        self.clock.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::Relaxed);
        self.fake.later(by).await;
    }

    /// How many endpoints AWS has, whatever their state.
    pub async fn hosted(&self) -> usize {
        let config = self.fake.config().await;
        let listed = aws_sdk_sagemaker::Client::new(&config).list_endpoints().send().await.unwrap();
        listed.endpoints.unwrap_or_default().len()
    }
}

fn service(
    store: &Arc<SqlStore>,
    storage: &Arc<DiskStorage>,
    clock: &Arc<Still>,
    outside: &Outside,
) -> Endpoints {
    let env = Environment { clock: clock.clone(), random: Arc::new(SystemRandom) };
    let costs = Arc::new(Costs::new(store.clone(), Arc::new(Flat), env.clone()));
    Endpoints::new(store.clone(), storage.clone(), env, outside.clone(), costs)
}
