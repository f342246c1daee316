//! One connection or transaction of either database.
//!
//! A connection that did not answer is thrown away, never given back to its pool: on a cut line the pool would wait
//! for it for minutes and run dry. A transaction that is dropped, by an error or because its caller went away, is
//! rolled back.

use super::super::{StoreError, StoreResult};
use super::{
    error::{self, from_sqlx},
    value::{Row, Value, postgres_args, sqlite_args},
};
use sqlx::{PgPool, Postgres, SqlSafeStr, Sqlite, SqlitePool, pool::PoolConnection};
use std::time::Duration;

/// How long Postgres may take over one statement, as seen from here. The server's own limit is a second less
/// (`open.rs`), so that this one only speaks when the line is dead.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long a connection may take to say that it is well.
const RETURN_WITHIN: Duration = Duration::from_secs(1);

/// Where the two databases need different words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

enum Raw {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

pub(super) struct Conn {
    raw: Option<Raw>,
    dialect: Dialect,
    /// A statement is under way: dropped now, the connection is in no known state.
    busy: bool,
}

impl Conn {
    pub async fn sqlite(pool: &SqlitePool) -> StoreResult<Self> {
        let raw = Raw::Sqlite(pool.acquire().await.map_err(from_sqlx)?);
        Ok(Self { raw: Some(raw), dialect: Dialect::Sqlite, busy: false })
    }
    pub async fn postgres(pool: &PgPool) -> StoreResult<Self> {
        let raw = Raw::Postgres(pool.acquire().await.map_err(from_sqlx)?);
        Ok(Self { raw: Some(raw), dialect: Dialect::Postgres, busy: false })
    }

    /// Runs a statement; returns how many rows it touched.
    pub async fn execute(&mut self, sql: impl SqlSafeStr, args: Vec<Value>) -> StoreResult<u64> {
        let sql = sql.into_sql_str();
        self.busy = true;
        let done = match self.raw.as_mut() {
            None => Err(error::lost_connection()),
            Some(Raw::Sqlite(conn)) => sqlx::query_with(sql, sqlite_args(args).map_err(from_sqlx)?)
                .execute(&mut **conn)
                .await
                .map(|done| done.rows_affected())
                .map_err(from_sqlx),
            Some(Raw::Postgres(conn)) => {
                let query = sqlx::query_with(sql, postgres_args(args).map_err(from_sqlx)?);
                in_time(query.execute(&mut **conn)).await.map(|done| done.rows_affected())
            }
        };
        self.settle(done)
    }

    pub async fn fetch(&mut self, sql: impl SqlSafeStr, args: Vec<Value>) -> StoreResult<Vec<Row>> {
        let sql = sql.into_sql_str();
        self.busy = true;
        let rows = match self.raw.as_mut() {
            None => Err(error::lost_connection()),
            Some(Raw::Sqlite(conn)) => sqlx::query_with(sql, sqlite_args(args).map_err(from_sqlx)?)
                .fetch_all(&mut **conn)
                .await
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect())
                .map_err(from_sqlx),
            Some(Raw::Postgres(conn)) => {
                let query = sqlx::query_with(sql, postgres_args(args).map_err(from_sqlx)?);
                in_time(query.fetch_all(&mut **conn))
                    .await
                    .map(|rows| rows.into_iter().map(Row::Postgres).collect())
            }
        };
        self.settle(rows)
    }

    pub async fn fetch_optional(
        &mut self,
        sql: impl SqlSafeStr,
        args: Vec<Value>,
    ) -> StoreResult<Option<Row>> {
        Ok(self.fetch(sql, args).await?.into_iter().next())
    }

    fn settle<T>(&mut self, outcome: StoreResult<T>) -> StoreResult<T> {
        self.busy = false;
        if matches!(outcome, Err(StoreError::Unavailable(_))) {
            self.discard();
        }
        outcome
    }

    /// Closes the connection without a word to the other side, and frees its place in the pool.
    fn discard(&mut self) {
        match self.raw.take() {
            Some(Raw::Sqlite(conn)) => drop(conn.detach()),
            Some(Raw::Postgres(conn)) => drop(conn.detach()),
            None => {}
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if self.busy {
            self.discard();
        }
        // On its way back to the pool sqlx asks the connection whether it is well, and waits for the answer as long
        // as it takes. The line may die just then: so the way back has a limit.
        if let Some(Raw::Postgres(mut conn)) = self.raw.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(RETURN_WITHIN, conn.return_to_pool()));
        }
    }
}

async fn in_time<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> StoreResult<T> {
    match tokio::time::timeout(ANSWER_WITHIN, statement).await {
        Ok(outcome) => outcome.map_err(from_sqlx),
        Err(_) => Err(StoreError::Unavailable(format!("no answer in {} s", ANSWER_WITHIN.as_secs()))),
    }
}

/// A transaction. Dropped without [`Tx::commit`] it changes nothing.
pub(super) struct Tx {
    conn: Option<Conn>,
    dialect: Dialect,
}

impl Tx {
    pub async fn begin(mut conn: Conn, begin: &'static str) -> StoreResult<Self> {
        conn.execute(begin, Vec::new()).await?;
        Ok(Self { dialect: conn.dialect, conn: Some(conn) })
    }

    pub async fn execute(&mut self, sql: impl SqlSafeStr, args: Vec<Value>) -> StoreResult<u64> {
        self.conn.as_mut().ok_or_else(error::lost_connection)?.execute(sql, args).await
    }
    pub async fn fetch(&mut self, sql: impl SqlSafeStr, args: Vec<Value>) -> StoreResult<Vec<Row>> {
        self.conn.as_mut().ok_or_else(error::lost_connection)?.fetch(sql, args).await
    }
    pub async fn fetch_optional(
        &mut self,
        sql: impl SqlSafeStr,
        args: Vec<Value>,
    ) -> StoreResult<Option<Row>> {
        self.conn.as_mut().ok_or_else(error::lost_connection)?.fetch_optional(sql, args).await
    }

    /// On Postgres: waits until no other transaction holds the lock of this number, and holds it to the end.
    /// On SQLite a transaction is alone anyway.
    pub async fn alone(&mut self, lock: i64) -> StoreResult<()> {
        if self.dialect == Dialect::Postgres {
            self.fetch("select pg_advisory_xact_lock($1)", vec![Value::from(lock)]).await?;
        }
        Ok(())
    }

    /// The text for this database.
    pub fn pick(&self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self.dialect {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        }
    }

    pub async fn commit(mut self) -> StoreResult<()> {
        let conn = self.conn.as_mut().ok_or_else(error::lost_connection)?;
        conn.execute("commit", Vec::new()).await?;
        self.conn = None;
        Ok(())
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        let Some(mut conn) = self.conn.take() else { return };
        if conn.busy || conn.raw.is_none() {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move {
                if conn.execute("rollback", Vec::new()).await.is_err() {
                    conn.discard();
                }
            })),
            Err(_) => conn.discard(),
        }
    }
}
