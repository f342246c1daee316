//! From files of rows to batches of tokens.
//!
//! - [`rows`]: the three shapes of a row, read line by line;
//! - [`template`]: how a row becomes text, and which part of it is to be learned;
//! - [`chat_template`]: the same for conversations, by the base model's own template where it has one;
//! - [`tokens`]: rows as token sequences with a loss mask, cut to length;
//! - [`batches`]: which sequences make which batch, by seed and position alone.
//!
//! Formats other than these rows are converted before a job starts; nothing here repairs data.

pub mod batches;
pub mod chat_template;
pub mod rows;
pub mod template;
pub mod tokens;
