//! Mended copies: a new version with every row that can be used, and beside it the lines that could not, each with its
//! place and reason. The version that was repaired stays as it is.

use super::{
    Datasets, Origin, ServiceError, ServiceResult, add::object_key, parts_prefix, report_of, still_checking,
    stored::channel,
};
use crate::{
    domain::{
        dataset::{Dataset, DatasetState},
        ids::DatasetId,
    },
    services::{context::Actor, policy::Action},
    storage::{ByteStream, ObjectMeta, StorageError, blocking_reader},
};
use llm_tuner_dataset::{ReadError, RepairCounts, RepairOptions, Schema, repair};
use std::time::Duration;

/// A repair that takes longer goes on by itself; its version appears when it is done.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of a repair.
#[derive(Debug)]
pub enum Repaired {
    Done(Box<Dataset>, RepairCounts),
    /// A large file: the new version appears when it is done.
    Underway,
}

impl Datasets {
    /// Makes a repaired copy as the next version.
    ///
    /// # Errors
    /// `Refused` while the check runs, where the columns have no meaning yet, and where a repair is under way.
    pub async fn repair(
        &self,
        actor: &Actor,
        id: &DatasetId,
        options: RepairOptions,
    ) -> ServiceResult<Repaired> {
        let dataset = self.authorized(actor, id, Action::Write).await?;
        let report = report_of(&dataset)?.filter(|_| dataset.state != DatasetState::Checking);
        let schema = report.ok_or_else(|| still_checking(&dataset))?.schema;
        let usable = !matches!(dataset.state, DatasetState::Refused | DatasetState::NeedsMapping);
        let schema = schema.filter(|schema| schema.shape().is_some() && usable);
        let schema = schema.ok_or_else(|| not_repairable(&dataset))?;
        let taken = self.inner.repairing.take(id).ok_or_else(|| {
            ServiceError::refused(
                "repair_underway",
                "This dataset is being repaired already.",
                "Wait for the new version to appear.",
            )
        })?;
        let (datasets, actor) = (self.clone(), actor.clone());
        // In a task of its own: a caller who goes away does not leave a half-made version behind.
        let work = self.inner.tasks.spawn(async move {
            let made = datasets.make(&actor, &dataset, schema, options).await;
            drop(taken);
            if let Err(error) = &made {
                tracing::warn!(%error, dataset = %dataset.id, "a dataset could not be repaired");
            }
            made
        });
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(made)) => made.map(|(dataset, counts)| Repaired::Done(Box::new(dataset), counts)),
            Ok(Err(panic)) => Err(ServiceError::Internal(panic.to_string())),
            Err(_) => Ok(Repaired::Underway),
        }
    }

    async fn make(
        &self,
        actor: &Actor,
        of: &Dataset,
        schema: Schema,
        options: RepairOptions,
    ) -> ServiceResult<(Dataset, RepairCounts)> {
        let id = self.new_id();
        let (key, rejected_key) = (object_key(&actor.user.id, &id), rejected_key(&actor.user.id, &id));
        let content = self.inner.storage.get(&of.object_key, None).await?;
        let (mut good, good_stream) = channel();
        let (mut bad, bad_stream) = channel();
        let work = tokio::task::spawn_blocking(move || {
            let counts = repair(blocking_reader(content), &schema, options, &mut good, &mut bad)?;
            good.complete().and_then(|()| bad.complete()).map_err(ReadError::Write)?;
            Ok::<_, ReadError>(counts)
        });
        let storage = &self.inner.storage;
        let (good, bad, counts) = tokio::join!(
            storage.put(&key, good_stream, u64::MAX),
            storage.put(&rejected_key, bad_stream, u64::MAX),
            work
        );
        let counts = counts.map_err(|panic| ServiceError::Internal(panic.to_string())).and_then(|made| {
            made.map_err(|error| {
                ServiceError::refused("repair_failed", error.to_string(), "Nothing was changed.")
            })
        });
        let made = match outcome(good, bad, counts) {
            Ok((meta, counts)) => {
                if counts.rejected == 0 {
                    storage.delete(&rejected_key).await?;
                }
                let origin =
                    Origin { mapping: None, ..self.next_version(actor, of, "dataset.repair").await? };
                self.insert(actor, id, origin, meta).await.map(|dataset| (dataset, counts))
            }
            Err(error) => Err(error),
        };
        if made.is_err() {
            for key in [&key, &rejected_key] {
                if let Err(error) = storage.delete(key).await {
                    tracing::warn!(%error, key, "a file of a failed repair could not be removed");
                }
            }
        }
        made
    }

    /// Bytes of the lines that the repair which made this version set aside; `None` where there are none.
    pub async fn rejected_bytes(&self, actor: &Actor, id: &DatasetId) -> ServiceResult<Option<u64>> {
        let dataset = self.get(actor, id).await?;
        match self.inner.storage.head(&rejected_of(&dataset)).await {
            Ok(meta) => Ok(Some(meta.bytes)),
            Err(StorageError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The lines that were set aside, as JSON Lines, with a name for the file.
    pub async fn rejected_lines(
        &self,
        actor: &Actor,
        id: &DatasetId,
    ) -> ServiceResult<(String, ObjectMeta, ByteStream)> {
        let dataset = self.get(actor, id).await?;
        let key = rejected_of(&dataset);
        let meta = self.inner.storage.head(&key).await?;
        let content = self.inner.storage.get(&key, None).await?;
        self.inner.store.audit(&actor.audit(self.inner.env.now(), "dataset.download", id.as_str())).await?;
        let stem =
            dataset.original_name.rsplit_once('.').map_or(dataset.original_name.as_str(), |(stem, _)| stem);
        Ok((format!("{stem}-rejected.jsonl"), meta, content))
    }
}

/// Storage's word first: where it refused the rest, the repair only saw a closed pipe.
fn outcome(
    good: Result<ObjectMeta, StorageError>,
    bad: Result<ObjectMeta, StorageError>,
    counts: ServiceResult<RepairCounts>,
) -> ServiceResult<(ObjectMeta, RepairCounts)> {
    match (good, bad, counts) {
        (Ok(meta), Ok(_), Ok(counts)) => Ok((meta, counts)),
        (Err(StorageError::Interrupted(_)), _, Err(error))
        | (_, Err(StorageError::Interrupted(_)), Err(error)) => Err(error),
        (Err(error), _, _) | (_, Err(error), _) => Err(error.into()),
        (_, _, Err(error)) => Err(error),
    }
}

fn rejected_key(user: &crate::domain::ids::UserId, id: &DatasetId) -> String {
    format!("users/{user}/dataset-parts/{id}/rejected")
}

fn rejected_of(dataset: &Dataset) -> String {
    format!("{}/rejected", parts_prefix(dataset))
}

fn not_repairable(dataset: &Dataset) -> ServiceError {
    let next_step = match dataset.state {
        DatasetState::NeedsMapping => "Say what the columns are for first.",
        _ => "Correct the file and upload it again.",
    };
    ServiceError::refused(
        "not_repairable",
        format!("“{}” can't be repaired as it is.", dataset.name),
        next_step,
    )
}
