//! Items as this adapter writes and reads them.
//!
//! Ids, texts and states are strings, counts are numbers, times are RFC 3339 with microseconds (`created_at` sorts as
//! text and reads well in the console), JSON is a string. A real number is a string too: DynamoDB's own numbers end at
//! 1e125. What is none (`None`, NaN) is no attribute at all.

use super::super::{StoreError, StoreResult, encoding::without_nul};
use crate::domain::{
    account::Email,
    ids::{DatasetId, EndpointId, JobId, ModelId, SessionId, UserId},
    money::Money,
    time::Instant,
};
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;

/// The attribute that changes with every write of a row: who writes names the one it read.
pub(super) const REVISION: &str = "rev";

/// Attributes by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Item(pub HashMap<String, AttributeValue>);

/// What an attribute is set to; `None` takes it away.
pub(super) struct Value(Option<AttributeValue>);

impl Item {
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        match value.into().0 {
            Some(value) => drop(self.0.insert(name.to_owned(), value)),
            None => drop(self.0.remove(name)),
        }
    }

    /// As [`set`](Self::set), but nothing leaves what is there.
    pub fn set_some(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(value) = value.into().0 {
            self.0.insert(name.to_owned(), value);
        }
    }

    pub fn get(&self, name: &str) -> Option<&AttributeValue> {
        self.0.get(name)
    }

    pub fn optional_text(&self, name: &'static str) -> StoreResult<Option<String>> {
        self.get(name).map(|value| value.as_s().cloned().map_err(|_| wrong(name, "no text"))).transpose()
    }
    pub fn text(&self, name: &'static str) -> StoreResult<String> {
        self.optional_text(name)?.ok_or_else(|| wrong(name, "missing"))
    }
    /// A number; 0 where there is none yet.
    pub fn int(&self, name: &'static str) -> StoreResult<i64> {
        let Some(value) = self.get(name) else { return Ok(0) };
        let text = value.as_n().map_err(|_| wrong(name, "no number"))?;
        text.parse().map_err(|_| wrong(name, text))
    }
    pub fn count(&self, name: &'static str) -> StoreResult<u64> {
        let number = self.int(name)?;
        u64::try_from(number).map_err(|_| wrong(name, &number.to_string()))
    }
    pub fn small(&self, name: &'static str) -> StoreResult<u32> {
        let number = self.int(name)?;
        u32::try_from(number).map_err(|_| wrong(name, &number.to_string()))
    }
    pub fn flag(&self, name: &'static str) -> StoreResult<bool> {
        let value = self.get(name).ok_or_else(|| wrong(name, "missing"))?;
        value.as_bool().copied().map_err(|_| wrong(name, "no truth value"))
    }
    pub fn optional_real(&self, name: &'static str) -> StoreResult<Option<f64>> {
        self.optional_parsed(name, |text| text.parse().ok())
    }
    pub fn optional_instant(&self, name: &'static str) -> StoreResult<Option<Instant>> {
        self.optional_parsed(name, read_time)
    }
    pub fn instant(&self, name: &'static str) -> StoreResult<Instant> {
        self.parsed(name, read_time)
    }
    pub fn optional_money(&self, name: &'static str) -> StoreResult<Option<Money>> {
        self.get(name).map(|_| self.int(name).map(Money)).transpose()
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
        self.get(name).map(|_| self.json(name)).transpose()
    }
    pub fn json<T: serde::de::DeserializeOwned>(&self, name: &'static str) -> StoreResult<T> {
        serde_json::from_str(&self.text(name)?).map_err(|error| StoreError::Corrupt(name, error.to_string()))
    }
}

fn wrong(name: &'static str, why: &str) -> StoreError {
    StoreError::Corrupt(name, why.to_owned())
}

/// The end of the calendar that the format has: later times are stored as this one.
const LATEST: &str = "9999-12-30T22:00:00.999999Z";

/// A time as text of fixed width, which sorts as the time does.
pub(super) fn time(at: Instant) -> String {
    match jiff::Timestamp::from_microsecond(at.micros()) {
        Ok(timestamp) if timestamp >= jiff::Timestamp::UNIX_EPOCH => format!("{timestamp:.6}"),
        _ if at.micros() < 0 => "1970-01-01T00:00:00.000000Z".to_owned(),
        _ => LATEST.to_owned(),
    }
}

pub(super) fn read_time(text: &str) -> Option<Instant> {
    text.parse::<jiff::Timestamp>().ok().map(|timestamp| Instant(timestamp.as_microsecond()))
}

impl From<AttributeValue> for Value {
    fn from(value: AttributeValue) -> Self {
        Self(Some(value))
    }
}
impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(Some(AttributeValue::S(without_nul(text))))
    }
}
impl From<u64> for Value {
    /// To 2^63, as in the other databases: more than any size or count here can be.
    fn from(number: u64) -> Self {
        Self(Some(AttributeValue::N(number.min(i64::MAX.unsigned_abs()).to_string())))
    }
}
impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::from(u64::from(number))
    }
}
impl From<Money> for Value {
    fn from(amount: Money) -> Self {
        Self(Some(AttributeValue::N(amount.0.to_string())))
    }
}
impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self(Some(AttributeValue::Bool(yes)))
    }
}
impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self(number.is_finite().then(|| AttributeValue::S(format!("{number:?}"))))
    }
}
impl From<Instant> for Value {
    fn from(at: Instant) -> Self {
        Self(Some(AttributeValue::S(time(at))))
    }
}
impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self(None), Into::into)
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}
impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}
impl From<&Option<String>> for Value {
    fn from(text: &Option<String>) -> Self {
        Self::from(text.as_deref())
    }
}
macro_rules! text_of {
    ($($kind:ty),*) => { $(
        impl From<&$kind> for Value {
            fn from(value: &$kind) -> Self {
                Self::from(value.as_str())
            }
        }
    )* };
}
text_of!(Email, UserId, SessionId, DatasetId, JobId, ModelId, EndpointId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_back_and_sort_as_text() {
        let times = [0, 7, 1_000_000, 1_800_000_000_000_000, 1_800_000_000_000_001, 250_000_000_000_000_000];
        for pair in times.windows(2) {
            assert!(time(Instant(pair[0])) < time(Instant(pair[1])), "{pair:?}");
        }
        for micros in times {
            let text = time(Instant(micros));
            assert_eq!((text.len(), read_time(&text)), (27, Some(Instant(micros))), "{text}");
        }
        assert!(time(Instant(i64::MAX)) > time(Instant(250_000_000_000_000_000)));
        assert!(read_time(&time(Instant(i64::MAX))).is_some());
    }

    #[test]
    fn reals_read_back_whatever_their_size() {
        for number in [0.0, -0.25, 1e300, 5e-324, f64::MAX, 0.1 + 0.2] {
            let item = Item::default().with("x", number);
            assert_eq!(item.optional_real("x").unwrap(), Some(number));
        }
        assert_eq!(Item::default().with("x", f64::NAN).optional_real("x").unwrap(), None);
    }

    #[test]
    fn what_is_not_as_written_is_said_to_be_corrupt() {
        let item = Item::default().with("role", "emperor").with("bytes", AttributeValue::N("-1".to_owned()));
        assert!(matches!(item.parsed("role", |_| None::<()>), Err(StoreError::Corrupt("role", _))));
        assert!(matches!(item.count("bytes"), Err(StoreError::Corrupt("bytes", _))));
        assert!(matches!(item.text("name"), Err(StoreError::Corrupt("name", _))));
    }
}
