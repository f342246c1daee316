//! Sessions: the cookie's secret is stored only as its hash.

use super::super::{Sessions, StoreError, StoreResult};
use super::{
    SqlStore, accounts, audit, found,
    value::{Row, args},
};
use crate::domain::{
    account::{Session, User},
    audit::AuditEntry,
    ids::{SessionId, UserId},
    time::Instant,
};
use async_trait::async_trait;

fn read(row: &Row) -> StoreResult<Session> {
    Ok(Session {
        id: row.parsed("session_id", SessionId::parse)?,
        secret_hash: row.text("secret_hash")?,
        user_id: row.parsed("user_id", UserId::parse)?,
        created_at: row.instant("session_created_at")?,
        last_seen_at: row.instant("last_seen_at")?,
        expires_at: row.instant("expires_at")?,
        ip: row.text("ip")?,
        user_agent: row.text("user_agent")?,
    })
}

#[async_trait]
impl Sessions for SqlStore {
    async fn create_session(&self, session: &Session, keep: usize, entry: &AuditEntry) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        // Two sign-ins of one user count one after the other.
        let lock = tx.pick(
            "select id from users where id = $1",
            "select id from users where id = $1 for no key update",
        );
        if tx.fetch_optional(lock, args![&session.user_id]).await?.is_none() {
            return Err(StoreError::NotFound("user"));
        }
        tx.execute(
            "insert into sessions
                 (id, secret_hash, user_id, created_at, last_seen_at, expires_at, ip, user_agent)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
            args![
                &session.id,
                &session.secret_hash,
                &session.user_id,
                session.created_at,
                session.last_seen_at,
                session.expires_at,
                &session.ip,
                &session.user_agent
            ],
        )
        .await?;
        // The new one stays even where a clock that was set back makes it look old.
        tx.execute(
            "delete from sessions where user_id = $1 and id <> $2 and id not in (
                 select id from sessions where user_id = $1 and id <> $2
                 order by last_seen_at desc, created_at desc, id desc limit $3)",
            args![&session.user_id, &session.id, keep.saturating_sub(1)],
        )
        .await?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }

    async fn session(&self, secret_hash: &str) -> StoreResult<Option<(Session, User)>> {
        let row = self
            .fetch_optional(
                "select s.id as session_id, s.secret_hash, s.user_id, s.created_at as session_created_at,
                     s.last_seen_at, s.expires_at, s.ip, s.user_agent,
                     u.id, u.email, u.full_name, u.password_hash, u.role, u.disabled, u.created_at
                 from sessions s join users u on u.id = s.user_id where s.secret_hash = $1",
                args![secret_hash],
            )
            .await?;
        row.map(|row| Ok((read(&row)?, accounts::read(&row)?))).transpose()
    }

    async fn touch_session(&self, id: &SessionId, seen: Instant) -> StoreResult<()> {
        let touched =
            self.execute("update sessions set last_seen_at = $2 where id = $1", args![id, seen]).await?;
        found(touched, "session")
    }

    async fn list_sessions(&self, user: &UserId) -> StoreResult<Vec<Session>> {
        let rows = self
            .fetch(
                "select id as session_id, secret_hash, user_id, created_at as session_created_at,
                     last_seen_at, expires_at, ip, user_agent
                 from sessions where user_id = $1 order by created_at desc, id desc",
                args![user],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    async fn end_session(&self, user: &UserId, id: &SessionId, entry: &AuditEntry) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        let ended =
            tx.execute("delete from sessions where id = $1 and user_id = $2", args![id, user]).await?;
        found(ended, "session")?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }

    async fn end_other_sessions(
        &self,
        user: &UserId,
        keep: &SessionId,
        entry: &AuditEntry,
    ) -> StoreResult<u64> {
        let mut tx = self.begin().await?;
        let ended =
            tx.execute("delete from sessions where user_id = $1 and id <> $2", args![user, keep]).await?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await?;
        Ok(ended)
    }

    async fn sweep_sessions(&self, now: Instant, idle_since: Instant) -> StoreResult<u64> {
        self.execute(
            "delete from sessions where expires_at <= $1 or last_seen_at < $2",
            args![now, idle_since],
        )
        .await
    }
}
