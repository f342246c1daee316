//! Who accepted which model's licence.

use super::super::{Licences, StoreError, StoreResult};
use super::{
    SqlStore, audit,
    error::reference,
    value::{Row, args},
};
use crate::domain::{audit::AuditEntry, ids::UserId, licence::LicenceAcceptance};
use async_trait::async_trait;

fn read(row: &Row) -> StoreResult<LicenceAcceptance> {
    Ok(LicenceAcceptance {
        user_id: row.parsed("user_id", UserId::parse)?,
        model: row.text("model")?,
        version: row.text("version")?,
        licence: row.text("licence")?,
        at: row.instant("at")?,
    })
}

#[async_trait]
impl Licences for SqlStore {
    async fn accept_licence(&self, acceptance: &LicenceAcceptance, entry: &AuditEntry) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        let added = tx
            .execute(
                "insert into licences (user_id, model, version, licence, at) values ($1, $2, $3, $4, $5)
                 on conflict (user_id, model, version) do nothing",
                args![
                    &acceptance.user_id,
                    &acceptance.model,
                    &acceptance.version,
                    &acceptance.licence,
                    acceptance.at
                ],
            )
            .await
            .map_err(|error| reference(error, StoreError::NotFound("user")))?;
        if added > 0 {
            audit::append(&mut tx, entry).await?;
        }
        tx.commit().await
    }

    async fn accepted_licences(&self, user: &UserId) -> StoreResult<Vec<LicenceAcceptance>> {
        let rows = self
            .fetch(
                "select user_id, model, version, licence, at from licences where user_id = $1
                 order by at desc, model, version",
                args![user],
            )
            .await?;
        rows.iter().map(read).collect()
    }
}
