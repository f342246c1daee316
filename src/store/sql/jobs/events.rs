//! What jobs tell: appended with the next numbers, read in order.

use super::super::super::{
    StoreResult,
    encoding::{decode_event, encode_event},
};
use super::super::{
    SqlStore,
    conn::Tx,
    value::{Row, Value, args},
};
use crate::domain::{
    event::{EventBody, JobEvent},
    ids::JobId,
    time::Instant,
};
use sqlx::AssertSqlSafe;

/// Rows of one insert: large to save round trips; few sizes, so that each is prepared once.
const BATCHES: [usize; 3] = [64, 8, 1];

/// Appends `new_events` after number `last`. The caller's transaction holds the job's row, so the numbers have no
/// gaps and no doubles.
pub(super) async fn append(
    tx: &mut Tx,
    id: &JobId,
    last: u64,
    new_events: &[(Instant, EventBody)],
) -> StoreResult<()> {
    let mut seq = last;
    let mut rest = new_events;
    for size in BATCHES {
        while rest.len() >= size {
            let (batch, after) = rest.split_at(size);
            rest = after;
            let mut values: Vec<Value> = args![id];
            for (at, body) in batch {
                seq = seq.saturating_add(1);
                values.extend(args![seq, *at, body.kind(), encode_event(body)?]);
            }
            tx.execute(AssertSqlSafe(insert(size)), values).await?;
        }
    }
    Ok(())
}

/// Placeholders only: nothing of anybody's data becomes part of the text.
fn insert(rows: usize) -> String {
    let tuples: Vec<String> = (0..rows)
        .map(|row| {
            let first = row * 4 + 2;
            format!("($1, ${}, ${}, ${}, ${})", first, first + 1, first + 2, first + 3)
        })
        .collect();
    format!("insert into job_events (job_id, seq, at, kind, body) values {}", tuples.join(", "))
}

fn read(row: &Row) -> StoreResult<JobEvent> {
    let body = decode_event(&row.text("body")?)?;
    Ok(JobEvent { seq: row.count("seq")?, at: row.instant("at")?, body })
}

pub(super) async fn list(
    store: &SqlStore,
    id: &JobId,
    after: u64,
    limit: usize,
) -> StoreResult<Vec<JobEvent>> {
    let rows = store
        .fetch(
            "select seq, at, body from job_events where job_id = $1 and seq > $2 order by seq limit $3",
            args![id, after, limit],
        )
        .await?;
    rows.iter().map(read).collect()
}

/// SQLite by itself reads every line of a long log to find the few events of a rare kind: it is told the index.
macro_rules! of_kind {
    ($store:expr, $rest:literal) => {
        $store.pick(
            concat!(
                "select seq, at, body from job_events indexed by job_events_by_kind
                 where job_id = $1 and kind = $2 ",
                $rest
            ),
            concat!("select seq, at, body from job_events where job_id = $1 and kind = $2 ", $rest),
        )
    };
}

pub(super) async fn of_kind(
    store: &SqlStore,
    id: &JobId,
    kind: &str,
    after: u64,
    limit: usize,
) -> StoreResult<Vec<JobEvent>> {
    let sql = of_kind!(store, "and seq > $3 order by seq limit $4");
    let rows = store.fetch(sql, args![id, kind, after, limit]).await?;
    rows.iter().map(read).collect()
}

pub(super) async fn last_of_kind(
    store: &SqlStore,
    id: &JobId,
    kind: &str,
    limit: usize,
) -> StoreResult<Vec<JobEvent>> {
    let sql = of_kind!(store, "order by seq desc limit $3");
    let rows = store.fetch(sql, args![id, kind, limit]).await?;
    rows.iter().rev().map(read).collect()
}
