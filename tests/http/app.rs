//! A server of its own for each test: a free port, an empty data folder, gone at the end.

use async_trait::async_trait;
use futures::StreamExt;
use llm_tuner::{
    backends::local::{LocalBackend, LocalSettings},
    config::Config,
    domain::time::{Clock, Instant},
    services::{
        Services,
        context::{Environment, SystemClock},
        supervisor::{Supervisor, SupervisorSettings},
    },
    storage::{ByteStream, ObjectMeta, Storage, StorageError, StorageResult, disk::DiskStorage},
    store::sql::SqlStore,
    web::{assets::Assets, router, state::AppState},
};
use reqwest::{Client, Response, StatusCode, multipart};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub struct TestApp {
    pub url: String,
    pub folder: tempfile::TempDir,
    pub disk: Arc<Disk>,
    pub store: Arc<SqlStore>,
    stop: CancellationToken,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With further settings, as environment variables.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        Self::begin(settings, Environment::system()).await.0
    }

    /// In a time that the test moves.
    pub async fn at(clock: Arc<Hand>) -> Self {
        let env = Environment { clock, ..Environment::system() };
        Self::begin(&[], env).await.0
    }

    /// With the program itself as trainer.
    pub async fn that_trains() -> Self {
        let env = Environment::system();
        let (app, services) = Self::begin(&[], env.clone()).await;
        let program = PathBuf::from(env!("CARGO_BIN_EXE_llm-tuner"));
        let backend = LocalBackend::new(LocalSettings::new(program, app.folder.path().join("jobs"))).unwrap();
        let settings = SupervisorSettings::new("test".to_owned(), app.models_dir());
        let hub = services.hub.clone();
        let supervisor =
            Supervisor::new(app.store.clone(), app.disk.clone(), Arc::new(backend), env.clock, settings, hub);
        let stop = app.stop.clone();
        tokio::spawn(async move { supervisor.run(stop).await });
        app
    }

    /// Where the operator puts base models.
    pub fn models_dir(&self) -> PathBuf {
        self.folder.path().join("models")
    }

    async fn begin(settings: &[(&str, &str)], env: Environment) -> (Self, Arc<Services>) {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().display().to_string();
        let config = Config::read(|name| match name {
            "DATA_DIR" => Some(data_dir.clone()),
            _ => settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()),
        })
        .unwrap();
        let store = Arc::new(SqlStore::connect(&config.database_url).await.unwrap());
        let disk = Arc::new(Disk {
            inner: DiskStorage::open(&config.storage_dir).unwrap(),
            full: AtomicBool::new(false),
        });
        let stop = CancellationToken::new();
        let services = Arc::new(Services::new(&config, env, store.clone(), disk.clone(), stop.clone()));
        services.start(&TaskTracker::new());
        let assets = Arc::new(Assets::default());
        let state = AppState { config: Arc::new(config), assets, services: services.clone() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = router::router(state).into_make_service_with_connect_info::<SocketAddr>();
        let ended = stop.clone();
        tokio::spawn(async move {
            axum::serve(listener, app).with_graceful_shutdown(ended.cancelled_owned()).await.unwrap();
        });
        (Self { url, folder, disk, store, stop }, services)
    }

    /// Somebody new, signed in.
    pub async fn person(&self, email: &str) -> Person {
        let client =
            Client::builder().cookie_store(true).redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let person = Person { client, url: self.url.clone() };
        let body = json!({ "email": email, "password": "correct horse battery", "full_name": "Somebody" });
        let answer = person.client.post(person.at("/api/auth/register")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        person
    }

    /// Files under the storage folder, temporary ones included.
    pub fn stored_files(&self) -> usize {
        fn count(folder: &Path) -> usize {
            let entries = std::fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>());
            entries
                .unwrap_or_default()
                .iter()
                .map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 })
                .sum()
        }
        count(&self.folder.path().join("objects"))
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A clock that stands until it is moved.
pub struct Hand(AtomicI64);

impl Hand {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(SystemClock.now().micros())))
    }
    pub fn forward(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Instant {
        Instant(self.0.load(Ordering::Relaxed))
    }
}

/// A browser or script with a session.
pub struct Person {
    pub client: Client,
    url: String,
}

impl Person {
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(self.at(path)).send().await.unwrap()
    }

    /// The body of a GET that must succeed.
    pub async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }

    pub async fn upload(&self, files: &[(&str, &[u8])]) -> Response {
        let mut form = multipart::Form::new();
        for (name, bytes) in files {
            form = form.part("files", multipart::Part::bytes(bytes.to_vec()).file_name((*name).to_owned()));
        }
        self.client.post(self.at("/api/upload")).multipart(form).send().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Response {
        self.client.post(self.at(path)).json(&body).send().await.unwrap()
    }

    /// Waits for the end of a job; answers it as the API does.
    pub async fn over(&self, job: &str) -> Value {
        loop {
            let job = self.json(&format!("/api/training-job/{job}")).await;
            if job["end_time"] != Value::Null {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Uploads one file that is kept, whatever it is worth; answers the dataset.
    pub async fn add(&self, name: &str, bytes: &[u8]) -> Value {
        let answer = self.upload(&[(name, bytes)]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let mut body: Value = answer.json().await.unwrap();
        body["files"][0].take()
    }

    /// Posts a form of the page `from` as a browser does; answers status, where it leads, and the page after it.
    pub async fn form(
        &self,
        from: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> (StatusCode, String, String) {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let answer = self
            .client
            .post(self.at(path))
            .header("accept", "text/html")
            .header("referer", self.at(from))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .unwrap();
        let to =
            answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned()).unwrap_or_default();
        let page = if to.is_empty() { String::new() } else { self.get(&to).await.text().await.unwrap() };
        (answer.status(), to, page)
    }
}

/// The disk, which can be told to be full.
pub struct Disk {
    inner: DiskStorage,
    full: AtomicBool,
}

impl Disk {
    pub fn fill(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }
}

#[async_trait]
impl Storage for Disk {
    async fn put(&self, key: &str, mut content: ByteStream, limit: u64) -> StorageResult<ObjectMeta> {
        if self.full.load(Ordering::Relaxed) {
            // Some of it came, then there was no room.
            content.next().await;
            return Err(StorageError::Full);
        }
        self.inner.put(key, content, limit).await
    }
    async fn put_file(&self, key: &str, path: &Path) -> StorageResult<ObjectMeta> {
        self.inner.put_file(key, path).await
    }
    async fn head(&self, key: &str) -> StorageResult<ObjectMeta> {
        self.inner.head(key).await
    }
    async fn get(&self, key: &str, range: Option<Range<u64>>) -> StorageResult<ByteStream> {
        self.inner.get(key, range).await
    }
    async fn get_file(&self, key: &str, path: &Path) -> StorageResult<ObjectMeta> {
        self.inner.get_file(key, path).await
    }
    async fn delete(&self, key: &str) -> StorageResult<()> {
        self.inner.delete(key).await
    }
    async fn delete_prefix(&self, prefix: &str) -> StorageResult<()> {
        self.inner.delete_prefix(prefix).await
    }
    async fn ping(&self) -> StorageResult<()> {
        self.inner.ping().await
    }
}
