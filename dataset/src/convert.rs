//! From any format to the JSON Lines that the engine trains on; for one file, or for a training and a
//! validation file at once.

use std::io::{Read, Write};

use serde::{Deserialize, Serialize};

use crate::example::Example;
use crate::parse::Outcome;
use crate::partition::{Partition, Side};
use crate::records::{ReadError, walk};
use crate::schema::Schema;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Rows written.
    pub rows: u64,
    /// Rows left out because of an error.
    pub rejected: u64,
}

/// How many rows went where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SplitCounts {
    pub training: u64,
    pub validation: u64,
    pub rejected: u64,
}

/// Writes every usable row as one line of JSON.
pub fn convert(reader: impl Read, schema: &Schema, mut writer: impl Write) -> Result<Counts, ReadError> {
    let mut counts = Counts::default();
    walk(reader, schema, |visit| {
        match visit.outcome {
            Outcome::Example(example) => {
                write_line(&mut writer, &example)?;
                counts.rows += 1;
            }
            _ => counts.rejected += 1,
        }
        Ok(())
    })?;
    writer.flush().map_err(ReadError::Write)?;
    Ok(counts)
}

/// Writes every usable row to one of two files, as `partition` decides. Make it for the number of usable rows
/// that the report gives.
pub fn convert_split(
    reader: impl Read,
    schema: &Schema,
    mut partition: Partition,
    mut training: impl Write,
    mut validation: impl Write,
) -> Result<SplitCounts, ReadError> {
    let mut counts = SplitCounts::default();
    walk(reader, schema, |visit| {
        let Outcome::Example(example) = visit.outcome else {
            counts.rejected += 1;
            return Ok(());
        };
        match partition.next().unwrap_or(Side::Training) {
            Side::Training => {
                counts.training += 1;
                write_line(&mut training, &example)
            }
            Side::Validation => {
                counts.validation += 1;
                write_line(&mut validation, &example)
            }
        }
    })?;
    training.flush().and_then(|()| validation.flush()).map_err(ReadError::Write)?;
    Ok(counts)
}

pub(crate) fn write_line(writer: &mut impl Write, example: &Example<'_>) -> Result<(), ReadError> {
    serde_json::to_writer(&mut *writer, example).map_err(|error| ReadError::Write(error.into()))?;
    writer.write_all(b"\n").map_err(ReadError::Write)
}
