//! DynamoDB behind the store port.
//!
//! # The tables
//!
//! One table an area (`tables`), an item a row, with the attributes that the other databases have as columns. Beside
//! them `index` holds lists and unique values, and `parts` what is too large for an item. There is no secondary index:
//! those are only ever eventually consistent. Lists are items of our own (`lists`), so every read here is strongly
//! consistent, and nothing that was written is missing from a list a moment later.
//!
//! | what must hold | how |
//! |---|---|
//! | a method is all or nothing, its audit entry included | one `TransactWriteItems` (`transaction`) |
//! | nothing is lost where two write to one row | each row has a revision; who was slower reads and decides anew |
//! | an address, a job's name, a request's key, a version is taken once | an item of `index` that must not be there yet |
//! | the first account is Admin, also in a race | the same: `first-user:` |
//! | a session ends at once, and a person has so many at most | a user's row lists the sessions that count (`sessions`) |
//! | a dataset in use stays | its row counts the jobs; deleting asks for none |
//! | a job has one holder | the lease's epoch in the row; a claim is one transaction on the leases it saw (`jobs::queue`) |
//! | events have no gaps | the row's `last_seq` grows in the transaction that writes them (`jobs::events`) |
//!
//! What does not fit into one transaction is arranged around one: a text's parts are written before the row that names
//! them, and a deleted job's events are removed after its row, by a note that outlives a crash (`large`).
//!
//! A page of a list is its entries, then their rows: a row that changes in between shows as it is afterwards.
//!
//! - `permissions`: tries what the server must be allowed to do.
//! - `schema`: makes the tables. `item`, `tables`: attributes, names and keys. `reading`, `transaction`: every call.
//! - `error`: what DynamoDB's errors mean; throttling and conflicts are waited for, for some seconds at most.
//! - `accounts`, `sessions`, `datasets`, `uploads`, `jobs`, `models`, `costs`, `endpoints`, `licences`, `audit`: the
//!   port's traits, one file each.
//!
//! Not here: rules about who may do what (see `services`).

mod accounts;
mod address;
mod audit;
mod costs;
mod datasets;
mod endpoints;
mod error;
mod item;
mod jobs;
mod large;
mod licences;
mod lists;
mod models;
mod permissions;
mod reading;
mod schema;
mod sessions;
mod tables;
mod transaction;
mod uploads;

pub use address::Address;
pub use schema::Migrated;
pub use tables::Table;

use super::{Store, StoreError, StoreResult};
use crate::domain::audit::AuditEntry;
use async_trait::async_trait;
use audit::Stamps;
use aws_sdk_dynamodb::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
};
use error::Turns;
use item::Item;
use std::{sync::Arc, time::Duration};
use tables::{Key, Names};
use transaction::{Row, Transaction};

/// For one try, and for a call with all its tries: a page waits for some of them.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const GIVE_UP_AFTER: Duration = Duration::from_secs(4);
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const TRIES: u32 = 8;
const FIRST_WAIT: Duration = Duration::from_millis(30);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The metadata store on DynamoDB. Cheap to clone: clones share their connections.
#[derive(Debug, Clone)]
pub struct DynamoStore {
    client: Client,
    names: Names,
    stamps: Arc<Stamps>,
}

impl DynamoStore {
    /// A store on tables that may not be there yet: [`connect`](Self::connect) or [`migrate`](Self::migrate) makes them.
    pub fn new(config: &aws_config::SdkConfig, address: &Address) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_WITHIN)
            .operation_attempt_timeout(ANSWER_WITHIN)
            .operation_timeout(GIVE_UP_AFTER);
        let retries = RetryConfig::standard()
            .with_max_attempts(TRIES)
            .with_initial_backoff(FIRST_WAIT)
            .with_max_backoff(LONGEST_WAIT);
        let config = aws_sdk_dynamodb::config::Builder::from(config)
            .region(aws_config::Region::new(address.region.clone()))
            .timeout_config(timeouts.build())
            .retry_config(retries);
        Self {
            client: Client::from_conf(config.build()),
            names: Names::new(&address.prefix, &address.tables),
            stamps: Arc::default(),
        }
    }

    /// The store at this address. Tables that are missing are made, as the other databases bring their schema up to
    /// date by themselves; where all are there, no right is needed but to read and write them.
    ///
    /// # Errors
    /// `Unavailable` where DynamoDB does not answer, or a table is missing and can't be made.
    pub async fn connect(config: &aws_config::SdkConfig, address: &Address) -> StoreResult<Self> {
        let store = Self::new(config, address);
        if !store.missing_tables().await?.is_empty() {
            for table in store.migrate().await? {
                tracing::info!(table = table.table, made = table.made, "the table is there");
                for missing in table.missing {
                    tracing::warn!(table = table.table, missing, "run `llm-tuner migrate` with more rights");
                }
            }
        }
        if let Err(error) = store.collect_all_garbage().await {
            tracing::warn!(%error, "what is left of deleted rows stays until the next start");
        }
        Ok(store)
    }

    /// Changes a row as `edit` says, with the entry for the log, and says what `edit` said. `NotFound(what)` where
    /// there is no such row. `edit` is asked anew where somebody else was quicker.
    async fn edit<T: Send>(
        &self,
        key: Key,
        what: &'static str,
        entry: Option<&AuditEntry>,
        edit: impl Fn(&mut Item) -> StoreResult<T> + Send + Sync,
    ) -> StoreResult<T> {
        self.edit_with(key, what, entry, edit, |_, _, _| Ok(())).await
    }

    /// As [`edit`](Self::edit); `beside` adds to the transaction what goes with the change from one row to the other.
    async fn edit_with<T: Send>(
        &self,
        key: Key,
        what: &'static str,
        entry: Option<&AuditEntry>,
        edit: impl Fn(&mut Item) -> StoreResult<T> + Send + Sync,
        beside: impl Fn(&mut Transaction<'_>, &Row, &Item) -> StoreResult<()> + Send + Sync,
    ) -> StoreResult<T> {
        let mut turns = Turns::default();
        loop {
            let row = self.row(key.clone()).await?.ok_or(StoreError::NotFound(what))?;
            let mut after = row.item.clone();
            let said = edit(&mut after)?;
            let mut tx = self.transaction();
            tx.change(&row, &after);
            beside(&mut tx, &row, &after)?;
            if let Some(entry) = entry {
                tx.audit(entry);
            }
            if tx.commit().await? {
                return Ok(said);
            }
            turns.next().await?;
        }
    }
}

#[async_trait]
impl Store for DynamoStore {
    async fn ping(&self) -> StoreResult<()> {
        self.get(&lists::unique("ping", "")).await.map(drop)
    }
}
