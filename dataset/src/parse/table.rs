//! Rows of CSV and TSV: from fields to the entries that an object would have.

use super::json::{Entry, Value};
use super::text::{utf8, without_nul};
use crate::finding::{Code, Sink};
use std::borrow::Cow;

/// The fields of a row, by column; `None` where their number is not that of the columns.
pub fn entries<'a>(
    bytes: &'a [u8],
    ends: &[usize],
    columns: &'a [String],
    sink: &mut dyn Sink,
) -> Option<Vec<Entry<'a>>> {
    if ends.len() != columns.len() {
        let (found, wanted) = (ends.len(), columns.len());
        sink.finding(Code::WrongFieldCount, None, &|| {
            let hint = if found > wanted {
                "A field that holds the delimiter or a line end must stand in double quotes."
            } else {
                "A field is missing, or a quote before it is not closed."
            };
            format!("This row has {found} {}, the table has {wanted} columns. {hint}", plural(found, "field"))
        });
        return None;
    }
    let mut begin = 0;
    let entries = columns.iter().zip(ends).map(|(column, &end)| {
        let text = without_nul(utf8(&bytes[begin..end], sink), sink);
        begin = end;
        (Cow::Borrowed(column.as_str()), Value::Text(text))
    });
    Some(entries.collect())
}

/// True where every field is blank.
pub fn blank(bytes: &[u8]) -> bool {
    bytes.trim_ascii().is_empty()
}

/// "1 field", "2 fields".
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}
