//! A server of its own for each test: a free port, an empty data folder, gone at the end.

use crate::tight::Tight;
use llm_tuner::{
    backends::{
        catalogue::Catalogue,
        local::{LocalBackend, LocalSettings},
        prices::Prices,
        sagemaker::names::Bucket,
    },
    config::Config,
    domain::time::{Clock, Instant},
    services::{
        Services,
        all::Elsewhere,
        context::{Environment, SystemClock, SystemRandom},
        hosting::Outside,
        supervisor::{Supervisor, SupervisorSettings},
    },
    storage::disk::DiskStorage,
    store::Store,
    web::{assets::Assets, router, state::AppState},
};
use reqwest::{Client, Response, StatusCode, multipart};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub struct TestApp {
    pub url: String,
    pub folder: tempfile::TempDir,
    pub disk: Arc<Tight>,
    pub services: Arc<Services>,
    pub store: Arc<dyn Store>,
    clock: Arc<TestClock>,
    stop: CancellationToken,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With further settings, as environment variables.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        Self::on(tempfile::tempdir().unwrap(), settings).await
    }

    /// That hosts models there, at these prices; without, at those that ship with the program.
    pub async fn that_hosts(outside: Outside, prices: Option<Arc<dyn Prices>>) -> Self {
        let change = move |elsewhere: &mut Elsewhere| {
            elsewhere.hosting = outside;
            elsewhere.prices = prices.unwrap_or_else(|| elsewhere.prices.clone());
        };
        Self::of(tempfile::tempdir().unwrap(), &[], Arc::default(), change).await
    }

    /// Ends the server, and starts another on the same data at another address.
    pub async fn restart(&mut self) {
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        self.stop.cancel();
        *self = Self::on(folder, &[]).await;
    }

    /// With the program itself as trainer.
    pub async fn that_trains() -> Self {
        let app = Self::start().await;
        let program = PathBuf::from(env!("CARGO_BIN_EXE_llm-tuner"));
        let backend = LocalBackend::new(LocalSettings::new(program, app.folder.path().join("jobs"))).unwrap();
        let settings = SupervisorSettings::new("test".to_owned(), app.models_dir());
        let (store, disk, hub) = (app.store.clone(), app.disk.clone(), app.services.hub.clone());
        let clock = app.clock.clone();
        let supervisor = Supervisor::new(store, disk, Arc::new(backend), clock, settings, hub);
        let stop = app.stop.clone();
        tokio::spawn(async move { supervisor.run(stop).await });
        app
    }

    /// No room for uploads, or again as much as there is.
    pub fn fill_disk(&self, full: bool) {
        self.disk.full.store(full, Ordering::Relaxed);
    }

    /// Where the operator puts base models.
    pub fn models_dir(&self) -> PathBuf {
        self.folder.path().join("models")
    }

    /// With JumpStart's models from there.
    pub async fn with_catalogue(catalogue: impl FnOnce(Arc<dyn Clock>) -> Arc<dyn Catalogue>) -> Self {
        let clock = Arc::new(TestClock::default());
        let catalogue = catalogue(clock.clone());
        let change = move |elsewhere: &mut Elsewhere| elsewhere.catalogue = catalogue;
        Self::of(tempfile::tempdir().unwrap(), &[], clock, change).await
    }

    /// As if SageMaker were set up, with the models that ship with the program: jobs are queued, and nobody runs them.
    pub async fn that_queues_for_sagemaker() -> Self {
        let change = |elsewhere: &mut Elsewhere| {
            elsewhere.missing = None;
            elsewhere.folders = Some(Arc::new(Bucket::new("bucket", "team")));
        };
        Self::of(tempfile::tempdir().unwrap(), &[], Arc::default(), change).await
    }

    async fn on(folder: tempfile::TempDir, settings: &[(&str, &str)]) -> Self {
        Self::of(folder, settings, Arc::default(), |_| {}).await
    }

    async fn of(
        folder: tempfile::TempDir,
        settings: &[(&str, &str)],
        clock: Arc<TestClock>,
        change: impl FnOnce(&mut Elsewhere),
    ) -> Self {
        let data_dir = folder.path().display().to_string();
        let config = Config::read(|name| match name {
            "DATA_DIR" => Some(data_dir.clone()),
            _ => settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()),
        })
        .unwrap();
        let store = config.database.connect().await.unwrap();
        let disk = Arc::new(Tight::new(Arc::new(DiskStorage::open(&folder.path().join("objects")).unwrap())));
        let stop = CancellationToken::new();
        let env = Environment { clock: clock.clone(), random: Arc::new(SystemRandom) };
        let mut elsewhere = llm_tuner::commands::aws::elsewhere(&config, None, clock.clone());
        change(&mut elsewhere);
        let services =
            Arc::new(Services::new(&config, env, store.clone(), disk.clone(), elsewhere, stop.clone()));
        services.start(&TaskTracker::new());
        let state = AppState {
            config: Arc::new(config),
            assets: Arc::new(Assets::default()),
            services: services.clone(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = router::router(state).into_make_service_with_connect_info::<SocketAddr>();
        let ended = stop.clone();
        tokio::spawn(async move {
            axum::serve(listener, app).with_graceful_shutdown(ended.cancelled_owned()).await.unwrap();
        });
        Self { url, folder, disk, services, store, clock, stop }
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

    /// The same browser, at the address that the server has now.
    pub fn again(&self, person: &Person) -> Person {
        Person { client: person.client.clone(), url: self.url.clone() }
    }

    /// From now on the server's time passes by [`Self::later`] only.
    pub fn stop_the_clock(&self) {
        self.clock.stopped.get_or_init(|| SystemClock.now());
    }

    /// Lets the server's time pass.
    pub fn later(&self, by: Duration) {
        self.clock.ahead.fetch_add(u64::try_from(by.as_micros()).unwrap(), Ordering::Relaxed);
    }

    /// Files under the storage folder, temporary ones included.
    pub fn stored_files(&self) -> usize {
        sizes(&self.folder.path().join("objects")).len()
    }

    /// Bytes of files that are not whole yet.
    pub fn partial_bytes(&self) -> u64 {
        sizes(&self.folder.path().join("objects/.partial")).iter().sum()
    }
}

/// Of all files below the folder.
fn sizes(folder: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>());
    let mut found = Vec::new();
    for entry in entries.unwrap_or_default() {
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => found.extend(sizes(&entry.path())),
            Ok(meta) => found.push(meta.len()),
            // Gone meanwhile.
            Err(_) => {}
        }
    }
    found
}

/// The system's clock, which a test can put forward, or stop first.
#[derive(Default)]
struct TestClock {
    ahead: AtomicU64,
    stopped: OnceLock<Instant>,
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        let now = self.stopped.get().copied().unwrap_or_else(|| SystemClock.now());
        now.plus(Duration::from_micros(self.ahead.load(Ordering::Relaxed)))
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
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

    /// Signs in, as somebody does whose session is over.
    pub async fn sign_in(&self, email: &str) -> String {
        let body = json!({ "email": email, "password": "correct horse battery" });
        let answer = self.client.post(self.at("/api/auth/login")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
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
