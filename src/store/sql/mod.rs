//! SQLite and Postgres behind the store port.
//!
//! Both databases run the same lower-case SQL with `$1` placeholders: ids as text, times as microseconds, JSON as
//! text, truth values as 0 and 1. What differs is small and named [`conn::Dialect`]: how a writer makes sure that
//! nobody writes between its read and its write.
//!
//! - [`open`]: connections, pragmas, migrations.
//! - [`conn`]: one connection or transaction of either database, with time limits.
//! - [`value`]: what goes into a statement and comes out of a row; NUL and numbers that are none are handled there.
//! - [`error`]: what a database's error means to the port.
//! - [`page`]: cursors.
//! - `accounts`, `sessions`, `datasets`, `jobs`, `models`, `audit`: the port's traits, one file each.
//!
//! Not here: rules about who may do what (see `services`).

mod accounts;
mod audit;
mod conn;
mod datasets;
mod error;
mod jobs;
mod models;
mod open;
mod page;
mod sessions;
mod value;

use super::{Store, StoreError, StoreResult};
use async_trait::async_trait;
use conn::{Conn, Tx};
use sqlx::{PgPool, SqlitePool};
use value::{Row, Value};

/// The metadata store on SQLite or Postgres. Cheap to clone: clones share their pools.
#[derive(Debug, Clone)]
pub struct SqlStore {
    pools: Pools,
}

#[derive(Debug, Clone)]
enum Pools {
    /// SQLite has one writer at a time: `write` has one connection, so that our writers queue here and not in the
    /// database's busy loop. `read` sees what was committed, beside a running write (WAL).
    Sqlite {
        write: SqlitePool,
        read: SqlitePool,
    },
    Postgres(PgPool),
}

impl SqlStore {
    /// Opens `sqlite://PATH` (made with its folder where it is missing, readable by its owner alone) or
    /// `postgres://…`, and brings the schema up to date. Several servers may start at once.
    pub async fn connect(url: &str) -> StoreResult<Self> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        let pools = match scheme {
            "sqlite" => open::sqlite(url).await?,
            "postgres" | "postgresql" => open::postgres(url).await?,
            // The rest of the address may hold a password: it is not repeated.
            _ => {
                return Err(StoreError::Unavailable(format!(
                    "no database answers to `{scheme}:`; use sqlite://PATH or postgres://USER@HOST/DATABASE"
                )));
            }
        };
        Ok(Self { pools })
    }

    /// Closes every connection; SQLite then folds its write-ahead log into the file.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }

    /// A transaction that may write. On SQLite nobody else writes until it ends.
    async fn begin(&self) -> StoreResult<Tx> {
        let (conn, begin) = match &self.pools {
            Pools::Sqlite { write, .. } => (Conn::sqlite(write).await?, "begin immediate"),
            Pools::Postgres(pool) => (Conn::postgres(pool).await?, "begin"),
        };
        Tx::begin(conn, begin).await
    }

    async fn reader(&self) -> StoreResult<Conn> {
        match &self.pools {
            Pools::Sqlite { read, .. } => Conn::sqlite(read).await,
            Pools::Postgres(pool) => Conn::postgres(pool).await,
        }
    }

    async fn fetch(&self, sql: &'static str, args: Vec<Value>) -> StoreResult<Vec<Row>> {
        let mut conn = self.reader().await?;
        conn.fetch(sql, args).await
    }

    async fn fetch_optional(&self, sql: &'static str, args: Vec<Value>) -> StoreResult<Option<Row>> {
        Ok(self.fetch(sql, args).await?.into_iter().next())
    }

    /// One writing statement, which is a transaction by itself. Returns how many rows it touched.
    async fn execute(&self, sql: &'static str, args: Vec<Value>) -> StoreResult<u64> {
        let mut conn = match &self.pools {
            Pools::Sqlite { write, .. } => Conn::sqlite(write).await?,
            Pools::Postgres(pool) => Conn::postgres(pool).await?,
        };
        conn.execute(sql, args).await
    }
}

/// `NotFound(what)` unless the statement touched a row.
fn found(touched: u64, what: &'static str) -> StoreResult<()> {
    if touched == 0 { Err(StoreError::NotFound(what)) } else { Ok(()) }
}

#[async_trait]
impl Store for SqlStore {
    async fn ping(&self) -> StoreResult<()> {
        self.fetch("select 1 as one", Vec::new()).await.map(drop)
    }
}
