//! People's accounts.

use super::super::{Accounts, Page, PageRequest, StoreResult};
use super::{
    SqlStore, audit, found,
    page::{After, limit, page},
    value::{Row, args},
};
use crate::domain::{
    account::{Email, Role, User},
    audit::AuditEntry,
    ids::{SessionId, UserId},
};
use async_trait::async_trait;

/// Held by whoever adds a user: who is first is decided by one at a time.
const SIGN_UP_LOCK: i64 = 0x6c6c_6d74_0001;

macro_rules! select {
    ($rest:literal) => {
        concat!("select id, email, full_name, password_hash, role, disabled, created_at from users ", $rest)
    };
}

pub(super) fn read(row: &Row) -> StoreResult<User> {
    Ok(User {
        id: row.parsed("id", UserId::parse)?,
        email: Email::from_stored(row.text("email")?),
        full_name: row.text("full_name")?,
        password_hash: row.text("password_hash")?,
        role: row.parsed("role", Role::parse)?,
        disabled: row.flag("disabled")?,
        created_at: row.instant("created_at")?,
    })
}

#[async_trait]
impl Accounts for SqlStore {
    async fn create_user(&self, user: &User, entry: &AuditEntry) -> StoreResult<User> {
        let mut tx = self.begin().await?;
        tx.alone(SIGN_UP_LOCK).await?;
        let first = tx.fetch_optional("select id from users limit 1", args![]).await?.is_none();
        let stored = User { role: if first { Role::Admin } else { user.role }, ..user.clone() };
        tx.execute(
            "insert into users (id, email, full_name, password_hash, role, disabled, created_at)
             values ($1, $2, $3, $4, $5, $6, $7)",
            args![
                &stored.id,
                &stored.email,
                &stored.full_name,
                &stored.password_hash,
                stored.role.as_str(),
                stored.disabled,
                stored.created_at
            ],
        )
        .await?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await?;
        Ok(stored)
    }

    async fn user(&self, id: &UserId) -> StoreResult<Option<User>> {
        self.fetch_optional(select!("where id = $1"), args![id]).await?.as_ref().map(read).transpose()
    }

    async fn user_by_email(&self, email: &Email) -> StoreResult<Option<User>> {
        self.fetch_optional(select!("where email = $1"), args![email]).await?.as_ref().map(read).transpose()
    }

    async fn count_users(&self) -> StoreResult<u64> {
        let rows = self.fetch("select count(*) as n from users", args![]).await?;
        rows.first().map_or(Ok(0), |row| row.count("n"))
    }

    async fn list_users(&self, request: &PageRequest) -> StoreResult<Page<User>> {
        let after = After::of(request);
        let rows = self
            .fetch(
                select!("where (created_at, id) < ($1, $2) order by created_at desc, id desc limit $3"),
                vec![after.at.into(), after.id.into(), limit(request)],
            )
            .await?;
        page(&rows, request, read, |user| (user.created_at.micros(), user.id.to_string()))
    }

    async fn set_full_name(&self, id: &UserId, full_name: &str, entry: &AuditEntry) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        let touched =
            tx.execute("update users set full_name = $2 where id = $1", args![id, full_name]).await?;
        found(touched, "user")?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }

    async fn set_password(
        &self,
        id: &UserId,
        password_hash: &str,
        keep: Option<&SessionId>,
        entry: &AuditEntry,
    ) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        let touched =
            tx.execute("update users set password_hash = $2 where id = $1", args![id, password_hash]).await?;
        found(touched, "user")?;
        tx.execute(
            "delete from sessions where user_id = $1 and id <> $2",
            args![id, keep.map_or("", SessionId::as_str)],
        )
        .await?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }

    async fn set_password_hash(&self, id: &UserId, password_hash: &str) -> StoreResult<()> {
        let touched = self
            .execute("update users set password_hash = $2 where id = $1", args![id, password_hash])
            .await?;
        found(touched, "user")
    }

    async fn set_role(&self, id: &UserId, role: Role, entry: &AuditEntry) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        let touched =
            tx.execute("update users set role = $2 where id = $1", args![id, role.as_str()]).await?;
        found(touched, "user")?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }

    async fn set_disabled(&self, id: &UserId, disabled: bool, entry: &AuditEntry) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        let touched = tx.execute("update users set disabled = $2 where id = $1", args![id, disabled]).await?;
        found(touched, "user")?;
        if disabled {
            tx.execute("delete from sessions where user_id = $1", args![id]).await?;
        }
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }
}
