//! Who accepted which model's licence.

use super::super::{Licences, StoreError, StoreResult};
use super::{
    DynamoStore, accounts,
    error::Turns,
    item::Item,
    reading::{Part, Range},
    tables::{Key, Table},
    transaction::Refused,
};
use crate::domain::{audit::AuditEntry, ids::UserId, licence::LicenceAcceptance};
use async_trait::async_trait;

const ACCEPTED: &str = "acceptance";

fn key(acceptance: &LicenceAcceptance) -> Key {
    let licence_of = format!("{}#{}", acceptance.model, acceptance.version);
    Key::in_list(Table::Licences, acceptance.user_id.as_str(), licence_of)
}

fn read(item: &Item) -> StoreResult<LicenceAcceptance> {
    Ok(LicenceAcceptance {
        user_id: item.parsed("user_id", UserId::parse)?,
        model: item.text("model")?,
        version: item.text("version")?,
        licence: item.text("licence")?,
        at: item.instant("at")?,
    })
}

#[async_trait]
impl Licences for DynamoStore {
    async fn accept_licence(&self, acceptance: &LicenceAcceptance, entry: &AuditEntry) -> StoreResult<()> {
        let item = Item::default()
            .with("model", &acceptance.model)
            .with("version", &acceptance.version)
            .with("licence", &acceptance.licence)
            .with("at", acceptance.at);
        let mut turns = Turns::default();
        loop {
            let user = accounts::key(&acceptance.user_id);
            let mut tx = self.transaction();
            tx.require(&user, Refused::Error(StoreError::NotFound("user")));
            tx.create(&key(acceptance), item.clone(), StoreError::Taken(ACCEPTED));
            tx.audit(entry);
            match tx.commit().await {
                Ok(true) | Err(StoreError::Taken(ACCEPTED)) => return Ok(()),
                Ok(false) => turns.next().await?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn accepted_licences(&self, user: &UserId) -> StoreResult<Vec<LicenceAcceptance>> {
        let all =
            Part { table: Table::Licences, hash: user.to_string(), range: Range::All, newest_first: false };
        let items = self.query(all, usize::MAX).await?;
        let mut accepted = items.iter().map(read).collect::<StoreResult<Vec<_>>>()?;
        // Stable: those of one moment stay sorted by model and version.
        accepted.sort_by_key(|acceptance| std::cmp::Reverse(acceptance.at));
        Ok(accepted)
    }
}
