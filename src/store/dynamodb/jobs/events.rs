//! What jobs tell: appended with the next numbers, read in order.
//!
//! The events of one kind that are written together are one item, whatever their number: a transaction takes a hundred
//! items, and a trainer may say a thousand lines in a second. An item's sort key is its kind and its last number, so
//! that the few samples of a long run are found without reading its log. All kinds together are read side by side and
//! put in order; what was written between these reads shows as a gap, and is left for the next look.

use super::super::super::{
    StoreError, StoreResult,
    encoding::{decode_event, encode_event},
};
use super::super::{
    DynamoStore,
    item::Item,
    large::of_job,
    reading::{Pages, Part, Range},
    tables::{Key, Table},
    transaction::Transaction,
};
use crate::domain::{
    event::{EventBody, JobEvent},
    ids::JobId,
    time::Instant,
};
use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;

/// Events of one kind, as they will be stored, numbered from the one before them all.
struct Batch {
    kind: &'static str,
    last: u64,
    body: AttributeValue,
}

/// Everything that is written at once.
#[derive(Default)]
pub(super) struct Batches {
    count: u64,
    batches: Vec<Batch>,
}

/// Makes batches of new events, and stores what of them is too large for an item.
pub(super) async fn pack(
    store: &DynamoStore,
    id: &JobId,
    new_events: &[(Instant, EventBody)],
) -> StoreResult<Batches> {
    let mut texts: Vec<(&'static str, u64, String)> = Vec::new();
    for (number, (at, body)) in (1..).zip(new_events) {
        // One line an event: JSON has no line break of its own.
        let line = format!("{number} {} {}\n", at.micros(), encode_event(body)?);
        match texts.iter_mut().find(|(kind, ..)| *kind == body.kind()) {
            Some((_, last, text)) => {
                *last = number;
                text.push_str(&line);
            }
            None => texts.push((body.kind(), number, line)),
        }
    }
    let mut batches = Vec::new();
    for (kind, last, text) in texts {
        let body = store.store_large(&of_job(id.as_str()), &text).await?;
        batches.push(Batch { kind, last, body });
    }
    Ok(Batches { count: new_events.len() as u64, batches })
}

impl Batches {
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Numbers the events from `last` on. The transaction holds the job's row, so the numbers have no gaps.
    pub fn append(&self, tx: &mut Transaction<'_>, id: &JobId, last: u64) {
        for batch in &self.batches {
            let key = key(id, batch.kind, last.saturating_add(batch.last));
            tx.put(&key, Item::default().with("before", last).with("events", batch.body.clone()));
        }
    }

    /// They were refused: nothing refers to their parts.
    pub async fn forget(&self, store: &DynamoStore, id: &JobId) {
        for batch in &self.batches {
            if let Err(error) = store.drop_parts(&of_job(id.as_str()), &batch.body).await {
                tracing::warn!(%error, job = %id, "parts of refused events stay until the job is deleted");
            }
        }
    }
}

fn sort_key(kind: &str, seq: u64) -> String {
    format!("{kind}#{seq:020}")
}

fn key(id: &JobId, kind: &str, last: u64) -> Key {
    Key::in_list(Table::Events, id.as_str(), sort_key(kind, last))
}

/// The events of one item, in order.
async fn read(store: &DynamoStore, id: &JobId, mut item: Item) -> StoreResult<Vec<JobEvent>> {
    store.load_large(&of_job(id.as_str()), &mut item, "events").await?;
    let before = item.count("before")?;
    item.text("events")?.lines().map(|line| read_line(before, line)).collect()
}

fn read_line(before: u64, line: &str) -> StoreResult<JobEvent> {
    let corrupt = || StoreError::Corrupt("event", "a line is not whole".to_owned());
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().ok_or_else(corrupt);
    let number: u64 = word()?.parse().map_err(|_| corrupt())?;
    let at = Instant(word()?.parse().map_err(|_| corrupt())?);
    Ok(JobEvent { seq: before.saturating_add(number), at, body: decode_event(word()?)? })
}

fn of(id: &JobId, kind: &str, after: u64, newest_first: bool) -> Part {
    let range = Range::Between(sort_key(kind, after.saturating_add(1)), sort_key(kind, u64::MAX));
    Part { table: Table::Events, hash: id.to_string(), range, newest_first }
}

pub(super) async fn list(
    store: &DynamoStore,
    id: &JobId,
    after: u64,
    limit: usize,
) -> StoreResult<Vec<JobEvent>> {
    let kinds = EventBody::KINDS.into_iter().map(|kind| of_kind(store, id, kind, after, limit));
    let mut events: Vec<_> = try_join_all(kinds).await?.into_iter().flatten().collect();
    events.sort_by_key(|event| event.seq);
    events.truncate(limit);
    let whole = (after.saturating_add(1)..).zip(&events).take_while(|(seq, event)| event.seq == *seq).count();
    events.truncate(whole);
    Ok(events)
}

pub(super) async fn of_kind(
    store: &DynamoStore,
    id: &JobId,
    kind: &str,
    after: u64,
    limit: usize,
) -> StoreResult<Vec<JobEvent>> {
    let mut pages = Pages::of(of(id, kind, after, false), limit);
    let mut events = Vec::new();
    while events.len() < limit
        && let Some(page) = pages.next(store).await?
    {
        for item in page {
            if events.len() < limit {
                events.extend(read(store, id, item).await?.into_iter().filter(|event| event.seq > after));
            }
        }
    }
    events.truncate(limit);
    Ok(events)
}

pub(super) async fn last_of_kind(
    store: &DynamoStore,
    id: &JobId,
    kind: &str,
    limit: usize,
) -> StoreResult<Vec<JobEvent>> {
    let mut pages = Pages::of(of(id, kind, 0, true), limit);
    let mut events = Vec::new();
    while events.len() < limit
        && let Some(page) = pages.next(store).await?
    {
        for item in page {
            if events.len() < limit {
                events.extend(read(store, id, item).await?.into_iter().rev());
            }
        }
    }
    events.truncate(limit);
    events.reverse();
    Ok(events)
}
