//! Datasets: take in, check, show, mend, hand out, remove. What the bytes mean is the dataset crate's business.
//!
//! - [`checks`] reads whole files in the background      - [`repairs`] makes mended versions
//! - [`preview`] pages through rows                      - [`samples`] adds bundled data
//! - [`uploads`] takes files in pieces                   - [`name`] makes file names safe to show
//!
//! The uploaded bytes lie under `users/<user>/datasets/<dataset>`, what we make of them (row index, rejected lines)
//! under `users/<user>/dataset-parts/<dataset>/…`. A file's own name is never part of a key.

mod add;
mod busy;
mod checks;
pub mod name;
pub mod preview;
pub mod repairs;
pub mod samples;
mod stored;
mod turns;
pub mod uploads;

use super::{
    context::{Actor, Environment},
    error::{ServiceError, ServiceResult},
    policy::{Action, Resource, authorize},
};
use crate::{
    domain::{
        dataset::{Dataset, DatasetState},
        ids::DatasetId,
    },
    storage::{ByteStream, Storage},
    store::{Page, PageRequest, Store, StoreError},
};
use add::Origin;
use busy::Busy;
use checks::Checks;
use futures::StreamExt;
use llm_tuner_dataset::{ColumnMapping, Report};
use std::sync::Arc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use turns::Turns;

/// Files up to this size are checked before the upload is answered: a person sees the verdict at once.
const CHECK_AT_ONCE: u64 = 4 * 1024 * 1024;

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// One file's limit.
    pub max_upload_bytes: u64,
    /// Files read at the same time by the background check.
    pub parallel_checks: usize,
}

/// Cheap to clone: all clones are one service.
#[derive(Clone)]
pub struct Datasets {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    storage: Arc<dyn Storage>,
    env: Environment,
    settings: Settings,
    checks: Checks,
    repairing: Busy,
    turns: Turns,
    /// Checks and repairs under way; waited for when the server ends.
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// One row of the list.
pub struct Listed {
    pub dataset: Dataset,
    /// Of a large tokenizer, estimated; `None` until checked.
    pub tokens: Option<u64>,
    /// How many jobs use this version.
    pub jobs: u64,
}

impl Datasets {
    pub fn new(
        store: Arc<dyn Store>,
        storage: Arc<dyn Storage>,
        env: Environment,
        settings: Settings,
        stop: CancellationToken,
    ) -> Self {
        let tasks = TaskTracker::new();
        let checks = Checks::new(
            store.clone(),
            storage.clone(),
            env.clone(),
            settings.parallel_checks,
            tasks.clone(),
            stop.clone(),
        );
        let (repairing, turns) = (Busy::default(), Turns::default());
        let inner = Inner { store, storage, env, settings, checks, repairing, turns, tasks, stop };
        Self { inner: Arc::new(inner) }
    }

    /// Takes up the checks that a restart interrupted, and ends the running ones in order when the server ends.
    pub fn start(&self, tasks: &TaskTracker) {
        let datasets = self.clone();
        tasks.spawn(async move { datasets.inner.checks.run().await });
    }

    /// Stores a file and begins its check. A small file is checked when this returns; a large one is `checking`.
    /// A file that can't be used is kept too, as `refused`, with the report that says why.
    ///
    /// # Errors
    /// `NoRoom`, `TooLarge`, or `Refused` where the sender broke off; nothing is left behind then.
    pub async fn upload(
        &self,
        actor: &Actor,
        file_name: &str,
        content: ByteStream,
    ) -> ServiceResult<Dataset> {
        self.add(actor, Origin::file(name::clean_file_name(file_name)), content).await
    }

    /// The newest version of each of the person's datasets, newest first.
    pub async fn list(&self, actor: &Actor, page: &PageRequest) -> ServiceResult<Page<Dataset>> {
        Ok(self.inner.store.list_datasets(&actor.user.id, page).await?)
    }

    /// # Errors
    /// `NotFound` for another's dataset and for none.
    pub async fn get(&self, actor: &Actor, id: &DatasetId) -> ServiceResult<Dataset> {
        self.authorized(actor, id, Action::Read).await
    }

    /// The newest of the person's datasets with this file name.
    pub async fn by_original_name(&self, actor: &Actor, file_name: &str) -> ServiceResult<Dataset> {
        let found = self.inner.store.dataset_by_original_name(&actor.user.id, file_name).await?;
        found.ok_or(ServiceError::NotFound("dataset"))
    }

    /// All versions of the dataset that `id` is a version of, newest first.
    pub async fn versions(&self, actor: &Actor, id: &DatasetId) -> ServiceResult<Vec<Dataset>> {
        let dataset = self.get(actor, id).await?;
        Ok(self.inner.store.list_versions(&actor.user.id, &dataset.family_id).await?)
    }

    /// As [`Datasets::list`], with what the list shows besides the rows themselves.
    pub async fn listed(&self, actor: &Actor, page: &PageRequest) -> ServiceResult<Page<Listed>> {
        let Page { items, next } = self.list(actor, page).await?;
        let mut listed = Vec::with_capacity(items.len());
        for dataset in items {
            listed.push(self.with_uses(dataset).await?);
        }
        Ok(Page { items: listed, next })
    }

    /// One row of the list.
    pub async fn listed_one(&self, actor: &Actor, id: &DatasetId) -> ServiceResult<Listed> {
        let dataset = self.get(actor, id).await?;
        self.with_uses(dataset).await
    }

    async fn with_uses(&self, dataset: Dataset) -> ServiceResult<Listed> {
        let jobs = self.inner.store.jobs_using_dataset(&dataset.id).await?.len() as u64;
        Ok(Listed { tokens: approximate_tokens(&dataset), jobs, dataset })
    }

    /// Names of the jobs that use this version, newest first.
    pub async fn used_by(&self, actor: &Actor, id: &DatasetId) -> ServiceResult<Vec<String>> {
        self.get(actor, id).await?;
        Ok(self.inner.store.jobs_using_dataset(id).await?)
    }

    pub async fn rename(&self, actor: &Actor, id: &DatasetId, new_name: &str) -> ServiceResult<()> {
        self.authorized(actor, id, Action::Write).await?;
        let new_name = name::parse_name(new_name)?;
        let now = self.inner.env.now();
        let audit = actor.audit(now, "dataset.rename", id.as_str());
        Ok(self.inner.store.rename_dataset(id, &new_name, now, &audit).await?)
    }

    /// Removes this version and its files.
    ///
    /// # Errors
    /// `Refused` with the jobs' names where jobs use it.
    pub async fn delete(&self, actor: &Actor, id: &DatasetId) -> ServiceResult<()> {
        let dataset = self.authorized(actor, id, Action::Write).await?;
        let audit = actor.audit(self.inner.env.now(), "dataset.delete", id.as_str());
        match self.inner.store.delete_dataset(id, &audit).await {
            Ok(()) => {}
            Err(StoreError::Taken(_)) => return Err(in_use(&self.inner.store.jobs_using_dataset(id).await?)),
            Err(error) => return Err(error.into()),
        }
        // The row is gone, and with it the dataset: a file that can't be removed now is only lost room.
        for removed in [
            self.inner.storage.delete(&dataset.object_key).await,
            self.inner.storage.delete_prefix(&parts_prefix(&dataset)).await,
        ] {
            if let Err(error) = removed {
                tracing::warn!(%error, dataset = %id, "a deleted dataset's file could not be removed");
            }
        }
        Ok(())
    }

    /// The uploaded bytes; with the download in the audit log.
    pub async fn download(&self, actor: &Actor, id: &DatasetId) -> ServiceResult<(Dataset, ByteStream)> {
        let dataset = self.get(actor, id).await?;
        let content = self.inner.storage.get(&dataset.object_key, None).await?;
        self.inner.store.audit(&actor.audit(self.inner.env.now(), "dataset.download", id.as_str())).await?;
        Ok((dataset, content))
    }

    /// Says what the columns of a table are for, and checks the file again. Where jobs used this version, a new one
    /// is made, so that what they were trained on stays as it was. Returns the version that is checked.
    pub async fn set_mapping(
        &self,
        actor: &Actor,
        id: &DatasetId,
        mapping: &ColumnMapping,
    ) -> ServiceResult<Dataset> {
        let mut dataset = self.authorized(actor, id, Action::Write).await?;
        let report = report_of(&dataset)?.ok_or_else(|| still_checking(&dataset))?;
        if let Some(column) = mapping.unknown_column(report.columns()) {
            return Err(ServiceError::invalid(
                "mapping",
                format!("The file has no column named “{column}”."),
            ));
        }
        mapping.shape().map_err(|sentence| ServiceError::invalid("mapping", sentence))?;
        let text =
            serde_json::to_string(mapping).map_err(|error| ServiceError::Internal(error.to_string()))?;
        if !self.inner.store.jobs_using_dataset(id).await?.is_empty() {
            let content = self.inner.storage.get(&dataset.object_key, None).await?;
            let origin =
                Origin { mapping: Some(text), ..self.next_version(actor, &dataset, "dataset.map").await? };
            return self.add(actor, origin, content).await;
        }
        let now = self.inner.env.now();
        self.inner.store.audit(&actor.audit(now, "dataset.map", id.as_str())).await?;
        dataset.mapping = Some(text);
        self.recheck(dataset).await
    }

    /// Tries a check again that could not finish.
    pub async fn check_again(&self, actor: &Actor, id: &DatasetId) -> ServiceResult<Dataset> {
        let dataset = self.authorized(actor, id, Action::Write).await?;
        if dataset.state != DatasetState::Failed {
            return Ok(dataset);
        }
        self.recheck(dataset).await
    }

    async fn recheck(&self, mut dataset: Dataset) -> ServiceResult<Dataset> {
        dataset.state = DatasetState::Checking;
        dataset.checked_bytes = 0;
        dataset.failure = None;
        dataset.updated_at = self.inner.env.now();
        self.inner.store.save_check(&dataset).await?;
        Ok(self.begin_check(dataset).await)
    }

    /// The row as it is after the check of a small file, or at the begin of a large one's.
    async fn begin_check(&self, dataset: Dataset) -> Dataset {
        if dataset.bytes > CHECK_AT_ONCE {
            self.inner.checks.begin(dataset.id.clone());
            return dataset;
        }
        self.inner.checks.finish(&dataset.id).await;
        match self.inner.store.dataset(&dataset.id).await {
            Ok(Some(checked)) => checked,
            // Stored and checked, only not read back: still true, only older.
            Ok(None) | Err(_) => dataset,
        }
    }

    async fn authorized(&self, actor: &Actor, id: &DatasetId, action: Action) -> ServiceResult<Dataset> {
        match self.inner.store.dataset(id).await? {
            Some(dataset) if authorize(actor, action, Resource::Owned(&dataset.user_id)) => Ok(dataset),
            _ => Err(ServiceError::NotFound("dataset")),
        }
    }

    /// The first characters of the file as text, for answers that show a glimpse.
    pub async fn glimpse(&self, actor: &Actor, id: &DatasetId, characters: usize) -> ServiceResult<String> {
        let dataset = self.get(actor, id).await?;
        let end = dataset.bytes.min(characters as u64 * 4);
        let mut content = self.inner.storage.get(&dataset.object_key, Some(0..end)).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = content.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| ServiceError::Unavailable(error.to_string()))?);
        }
        Ok(String::from_utf8_lossy(&bytes)
            .chars()
            .filter(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
            .take(characters)
            .collect())
    }
}

/// The report of the last whole check; `None` while the first one runs.
pub fn report_of(dataset: &Dataset) -> ServiceResult<Option<Report>> {
    let parse = |text: &String| serde_json::from_str(text);
    dataset
        .report
        .as_ref()
        .map(parse)
        .transpose()
        .map_err(|error| ServiceError::Internal(format!("stored report: {error}")))
}

/// Reads the one figure out of a stored report, without building the rest of it.
fn approximate_tokens(dataset: &Dataset) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Part {
        statistics: Figures,
    }
    #[derive(serde::Deserialize)]
    struct Figures {
        approximate_tokens: u64,
    }
    let part: Part = serde_json::from_str(dataset.report.as_deref()?).ok()?;
    Some(part.statistics.approximate_tokens)
}

/// Where what we make of a dataset lies.
fn parts_prefix(dataset: &Dataset) -> String {
    format!("users/{}/dataset-parts/{}", dataset.user_id, dataset.id)
}

fn still_checking(dataset: &Dataset) -> ServiceError {
    ServiceError::refused(
        "still_checking",
        format!("“{}” is still being checked.", dataset.name),
        "Wait until the check is done and try again.",
    )
}

fn in_use(jobs: &[String]) -> ServiceError {
    let named = jobs.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    let more = jobs.len().saturating_sub(3);
    let others = if more > 0 { format!(" and {more} more") } else { String::new() };
    let (noun, verb) = if jobs.len() == 1 { ("job", "uses") } else { ("jobs", "use") };
    ServiceError::refused(
        "dataset_in_use",
        format!("The {noun} {named}{others} {verb} this dataset, so it can't be deleted."),
        format!("Delete the {noun} first, or keep the dataset."),
    )
}
