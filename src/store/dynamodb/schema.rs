//! Making the tables, and asking whether they are there.
//!
//! A table's keys never change, so there is nothing to migrate but what is missing. Any number of servers may do this
//! at once, and it may be done again.

use super::super::{StoreError, StoreResult};
use super::{
    DynamoStore,
    error::{failed, incomplete},
    tables::{EXPIRES, Key, Table},
};
use crate::aws::Failure;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, ContinuousBackupsStatus, KeySchemaElement, KeyType,
    PointInTimeRecoverySpecification, PointInTimeRecoveryStatus, ScalarAttributeType, TableDescription,
    TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};
use futures::future::{join_all, try_join_all};
use std::time::Duration;

/// DynamoDB makes a table within seconds.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LOOKS: u32 = 240;

/// What was done about one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    pub table: String,
    /// Was it missing?
    pub made: bool,
    /// What it lacks because these credentials may not set it, with the reason.
    pub missing: Vec<String>,
}

impl DynamoStore {
    /// The tables that these credentials can't read because they are not there.
    pub(super) async fn missing_tables(&self) -> StoreResult<Vec<Table>> {
        let looks = join_all(Table::ALL.iter().map(|table| async move {
            // The question that every method asks: it needs no right that the server can do without.
            let (_, range) = table.keys();
            let key = Key { table: *table, hash: "?".to_owned(), range: range.map(|_| "?".to_owned()) };
            let get = self.client.get_item().table_name(self.names.of(*table));
            get.set_key(Some(key.attributes())).send().await
        }));
        let mut missing = Vec::new();
        for (table, look) in Table::ALL.iter().zip(looks.await) {
            match look.map_err(|error| Failure::of(&error)) {
                Ok(_) => {}
                Err(failure) if failure.code() == Some("ResourceNotFoundException") => missing.push(*table),
                Err(failure) if failure.code() == Some("ValidationException") => {
                    return Err(other_keys(self.names.of(*table), *table));
                }
                Err(failure) => return Err(super::error::meaning(&failure)),
            }
        }
        Ok(missing)
    }

    /// Makes what is missing, and sees to it that every table has what it should: backups to any moment of the last 35
    /// days, protection against deletion, and items that end by themselves.
    ///
    /// # Errors
    /// `Unavailable` where a table is missing and can't be made, `Corrupt` where one has other keys than ours.
    pub async fn migrate(&self) -> StoreResult<Vec<Migrated>> {
        try_join_all(Table::ALL.iter().map(|table| self.migrate_table(*table))).await
    }

    async fn migrate_table(&self, table: Table) -> StoreResult<Migrated> {
        let name = self.names.of(table);
        let mut made = false;
        if self.describe(name).await?.is_none() {
            made = self.create(table, name).await?;
        }
        let described = self.active(name).await?;
        let (hash, range) = table.keys();
        let key = |kind: KeyType| {
            let of = described.key_schema().iter().find(|element| element.key_type == kind);
            of.map(|element| element.attribute_name.as_str())
        };
        if key(KeyType::Hash) != Some(hash) || key(KeyType::Range) != range {
            return Err(other_keys(name, table));
        }
        let mut missing = Vec::new();
        let mut note = |what: &str, done: Result<(), Failure>| {
            if let Err(failure) = done {
                missing.push(format!("{what}: {failure}"));
            }
        };
        if described.deletion_protection_enabled != Some(true) {
            let update = self.client.update_table().table_name(name).deletion_protection_enabled(true);
            let done = update.send().await.map(drop).map_err(|error| Failure::of(&error));
            note("protection against deletion", done);
        }
        note("backups", self.keep_backups(name).await);
        if table.expires() {
            note("items that end by themselves", self.let_items_end(name).await);
        }
        Ok(Migrated { table: name.to_owned(), made, missing })
    }

    async fn describe(&self, name: &str) -> StoreResult<Option<TableDescription>> {
        match self.client.describe_table().table_name(name).send().await {
            Ok(answer) => Ok(answer.table),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => {
                Ok(None)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// `false` where somebody else made it at the same moment.
    async fn create(&self, table: Table, name: &str) -> StoreResult<bool> {
        let (hash, range) = table.keys();
        let keys = [(Some(hash), KeyType::Hash), (range, KeyType::Range)];
        let mut create = self.client.create_table().table_name(name);
        for (key, kind) in keys.into_iter().filter_map(|(key, kind)| Some((key?, kind))) {
            let element = KeySchemaElement::builder().attribute_name(key).key_type(kind).build();
            let attribute =
                AttributeDefinition::builder().attribute_name(key).attribute_type(ScalarAttributeType::S);
            create = create
                .key_schema(element.map_err(incomplete)?)
                .attribute_definitions(attribute.build().map_err(incomplete)?);
        }
        let create = create.billing_mode(BillingMode::PayPerRequest).deletion_protection_enabled(true);
        match create.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_in_use_exception()) => {
                Ok(false)
            }
            Err(error) => {
                let failure = Failure::of(&error);
                Err(StoreError::Unavailable(format!(
                    "the table {name} is missing and can't be made: {failure}. Run `llm-tuner migrate` with credentials \
                     that may call dynamodb:CreateTable"
                )))
            }
        }
    }

    async fn active(&self, name: &str) -> StoreResult<TableDescription> {
        for _ in 0..LOOKS {
            if let Some(table) = self.describe(name).await?
                && matches!(table.table_status, Some(TableStatus::Active | TableStatus::Updating))
            {
                return Ok(table);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(StoreError::Unavailable(format!("the table {name} does not become active")))
    }

    async fn keep_backups(&self, name: &str) -> Result<(), Failure> {
        let described = self.client.describe_continuous_backups().table_name(name).send().await;
        let backups = described.map_err(|error| Failure::of(&error))?.continuous_backups_description;
        let on = backups.is_some_and(|backups| {
            backups.continuous_backups_status == ContinuousBackupsStatus::Enabled
                && backups.point_in_time_recovery_description.is_some_and(|recovery| {
                    recovery.point_in_time_recovery_status == Some(PointInTimeRecoveryStatus::Enabled)
                })
        });
        if on {
            return Ok(());
        }
        let wanted = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
        let wanted = wanted.map_err(|error| Failure::NoAnswer(error.to_string()))?;
        for _ in 0..LOOKS {
            let update = self.client.update_continuous_backups().table_name(name);
            let done = update.point_in_time_recovery_specification(wanted.clone()).send().await;
            match done.map(drop).map_err(|error| Failure::of(&error)) {
                // A new table is not ready for it at once.
                Err(failure) if failure.code() == Some("ContinuousBackupsUnavailableException") => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                done => return done,
            }
        }
        Err(Failure::NoAnswer("the table does not become ready for it".to_owned()))
    }

    async fn let_items_end(&self, name: &str) -> Result<(), Failure> {
        let described = self.client.describe_time_to_live().table_name(name).send().await;
        let now = described.map_err(|error| Failure::of(&error))?.time_to_live_description;
        let status = now.and_then(|now| now.time_to_live_status);
        if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
            return Ok(());
        }
        let wanted = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES).build();
        let wanted = wanted.map_err(|error| Failure::NoAnswer(error.to_string()))?;
        let update = self.client.update_time_to_live().table_name(name).time_to_live_specification(wanted);
        update.send().await.map(drop).map_err(|error| Failure::of(&error))
    }
}

fn other_keys(name: &str, table: Table) -> StoreError {
    let (hash, range) = table.keys();
    let range = range.map_or_else(String::new, |range| format!(" and sort key `{range}`"));
    let why = format!(
        "the table {name} has other keys than the partition key `{hash}`{range}, both text. Give LLM Tuner another table \
         with {}, or another prefix with DATABASE_URL",
        table.variable()
    );
    StoreError::Corrupt("the schema", why)
}
