//! Where rows begin, so that a page of a preview is read without what comes before it.

use serde::{Deserialize, Serialize};

/// Rows from one entry of the index to the next.
pub const EVERY: u64 = 1000;

/// The place of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The line of the file, from 1.
    pub line: u64,
    /// The byte of the text, which begins after a byte order mark.
    pub offset: u64,
}

/// The places of rows 0, 1000, 2000 …: 16 bytes for a thousand rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LineIndex {
    pub rows: u64,
    pub places: Vec<Place>,
}

impl LineIndex {
    pub(crate) fn add(&mut self, line: u64, offset: u64) {
        if self.rows.is_multiple_of(EVERY) {
            self.places.push(Place { line, offset });
        }
        self.rows += 1;
    }

    /// The place to begin at in order to reach `row`, and how many rows to pass over from there.
    pub fn before(&self, row: u64) -> Option<(Place, u64)> {
        let entry = (row / EVERY).min((self.places.len() as u64).checked_sub(1)?);
        Some((self.places[entry as usize], row - entry * EVERY))
    }
}
