//! The ledger, and what a person may spend, which stands in the person's own row.

use super::super::{Costs, StoreResult};
use super::{
    DynamoStore, accounts,
    error::Turns,
    item::Item,
    lists::{entry as list_entry, names, newest_first, unique},
    reading::{Part, Range},
    tables::{Key, Table},
};
use crate::domain::{
    audit::AuditEntry,
    charge::{Charge, ChargeKind},
    ids::UserId,
    money::Money,
};
use async_trait::async_trait;

const BUDGET: &str = "budget";
/// Ten years: more than a page shows.
const MONTHS: usize = 120;

/// The list of months in which anybody, or one person, was charged.
fn months(user: Option<&UserId>) -> String {
    user.map_or_else(|| "months".to_owned(), |user| format!("months:{user}"))
}

fn key(month: &str, id: &str) -> Key {
    Key::in_list(Table::Charges, month, id)
}

fn read(item: &Item) -> StoreResult<Charge> {
    Ok(Charge {
        id: item.text("id")?,
        user_id: item.parsed("user_id", UserId::parse)?,
        kind: item.parsed("kind", ChargeKind::parse)?,
        name: item.text("name")?,
        instance_type: item.text("instance_type")?,
        month: item.text("month")?,
        estimate: item.optional_money("estimate")?,
        cost: item.optional_money("cost")?,
        seconds: item.count("seconds")?,
        ended: item.flag("ended")?,
        updated_at: item.instant("updated_at")?,
    })
}

fn item(charge: &Charge) -> Item {
    Item::default()
        .with("user_id", &charge.user_id)
        .with("kind", charge.kind.as_str())
        .with("name", &charge.name)
        .with("instance_type", &charge.instance_type)
        .with("estimate", charge.estimate)
        .with("cost", charge.cost)
        .with("seconds", charge.seconds)
        .with("ended", charge.ended)
        .with("updated_at", charge.updated_at)
}

#[async_trait]
impl Costs for DynamoStore {
    async fn save_charge(&self, charge: &Charge) -> StoreResult<()> {
        let by_id = unique("charge", &charge.id);
        let mut turns = Turns::default();
        loop {
            let before = self.row(by_id.clone()).await?;
            let mut tx = self.transaction();
            match &before {
                // A line keeps its month, as a rule. Its former month stays in the lists, empty perhaps.
                Some(before) => {
                    let month = before.item.text("ref")?;
                    tx.change(before, &before.item.clone().with("ref", &charge.month));
                    if month != charge.month {
                        tx.delete(&key(&month, &charge.id));
                    }
                }
                None => tx.create_unless_quicker(&by_id, names(&charge.month)),
            }
            tx.put(&key(&charge.month, &charge.id), item(charge));
            for list in [months(None), months(Some(&charge.user_id))] {
                tx.put(&list_entry(list, &charge.month), Item::default());
            }
            if tx.commit().await? {
                return Ok(());
            }
            turns.next().await?;
        }
    }

    async fn charges(&self, month: &str, user: Option<&UserId>) -> StoreResult<Vec<Charge>> {
        let all =
            Part { table: Table::Charges, hash: month.to_owned(), range: Range::All, newest_first: false };
        let items = self.query(all, usize::MAX).await?;
        let mut charges = items.iter().map(read).collect::<StoreResult<Vec<_>>>()?;
        charges.retain(|charge| user.is_none_or(|user| charge.user_id == *user));
        charges.sort_by(|a, b| (b.updated_at, &b.id).cmp(&(a.updated_at, &a.id)));
        Ok(charges)
    }

    async fn charged_months(&self, user: Option<&UserId>) -> StoreResult<Vec<String>> {
        let entries = self.query(newest_first(months(user)), MONTHS).await?;
        entries.iter().map(|entry| entry.text("entry")).collect()
    }

    async fn set_budget(&self, user: &UserId, budget: Option<Money>, entry: &AuditEntry) -> StoreResult<()> {
        self.edit(accounts::key(user), "user", Some(entry), |row| {
            row.set(BUDGET, budget);
            Ok(())
        })
        .await
    }

    async fn budget(&self, user: &UserId) -> StoreResult<Option<Money>> {
        self.get(&accounts::key(user)).await?.map_or(Ok(None), |row| row.optional_money(BUDGET))
    }
}
