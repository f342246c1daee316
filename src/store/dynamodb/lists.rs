//! Lists and unique values, which the base tables alone can't answer for.
//!
//! DynamoDB would keep both in global secondary indexes, but these are neither unique nor ever strongly consistent. So
//! they are items of our own in the table `index`, written in the transaction of what they tell of: a list shows what
//! was written before it was asked, and a value can't be taken twice. An entry is small, is never changed, and names
//! its row; the row itself is read from its own table.
//!
//! | list | entry | tells |
//! |---|---|---|
//! | `email:<address>` | `=` | whose address it is; also `job-name:`, `job-key:<user>:`, `model-of:`, `session:`, `endpoint-name:`, `charge:` |
//! | `users`, `jobs:<user>`, `models:<user>`, `datasets:<user>`, `endpoints:<user>` | time, id | what is there, by age |
//! | `open-jobs` | time, id | jobs that are not final or that somebody holds |
//! | `open-endpoints` | time, id | endpoints that are not deleted |
//! | `months`, `months:<user>` | month | months in which something was charged |
//! | `versions:<family>` | number | the versions of a dataset |
//! | `file-name:<user>:<hash>`, `state:<state>` | time, id | datasets under a file name, or in a state |
//! | `uses:<dataset>` | time, id | jobs that use a dataset |
//! | `garbage` | owner | what is still to be removed of something deleted (see `large`) |

use super::super::{Page, PageRequest, StoreResult, cursor::After};
use super::{
    DynamoStore,
    item::{Item, read_time, time},
    reading::{Pages, Part, Range},
    tables::{Key, Table},
};
use crate::domain::time::Instant;
use sha2::{Digest, Sha256};

/// The attribute of an entry that names its row.
pub(super) const REF: &str = "ref";

/// The entry of a value that only one may have.
pub(super) fn unique(kind: &str, value: &str) -> Key {
    Key::in_list(Table::Index, format!("{kind}:{value}"), "=")
}

/// A text of any length and with any signs, as a part of a key.
pub(super) fn hashed(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// Where something made at this time stands in a list.
pub(super) fn by_age(at: Instant, id: &str) -> String {
    format!("{}#{id}", time(at))
}

pub(super) fn entry(list: impl Into<String>, entry: impl Into<String>) -> Key {
    Key::in_list(Table::Index, list, entry)
}

/// An entry's content: which row it names.
pub(super) fn names(row: &str) -> Item {
    Item::default().with(REF, row)
}

/// A whole list, or its newest entries.
pub(super) fn newest_first(list: impl Into<String>) -> Part {
    Part { table: Table::Index, hash: list.into(), range: Range::All, newest_first: true }
}

impl DynamoStore {
    /// The row that a unique value belongs to.
    pub(super) async fn named(&self, key: &Key) -> StoreResult<Option<String>> {
        self.get(key).await?.map(|entry| entry.text(REF)).transpose()
    }

    /// All entries of a list, newest first.
    pub(super) async fn entries(&self, list: impl Into<String>) -> StoreResult<Vec<Item>> {
        self.query(newest_first(list), usize::MAX).await
    }

    /// The rows that these entries name, in their order. One that was deleted a moment ago is left out.
    pub(super) async fn rows_of(&self, table: Table, entries: Vec<Item>) -> StoreResult<Vec<(Item, Item)>> {
        let keys: Vec<Key> =
            entries.iter().map(|entry| Ok(Key::of(table, entry.text(REF)?))).collect::<StoreResult<_>>()?;
        let mut rows = self.get_many(table, &keys).await?;
        let pairs = entries.into_iter().zip(keys);
        Ok(pairs.filter_map(|(entry, key)| Some((entry, rows.remove(&key)?))).collect())
    }

    /// A page of the rows that a list names.
    pub(super) async fn page(
        &self,
        list: String,
        table: Table,
        request: &PageRequest,
    ) -> StoreResult<Page<Item>> {
        let after = After::of(request);
        let range = Range::Below(by_age(Instant(after.at), &after.id));
        let part = Part { table: Table::Index, hash: list, range, newest_first: true };
        // One more than asked for: it tells whether there is a next page.
        let wanted = request.limit.saturating_add(1);
        let mut pages = Pages::of(part, wanted);
        let mut rows = Vec::new();
        while rows.len() < wanted
            && let Some(entries) = pages.next(self).await?
        {
            rows.extend(self.rows_of(table, entries).await?);
        }
        page(rows, request)
    }
}

/// Makes a page of entries with what they stand for, of which there is one more where there is a next page.
pub(super) fn page<T>(mut rows: Vec<(Item, T)>, request: &PageRequest) -> StoreResult<Page<T>> {
    let more = rows.len() > request.limit;
    rows.truncate(request.limit);
    let next = match rows.last() {
        Some((entry, _)) if more => cursor(&entry.text("entry")?),
        _ => None,
    };
    Ok(Page { items: rows.into_iter().map(|(_, item)| item).collect(), next })
}

/// The cursor that names this entry.
fn cursor(entry: &str) -> Option<String> {
    let (at, id) = entry.split_once('#')?;
    Some(After { at: read_time(at)?.micros(), id: id.to_owned() }.cursor())
}
