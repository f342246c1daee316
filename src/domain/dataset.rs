//! A dataset as the platform keeps it. What its bytes mean is the business of the `llm-tuner-dataset` crate.

use super::{
    ids::{DatasetId, UserId},
    time::Instant,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    pub id: DatasetId,
    pub user_id: UserId,
    /// What the list shows; by default the uploaded file's name.
    pub name: String,
    /// The uploaded file's own name, as the browser gave it. Never part of a path.
    pub original_name: String,
    /// Where the uploaded bytes lie in storage.
    pub object_key: String,
    pub bytes: u64,
    /// Hexadecimal, of the uploaded bytes.
    pub sha256: String,
    pub state: DatasetState,
    /// Bytes validated so far, while `checking`.
    pub checked_bytes: u64,
    /// Rows that are examples; 0 until checked.
    pub rows: u64,
    /// `Format` of the dataset crate in its serialised spelling, once detected.
    pub format: Option<String>,
    /// JSON of the dataset crate's `Report`, once checked.
    pub report: Option<String>,
    /// JSON of the dataset crate's `ColumnMapping`, where a person changed the guess.
    pub mapping: Option<String>,
    /// Why checking could not finish (not why the data is bad: that is in the report).
    pub failure: Option<String>,
    /// Versions of one dataset share the first version's id.
    pub family_id: DatasetId,
    /// 1 for the first version.
    pub version: u32,
    /// The bundled sample it was made from.
    pub sample: Option<String>,
    pub created_at: Instant,
    pub updated_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatasetState {
    /// The whole file is being read.
    Checking,
    /// Can be trained on.
    Ready,
    /// A table whose columns a person has to name.
    NeedsMapping,
    /// Has rows with errors; a repaired copy can be made.
    NeedsFixing,
    /// Can't be trained on, and no repair helps; the report says why.
    Refused,
    /// The check itself failed (storage, disk); can be tried again.
    Failed,
}

impl DatasetState {
    pub const ALL: [Self; 6] =
        [Self::Checking, Self::Ready, Self::NeedsMapping, Self::NeedsFixing, Self::Refused, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Ready => "ready",
            Self::NeedsMapping => "needs_mapping",
            Self::NeedsFixing => "needs_fixing",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}
