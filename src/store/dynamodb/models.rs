//! Finished models.

use super::super::{Models, Page, PageRequest, StoreError, StoreResult, encoding::to_json};
use super::{
    DynamoStore, accounts,
    error::Turns,
    item::{Item, REVISION},
    lists::{by_age, entry as list_entry, names, unique},
    tables::{Key, Table},
    transaction::Refused,
};
use crate::domain::{
    audit::AuditEntry,
    ids::{JobId, ModelId, UserId},
    model::{Model, ModelKind},
    time::Instant,
};
use async_trait::async_trait;

fn key(id: &str) -> Key {
    Key::of(Table::Models, id)
}

fn of_job(job: &str) -> Key {
    unique("model-of", job)
}

fn of_user(user: &str) -> String {
    format!("models:{user}")
}

/// The model's place in its owner's list.
fn place(user: &str, created_at: Instant, id: &str) -> Key {
    list_entry(of_user(user), by_age(created_at, id))
}

fn place_of(model: &Model) -> Key {
    place(model.user_id.as_str(), model.created_at, model.id.as_str())
}

fn read(item: &Item) -> StoreResult<Model> {
    Ok(Model {
        id: item.parsed("id", ModelId::parse)?,
        user_id: item.parsed("user_id", UserId::parse)?,
        job_id: item.parsed("job_id", JobId::parse)?,
        job_name: item.text("job_name")?,
        name: item.text("name")?,
        kind: item.parsed("kind", ModelKind::parse)?,
        base_name: item.text("base_name")?,
        base: item.json("base")?,
        dataset_names: item.json("dataset_names")?,
        train_loss: item.optional_real("train_loss")?,
        eval_loss: item.optional_real("eval_loss")?,
        prefix: item.text("prefix")?,
        files: item.json("files")?,
        bytes: item.count("bytes")?,
        created_at: item.instant("created_at")?,
    })
}

fn item(model: &Model) -> StoreResult<Item> {
    Ok(Item::default()
        .with("user_id", &model.user_id)
        .with("job_id", &model.job_id)
        .with("job_name", &model.job_name)
        .with("name", &model.name)
        .with("kind", model.kind.as_str())
        .with("base_name", &model.base_name)
        .with("base", to_json("base", &model.base)?)
        .with("dataset_names", to_json("dataset_names", &model.dataset_names)?)
        .with("train_loss", model.train_loss)
        .with("eval_loss", model.eval_loss)
        .with("prefix", &model.prefix)
        .with("files", to_json("files", &model.files)?)
        .with("bytes", model.bytes)
        .with("created_at", model.created_at))
}

#[async_trait]
impl Models for DynamoStore {
    async fn create_model(&self, model: &Model) -> StoreResult<()> {
        let of_job = of_job(model.job_id.as_str());
        let mut turns = Turns::default();
        loop {
            let before = match self.named(&of_job).await? {
                None => None,
                Some(id) => self.row(key(&id)).await?,
            };
            let mut tx = self.transaction();
            tx.require(&accounts::key(&model.user_id), Refused::Error(StoreError::NotFound("user")));
            let new = item(model)?;
            match before {
                None => {
                    tx.create_unless_quicker(&of_job, names(model.id.as_str()));
                    tx.create(&key(model.id.as_str()), new, StoreError::Taken("id"));
                }
                Some(before) => {
                    let user = before.item.text("user_id")?;
                    let old = before.item.text("id")?;
                    let at = before.item.instant("created_at")?;
                    if old == model.id.as_str() {
                        let mut after = new;
                        after.0.extend(before.key.attributes());
                        tx.change(&before, &after);
                    } else {
                        tx.delete_row(&before, &[REVISION]);
                        tx.create(&key(model.id.as_str()), new, StoreError::Taken("id"));
                        tx.put(&of_job, names(model.id.as_str()));
                    }
                    let (was, is) = (place(&user, at, &old), place_of(model));
                    if was != is {
                        tx.delete(&was);
                    }
                }
            }
            tx.put(&place_of(model), names(model.id.as_str()));
            if tx.commit().await? {
                return Ok(());
            }
            turns.next().await?;
        }
    }

    async fn model(&self, id: &ModelId) -> StoreResult<Option<Model>> {
        self.get(&key(id.as_str())).await?.as_ref().map(read).transpose()
    }

    async fn model_of_job(&self, job: &JobId) -> StoreResult<Option<Model>> {
        let Some(id) = self.named(&of_job(job.as_str())).await? else { return Ok(None) };
        self.get(&key(&id)).await?.as_ref().map(read).transpose()
    }

    async fn list_models(&self, user: &UserId, request: &PageRequest) -> StoreResult<Page<Model>> {
        self.page(of_user(user.as_str()), Table::Models, request).await?.try_map(|item| read(&item))
    }

    async fn rename_model(&self, id: &ModelId, name: &str, entry: &AuditEntry) -> StoreResult<()> {
        self.edit(key(id.as_str()), "model", Some(entry), |model| {
            model.set("name", name);
            Ok(())
        })
        .await
    }

    async fn delete_model(&self, id: &ModelId, entry: &AuditEntry) -> StoreResult<()> {
        let mut turns = Turns::default();
        loop {
            let row = self.row(key(id.as_str())).await?.ok_or(StoreError::NotFound("model"))?;
            let model = read(&row.item)?;
            let mut tx = self.transaction();
            tx.delete_row(&row, &[REVISION]);
            tx.delete(&of_job(model.job_id.as_str()));
            tx.delete(&place_of(&model));
            tx.audit(entry);
            if tx.commit().await? {
                return Ok(());
            }
            turns.next().await?;
        }
    }
}
