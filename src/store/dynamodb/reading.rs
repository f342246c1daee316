//! Reading: one item, many items, a part of a list. All reads are strongly consistent.

use super::super::StoreResult;
use super::{
    DynamoStore,
    error::{Turns, failed, incomplete},
    item::Item,
    tables::{Key, Table},
};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Select};
use std::collections::{HashMap, HashSet};

/// Keys that one `BatchGetItem` takes.
const READ_AT_ONCE: usize = 100;
/// Items that one page of a query may have; it also ends at 1 MB.
const PAGE: usize = 1_000;

/// Which sort keys of a partition.
#[derive(Debug, Clone)]
pub(super) enum Range {
    All,
    /// Smaller than this.
    Below(String),
    /// From the first to the second, both counted.
    Between(String, String),
}

/// A part of one partition, in the order of its sort keys.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub table: Table,
    pub hash: String,
    pub range: Range,
    pub newest_first: bool,
}

impl DynamoStore {
    pub(super) async fn get(&self, key: &Key) -> StoreResult<Option<Item>> {
        let get = self.client.get_item().table_name(self.names.of(key.table));
        let answer = get.set_key(Some(key.attributes())).consistent_read(true).send().await;
        Ok(answer.map_err(failed)?.item.map(Item))
    }

    /// Those of the keys that exist, by key.
    pub(super) async fn get_many(&self, table: Table, keys: &[Key]) -> StoreResult<HashMap<Key, Item>> {
        let mut found = HashMap::new();
        // DynamoDB refuses to be asked for one item twice.
        let keys: Vec<&Key> = keys.iter().collect::<HashSet<_>>().into_iter().collect();
        for chunk in keys.chunks(READ_AT_ONCE) {
            let all = KeysAndAttributes::builder()
                .set_keys(Some(chunk.iter().map(|key| key.attributes()).collect()))
                .consistent_read(true)
                .build()
                .map_err(incomplete)?;
            let mut wanted = HashMap::from([(self.names.of(table).to_owned(), all)]);
            let mut turns = Turns::default();
            while !wanted.is_empty() {
                let get = self.client.batch_get_item().set_request_items(Some(wanted));
                let answer = get.send().await.map_err(failed)?;
                let items = answer.responses.unwrap_or_default().into_values().flatten().map(Item);
                found.extend(items.filter_map(|item| Some((Key::read(table, &item)?, item))));
                wanted = answer.unprocessed_keys.unwrap_or_default();
                if !wanted.is_empty() {
                    turns.next().await?;
                }
            }
        }
        Ok(found)
    }

    /// At most `limit` items.
    pub(super) async fn query(&self, part: Part, limit: usize) -> StoreResult<Vec<Item>> {
        let mut pages = Pages::of(part, limit);
        let mut items = Vec::new();
        while items.len() < limit
            && let Some(page) = pages.next(self).await?
        {
            items.extend(page);
        }
        items.truncate(limit);
        Ok(items)
    }

    /// How many items a partition has.
    pub(super) async fn count(&self, table: Table, hash: &str) -> StoreResult<u64> {
        let (name, _) = table.keys();
        let (mut count, mut start) = (0, None);
        loop {
            let query = self.client.query().table_name(self.names.of(table)).consistent_read(true);
            let query = query.key_condition_expression("#h = :h").expression_attribute_names("#h", name);
            let query = query.expression_attribute_values(":h", AttributeValue::S(hash.to_owned()));
            let query = query.select(Select::Count).set_exclusive_start_key(start);
            let answer = query.send().await.map_err(failed)?;
            count += u64::try_from(answer.count).unwrap_or(0);
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(count);
            }
        }
    }

    /// All items of a table: only for tables whose items do not stay.
    pub(super) async fn scan(&self, table: Table) -> StoreResult<Vec<Item>> {
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let scan = self.client.scan().table_name(self.names.of(table)).consistent_read(true);
            let answer = scan.set_exclusive_start_key(start).send().await.map_err(failed)?;
            items.extend(answer.items.unwrap_or_default().into_iter().map(Item));
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
    }
}

/// The pages of a query, one after the other.
pub(super) struct Pages {
    part: Part,
    limit: i32,
    start: Option<HashMap<String, AttributeValue>>,
    ended: bool,
}

impl Pages {
    /// `limit`: about how many items the caller will look at.
    pub fn of(part: Part, limit: usize) -> Self {
        let limit = i32::try_from(limit.clamp(1, PAGE)).unwrap_or(i32::MAX);
        Self { part, limit, start: None, ended: false }
    }

    pub async fn next(&mut self, store: &DynamoStore) -> StoreResult<Option<Vec<Item>>> {
        if self.ended {
            return Ok(None);
        }
        let Part { table, hash, range, newest_first } = &self.part;
        let (hash_name, range_name) = table.keys();
        let query = store.client.query().table_name(store.names.of(*table)).consistent_read(true);
        let query = query.limit(self.limit).scan_index_forward(!newest_first);
        let query = query.expression_attribute_names("#h", hash_name);
        let mut query = query.expression_attribute_values(":h", AttributeValue::S(hash.clone()));
        if let (Some(name), Range::Below(_) | Range::Between(..)) = (range_name, range) {
            query = query.expression_attribute_names("#r", name);
        }
        let query = match range {
            Range::All => query.key_condition_expression("#h = :h"),
            Range::Below(end) => query
                .key_condition_expression("#h = :h and #r < :end")
                .expression_attribute_values(":end", AttributeValue::S(end.clone())),
            Range::Between(first, last) => query
                .key_condition_expression("#h = :h and #r between :first and :last")
                .expression_attribute_values(":first", AttributeValue::S(first.clone()))
                .expression_attribute_values(":last", AttributeValue::S(last.clone())),
        };
        let answer = query.set_exclusive_start_key(self.start.take()).send().await.map_err(failed)?;
        self.start = answer.last_evaluated_key;
        self.ended = self.start.is_none();
        Ok(Some(answer.items.unwrap_or_default().into_iter().map(Item).collect()))
    }
}
