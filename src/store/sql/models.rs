//! Finished models.

use super::super::{Models, Page, PageRequest, StoreError, StoreResult};
use super::{
    SqlStore, audit,
    error::reference,
    found,
    page::{After, limit, page},
    value::{Row, args, to_json},
};
use crate::domain::{
    audit::AuditEntry,
    ids::{JobId, ModelId, UserId},
    model::{Model, ModelKind},
};
use async_trait::async_trait;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select id, user_id, job_id, job_name, name, kind, base_name, base, dataset_names, train_loss, ",
            "eval_loss, prefix, files, bytes, created_at from models ",
            $rest
        )
    };
}

fn read(row: &Row) -> StoreResult<Model> {
    Ok(Model {
        id: row.parsed("id", ModelId::parse)?,
        user_id: row.parsed("user_id", UserId::parse)?,
        job_id: row.parsed("job_id", JobId::parse)?,
        job_name: row.text("job_name")?,
        name: row.text("name")?,
        kind: row.parsed("kind", ModelKind::parse)?,
        base_name: row.text("base_name")?,
        base: row.json("base")?,
        dataset_names: row.json("dataset_names")?,
        train_loss: row.optional_real("train_loss")?,
        eval_loss: row.optional_real("eval_loss")?,
        prefix: row.text("prefix")?,
        files: row.json("files")?,
        bytes: row.count("bytes")?,
        created_at: row.instant("created_at")?,
    })
}

#[async_trait]
impl Models for SqlStore {
    async fn create_model(&self, model: &Model) -> StoreResult<()> {
        let touched = self
            .execute(
                "insert into models (id, user_id, job_id, job_name, name, kind, base_name, base, dataset_names,
                     train_loss, eval_loss, prefix, files, bytes, created_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
                 on conflict (job_id) do update set id = excluded.id, user_id = excluded.user_id,
                     job_name = excluded.job_name, name = excluded.name, kind = excluded.kind,
                     base_name = excluded.base_name, base = excluded.base,
                     dataset_names = excluded.dataset_names, train_loss = excluded.train_loss,
                     eval_loss = excluded.eval_loss, prefix = excluded.prefix, files = excluded.files,
                     bytes = excluded.bytes, created_at = excluded.created_at",
                args![
                    &model.id,
                    &model.user_id,
                    &model.job_id,
                    &model.job_name,
                    &model.name,
                    model.kind.as_str(),
                    &model.base_name,
                    to_json("base", &model.base)?,
                    to_json("dataset_names", &model.dataset_names)?,
                    model.train_loss,
                    model.eval_loss,
                    &model.prefix,
                    to_json("files", &model.files)?,
                    model.bytes,
                    model.created_at
                ],
            )
            .await
            .map_err(|error| reference(error, StoreError::NotFound("user")))?;
        found(touched, "model")
    }

    async fn model(&self, id: &ModelId) -> StoreResult<Option<Model>> {
        self.fetch_optional(select!("where id = $1"), args![id]).await?.as_ref().map(read).transpose()
    }

    async fn model_of_job(&self, job: &JobId) -> StoreResult<Option<Model>> {
        self.fetch_optional(select!("where job_id = $1"), args![job]).await?.as_ref().map(read).transpose()
    }

    async fn list_models(&self, user: &UserId, request: &PageRequest) -> StoreResult<Page<Model>> {
        let after = After::of(request);
        let rows = self
            .fetch(
                select!(
                    "where user_id = $1 and (created_at, id) < ($2, $3)
                     order by created_at desc, id desc limit $4"
                ),
                vec![user.into(), after.at.into(), after.id.into(), limit(request)],
            )
            .await?;
        page(&rows, request, read, |model| (model.created_at.micros(), model.id.to_string()))
    }

    async fn rename_model(&self, id: &ModelId, name: &str, entry: &AuditEntry) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        let touched = tx.execute("update models set name = $2 where id = $1", args![id, name]).await?;
        found(touched, "model")?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }

    async fn delete_model(&self, id: &ModelId, entry: &AuditEntry) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        let deleted = tx.execute("delete from models where id = $1", args![id]).await?;
        found(deleted, "model")?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }
}
