//! Datasets: one item a version. A family's newest version stands in its owner's list.

use super::super::{Datasets, Page, PageRequest, StoreError, StoreResult};
use super::{
    DynamoStore, accounts,
    error::Turns,
    item::{Item, REVISION},
    large::of_dataset,
    lists::{REF, by_age, entry as list_entry, hashed, names, newest_first},
    reading::{Part, Range},
    tables::{Key, Table},
    transaction::{Refused, Transaction},
};
use crate::{
    domain::{
        audit::AuditEntry,
        dataset::{Dataset, DatasetState},
        ids::{DatasetId, UserId},
        time::Instant,
    },
    store::encoding::without_nul,
};
use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;

/// How many jobs use the dataset: only ever added to.
pub(super) const JOBS: &str = "jobs";
/// How many bytes a user's datasets have: only ever added to, in the user's row.
const BYTES: &str = "dataset_bytes";

pub(super) fn key(id: &DatasetId) -> Key {
    Key::of(Table::Files, id.as_str())
}

fn of_user(user: &UserId) -> String {
    format!("datasets:{user}")
}
fn versions(family: &DatasetId) -> String {
    format!("versions:{family}")
}
fn version_entry(dataset: &Dataset) -> Key {
    list_entry(versions(&dataset.family_id), format!("{:010}", dataset.version))
}
fn named_so(user: &UserId, original_name: &str) -> String {
    format!("file-name:{user}:{}", hashed(&without_nul(original_name)))
}
fn in_state(state: DatasetState) -> String {
    format!("state:{}", state.as_str())
}
pub(super) fn uses(dataset: &DatasetId) -> String {
    format!("uses:{dataset}")
}

/// The dataset's place in a list by age.
fn place(list: String, dataset: &Dataset) -> Key {
    list_entry(list, by_age(dataset.created_at, dataset.id.as_str()))
}

/// `report` is text by now (see `load_large`).
fn read(item: &Item) -> StoreResult<Dataset> {
    Ok(Dataset {
        id: item.parsed("file_id", DatasetId::parse)?,
        user_id: item.parsed("user_id", UserId::parse)?,
        name: item.text("name")?,
        original_name: item.text("original_name")?,
        object_key: item.text("object_key")?,
        bytes: item.count("bytes")?,
        sha256: item.text("sha256")?,
        state: item.parsed("state", DatasetState::parse)?,
        checked_bytes: item.count("checked_bytes")?,
        rows: item.count("rows")?,
        format: item.optional_text("format")?,
        report: item.optional_text("report")?,
        mapping: item.optional_text("mapping")?,
        failure: item.optional_text("failure")?,
        family_id: item.parsed("family_id", DatasetId::parse)?,
        version: item.small("version")?,
        sample: item.optional_text("sample")?,
        created_at: item.instant("created_at")?,
        updated_at: item.instant("updated_at")?,
    })
}

fn item(dataset: &Dataset, report: Option<AttributeValue>) -> Item {
    let item = Item::default()
        .with("user_id", &dataset.user_id)
        .with("name", &dataset.name)
        .with("original_name", &dataset.original_name)
        .with("object_key", &dataset.object_key)
        .with("bytes", dataset.bytes)
        .with("sha256", &dataset.sha256)
        .with("family_id", &dataset.family_id)
        .with("version", dataset.version)
        .with("sample", &dataset.sample)
        .with("created_at", dataset.created_at);
    checked(item, dataset, report)
}

/// What a check finds.
fn checked(item: Item, dataset: &Dataset, report: Option<AttributeValue>) -> Item {
    item.with("state", dataset.state.as_str())
        .with("checked_bytes", dataset.checked_bytes)
        .with("rows", dataset.rows)
        .with("format", &dataset.format)
        .with("report", report)
        .with("mapping", &dataset.mapping)
        .with("failure", &dataset.failure)
        .with("updated_at", dataset.updated_at)
}

impl DynamoStore {
    /// `None` where it was deleted in between.
    async fn read_dataset(&self, mut item: Item) -> StoreResult<Option<Dataset>> {
        loop {
            let revision = item.optional_text(REVISION)?;
            let id = item.text("file_id")?;
            match self.load_large(&of_dataset(&id), &mut item, "report").await {
                Ok(()) => return read(&item).map(Some),
                // Another report took its place, and its parts went.
                Err(StoreError::Corrupt(name, why)) => {
                    let Some(now) = self.get(&Key::of(Table::Files, id)).await? else { return Ok(None) };
                    if now.optional_text(REVISION)? == revision {
                        return Err(StoreError::Corrupt(name, why));
                    }
                    item = now;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn read_datasets(&self, items: impl IntoIterator<Item = Item>) -> StoreResult<Vec<Dataset>> {
        let mut datasets = Vec::new();
        for item in items {
            datasets.extend(self.read_dataset(item).await?);
        }
        Ok(datasets)
    }

    async fn store_report(&self, dataset: &Dataset) -> StoreResult<Option<AttributeValue>> {
        match &dataset.report {
            None => Ok(None),
            Some(report) => {
                let report = without_nul(report);
                self.store_large(&of_dataset(dataset.id.as_str()), &report).await.map(Some)
            }
        }
    }

    /// Adds the steps that make a dataset.
    pub(super) async fn add_dataset(&self, tx: &mut Transaction<'_>, dataset: &Dataset) -> StoreResult<()> {
        let report = self.store_report(dataset).await?;
        let row = || names(dataset.id.as_str());
        let bytes = i64::try_from(dataset.bytes).unwrap_or(i64::MAX);
        tx.add(&accounts::key(&dataset.user_id), BYTES, bytes, StoreError::NotFound("user"));
        let listed = place(of_user(&dataset.user_id), dataset);
        // Its own place in the list, so that the next version finds it.
        let version = row().with("listed", listed.range.as_deref());
        tx.create(&version_entry(dataset), version, StoreError::Taken("dataset version"));
        tx.create(&key(&dataset.id), item(dataset, report), StoreError::Taken("id"));
        tx.put(&place(named_so(&dataset.user_id, &dataset.original_name), dataset), row());
        tx.put(&place(in_state(dataset.state), dataset), row());
        let newest = self.query(newest_first(versions(&dataset.family_id)), 1).await?.pop();
        let number = |entry: &Item| entry.parsed("entry", |text| text.parse::<u32>().ok());
        match newest {
            Some(newest) if number(&newest)? >= dataset.version => {}
            newest => {
                if let Some(newest) = newest {
                    let before = list_entry(of_user(&dataset.user_id), newest.text("listed")?);
                    tx.delete_existing(&before, Refused::Changed);
                }
                tx.put(&listed, row());
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Datasets for DynamoStore {
    async fn create_dataset(&self, dataset: &Dataset, entry: &AuditEntry) -> StoreResult<()> {
        let mut turns = Turns::default();
        loop {
            let mut tx = self.transaction();
            self.add_dataset(&mut tx, dataset).await?;
            tx.audit(entry);
            if tx.commit().await? {
                return Ok(());
            }
            turns.next().await?;
        }
    }

    async fn dataset(&self, id: &DatasetId) -> StoreResult<Option<Dataset>> {
        match self.get(&key(id)).await? {
            None => Ok(None),
            Some(item) => self.read_dataset(item).await,
        }
    }

    async fn list_datasets(&self, user: &UserId, request: &PageRequest) -> StoreResult<Page<Dataset>> {
        let page = self.page(of_user(user), Table::Files, request).await?;
        Ok(Page { items: self.read_datasets(page.items).await?, next: page.next })
    }

    async fn list_versions(&self, user: &UserId, family: &DatasetId) -> StoreResult<Vec<Dataset>> {
        let entries = self.entries(versions(family)).await?;
        let rows = self.rows_of(Table::Files, entries).await?;
        let mut datasets = self.read_datasets(rows.into_iter().map(|(_, item)| item)).await?;
        datasets.retain(|dataset| dataset.user_id == *user);
        Ok(datasets)
    }

    async fn dataset_by_original_name(
        &self,
        user: &UserId,
        original_name: &str,
    ) -> StoreResult<Option<Dataset>> {
        let entries = self.query(newest_first(named_so(user, original_name)), 1).await?;
        let rows = self.rows_of(Table::Files, entries).await?;
        let datasets = self.read_datasets(rows.into_iter().map(|(_, item)| item)).await?;
        Ok(datasets.into_iter().next())
    }

    async fn datasets_in_state(&self, state: DatasetState) -> StoreResult<Vec<Dataset>> {
        let list =
            Part { table: Table::Index, hash: in_state(state), range: Range::All, newest_first: false };
        let entries = self.query(list, usize::MAX).await?;
        let rows = self.rows_of(Table::Files, entries).await?;
        let mut datasets = self.read_datasets(rows.into_iter().map(|(_, item)| item)).await?;
        // It may have changed between the list and the rows.
        datasets.retain(|dataset| dataset.state == state);
        Ok(datasets)
    }

    async fn set_checked_bytes(&self, id: &DatasetId, bytes: u64) -> StoreResult<()> {
        self.edit(key(id), "dataset", None, |dataset| {
            dataset.set("checked_bytes", bytes);
            Ok(())
        })
        .await
    }

    async fn save_check(&self, dataset: &Dataset) -> StoreResult<()> {
        let report = self.store_report(dataset).await?;
        let replaced = self
            .edit_with(
                key(&dataset.id),
                "dataset",
                None,
                |row| {
                    let before = row.get("report").cloned();
                    *row = checked(std::mem::take(row), dataset, report.clone());
                    Ok(before)
                },
                |tx, before, _| {
                    let old = before.item.parsed("state", DatasetState::parse)?;
                    if old != dataset.state {
                        let place = by_age(before.item.instant("created_at")?, dataset.id.as_str());
                        tx.delete(&list_entry(in_state(old), place.clone()));
                        tx.put(&list_entry(in_state(dataset.state), place), names(dataset.id.as_str()));
                    }
                    Ok(())
                },
            )
            .await?;
        match replaced.filter(|before| Some(before) != report.as_ref()) {
            Some(before) => self.drop_parts(&of_dataset(dataset.id.as_str()), &before).await,
            None => Ok(()),
        }
    }

    async fn rename_dataset(
        &self,
        id: &DatasetId,
        name: &str,
        at: Instant,
        entry: &AuditEntry,
    ) -> StoreResult<()> {
        self.edit(key(id), "dataset", Some(entry), |dataset| {
            dataset.set("name", name);
            dataset.set("updated_at", at);
            Ok(())
        })
        .await
    }

    async fn delete_dataset(&self, id: &DatasetId, entry: &AuditEntry) -> StoreResult<()> {
        let mut turns = Turns::default();
        loop {
            let row = self.row(key(id)).await?.ok_or(StoreError::NotFound("dataset"))?;
            if row.item.count(JOBS)? > 0 {
                return Err(StoreError::Taken("job"));
            }
            let mut plain = row.item.clone();
            // Its place is asked for, not its report.
            plain.set("report", None::<&str>);
            let dataset = read(&plain)?;
            let mut tx = self.transaction();
            tx.delete_row(&row, &[REVISION, JOBS]);
            let bytes = i64::try_from(dataset.bytes).unwrap_or(i64::MAX);
            tx.add(&accounts::key(&dataset.user_id), BYTES, -bytes, StoreError::NotFound("user"));
            tx.delete(&version_entry(&dataset));
            tx.delete(&place(named_so(&dataset.user_id, &dataset.original_name), &dataset));
            tx.delete(&place(in_state(dataset.state), &dataset));
            let newest = self.query(newest_first(versions(&dataset.family_id)), 2).await?;
            if newest.first().map(|entry| entry.text(REF)).transpose()?.as_deref() == Some(id.as_str()) {
                tx.delete_existing(&place(of_user(&dataset.user_id), &dataset), Refused::Changed);
                if let Some(before) = newest.get(1) {
                    tx.require(
                        &list_entry(versions(&dataset.family_id), before.text("entry")?),
                        Refused::Changed,
                    );
                    let listed = list_entry(of_user(&dataset.user_id), before.text("listed")?);
                    tx.put(&listed, names(&before.text(REF)?));
                }
            }
            let parts = row.item.get("report").is_some_and(AttributeValue::is_m);
            let owner = of_dataset(id.as_str());
            if parts {
                tx.leave_garbage(&owner);
            }
            tx.audit(entry);
            if tx.commit().await? {
                return if parts { self.collect_garbage(&owner).await } else { Ok(()) };
            }
            turns.next().await?;
        }
    }

    async fn jobs_using_dataset(&self, id: &DatasetId) -> StoreResult<Vec<String>> {
        let entries = self.entries(uses(id)).await?;
        entries.iter().map(|entry| entry.text("name")).collect()
    }

    async fn dataset_bytes(&self, user: &UserId) -> StoreResult<u64> {
        self.get(&accounts::key(user)).await?.map_or(Ok(0), |row| row.count(BYTES))
    }
}
