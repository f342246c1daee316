//! Which database, as `DATABASE_URL` names it.

use super::{
    Store, StoreResult,
    dynamodb::{Address, DynamoStore},
    sql::SqlStore,
};
use std::{fmt, sync::Arc};

#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// `sqlite://PATH` or `postgres://…`. Holds a password: never shown.
    Sql(String),
    DynamoDb(Address),
}

impl Location {
    /// Reads the address, and the settings that belong to it.
    ///
    /// # Errors
    /// What is wrong, for people; without the address where it may hold a password.
    pub fn read(url: &str, get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let scheme = url.split("://").next().unwrap_or_default();
        match scheme {
            "sqlite" | "postgres" | "postgresql" if url.contains("://") => Ok(Self::Sql(url.to_owned())),
            "dynamodb" => Address::read(url, get).map(Self::DynamoDb),
            _ => Err(format!(
                "DATABASE_URL begins with \"{}\", but must begin with sqlite://, postgres:// or dynamodb://.",
                scheme.chars().take(20).collect::<String>()
            )),
        }
    }

    /// What kind of database it is.
    pub fn scheme(&self) -> &str {
        match self {
            Self::Sql(url) => url.split(':').next().unwrap_or_default(),
            Self::DynamoDb(_) => "dynamodb",
        }
    }

    /// Opens the store and brings it up to date.
    ///
    /// # Errors
    /// `Unavailable` where the database can't be reached, or may not be brought up to date.
    pub async fn connect(&self) -> StoreResult<Arc<dyn Store>> {
        Ok(match self {
            Self::Sql(url) => Arc::new(SqlStore::connect(url).await?),
            Self::DynamoDb(address) => {
                Arc::new(DynamoStore::connect(&crate::aws::config().await, address).await?)
            }
        })
    }

    /// As [`connect`](Self::connect), but looks at every table again, and says what there is to say about each.
    pub async fn migrate(&self) -> StoreResult<Vec<String>> {
        let Self::DynamoDb(address) = self else { return self.connect().await.map(|_| Vec::new()) };
        let tables = DynamoStore::new(&crate::aws::config().await, address).migrate().await?;
        let words = tables.into_iter().flat_map(|table| {
            let found = if table.made { "made" } else { "there already" };
            let lacks = table.missing.into_iter().map(|what| format!("  without {what}"));
            std::iter::once(format!("{}: {found}", table.table)).chain(lacks)
        });
        Ok(words.collect())
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sql(_) => f.write_str(self.scheme()),
            Self::DynamoDb(address) => address.fmt(f),
        }
    }
}
