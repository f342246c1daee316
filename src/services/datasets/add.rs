//! How a dataset comes to be: the bytes, then the row, then the check.

use super::{Datasets, ServiceResult};
use crate::{
    domain::{
        dataset::{Dataset, DatasetState},
        ids::{DatasetId, UserId},
    },
    services::context::Actor,
    storage::{ByteStream, ObjectMeta},
};

/// What a new dataset, or a new version of one, starts from.
pub(super) struct Origin {
    pub(super) name: String,
    pub(super) original_name: String,
    /// Of the version that it follows.
    pub(super) family: Option<(DatasetId, u32)>,
    pub(super) sample: Option<String>,
    pub(super) mapping: Option<String>,
    /// The audit log's word for it.
    pub(super) action: &'static str,
}

impl Origin {
    /// A file that somebody sent.
    pub(super) fn file(original_name: String) -> Self {
        Self {
            name: original_name.clone(),
            original_name,
            family: None,
            sample: None,
            mapping: None,
            action: "dataset.create",
        }
    }
}

impl Datasets {
    pub(super) async fn next_version(
        &self,
        actor: &Actor,
        of: &Dataset,
        action: &'static str,
    ) -> ServiceResult<Origin> {
        let versions = self.inner.store.list_versions(&actor.user.id, &of.family_id).await?;
        let newest = versions.iter().map(|version| version.version).max().unwrap_or(of.version);
        Ok(Origin {
            name: of.name.clone(),
            original_name: of.original_name.clone(),
            family: Some((of.family_id.clone(), newest + 1)),
            sample: None,
            mapping: of.mapping.clone(),
            action,
        })
    }

    /// Stores the bytes, then the row, then begins the check: a crash in between leaves no row without bytes.
    pub(super) async fn add(
        &self,
        actor: &Actor,
        origin: Origin,
        content: ByteStream,
    ) -> ServiceResult<Dataset> {
        let id = self.new_id();
        let key = object_key(&actor.user.id, &id);
        let meta = self.inner.storage.put(&key, content, self.inner.settings.max_upload_bytes).await?;
        let added = self.insert(actor, id, origin, meta).await;
        if added.is_err()
            && let Err(error) = self.inner.storage.delete(&key).await
        {
            tracing::warn!(%error, key, "the file of a failed upload could not be removed");
        }
        added
    }

    pub(super) fn new_id(&self) -> DatasetId {
        let (millis, random) = self.inner.env.id_parts();
        DatasetId::from_parts(millis, random)
    }

    /// The row of bytes that are stored already, and its check.
    pub(super) async fn insert(
        &self,
        actor: &Actor,
        id: DatasetId,
        origin: Origin,
        meta: ObjectMeta,
    ) -> ServiceResult<Dataset> {
        let action = origin.action;
        let dataset = self.row(actor, id, origin, meta);
        let audit = actor.audit(dataset.created_at, action, dataset.id.as_str());
        self.inner.store.create_dataset(&dataset, &audit).await?;
        Ok(self.begin_check(dataset).await)
    }

    pub(super) fn row(&self, actor: &Actor, id: DatasetId, origin: Origin, meta: ObjectMeta) -> Dataset {
        let object_key = object_key(&actor.user.id, &id);
        let now = self.inner.env.now();
        let (family_id, version) = origin.family.unwrap_or_else(|| (id.clone(), 1));
        Dataset {
            user_id: actor.user.id.clone(),
            name: origin.name,
            original_name: origin.original_name,
            object_key,
            bytes: meta.bytes,
            sha256: meta.sha256,
            state: DatasetState::Checking,
            checked_bytes: 0,
            rows: 0,
            format: None,
            report: None,
            mapping: origin.mapping,
            failure: None,
            family_id,
            version,
            sample: origin.sample,
            created_at: now,
            updated_at: now,
            id,
        }
    }
}

pub(super) fn object_key(user: &UserId, id: &DatasetId) -> String {
    format!("users/{user}/datasets/{id}")
}
