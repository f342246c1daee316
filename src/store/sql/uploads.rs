//! Uploads under way: rows that last a day at most.

use super::super::{StoreError, StoreResult, Uploads};
use super::{
    SqlStore, audit, datasets,
    error::reference,
    found,
    value::{Row, args},
};
use crate::domain::{
    audit::AuditEntry,
    dataset::Dataset,
    ids::{DatasetId, UserId},
    time::Instant,
    upload::Upload,
};
use async_trait::async_trait;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select id, user_id, original_name, object_key, bytes, metadata, created_at, expires_at from uploads ",
            $rest
        )
    };
}

fn read(row: &Row) -> StoreResult<Upload> {
    Ok(Upload {
        id: row.parsed("id", DatasetId::parse)?,
        user_id: row.parsed("user_id", UserId::parse)?,
        original_name: row.text("original_name")?,
        object_key: row.text("object_key")?,
        bytes: row.count("bytes")?,
        metadata: row.text("metadata")?,
        created_at: row.instant("created_at")?,
        expires_at: row.instant("expires_at")?,
    })
}

#[async_trait]
impl Uploads for SqlStore {
    async fn create_upload(&self, upload: &Upload, entry: &AuditEntry) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        tx.execute(
            "insert into uploads (id, user_id, original_name, object_key, bytes, metadata, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
            args![
                &upload.id,
                &upload.user_id,
                &upload.original_name,
                &upload.object_key,
                upload.bytes,
                &upload.metadata,
                upload.created_at,
                upload.expires_at
            ],
        )
        .await
        .map_err(|error| reference(error, StoreError::NotFound("user")))?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }

    async fn upload(&self, id: &DatasetId) -> StoreResult<Option<Upload>> {
        self.fetch_optional(select!("where id = $1"), args![id]).await?.as_ref().map(read).transpose()
    }

    async fn keep_upload(&self, id: &DatasetId, until: Instant) -> StoreResult<()> {
        let touched =
            self.execute("update uploads set expires_at = $2 where id = $1", args![id, until]).await?;
        found(touched, "upload")
    }

    async fn finish_upload(&self, dataset: &Dataset, entry: &AuditEntry) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        let ended = tx.execute("delete from uploads where id = $1", args![&dataset.id]).await?;
        found(ended, "upload")?;
        datasets::insert(&mut tx, dataset).await?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }

    async fn delete_upload(&self, id: &DatasetId, entry: Option<&AuditEntry>) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        let deleted = tx.execute("delete from uploads where id = $1", args![id]).await?;
        found(deleted, "upload")?;
        if let Some(entry) = entry {
            audit::append(&mut tx, entry).await?;
        }
        tx.commit().await
    }

    async fn expired_uploads(&self, now: Instant, limit: usize) -> StoreResult<Vec<Upload>> {
        let rows = self
            .fetch(select!("where expires_at <= $1 order by expires_at, id limit $2"), args![now, limit])
            .await?;
        rows.iter().map(read).collect()
    }
}
