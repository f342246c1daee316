//! A fresh, empty database for one test, of each kind that the product runs on.

use llm_tuner::store::sql::SqlStore;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::sync::Arc;

/// A store on a database of its own. [`Fresh::end`] removes it.
pub struct Fresh {
    pub store: Arc<SqlStore>,
    /// For tests that look at the database itself.
    pub url: String,
    cleanup: Cleanup,
}

enum Cleanup {
    Folder(tempfile::TempDir),
    Database { admin: String, name: String },
}

pub async fn sqlite() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/deep/llm-tuner.db", folder.path().display());
    let store = Arc::new(SqlStore::connect(&url).await.unwrap());
    Fresh { store, url, cleanup: Cleanup::Folder(folder) }
}

pub async fn postgres() -> Fresh {
    let (admin, name, url) = postgres_database().await;
    let store = Arc::new(SqlStore::connect(&url).await.unwrap());
    Fresh { store, url, cleanup: Cleanup::Database { admin, name } }
}

/// An empty database on the test cluster: the cluster's address, the database's name and address.
pub async fn postgres_database() -> (String, String, String) {
    let admin = std::env::var("TEST_DATABASE_URL").unwrap_or_else(|_| {
        panic!(
            "TEST_DATABASE_URL is not set. These tests need a Postgres cluster in which they may create databases; \
             `cargo xtask test` starts one and sets the variable."
        )
    });
    let name = format!("t_{:032x}", rand::random::<u128>());
    let mut conn = PgConnection::connect(&admin).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let mut url = url::Url::parse(&admin).unwrap();
    url.set_path(&name);
    (admin, name, url.to_string())
}

impl Fresh {
    pub async fn end(self) {
        self.store.close().await;
        match self.cleanup {
            Cleanup::Folder(folder) => folder.close().unwrap(),
            Cleanup::Database { admin, name } => drop_database(&admin, &name).await,
        }
    }
}

pub async fn drop_database(admin: &str, name: &str) {
    let mut conn = PgConnection::connect(admin).await.unwrap();
    let sql = format!("drop database {name} with (force)");
    sqlx::query(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}
