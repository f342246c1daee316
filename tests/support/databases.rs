//! A fresh, empty database for one test, of each kind that the product runs on.

use super::moto::Moto;
use llm_tuner::store::{
    Store,
    dynamodb::{Address, DynamoStore},
    sql::SqlStore,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::{collections::BTreeMap, sync::Arc};

/// A store on a database of its own. [`Fresh::end`] removes it.
pub struct Fresh {
    pub store: Arc<dyn Store>,
    /// For tests that look at the database itself.
    pub url: String,
    cleanup: Cleanup,
}

enum Cleanup {
    Folder(SqlStore, tempfile::TempDir),
    Database {
        store: SqlStore,
        admin: String,
        name: String,
    },
    /// Ends with the server.
    Tables(Moto),
}

pub async fn sqlite() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/deep/llm-tuner.db", folder.path().display());
    let store = SqlStore::connect(&url).await.unwrap();
    Fresh { store: Arc::new(store.clone()), url, cleanup: Cleanup::Folder(store, folder) }
}

pub async fn postgres() -> Fresh {
    let (admin, name, url) = postgres_database().await;
    let store = SqlStore::connect(&url).await.unwrap();
    Fresh { store: Arc::new(store.clone()), url, cleanup: Cleanup::Database { store, admin, name } }
}

pub async fn dynamodb() -> Fresh {
    let moto = Moto::start();
    let store = DynamoStore::connect(&moto.config().await, &tables()).await.unwrap();
    Fresh { store: Arc::new(store), url: moto.url.clone(), cleanup: Cleanup::Tables(moto) }
}

/// Where the tables of a test are.
pub fn tables() -> Address {
    Address { region: "us-east-1".to_owned(), prefix: "tuner".to_owned(), tables: BTreeMap::new() }
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
    /// Closes the connections to it.
    pub async fn close(&self) {
        match &self.cleanup {
            Cleanup::Folder(store, _) | Cleanup::Database { store, .. } => store.close().await,
            Cleanup::Tables(_) => {}
        }
    }

    pub async fn end(self) {
        self.close().await;
        match self.cleanup {
            Cleanup::Folder(_, folder) => folder.close().unwrap(),
            Cleanup::Database { admin, name, .. } => drop_database(&admin, &name).await,
            Cleanup::Tables(moto) => drop(moto),
        }
    }
}

pub async fn drop_database(admin: &str, name: &str) {
    let mut conn = PgConnection::connect(admin).await.unwrap();
    let sql = format!("drop database {name} with (force)");
    sqlx::query(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}
