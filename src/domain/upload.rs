//! A file that comes in pieces and is no dataset yet.

use super::{
    ids::{DatasetId, UserId},
    time::Instant,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Of the dataset that it becomes: so one upload can't become two.
    pub id: DatasetId,
    pub user_id: UserId,
    /// As [`Dataset::original_name`](super::dataset::Dataset::original_name).
    pub original_name: String,
    /// Where the pieces go, and the whole file after them.
    pub object_key: String,
    /// Of the whole file.
    pub bytes: u64,
    /// What the sender noted about it, to be given back as it was.
    pub metadata: String,
    pub created_at: Instant,
    /// Forgotten from then on; later with every piece.
    pub expires_at: Instant,
}
