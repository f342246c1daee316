//! Texts that may be larger than an item, which ends at 400 KB: a dataset's report, a batch of events.
//!
//! The attribute's type tells how it is stored: as it is (a string), compressed (binary), or, where that is too large
//! still, in parts of the table `parts` (a map with their id and count). Parts are written before the transaction that
//! refers to them and removed after the one that no longer does, and never changed: a reader finds all of them. What a
//! crash in between leaves belongs to its owner, and goes when that is deleted.

use super::super::{StoreError, StoreResult};
use super::{
    DynamoStore,
    error::{Turns, failed, incomplete},
    item::Item,
    lists::{entry, newest_first},
    reading::{Part, Range},
    tables::{Key, Table},
    transaction::Transaction,
};
use aws_sdk_dynamodb::{
    primitives::Blob,
    types::{AttributeValue, DeleteRequest, WriteRequest},
};
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use std::{
    collections::HashMap,
    io::{Read, Write},
};

/// Up to here a text stays readable in the console.
const PLAIN: usize = 4 << 10;
/// Up to here it is compressed into the row's own item, of which other attributes take little.
const INLINE: usize = 200 << 10;
const PART: usize = 350 << 10;
/// Items that one `BatchWriteItem` takes.
const DELETED_AT_ONCE: usize = 25;
const GARBAGE: &str = "garbage";

/// Whose parts they are.
pub(super) fn of_dataset(id: &str) -> String {
    format!("dataset:{id}")
}
pub(super) fn of_job(id: &str) -> String {
    format!("job:{id}")
}

impl DynamoStore {
    /// Writes what does not fit; returns what the row is to hold.
    pub(super) async fn store_large(&self, owner: &str, text: &str) -> StoreResult<AttributeValue> {
        if text.len() <= PLAIN {
            return Ok(AttributeValue::S(text.to_owned()));
        }
        let text = text.to_owned();
        let packed = off_thread(move || pack(text.as_bytes())).await?;
        let packed = packed.map_err(|error| StoreError::Corrupt("a large text", error.to_string()))?;
        if packed.len() <= INLINE {
            return Ok(AttributeValue::B(Blob::new(packed)));
        }
        let id = format!("{:032x}", rand::random::<u128>());
        let parts: Vec<&[u8]> = packed.chunks(PART).collect();
        for (number, part) in parts.iter().enumerate() {
            let mut item = part_key(owner, &id, number).attributes();
            item.insert("body".to_owned(), AttributeValue::B(Blob::new(*part)));
            let put = self.client.put_item().table_name(self.names.of(Table::Parts));
            put.set_item(Some(item)).send().await.map_err(failed)?;
        }
        Ok(AttributeValue::M(HashMap::from([
            ("parts".to_owned(), AttributeValue::N(parts.len().to_string())),
            ("id".to_owned(), AttributeValue::S(id)),
        ])))
    }

    /// Puts the text itself in the place of what [`store_large`](Self::store_large) gave.
    pub(super) async fn load_large(
        &self,
        owner: &str,
        item: &mut Item,
        name: &'static str,
    ) -> StoreResult<()> {
        let packed = match item.get(name) {
            None | Some(AttributeValue::S(_)) => return Ok(()),
            Some(AttributeValue::B(packed)) => packed.clone().into_inner(),
            Some(value) => {
                let (id, count) = parts(value)
                    .ok_or_else(|| StoreError::Corrupt(name, "neither text nor bytes".to_owned()))?;
                self.load_parts(owner, id, count, name).await?
            }
        };
        let text = off_thread(move || unpack(&packed)).await?;
        let text = text.map_err(|error| StoreError::Corrupt(name, error.to_string()))?;
        item.set(name, AttributeValue::S(text));
        Ok(())
    }

    async fn load_parts(
        &self,
        owner: &str,
        id: &str,
        count: usize,
        name: &'static str,
    ) -> StoreResult<Vec<u8>> {
        let range = Range::Between(part_name(id, 0), part_name(id, count));
        let query = Part { table: Table::Parts, hash: owner.to_owned(), range, newest_first: false };
        let items = self.query(query, usize::MAX).await?;
        if items.len() != count {
            return Err(StoreError::Corrupt(name, format!("{} of {count} parts are there", items.len())));
        }
        let mut packed = Vec::new();
        for item in &items {
            match item.get("body") {
                Some(AttributeValue::B(part)) => packed.extend_from_slice(part.as_ref()),
                _ => return Err(StoreError::Corrupt(name, "a part has no bytes".to_owned())),
            }
        }
        Ok(packed)
    }

    /// Removes the parts of a value that no row refers to any more.
    pub(super) async fn drop_parts(&self, owner: &str, value: &AttributeValue) -> StoreResult<()> {
        let Some((id, count)) = parts(value) else { return Ok(()) };
        let keys = (0..count).map(|number| part_key(owner, id, number)).collect();
        self.delete_many(Table::Parts, keys).await
    }

    /// Removes all that an owner left, once the transaction with [`Transaction::leave_garbage`] is through.
    pub(super) async fn collect_garbage(&self, owner: &str) -> StoreResult<()> {
        let mut left = vec![(Table::Parts, owner)];
        if let Some(job) = owner.strip_prefix("job:") {
            left.push((Table::Events, job));
        }
        for (table, hash) in left {
            let all = Part { table, hash: hash.to_owned(), range: Range::All, newest_first: false };
            let items = self.query(all, usize::MAX).await?;
            let keys = items.iter().filter_map(|item| Key::read(table, item)).collect();
            self.delete_many(table, keys).await?;
        }
        self.delete_many(Table::Index, vec![entry(GARBAGE, owner)]).await
    }

    /// Removes what a server that was killed left behind.
    pub(super) async fn collect_all_garbage(&self) -> StoreResult<()> {
        for entry in self.query(newest_first(GARBAGE), usize::MAX).await? {
            self.collect_garbage(&entry.text("entry")?).await?;
        }
        Ok(())
    }

    /// Not in one transaction: for what nothing refers to.
    pub(super) async fn delete_many(&self, table: Table, keys: Vec<Key>) -> StoreResult<()> {
        for chunk in keys.chunks(DELETED_AT_ONCE) {
            let requests = chunk.iter().map(|key| {
                let delete = DeleteRequest::builder().set_key(Some(key.attributes())).build();
                Ok(WriteRequest::builder().delete_request(delete.map_err(incomplete)?).build())
            });
            let requests = requests.collect::<StoreResult<Vec<_>>>()?;
            let mut open = HashMap::from([(self.names.of(table).to_owned(), requests)]);
            let mut turns = Turns::default();
            while !open.is_empty() {
                let write = self.client.batch_write_item().set_request_items(Some(open));
                open = write.send().await.map_err(failed)?.unprocessed_items.unwrap_or_default();
                if !open.is_empty() {
                    turns.next().await?;
                }
            }
        }
        Ok(())
    }
}

impl Transaction<'_> {
    /// Notes that the owner's parts and events are to go. Whoever commits calls `collect_garbage` then; if it can't,
    /// the next server does when it starts.
    pub fn leave_garbage(&mut self, owner: &str) {
        self.put(&entry(GARBAGE, owner), Item::default());
    }
}

fn part_name(id: &str, number: usize) -> String {
    format!("{id}#{number:06}")
}

fn part_key(owner: &str, id: &str, number: usize) -> Key {
    Key::in_list(Table::Parts, owner, part_name(id, number))
}

/// Id and count of a value's parts, where it has any.
fn parts(value: &AttributeValue) -> Option<(&str, usize)> {
    let map = value.as_m().ok()?;
    let count = map.get("parts")?.as_n().ok()?.parse().ok()?;
    Some((map.get("id")?.as_s().ok()?, count))
}

fn pack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn unpack(packed: &[u8]) -> std::io::Result<String> {
    let mut text = String::new();
    ZlibDecoder::new(packed).read_to_string(&mut text)?;
    Ok(text)
}

/// Some megabytes take some time.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> StoreResult<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| StoreError::Unavailable("the server is shutting down".to_owned()))
}
