//! Uploads under way: rows that last a day at most, so that all of them may be looked at.

use super::super::{StoreError, StoreResult, Uploads};
use super::{
    DynamoStore, accounts,
    error::Turns,
    item::Item,
    tables::{Key, Table},
    transaction::Refused,
};
use crate::domain::{
    audit::AuditEntry,
    dataset::Dataset,
    ids::{DatasetId, UserId},
    time::Instant,
    upload::Upload,
};
use async_trait::async_trait;

fn key(id: &DatasetId) -> Key {
    Key::of(Table::Uploads, id.as_str())
}

fn read(item: &Item) -> StoreResult<Upload> {
    Ok(Upload {
        id: item.parsed("id", DatasetId::parse)?,
        user_id: item.parsed("user_id", UserId::parse)?,
        original_name: item.text("original_name")?,
        object_key: item.text("object_key")?,
        bytes: item.count("bytes")?,
        metadata: item.text("metadata")?,
        created_at: item.instant("created_at")?,
        expires_at: item.instant("expires_at")?,
    })
}

fn item(upload: &Upload) -> Item {
    Item::default()
        .with("user_id", &upload.user_id)
        .with("original_name", &upload.original_name)
        .with("object_key", &upload.object_key)
        .with("bytes", upload.bytes)
        .with("metadata", &upload.metadata)
        .with("created_at", upload.created_at)
        .with("expires_at", upload.expires_at)
}

fn gone() -> Refused {
    Refused::Error(StoreError::NotFound("upload"))
}

#[async_trait]
impl Uploads for DynamoStore {
    async fn create_upload(&self, upload: &Upload, entry: &AuditEntry) -> StoreResult<()> {
        let mut turns = Turns::default();
        loop {
            let mut tx = self.transaction();
            tx.require(&accounts::key(&upload.user_id), Refused::Error(StoreError::NotFound("user")));
            tx.create(&key(&upload.id), item(upload), StoreError::Taken("id"));
            tx.audit(entry);
            if tx.commit().await? {
                return Ok(());
            }
            turns.next().await?;
        }
    }

    async fn upload(&self, id: &DatasetId) -> StoreResult<Option<Upload>> {
        self.get(&key(id)).await?.as_ref().map(read).transpose()
    }

    async fn keep_upload(&self, id: &DatasetId, until: Instant) -> StoreResult<()> {
        self.edit(key(id), "upload", None, |upload| {
            upload.set("expires_at", until);
            Ok(())
        })
        .await
    }

    async fn finish_upload(&self, dataset: &Dataset, entry: &AuditEntry) -> StoreResult<()> {
        let mut turns = Turns::default();
        loop {
            let mut tx = self.transaction();
            tx.delete_existing(&key(&dataset.id), gone());
            self.add_dataset(&mut tx, dataset).await?;
            tx.audit(entry);
            if tx.commit().await? {
                return Ok(());
            }
            turns.next().await?;
        }
    }

    async fn delete_upload(&self, id: &DatasetId, entry: Option<&AuditEntry>) -> StoreResult<()> {
        let mut turns = Turns::default();
        loop {
            let mut tx = self.transaction();
            tx.delete_existing(&key(id), gone());
            if let Some(entry) = entry {
                tx.audit(entry);
            }
            if tx.commit().await? {
                return Ok(());
            }
            turns.next().await?;
        }
    }

    async fn expired_uploads(&self, now: Instant, limit: usize) -> StoreResult<Vec<Upload>> {
        let rows = self.scan(Table::Uploads).await?;
        let mut uploads = rows.iter().map(read).collect::<StoreResult<Vec<_>>>()?;
        uploads.retain(|upload| upload.expires_at <= now);
        uploads.sort_by(|a, b| (a.expires_at, &a.id).cmp(&(b.expires_at, &b.id)));
        uploads.truncate(limit);
        Ok(uploads)
    }
}
