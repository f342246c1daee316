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
//! - [`page`]: pages of lists by cursors.
//! - `accounts`, `sessions`, `datasets`, `uploads`, `jobs`, `models`, `audit`: the port's traits, one file each.
//!
//! Not here: rules about who may do what (see `services`).

mod accounts;
mod audit;
mod conn;
mod costs;
mod datasets;
mod endpoints;
mod error;
mod jobs;
mod licences;
mod models;
mod open;
mod page;
mod sessions;
mod uploads;
mod value;

use super::{Store, StoreError, StoreResult};
use async_trait::async_trait;
use conn::{Conn, Tx};
use sqlx::{PgPool, SqlitePool};
use std::time::Duration;
use value::{Row, Value};

/// The metadata store on SQLite or Postgres. Cheap to clone: clones share their pools.
#[derive(Debug, Clone)]
pub struct SqlStore {
    pools: Pools,
}

/// How long closing waits for statements under way.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

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
            // Not for longer than a server that stops may take: the other end may be gone.
            Pools::Postgres(pool) => drop(tokio::time::timeout(CLOSE_WITHIN, pool.close()).await),
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

    /// The text for this database.
    fn pick(&self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self.pools {
            Pools::Sqlite { .. } => sqlite,
            Pools::Postgres(_) => postgres,
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

#[cfg(test)]
mod tests {
    use super::{super::Accounts, *};
    use crate::domain::{
        account::{Email, Role, User},
        audit::{AuditEntry, Outcome},
        ids::UserId,
        time::Instant,
    };

    fn user(n: u64) -> User {
        User {
            id: UserId::from_parts(n, 0),
            email: Email::from_stored(format!("{n}@example.com")),
            full_name: "x".repeat(2_000),
            password_hash: String::new(),
            role: Role::User,
            disabled: false,
            created_at: Instant(0),
        }
    }

    fn entry() -> AuditEntry {
        AuditEntry {
            at: Instant(0),
            actor: None,
            action: "user.create".to_owned(),
            object: String::new(),
            outcome: Outcome::Done,
            ip: String::new(),
            request_id: String::new(),
        }
    }

    /// SQLite answers a page limit exactly as it answers a full disk, so no small disk is needed here.
    async fn limit_pages(store: &SqlStore, pages: &'static str) {
        let Pools::Sqlite { write, .. } = &store.pools else { panic!("not SQLite") };
        let mut conn = Conn::sqlite(write).await.unwrap();
        conn.fetch(pages, Vec::new()).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_is_said_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/llm-tuner.db", folder.path().display());
        let store = SqlStore::connect(&url).await.unwrap();
        limit_pages(&store, "pragma max_page_count = 60").await;
        let mut made = 0;
        let refused = loop {
            match store.create_user(&user(made), &entry()).await {
                Ok(_) => made += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, StoreError::Full), "{refused:?}");
        assert_eq!(store.count_users().await.unwrap(), made);
        limit_pages(&store, "pragma max_page_count = 100000").await;
        store.create_user(&user(made), &entry()).await.unwrap();
        assert_eq!(store.count_users().await.unwrap(), made + 1);
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused_without_its_password() {
        for url in
            ["mysql://me:secret@host/db", "secret", "", "dynamodb://secret", "sqlite::memory:", "sqlite://"]
        {
            let refused = SqlStore::connect(url).await.unwrap_err();
            assert!(matches!(refused, StoreError::Unavailable(_)), "{url}: {refused:?}");
            assert!(!refused.to_string().contains("secret"), "{refused}");
        }
    }
}
