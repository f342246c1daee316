//! The workbench: a store, a storage, a backend and supervisors over a folder that goes when the test ends.

use crate::support::{
    databases::{Fresh, sqlite},
    make,
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use llm_tuner::{
    backends::{
        TrainingBackend,
        local::{LocalBackend, LocalSettings},
    },
    domain::{
        dataset::{Dataset, DatasetState},
        event::{EventBody, JobEvent},
        ids::JobId,
        job::{Job, JobState, StopMode},
        model::Model,
    },
    services::{
        context::SystemClock,
        hub::JobHub,
        supervisor::{Supervisor, SupervisorSettings},
    },
    storage::{Storage, disk::DiskStorage},
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct Bench {
    pub root: tempfile::TempDir,
    pub db: Fresh,
    pub storage: Arc<dyn Storage>,
    pub hub: JobHub,
    program: PathBuf,
}

/// A running supervisor; dropped, it dies as with the server.
pub struct Running {
    pub stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Running {
    /// As at a server's orderly end.
    pub async fn end(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            task.await.unwrap();
        }
    }
    /// As at a server's sudden end; returns when nothing of it moves any more.
    pub async fn kill(mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Bench {
    /// With this shell script as trainer; `$3` is the job's directory.
    pub async fn script(script: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("trainer");
        // The words that the scripts share.
        let words = r#"
            job="$3"
            done_with() { printf '{"outcome":"%s"}' "$1" > "$job/output/exit.part"; mv "$job/output/exit.part" "$job/output/exit"; }
            save() { mkdir -p "$job/model"; echo '{}' > "$job/model/config.json"; echo weights > "$job/model/model.safetensors"; }
        "#;
        fs::write(&program, format!("#!/bin/sh\n{words}\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self::new(root, program).await
    }

    /// With the program itself as trainer.
    pub async fn real() -> Self {
        Self::new(tempfile::tempdir().unwrap(), PathBuf::from(env!("CARGO_BIN_EXE_llm-tuner"))).await
    }

    async fn new(root: tempfile::TempDir, program: PathBuf) -> Self {
        let db = sqlite().await;
        let storage = Arc::new(DiskStorage::open(&root.path().join("objects")).unwrap());
        db.store.create_user(&make::user(1), &make::audit("user.create")).await.unwrap();
        Self { root, db, storage, hub: JobHub::default(), program }
    }

    pub fn settings(&self, owner: &str) -> SupervisorSettings {
        let mut settings = SupervisorSettings::new(owner.to_owned(), self.root.path().join("models"));
        settings.heartbeat = Duration::from_millis(50);
        settings.poll = Duration::from_millis(10);
        settings.queue = Duration::from_millis(10);
        settings.upload_pause = Duration::from_millis(10);
        settings
    }

    pub fn backend(&self) -> LocalBackend {
        LocalBackend::new(LocalSettings::new(self.program.clone(), self.root.path().join("jobs"))).unwrap()
    }

    pub fn start(&self) -> Running {
        self.start_with(self.settings("one"))
    }

    pub fn start_with(&self, settings: SupervisorSettings) -> Running {
        self.start_on(settings, Arc::clone(&self.storage))
    }

    pub fn start_on(&self, settings: SupervisorSettings, storage: Arc<dyn Storage>) -> Running {
        let supervisor = Supervisor::new(
            self.db.store.clone(),
            storage,
            Arc::new(self.backend()),
            Arc::new(SystemClock),
            settings,
            self.hub.clone(),
        );
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { supervisor.run(stop).await }
        });
        Running { stop, task: Some(task) }
    }

    /// A checked dataset with these bytes.
    pub async fn dataset(&self, number: u64, content: &[u8]) -> Dataset {
        let report = llm_tuner_dataset::validate(content, llm_tuner_dataset::Options::default()).unwrap();
        let mut dataset = make::dataset(number, 1);
        dataset.object_key = format!("users/{}/datasets/{}", dataset.user_id, dataset.id);
        dataset.state = DatasetState::Ready;
        dataset.rows = report.statistics.rows;
        dataset.report = Some(serde_json::to_string(&report).unwrap());
        let bytes = stream::iter([Ok(Bytes::copy_from_slice(content))]).boxed();
        self.storage.put(&dataset.object_key, bytes, u64::MAX).await.unwrap();
        self.db.store.create_dataset(&dataset, &make::audit("dataset.create")).await.unwrap();
        dataset
    }

    /// Queues a job on data of its own, after `change`.
    pub async fn job(&self, number: u64, change: impl FnOnce(&mut Job)) -> Job {
        let rows: String =
            (0..10).map(|n| format!("{{\"prompt\":\"p{n}\",\"completion\":\"c{n}\"}}\n")).collect();
        self.dataset(number, rows.as_bytes()).await;
        let mut job = make::job(number, 1, &[number]);
        change(&mut job);
        let job = self.db.store.create_job(&job, &make::audit("job.create")).await.unwrap();
        self.hub.nudge();
        job
    }

    pub async fn read(&self, id: &JobId) -> Job {
        self.db.store.job(id).await.unwrap().unwrap()
    }

    /// Waits for the job's end.
    pub async fn over(&self, id: &JobId) -> Job {
        self.wait(id, |job| job.state.is_final()).await
    }

    pub async fn start_and_finish(&self, id: &JobId) -> Job {
        let running = self.start();
        let job = self.over(id).await;
        running.end().await;
        job
    }

    pub async fn wait(&self, id: &JobId, until: impl Fn(&Job) -> bool) -> Job {
        loop {
            let job = self.read(id).await;
            if until(&job) {
                return job;
            }
            assert!(!job.state.is_final(), "it ended too early: {:?} {:?}", job.state, job.failure);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until this line is in the stored log.
    pub async fn line(&self, id: &JobId, line: &str) {
        while !self.log(id).await.iter().any(|found| found == line) {
            assert!(!self.read(id).await.state.is_final(), "it ended without the line {line:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn stop(&self, id: &JobId, mode: StopMode) {
        self.db.store.request_stop(id, mode, make::at(0), &make::audit("job.stop")).await.unwrap();
        self.hub.nudge();
    }

    /// All events; their numbers have no gaps.
    pub async fn events(&self, id: &JobId) -> Vec<JobEvent> {
        let events = self.db.store.events(id, 0, 100_000).await.unwrap();
        let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
        events
    }

    pub async fn log(&self, id: &JobId) -> Vec<String> {
        let bodies = self.events(id).await.into_iter().map(|event| event.body);
        bodies.filter_map(|body| if let EventBody::Log { line } = body { Some(line) } else { None }).collect()
    }

    /// The states that the job went through, each once in a row.
    pub async fn states(&self, id: &JobId) -> Vec<JobState> {
        let bodies = self.events(id).await.into_iter().map(|event| event.body);
        let mut states: Vec<_> = bodies
            .filter_map(|body| if let EventBody::State { state, .. } = body { Some(state) } else { None })
            .collect();
        states.dedup();
        states
    }

    pub async fn model(&self, id: &JobId) -> Option<Model> {
        self.db.store.model_of_job(id).await.unwrap()
    }

    /// A path in the job's directory.
    pub fn path(&self, job: &Job, path: &str) -> PathBuf {
        self.backend().directory(job).join(path)
    }

    /// Waits until the job's directory is gone.
    pub async fn tidy(&self, job: &Job) {
        while self.path(job, "").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The trainer's process number, once it is noted.
    pub async fn pid(&self, job: &Job) -> i32 {
        loop {
            let record: Option<serde_json::Value> =
                fs::read(self.path(job, "pid")).ok().and_then(|text| serde_json::from_slice(&text).ok());
            if let Some(pid) = record.and_then(|record| record["process"]["pid"].as_i64()) {
                return i32::try_from(pid).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn kill_trainer(&self, job: &Job) {
        let pid = rustix::process::Pid::from_raw(self.pid(job).await).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    /// Whether the shell may go on; see `wait_for` in a script.
    pub fn touch(&self, path: &Path) {
        fs::write(path, "").unwrap();
    }
}
