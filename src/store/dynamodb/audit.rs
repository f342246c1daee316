//! The audit log: written within the transaction of what it tells of, never changed.
//!
//! One partition, sorted by the time of writing. Within a server no two entries have the same time, and time never
//! goes back, whatever its clock does: so the order is that of writing. Between servers it is as good as their clocks.
//! A partition takes some hundred audited changes a second; its size has no limit.

use super::super::{AuditLog, Page, PageRequest, StoreError, StoreResult, cursor::After};
use super::{
    DynamoStore,
    error::Turns,
    item::Item,
    lists::{by_age, page},
    reading::{Part, Range},
    tables::{Key, Table},
    transaction::Transaction,
};
use crate::domain::{
    audit::{AuditEntry, Outcome},
    ids::UserId,
    time::Instant,
};
use async_trait::async_trait;
use std::sync::atomic::{AtomicI64, Ordering};

const LOG: &str = "audit";

/// The time of the last entry that this server wrote, in microseconds.
#[derive(Debug, Default)]
pub(super) struct Stamps(AtomicI64);

impl Stamps {
    /// A time later than any before: `at`, unless that is over already.
    fn next(&self, at: Instant) -> Instant {
        let later = |last: i64| at.micros().max(last.saturating_add(1));
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(later(last)));
        Instant(later(last.unwrap_or_default()))
    }
}

impl Transaction<'_> {
    /// Writes an entry with the rest. It can't take another's place.
    pub fn audit(&mut self, entry: &AuditEntry) {
        let stamp = self.stamp(entry.at);
        let key = Key::in_list(Table::Audit, LOG, by_age(stamp, self.revision()));
        let item = Item::default()
            .with("at", entry.at)
            .with("actor", entry.actor.as_ref())
            .with("action", &entry.action)
            .with("object", &entry.object)
            .with("outcome", entry.outcome.as_str())
            .with("ip", &entry.ip)
            .with("request_id", &entry.request_id);
        self.create(&key, item, StoreError::Taken("audit entry"));
        self.mark(key);
    }

    fn stamp(&self, at: Instant) -> Instant {
        self.store().stamps.next(at)
    }
}

fn read(item: &Item) -> StoreResult<AuditEntry> {
    Ok(AuditEntry {
        at: item.instant("at")?,
        actor: item.optional_parsed("actor", UserId::parse)?,
        action: item.text("action")?,
        object: item.text("object")?,
        outcome: item.parsed("outcome", Outcome::parse)?,
        ip: item.text("ip")?,
        request_id: item.text("request_id")?,
    })
}

#[async_trait]
impl AuditLog for DynamoStore {
    async fn audit(&self, entry: &AuditEntry) -> StoreResult<()> {
        let mut turns = Turns::default();
        loop {
            let mut tx = self.transaction();
            tx.audit(entry);
            if tx.commit().await? {
                return Ok(());
            }
            turns.next().await?;
        }
    }

    async fn list_audit(&self, request: &PageRequest) -> StoreResult<Page<AuditEntry>> {
        let after = After::of(request);
        let range = Range::Below(by_age(Instant(after.at), &after.id));
        let part = Part { table: Table::Audit, hash: LOG.to_owned(), range, newest_first: true };
        let items = self.query(part, request.limit.saturating_add(1)).await?;
        let rows = items.into_iter().map(|item| Ok((item.clone(), read(&item)?)));
        page(rows.collect::<StoreResult<Vec<_>>>()?, request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_only_grow() {
        let stamps = Stamps::default();
        let given: Vec<_> = [50, 50, 10, 60, 51].map(|at| stamps.next(Instant(at)).micros()).into();
        assert_eq!(given, [50, 51, 52, 60, 61]);
    }
}
