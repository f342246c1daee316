//! Pages of lists by cursors.

pub(super) use super::super::cursor::After;
use super::super::{Page, PageRequest, StoreResult};
use super::value::{Row, Value};

/// One row more than asked for: it tells whether there is a next page.
pub(super) fn limit(page: &PageRequest) -> Value {
    Value::from(page.limit.saturating_add(1))
}

/// Makes a page of the rows that a query with [`limit`] gave.
pub(super) fn page<T>(
    rows: &[Row],
    request: &PageRequest,
    read: impl Fn(&Row) -> StoreResult<T>,
    key: impl Fn(&T) -> (i64, String),
) -> StoreResult<Page<T>> {
    let items = rows.iter().take(request.limit).map(read).collect::<StoreResult<Vec<T>>>()?;
    let more = rows.len() > request.limit;
    let next = items.last().filter(|_| more).map(|last| {
        let (at, id) = key(last);
        After { at, id }.cursor()
    });
    Ok(Page { items, next })
}
