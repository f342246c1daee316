//! The ledger, and what a person may spend.

use super::super::{Costs, StoreError, StoreResult};
use super::{
    SqlStore, audit,
    error::reference,
    value::{Row, args},
};
use crate::domain::{
    audit::AuditEntry,
    charge::{Charge, ChargeKind},
    ids::UserId,
    money::Money,
};
use async_trait::async_trait;

fn read(row: &Row) -> StoreResult<Charge> {
    Ok(Charge {
        id: row.text("id")?,
        user_id: row.parsed("user_id", UserId::parse)?,
        kind: row.parsed("kind", ChargeKind::parse)?,
        name: row.text("name")?,
        instance_type: row.text("instance_type")?,
        month: row.text("month")?,
        estimate: row.optional_money("estimate")?,
        cost: row.optional_money("cost")?,
        seconds: row.count("seconds")?,
        ended: row.flag("ended")?,
        updated_at: row.instant("updated_at")?,
    })
}

#[async_trait]
impl Costs for SqlStore {
    async fn save_charge(&self, charge: &Charge) -> StoreResult<()> {
        self.execute(
            "insert into charges (id, user_id, kind, name, instance_type, month, estimate, cost, seconds, ended,
                 updated_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             on conflict (id) do update set user_id = excluded.user_id, kind = excluded.kind, name = excluded.name,
                 instance_type = excluded.instance_type, month = excluded.month, estimate = excluded.estimate,
                 cost = excluded.cost, seconds = excluded.seconds, ended = excluded.ended,
                 updated_at = excluded.updated_at",
            args![
                &charge.id,
                &charge.user_id,
                charge.kind.as_str(),
                &charge.name,
                &charge.instance_type,
                &charge.month,
                charge.estimate,
                charge.cost,
                charge.seconds,
                charge.ended,
                charge.updated_at
            ],
        )
        .await?;
        Ok(())
    }

    async fn charges(&self, month: &str, user: Option<&UserId>) -> StoreResult<Vec<Charge>> {
        let rows = self
            .fetch(
                "select id, user_id, kind, name, instance_type, month, estimate, cost, seconds, ended, updated_at
                 from charges where month = $1 and ($2 is null or user_id = $2) order by updated_at desc, id desc",
                args![month, user],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    async fn charged_months(&self, user: Option<&UserId>) -> StoreResult<Vec<String>> {
        let rows = self
            .fetch(
                "select distinct month from charges where ($1 is null or user_id = $1)
                 order by month desc limit 120",
                args![user],
            )
            .await?;
        rows.iter().map(|row| row.text("month")).collect()
    }

    async fn set_budget(&self, user: &UserId, budget: Option<Money>, entry: &AuditEntry) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        match budget {
            Some(amount) => {
                tx.execute(
                    "insert into budgets (user_id, amount) values ($1, $2)
                     on conflict (user_id) do update set amount = excluded.amount",
                    args![user, amount.0],
                )
                .await
            }
            None => tx.execute("delete from budgets where user_id = $1", args![user]).await,
        }
        .map_err(|error| reference(error, StoreError::NotFound("user")))?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }

    async fn budget(&self, user: &UserId) -> StoreResult<Option<Money>> {
        let row = self.fetch_optional("select amount from budgets where user_id = $1", args![user]).await?;
        row.map(|row| row.int("amount").map(Money)).transpose()
    }
}
