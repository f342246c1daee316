//! Datasets: one row a version.
//!
//! Lists carry each row's report: it is bounded by the dataset crate, and the list shows figures from it.

use super::super::{Datasets, Page, PageRequest, StoreError, StoreResult};
use super::{
    SqlStore, audit,
    conn::Tx,
    error::reference,
    found,
    page::{After, limit, page},
    value::{Row, args},
};
use crate::domain::{
    audit::AuditEntry,
    dataset::{Dataset, DatasetState},
    ids::{DatasetId, UserId},
    time::Instant,
};
use async_trait::async_trait;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select id, user_id, name, original_name, object_key, bytes, sha256, state, checked_bytes, rows, ",
            "format, report, mapping, failure, family_id, version, sample, created_at, updated_at from datasets ",
            $rest
        )
    };
}

fn read(row: &Row) -> StoreResult<Dataset> {
    Ok(Dataset {
        id: row.parsed("id", DatasetId::parse)?,
        user_id: row.parsed("user_id", UserId::parse)?,
        name: row.text("name")?,
        original_name: row.text("original_name")?,
        object_key: row.text("object_key")?,
        bytes: row.count("bytes")?,
        sha256: row.text("sha256")?,
        state: row.parsed("state", DatasetState::parse)?,
        checked_bytes: row.count("checked_bytes")?,
        rows: row.count("rows")?,
        format: row.optional_text("format")?,
        report: row.optional_text("report")?,
        mapping: row.optional_text("mapping")?,
        failure: row.optional_text("failure")?,
        family_id: row.parsed("family_id", DatasetId::parse)?,
        version: row.small("version")?,
        sample: row.optional_text("sample")?,
        created_at: row.instant("created_at")?,
        updated_at: row.instant("updated_at")?,
    })
}

pub(super) async fn insert(tx: &mut Tx, dataset: &Dataset) -> StoreResult<()> {
    tx.execute(
        "insert into datasets (id, user_id, name, original_name, object_key, bytes, sha256, state,
             checked_bytes, rows, format, report, mapping, failure, family_id, version, sample,
             created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
        args![
            &dataset.id,
            &dataset.user_id,
            &dataset.name,
            &dataset.original_name,
            &dataset.object_key,
            dataset.bytes,
            &dataset.sha256,
            dataset.state.as_str(),
            dataset.checked_bytes,
            dataset.rows,
            &dataset.format,
            &dataset.report,
            &dataset.mapping,
            &dataset.failure,
            &dataset.family_id,
            dataset.version,
            &dataset.sample,
            dataset.created_at,
            dataset.updated_at
        ],
    )
    .await
    .map_err(|error| reference(error, StoreError::NotFound("user")))
    .map(drop)
}

#[async_trait]
impl Datasets for SqlStore {
    async fn create_dataset(&self, dataset: &Dataset, entry: &AuditEntry) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        insert(&mut tx, dataset).await?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }

    async fn dataset(&self, id: &DatasetId) -> StoreResult<Option<Dataset>> {
        self.fetch_optional(select!("where id = $1"), args![id]).await?.as_ref().map(read).transpose()
    }

    async fn list_datasets(&self, user: &UserId, request: &PageRequest) -> StoreResult<Page<Dataset>> {
        let after = After::of(request);
        let rows = self
            .fetch(
                select!(
                    "as d where user_id = $1 and (created_at, id) < ($2, $3) and not exists (
                         select 1 from datasets n where n.family_id = d.family_id and n.version > d.version)
                     order by created_at desc, id desc limit $4"
                ),
                vec![user.into(), after.at.into(), after.id.into(), limit(request)],
            )
            .await?;
        page(&rows, request, read, |dataset| (dataset.created_at.micros(), dataset.id.to_string()))
    }

    async fn list_versions(&self, user: &UserId, family: &DatasetId) -> StoreResult<Vec<Dataset>> {
        let rows = self
            .fetch(
                select!("where family_id = $2 and user_id = $1 order by version desc"),
                args![user, family],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    async fn dataset_by_original_name(
        &self,
        user: &UserId,
        original_name: &str,
    ) -> StoreResult<Option<Dataset>> {
        self.fetch_optional(
            select!("where user_id = $1 and original_name = $2 order by created_at desc, id desc limit 1"),
            args![user, original_name],
        )
        .await?
        .as_ref()
        .map(read)
        .transpose()
    }

    async fn datasets_in_state(&self, state: DatasetState) -> StoreResult<Vec<Dataset>> {
        let rows =
            self.fetch(select!("where state = $1 order by created_at, id"), args![state.as_str()]).await?;
        rows.iter().map(read).collect()
    }

    async fn set_checked_bytes(&self, id: &DatasetId, bytes: u64) -> StoreResult<()> {
        let touched =
            self.execute("update datasets set checked_bytes = $2 where id = $1", args![id, bytes]).await?;
        found(touched, "dataset")
    }

    async fn save_check(&self, dataset: &Dataset) -> StoreResult<()> {
        let touched = self
            .execute(
                "update datasets set state = $2, checked_bytes = $3, rows = $4, format = $5, report = $6,
                     mapping = $7, failure = $8, updated_at = $9
                 where id = $1",
                args![
                    &dataset.id,
                    dataset.state.as_str(),
                    dataset.checked_bytes,
                    dataset.rows,
                    &dataset.format,
                    &dataset.report,
                    &dataset.mapping,
                    &dataset.failure,
                    dataset.updated_at
                ],
            )
            .await?;
        found(touched, "dataset")
    }

    async fn rename_dataset(
        &self,
        id: &DatasetId,
        name: &str,
        at: Instant,
        entry: &AuditEntry,
    ) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        let touched = tx
            .execute("update datasets set name = $2, updated_at = $3 where id = $1", args![id, name, at])
            .await?;
        found(touched, "dataset")?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }

    async fn delete_dataset(&self, id: &DatasetId, entry: &AuditEntry) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        // `job_datasets` refers to the row, so the database itself refuses, also against a job made meanwhile.
        let deleted = tx
            .execute("delete from datasets where id = $1", args![id])
            .await
            .map_err(|error| reference(error, StoreError::Taken("job")))?;
        found(deleted, "dataset")?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }

    async fn jobs_using_dataset(&self, id: &DatasetId) -> StoreResult<Vec<String>> {
        let rows = self
            .fetch(
                "select j.name from job_datasets u join jobs j on j.id = u.job_id
                 where u.dataset_id = $1 order by j.created_at desc, j.id desc",
                args![id],
            )
            .await?;
        rows.iter().map(|row| row.text("name")).collect()
    }

    async fn dataset_bytes(&self, user: &UserId) -> StoreResult<u64> {
        let rows = self
            .fetch(
                "select cast(coalesce(sum(bytes), 0) as bigint) as n from datasets where user_id = $1",
                args![user],
            )
            .await?;
        rows.first().map_or(Ok(0), |row| row.count("n"))
    }
}
