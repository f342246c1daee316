//! Reads whole files in the background and keeps what was found. The database is the only truth: a row in `checking`
//! is work to do, so that a restart takes it up again from the beginning.

use super::{Environment, ServiceError, ServiceResult, busy::Busy, preview::keep_index};
use crate::{
    domain::{
        dataset::{Dataset, DatasetState},
        ids::DatasetId,
    },
    storage::{Storage, StorageError, blocking_reader},
    store::{Store, StoreError},
};
use llm_tuner_dataset::{ColumnMapping, Format, LineIndex, Options, Report, Validator, Verdict};
use std::{
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often `checked_bytes` is written while a file is read.
const TELL_EVERY: Duration = Duration::from_millis(700);
/// How often rows left in `checking` (the database did not answer) are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Bytes handed to the validator at once.
const CHUNK: usize = 256 * 1024;

#[derive(Clone)]
pub(super) struct Checks {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    storage: Arc<dyn Storage>,
    env: Environment,
    /// Each holder reads one file.
    slots: Semaphore,
    /// Under way or waiting for a slot: nothing is read twice.
    busy: Busy,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// How reading a file ended, where it did not end with a report.
enum Broken {
    /// The server ends: the row stays in `checking`.
    Stopped,
    Storage(String),
}

impl Checks {
    pub(super) fn new(
        store: Arc<dyn Store>,
        storage: Arc<dyn Storage>,
        env: Environment,
        parallel: usize,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let inner = Inner {
            store,
            storage,
            env,
            slots: Semaphore::new(parallel.max(1)),
            busy: Busy::default(),
            tasks,
            stop,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes up what is to be checked until the server ends, and waits for what is under way.
    pub(super) async fn run(&self) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        while self.inner.stop.run_until_cancelled(look.tick()).await.is_some() {
            match self.inner.store.datasets_in_state(DatasetState::Checking).await {
                Ok(waiting) => waiting.into_iter().for_each(|dataset| self.begin(dataset.id)),
                Err(error) => {
                    tracing::warn!(%error, "datasets that wait for their check could not be listed")
                }
            }
        }
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// Checks a dataset in the background.
    pub(super) fn begin(&self, id: DatasetId) {
        self.spawn(id);
    }

    /// Checks a dataset and returns when it is done. The check goes on where the caller does not wait for it.
    pub(super) async fn finish(&self, id: &DatasetId) {
        if let Some(task) = self.spawn(id.clone())
            && let Err(error) = task.await
        {
            tracing::error!(%error, dataset = %id, "a check ended by a bug");
        }
    }

    fn spawn(&self, id: DatasetId) -> Option<tokio::task::JoinHandle<()>> {
        let (inner, taken) = (self.inner.clone(), self.inner.busy.take(&id)?);
        Some(self.inner.tasks.spawn(async move {
            if let Err(error) = inner.check(&taken.id).await {
                // The row stays in `checking`; `run` takes it up again.
                tracing::warn!(%error, dataset = %taken.id, "a check could not be kept");
            }
        }))
    }
}

impl Inner {
    async fn check(self: &Arc<Self>, id: &DatasetId) -> ServiceResult<()> {
        let Some(Ok(_slot)) = self.stop.run_until_cancelled(self.slots.acquire()).await else {
            return Ok(());
        };
        let Some(mut dataset) = self.store.dataset(id).await? else { return Ok(()) };
        if dataset.state != DatasetState::Checking {
            return Ok(());
        }
        match self.read(&dataset).await {
            Ok((report, index)) => {
                keep_index(&*self.storage, &dataset, &index).await?;
                let json = serde_json::to_string(&report)
                    .map_err(|error| ServiceError::Internal(error.to_string()))?;
                dataset.state = state_of(report.verdict);
                dataset.rows = report.statistics.rows;
                dataset.format = report.format().map(format_name);
                dataset.report = Some(json);
                dataset.failure = None;
                dataset.checked_bytes = dataset.bytes;
            }
            Err(Broken::Stopped) => return Ok(()),
            Err(Broken::Storage(cause)) => {
                tracing::error!(%cause, dataset = %id, "a dataset could not be read");
                dataset.state = DatasetState::Failed;
                dataset.failure = Some("The stored file could not be read to its end.".to_owned());
            }
        }
        dataset.updated_at = self.env.now();
        match self.store.save_check(&dataset).await {
            // Deleted meanwhile.
            Ok(()) | Err(StoreError::NotFound(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn read(self: &Arc<Self>, dataset: &Dataset) -> Result<(Report, LineIndex), Broken> {
        let storage = |error: StorageError| Broken::Storage(error.to_string());
        let content = self.storage.get(&dataset.object_key, None).await.map_err(storage)?;
        let options = Options {
            mapping: mapping_of(dataset).map_err(|error| Broken::Storage(error.to_string()))?,
            ..Options::named(&dataset.original_name)
        };
        let read = Arc::new(AtomicU64::new(0));
        let mut work = tokio::task::spawn_blocking({
            let (read, stop) = (read.clone(), self.stop.clone());
            move || validate(blocking_reader(content), options, &read, &stop)
        });
        let mut tell = tokio::time::interval_at(tokio::time::Instant::now() + TELL_EVERY, TELL_EVERY);
        loop {
            tokio::select! {
                done = &mut work => return done.unwrap_or_else(|panic| Err(Broken::Storage(panic.to_string()))),
                _ = tell.tick() => {
                    let bytes = read.load(Ordering::Relaxed);
                    if let Err(error) = self.store.set_checked_bytes(&dataset.id, bytes).await {
                        tracing::debug!(%error, dataset = %dataset.id, "progress was not kept");
                    }
                }
            }
        }
    }
}

/// Feeds the file to the validator, chunk by chunk.
fn validate(
    mut content: impl Read,
    options: Options,
    read: &AtomicU64,
    stop: &CancellationToken,
) -> Result<(Report, LineIndex), Broken> {
    let mut validator = Validator::new(options);
    let mut chunk = vec![0; CHUNK];
    loop {
        if stop.is_cancelled() {
            return Err(Broken::Stopped);
        }
        match content.read(&mut chunk) {
            Ok(0) => return Ok(validator.finish_with_index()),
            Ok(n) => {
                validator.push(&chunk[..n]);
                read.fetch_add(n as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Broken::Storage(error.to_string())),
        }
    }
}

/// What a person said about the columns; `None` where nobody did.
pub fn mapping_of(dataset: &Dataset) -> Result<Option<ColumnMapping>, serde_json::Error> {
    dataset.mapping.as_deref().map(serde_json::from_str).transpose()
}

fn state_of(verdict: Verdict) -> DatasetState {
    match verdict {
        Verdict::Ready => DatasetState::Ready,
        Verdict::NeedsMapping => DatasetState::NeedsMapping,
        Verdict::NeedsFixing => DatasetState::NeedsFixing,
        Verdict::Refused => DatasetState::Refused,
    }
}

/// The format's serialised spelling.
fn format_name(format: Format) -> String {
    match serde_json::to_value(format) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
