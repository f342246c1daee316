//! Data: the list, and one dataset with its tabs. The views are plain data in, view out; `fragments::datasets` renders
//! the same ones.

pub mod columns;
pub mod detail;
pub mod findings;
pub mod list;
pub mod preview;
pub mod samples;
pub mod statistics;

use crate::domain::dataset::{Dataset, DatasetState};
use llm_tuner_dataset::Format;

/// How far the check is, in percent; `None` where none is under way.
pub fn percent(dataset: &Dataset) -> Option<u8> {
    (dataset.state == DatasetState::Checking && dataset.bytes > 0)
        .then(|| u8::try_from(dataset.checked_bytes.min(dataset.bytes) * 100 / dataset.bytes).unwrap_or(100))
}

/// The format's name for people; empty where none is known yet.
pub fn format_label(dataset: &Dataset) -> &'static str {
    let format: Option<Format> =
        dataset.format.clone().and_then(|name| serde_json::from_value(serde_json::Value::String(name)).ok());
    format.map_or("", Format::label)
}
