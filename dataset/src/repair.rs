//! The one-click repair: a copy with everything mended that can be, and a file of the rows that cannot, each
//! with its line and the reason, so that nothing is lost.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, Hasher};
use std::io::{Read, Write};

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

use crate::example::Example;
use crate::finding::{Code, Grade};
use crate::parse::Outcome;
use crate::records::{ReadError, walk};
use crate::schema::Schema;
use crate::split::Body;
use crate::validator::MAX_LINE_BYTES;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepairOptions {
    /// Keep only the first of equal rows. Takes 8 bytes of memory for each row.
    pub remove_duplicates: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RepairCounts {
    /// Rows in the repaired copy.
    pub kept: u64,
    /// Of these, rows that were changed.
    pub mended: u64,
    /// Rows in the file of rejected rows.
    pub rejected: u64,
    /// Of these, rows that were fine and equal to an earlier one.
    pub duplicates: u64,
}

/// One line of the file of rejected rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedRow {
    pub line: u64,
    pub code: Code,
    pub reason: String,
    /// The row as it stands in the file; of an over-long one, the beginning.
    pub row: String,
}

/// Writes the repaired copy, JSON Lines in the engine's form whatever the format was, and the rejected rows.
pub fn repair(
    reader: impl Read,
    schema: &Schema,
    options: RepairOptions,
    mut repaired: impl Write,
    mut rejected: impl Write,
) -> Result<RepairCounts, ReadError> {
    let mut counts = RepairCounts::default();
    let mut seen = HashSet::new();
    let mut line = Vec::new();
    walk(reader, schema, |visit| {
        let mut reason = visit.findings.iter().find(|finding| finding.grade == Grade::Error).cloned();
        let mut reason = reason.take().map(|finding| (finding.code, finding.message));
        if let Outcome::Example(example) = &visit.outcome {
            line.clear();
            crate::convert::write_line(&mut line, example)?;
            if line.len() > MAX_LINE_BYTES {
                reason =
                    Some((Code::OverLongLine, "The row is too long once it is written as JSON.".to_owned()));
            } else if options.remove_duplicates && !seen.insert(hash(example)) {
                counts.duplicates += 1;
                reason = Some((Code::DuplicateRow, "The row is the same as an earlier one.".to_owned()));
            } else {
                counts.kept += 1;
                counts.mended += u64::from(visit.findings.iter().any(|finding| finding.grade == Grade::Fix));
                return repaired.write_all(&line).map_err(ReadError::Write);
            }
        }
        counts.rejected += 1;
        let (code, reason) = reason.unwrap_or((Code::NoUsableRows, "The row cannot be used.".to_owned()));
        let row = RejectedRow { line: visit.line, code, reason, row: written(visit.body) };
        serde_json::to_writer(&mut rejected, &row).map_err(|error| ReadError::Write(error.into()))?;
        rejected.write_all(b"\n").map_err(ReadError::Write)
    })?;
    repaired.flush().and_then(|()| rejected.flush()).map_err(ReadError::Write)?;
    Ok(counts)
}

fn hash(example: &Example<'_>) -> u64 {
    let mut hasher = FixedState::with_seed(2).build_hasher();
    example.parts().for_each(|part| part.hash(&mut hasher));
    hasher.finish()
}

/// A record as it stands in the file, or as close to it as its fields are.
pub(crate) fn written(body: Body<'_>) -> String {
    match body {
        Body::Json(bytes) | Body::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Body::TooLong { start, .. } | Body::Broken { start, .. } => {
            format!("{}…", String::from_utf8_lossy(start))
        }
        Body::Fields { bytes, ends } | Body::Header { bytes, ends } => {
            let mut begin = 0;
            let fields: Vec<String> = ends
                .iter()
                .map(|&end| {
                    let field = String::from_utf8_lossy(&bytes[begin..end]).into_owned();
                    begin = end;
                    quoted(field)
                })
                .collect();
            fields.join(",")
        }
        Body::Empty { .. } => String::new(),
    }
}

fn quoted(field: String) -> String {
    if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
}
