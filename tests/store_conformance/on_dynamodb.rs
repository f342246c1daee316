//! What only DynamoDB has: tables to be made, items with a limit, and a service that throttles or loses answers.

use crate::support::{
    databases::tables,
    faulty::{Fault, Faulty},
    make::{at, audit, dataset, dataset_id, job, job_id, session, user, user_id},
    moto::Moto,
    proxy::{Line, Proxy},
};
use aws_sdk_dynamodb::{Client, types::PointInTimeRecoveryStatus};
use llm_tuner::{
    domain::{
        account::Role,
        cloud::Place,
        event::EventBody,
        job::{JobState, StopMode},
    },
    store::{
        Accounts, AuditLog, Datasets, JobUpdate, Jobs, PageRequest, Sessions, Store, StoreError,
        dynamodb::{DynamoStore, Table},
    },
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::time::Duration;

/// Far above the store's own limits: it only ends a test that would hang for ever.
async fn answers<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), call).await.expect("the call never answers")
}

/// Text that no compression makes smaller than half.
fn noise(bytes: usize) -> String {
    let mut random = StdRng::seed_from_u64(7);
    (0..bytes / 2).map(|_| format!("{:02x}", random.random::<u8>())).collect()
}

async fn behind(faulty: &Faulty, moto: &Moto) -> aws_config::SdkConfig {
    moto.config().await.into_builder().endpoint_url(&faulty.url).build()
}

/// Items of one table.
async fn count(moto: &Moto, table: &str) -> usize {
    let client = Client::new(&moto.config().await);
    let pages = client.scan().table_name(format!("tuner-{table}")).into_paginator().items().send();
    pages.collect::<Result<Vec<_>, _>>().await.unwrap().len()
}

#[tokio::test]
async fn the_tables_are_made_once() {
    let moto = Moto::start();
    let config = moto.config().await;
    let store = DynamoStore::new(&config, &tables());
    let first = store.migrate().await.unwrap();
    assert!(first.iter().all(|table| table.made && table.missing.is_empty()), "{first:?}");
    let again = store.migrate().await.unwrap();
    assert!(again.iter().all(|table| !table.made && table.missing.is_empty()), "{again:?}");
    store.ping().await.unwrap();

    let client = Client::new(&config);
    for table in Table::ALL {
        let name = format!("tuner-{}", table.suffix());
        let described = client.describe_table().table_name(&name).send().await.unwrap().table.unwrap();
        assert_eq!(described.deletion_protection_enabled, Some(true), "{name}");
        let backups = client.describe_continuous_backups().table_name(&name).send().await.unwrap();
        let recovery =
            backups.continuous_backups_description.unwrap().point_in_time_recovery_description.unwrap();
        assert_eq!(
            recovery.point_in_time_recovery_status,
            Some(PointInTimeRecoveryStatus::Enabled),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_may_start_at_once() {
    let moto = Moto::start();
    let config = moto.config().await;
    let mut starts = tokio::task::JoinSet::new();
    for n in 1..=6 {
        let config = config.clone();
        starts.spawn(async move {
            let store = DynamoStore::connect(&config, &tables()).await.unwrap();
            store.create_user(&user(n), &audit("user.create")).await.unwrap();
            store
        });
    }
    for store in starts.join_all().await {
        assert_eq!(store.count_users().await.unwrap(), 6);
        let users = store.list_users(&PageRequest { cursor: None, limit: 10 }).await.unwrap().items;
        assert_eq!(users.iter().filter(|user| user.role == Role::Admin).count(), 1);
    }
}

#[tokio::test]
async fn a_table_of_somebody_elses_is_named_and_left_alone() {
    let moto = Moto::start();
    let config = moto.config().await;
    let mut address = tables();
    address.tables.insert("jobs".to_owned(), "tuner-users".to_owned());
    let refused = DynamoStore::connect(&config, &address).await.unwrap_err();
    let words = refused.to_string();
    assert!(matches!(refused, StoreError::Corrupt(..)), "{words}");
    assert!(words.contains("tuner-users") && words.contains("DYNAMODB_"), "{words}");
}

#[tokio::test]
async fn tables_that_may_not_be_made_are_named_with_what_to_do() {
    let moto = Moto::start();
    let refuse = |operation: &str, _| match operation {
        "CreateTable" => Fault::Refused("AccessDeniedException"),
        _ => Fault::None,
    };
    let faulty = Faulty::to(&moto.url, refuse).await;
    let config = behind(&faulty, &moto).await;
    let refused = DynamoStore::connect(&config, &tables()).await.unwrap_err().to_string();
    assert!(refused.contains("llm-tuner migrate") && refused.contains("dynamodb:CreateTable"), "{refused}");
    // Once somebody who may has made them, the server needs no more than to read and write.
    DynamoStore::new(&moto.config().await, &tables()).migrate().await.unwrap();
    DynamoStore::connect(&config, &tables()).await.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn a_report_of_megabytes_is_kept_in_parts() {
    let moto = Moto::start();
    let store = DynamoStore::connect(&moto.config().await, &tables()).await.unwrap();
    store.create_user(&user(1), &audit("user.create")).await.unwrap();
    let mut made = dataset(1, 1);
    store.create_dataset(&made, &audit("dataset.create")).await.unwrap();
    for (bytes, parts) in [(3 << 20, true), (2 << 20, true), (100 << 10, false), (10, false), (1 << 20, true)]
    {
        made.report = Some(noise(bytes));
        store.save_check(&made).await.unwrap();
        assert_eq!(store.dataset(&made.id).await.unwrap().unwrap(), made);
        let listed = store.list_datasets(&user_id(1), &PageRequest { cursor: None, limit: 5 }).await.unwrap();
        assert_eq!(listed.items, [made.clone()]);
        let kept = count(&moto, "parts").await;
        assert_eq!(kept > 0, parts, "{bytes}");
        assert!(kept <= bytes.div_ceil(350 << 10), "those of the report before are gone: {kept}");
    }
    store.delete_dataset(&made.id, &audit("dataset.delete")).await.unwrap();
    assert_eq!((count(&moto, "parts").await, count(&moto, "files").await), (0, 0));
}

#[tokio::test]
async fn thousands_of_events_are_one_record_and_go_with_their_job() {
    let moto = Moto::start();
    let store = DynamoStore::connect(&moto.config().await, &tables()).await.unwrap();
    store.create_user(&user(1), &audit("user.create")).await.unwrap();
    store.create_dataset(&dataset(1, 1), &audit("dataset.create")).await.unwrap();
    store.create_job(&job(1, 1, &[1]), &audit("job.create")).await.unwrap();
    store.claim_jobs("me", Place::Local, at(100), at(130), 1).await.unwrap();
    let text = noise(2_000 * 1_000);
    let events: Vec<_> =
        (0..2_000).map(|n| (at(1), EventBody::Log { line: text[n * 1_000..][..1_000].to_owned() })).collect();
    let done = JobUpdate { state: Some(JobState::Completed), ..JobUpdate::default() };
    assert_eq!(store.record(&job_id(1), 1, &done, &events).await.unwrap(), 2_000);
    let read = store.events(&job_id(1), 0, 10_000).await.unwrap();
    assert_eq!(read.into_iter().map(|event| (event.at, event.body)).collect::<Vec<_>>(), events);
    let last = store.last_events_of_kind(&job_id(1), "log", 2).await.unwrap();
    assert_eq!(last.iter().map(|event| event.seq).collect::<Vec<_>>(), [1_999, 2_000]);
    // A holder that lost its lease leaves nothing behind.
    store.record(&job_id(1), 7, &JobUpdate::default(), &events).await.unwrap_err();
    store.delete_job(&job_id(1), &audit("job.delete")).await.unwrap();
    assert_eq!((count(&moto, "events").await, count(&moto, "parts").await), (0, 0));
    // Of the job nothing is left in any list: what remains is the person's and the dataset's own.
    store.delete_dataset(&dataset_id(1), &audit("dataset.delete")).await.unwrap();
    assert_eq!(count(&moto, "index").await, 3, "the address, the first user, and the list of users");
}

/// A little of everything that is written.
async fn a_day(store: &DynamoStore) {
    for n in 1..=3 {
        store.create_user(&user(n), &audit("user.create")).await.unwrap();
        store.create_session(&session(n, n), 5, &audit("session.create")).await.unwrap();
    }
    store.create_dataset(&dataset(1, 1), &audit("dataset.create")).await.unwrap();
    for n in 1..=3 {
        store.create_job(&job(n, 1, &[1]), &audit("job.create")).await.unwrap();
    }
    let claimed = store.claim_jobs("me", Place::Local, at(100), at(130), 2).await.unwrap();
    assert_eq!(claimed.len(), 2);
    for n in 0..10 {
        let events = [(at(n), EventBody::Log { line: format!("line {n}") })];
        let done = store.record(&job_id(1), 1, &JobUpdate::default(), &events).await.unwrap();
        assert_eq!(done, n.unsigned_abs() + 1, "each record counts once");
        store.heartbeat(&job_id(1), 1, at(130 + n)).await.unwrap();
    }
    assert_eq!(store.next_attempt(&job_id(1), 1).await.unwrap(), 2);
    store.release(&job_id(2), 1).await.unwrap();
    store.request_stop(&job_id(3), StopMode::Keep, at(140), &audit("job.stop")).await.unwrap();
    store.delete_job(&job_id(3), &audit("job.delete")).await.unwrap();
    store.set_disabled(&user_id(3), true, &audit("user.disable")).await.unwrap();
}

/// What must be there after [`a_day`].
async fn is_whole(store: &DynamoStore) {
    assert_eq!(store.count_users().await.unwrap(), 3);
    let events = store.events(&job_id(1), 0, 100).await.unwrap();
    assert!(events.iter().map(|event| event.seq).eq(1..=10), "{events:?}");
    assert_eq!(store.job(&job_id(1)).await.unwrap().unwrap().attempt, 2);
    assert_eq!(store.job(&job_id(3)).await.unwrap(), None);
    assert_eq!(store.jobs_using_dataset(&dataset_id(1)).await.unwrap(), ["job-2", "job-1"]);
    assert_eq!(store.count_active_jobs(&user_id(1)).await.unwrap(), 2);
    assert_eq!(store.list_sessions(&user_id(3)).await.unwrap(), []);
    let log = store.list_audit(&PageRequest { cursor: None, limit: 100 }).await.unwrap().items;
    assert_eq!(log.len(), 3 + 3 + 1 + 3 + 3, "{log:?}");
}

/// The day under a service that answers so.
async fn under(decide: impl Fn(&str, usize) -> Fault + Send + Sync + 'static) {
    let moto = Moto::start();
    DynamoStore::new(&moto.config().await, &tables()).migrate().await.unwrap();
    let faulty = Faulty::to(&moto.url, decide).await;
    let store = DynamoStore::new(&behind(&faulty, &moto).await, &tables());
    answers(a_day(&store)).await;
    is_whole(&store).await;
}

#[tokio::test]
async fn throttling_is_waited_out() {
    under(|_, n| if n % 3 == 1 { Fault::Refused("ThrottlingException") } else { Fault::None }).await;
    under(|_, n| match n % 4 {
        1 => Fault::Refused("ProvisionedThroughputExceededException"),
        2 => Fault::Refused("TransactionInProgressException"),
        _ => Fault::None,
    })
    .await;
}

#[tokio::test]
async fn broken_answers_are_asked_for_again() {
    under(|_, n| if n % 3 == 1 { Fault::Broken } else { Fault::None }).await;
}

#[tokio::test]
async fn an_answer_that_is_lost_does_nothing_twice() {
    // Unlike DynamoDB, moto does not know a transaction again by its token: so this tests what is left without it.
    under(|operation, n| {
        let lost = operation == "TransactWriteItems" && n.is_multiple_of(2);
        if lost { Fault::Lost } else { Fault::None }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_line_is_said_and_healed() {
    let moto = Moto::start();
    let proxy = Proxy::to(moto.url.strip_prefix("http://").unwrap().parse().unwrap()).await;
    let config = moto.config().await.into_builder().endpoint_url(format!("http://{}", proxy.address)).build();
    let store = DynamoStore::connect(&config, &tables()).await.unwrap();
    let mut n = 0;
    for line in [Line::Cut, Line::Silent] {
        n += 1;
        store.create_user(&user(n), &audit("user.create")).await.unwrap();
        proxy.set(line);
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..10 {
            let store = store.clone();
            callers.spawn(async move {
                match caller % 2 {
                    0 => store.ping().await,
                    _ => store.create_user(&user(100 + caller), &audit("user.create")).await.map(drop),
                }
            });
        }
        let begun = std::time::Instant::now();
        for outcome in answers(callers.join_all()).await {
            assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{line:?}: {outcome:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody waits for minutes");
        proxy.set(Line::Open);
        n += 1;
        answers(store.ping()).await.unwrap();
        answers(store.create_user(&user(n), &audit("user.create"))).await.unwrap();
        assert_eq!(store.count_users().await.unwrap(), n, "what was refused did not happen");
    }
}

/// The server as an operator starts it, on these tables.
struct Site {
    process: std::process::Child,
    _folder: tempfile::TempDir,
    url: String,
    client: reqwest::Client,
}

impl Site {
    async fn start(moto: &Moto) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pages = folder.path().join("site/pkg");
        std::fs::create_dir_all(&pages).unwrap();
        let names = "css htmx app islands chat-js chat-wasm job-js job-wasm uploader-js uploader-wasm";
        let files: serde_json::Map<_, _> =
            names.split(' ').map(|name| (name.to_owned(), "file".into())).collect();
        std::fs::write(pages.join("manifest.json"), serde_json::to_vec(&files).unwrap()).unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = std::process::Command::new(env!("CARGO_BIN_EXE_llm-tuner"))
            .arg("serve")
            .current_dir(folder.path())
            .env_clear()
            .env("LEPTOS_SITE_ROOT", folder.path().join("site"))
            .env("LEPTOS_SITE_ADDR", address.to_string())
            .env("DATABASE_URL", "dynamodb://us-east-1/tuner")
            .env("AWS_ENDPOINT_URL_DYNAMODB", &moto.url)
            .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let client = reqwest::Client::builder().cookie_store(true).build().unwrap();
        let site = Self { process, _folder: folder, url: format!("http://{address}"), client };
        answers(async {
            while site.client.get(format!("{}/ready", site.url)).send().await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
        site
    }

    async fn json(&self, request: reqwest::RequestBuilder) -> serde_json::Value {
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{status}: {text}");
        serde_json::from_str(&text).unwrap()
    }
    async fn post(&self, path: &str, body: serde_json::Value) -> serde_json::Value {
        self.json(self.client.post(format!("{}{path}", self.url)).json(&body)).await
    }
    async fn get(&self, path: &str) -> serde_json::Value {
        self.json(self.client.get(format!("{}{path}", self.url))).await
    }
    /// Asks until the field has this value.
    async fn until(&self, path: &str, field: &str, value: &str) -> serde_json::Value {
        answers(async {
            loop {
                let said = self.get(path).await;
                if said.pointer(field).is_some_and(|found| found == value) {
                    return said;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_site_runs_on_it() {
    let moto = Moto::start();
    let site = Site::start(&moto).await;
    let person = serde_json::json!({ "email": "ada@example.org", "password": "engines of analysis", "full_name": "Ada" });
    assert_eq!(site.post("/api/auth/register", person).await["user"]["role"], "admin");
    let rows: String =
        (0..60).map(|n| format!("{{\"prompt\": \"{n} + 1 = \", \"completion\": \"{}\"}}\n", n + 1)).collect();
    let file = reqwest::multipart::Part::text(rows).file_name("sums.jsonl");
    let form = reqwest::multipart::Form::new().part("files", file);
    site.json(site.client.post(format!("{}/api/upload", site.url)).multipart(form)).await;
    site.until("/api/datasets", "/datasets/0/state", "ready").await;
    let wish = serde_json::json!({ "files": ["sums.jsonl"], "base_model": "nano", "hyperparameters": { "max_steps": 3 } });
    let job = site.post("/api/start-training", wish).await["job_name"].as_str().unwrap().to_owned();
    let done = site.until(&format!("/api/training-job/{job}"), "/status", "Completed").await;
    assert_eq!(done["step"], 3);
    let question =
        serde_json::json!({ "model": done["model_id"], "prompt": "41 + 1 = ", "max_new_tokens": 4 });
    assert!(site.post("/api/playground/generate", question).await["text"].is_string());
}
