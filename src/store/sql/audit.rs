//! The audit log: written within the transaction of what it tells of, never changed.

use super::super::{AuditLog, Page, PageRequest, StoreResult};
use super::{
    SqlStore,
    conn::Tx,
    page::{After, limit, page},
    value::{Row, Value, args},
};
use crate::domain::{
    audit::{AuditEntry, Outcome},
    ids::UserId,
};
use async_trait::async_trait;

const INSERT: &str = "insert into audit (at, actor, action, object, outcome, ip, request_id)
    values ($1, $2, $3, $4, $5, $6, $7)";

fn values(entry: &AuditEntry) -> Vec<Value> {
    args![
        entry.at,
        entry.actor.as_ref(),
        &entry.action,
        &entry.object,
        entry.outcome.as_str(),
        &entry.ip,
        &entry.request_id
    ]
}

pub(super) async fn append(tx: &mut Tx, entry: &AuditEntry) -> StoreResult<()> {
    tx.execute(INSERT, values(entry)).await.map(drop)
}

fn read(row: &Row) -> StoreResult<AuditEntry> {
    Ok(AuditEntry {
        at: row.instant("at")?,
        actor: row.optional_parsed("actor", UserId::parse)?,
        action: row.text("action")?,
        object: row.text("object")?,
        outcome: row.parsed("outcome", Outcome::parse)?,
        ip: row.text("ip")?,
        request_id: row.text("request_id")?,
    })
}

#[async_trait]
impl AuditLog for SqlStore {
    async fn audit(&self, entry: &AuditEntry) -> StoreResult<()> {
        self.execute(INSERT, values(entry)).await.map(drop)
    }

    async fn list_audit(&self, request: &PageRequest) -> StoreResult<Page<AuditEntry>> {
        // In the order of writing, which a clock that was set back does not change.
        let rows = self
            .fetch(
                "select id, at, actor, action, object, outcome, ip, request_id from audit
                 where id < $1 order by id desc limit $2",
                vec![Value::from(After::of(request).at), limit(request)],
            )
            .await?;
        let entries =
            page(&rows, request, |row| Ok((row.int("id")?, read(row)?)), |(id, _)| (*id, String::new()))?;
        Ok(Page { items: entries.items.into_iter().map(|(_, entry)| entry).collect(), next: entries.next })
    }
}
