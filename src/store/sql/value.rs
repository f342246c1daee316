//! What goes into a statement and what comes out of a row, the same for both databases.
//!
//! Two things can't be stored as they are and are changed here, on both databases alike:
//! - NUL in text, which Postgres refuses: it becomes `␀` (U+2400). Inside JSON it is escaped anyway and survives.
//! - A number that is none (NaN, infinity) in a column, which SQLite turns into null: null on both.

pub(super) use super::super::encoding::to_json;
use super::super::{StoreError, StoreResult, encoding::without_nul};
use crate::domain::{
    account::Email,
    ids::{DatasetId, EndpointId, JobId, ModelId, SessionId, UserId},
    money::Money,
    time::Instant,
};
use sqlx::{
    Arguments as _, Row as _,
    postgres::{PgArguments, PgRow},
    sqlite::{SqliteArguments, SqliteRow},
};

/// One argument of a statement. The type is known also where the value is null: Postgres asks for it.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
    Real(Option<f64>),
}

/// The arguments of a statement, in the order of their placeholders.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::sql::value::Value::from($value)),*] };
}
pub(super) use args;

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(without_nul(text)))
    }
}
impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(if text.contains('\0') { without_nul(&text) } else { text }))
    }
}
impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(without_nul))
    }
}
impl From<&Option<String>> for Value {
    fn from(text: &Option<String>) -> Self {
        Self::from(text.as_deref())
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}
impl From<u64> for Value {
    /// Both databases count to 2^63: more than any size or count here can be.
    fn from(number: u64) -> Self {
        Self::Int(Some(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}
impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(Some(number.into()))
    }
}
impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Int(Some(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}
impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Int(Some(yes.into()))
    }
}
impl From<Option<u64>> for Value {
    fn from(number: Option<u64>) -> Self {
        Self::Int(number.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
    }
}
impl From<Option<Money>> for Value {
    fn from(amount: Option<Money>) -> Self {
        Self::Int(amount.map(|amount| amount.0))
    }
}
impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::from(text.as_deref())
    }
}
impl From<Instant> for Value {
    fn from(at: Instant) -> Self {
        Self::Int(Some(at.micros()))
    }
}
impl From<Option<Instant>> for Value {
    fn from(at: Option<Instant>) -> Self {
        Self::Int(at.map(Instant::micros))
    }
}
impl From<Option<f64>> for Value {
    fn from(number: Option<f64>) -> Self {
        Self::Real(number.filter(|number| number.is_finite()))
    }
}
macro_rules! text_of {
    ($($kind:ty),*) => { $(
        impl From<&$kind> for Value {
            fn from(value: &$kind) -> Self {
                Self::from(value.as_str())
            }
        }
        impl From<Option<&$kind>> for Value {
            fn from(value: Option<&$kind>) -> Self {
                Self::from(value.map(|value| value.as_str()))
            }
        }
    )* };
}
text_of!(UserId, DatasetId, EndpointId, JobId, ModelId, SessionId, Email);

pub(super) fn sqlite_args(values: Vec<Value>) -> Result<SqliteArguments, sqlx::Error> {
    let mut args = SqliteArguments::default();
    for value in values {
        match value {
            Value::Text(text) => args.add(text),
            Value::Int(number) => args.add(number),
            Value::Real(number) => args.add(number),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(args)
}

pub(super) fn postgres_args(values: Vec<Value>) -> Result<PgArguments, sqlx::Error> {
    let mut args = PgArguments::default();
    for value in values {
        match value {
            Value::Text(text) => args.add(text),
            Value::Int(number) => args.add(number),
            Value::Real(number) => args.add(number),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(args)
}

/// One row of either database.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! column {
    ($row:expr, $name:expr) => {
        match $row {
            Row::Sqlite(row) => row.try_get($name),
            Row::Postgres(row) => row.try_get($name),
        }
        .map_err(|error| StoreError::Corrupt($name, error.to_string()))
    };
}

impl Row {
    pub fn text(&self, name: &'static str) -> StoreResult<String> {
        column!(self, name)
    }
    pub fn optional_text(&self, name: &'static str) -> StoreResult<Option<String>> {
        column!(self, name)
    }
    pub fn int(&self, name: &'static str) -> StoreResult<i64> {
        column!(self, name)
    }
    pub fn optional_real(&self, name: &'static str) -> StoreResult<Option<f64>> {
        column!(self, name)
    }
    pub fn count(&self, name: &'static str) -> StoreResult<u64> {
        let number = self.int(name)?;
        u64::try_from(number).map_err(|_| StoreError::Corrupt(name, format!("{number} is negative")))
    }
    pub fn small(&self, name: &'static str) -> StoreResult<u32> {
        let number = self.int(name)?;
        u32::try_from(number).map_err(|_| StoreError::Corrupt(name, format!("{number} is out of range")))
    }
    pub fn flag(&self, name: &'static str) -> StoreResult<bool> {
        Ok(self.int(name)? != 0)
    }
    pub fn instant(&self, name: &'static str) -> StoreResult<Instant> {
        Ok(Instant(self.int(name)?))
    }
    pub fn optional_instant(&self, name: &'static str) -> StoreResult<Option<Instant>> {
        let at: Option<i64> = column!(self, name)?;
        Ok(at.map(Instant))
    }
    pub fn optional_money(&self, name: &'static str) -> StoreResult<Option<Money>> {
        let amount: Option<i64> = column!(self, name)?;
        Ok(amount.map(Money))
    }
    /// Text that `parse` has to understand: an id, a state, a role.
    pub fn parsed<T>(&self, name: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> StoreResult<T> {
        let text = self.text(name)?;
        parse(&text).ok_or(StoreError::Corrupt(name, text))
    }
    pub fn optional_parsed<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> StoreResult<Option<T>> {
        match self.optional_text(name)? {
            None => Ok(None),
            Some(text) => parse(&text).map(Some).ok_or(StoreError::Corrupt(name, text)),
        }
    }
    pub fn optional_json<T: serde::de::DeserializeOwned>(
        &self,
        name: &'static str,
    ) -> StoreResult<Option<T>> {
        let read = |text: String| serde_json::from_str(&text);
        let value = self.optional_text(name)?.map(read).transpose();
        value.map_err(|error| StoreError::Corrupt(name, error.to_string()))
    }
    pub fn json<T: serde::de::DeserializeOwned>(&self, name: &'static str) -> StoreResult<T> {
        serde_json::from_str(&self.text(name)?).map_err(|error| StoreError::Corrupt(name, error.to_string()))
    }
}
