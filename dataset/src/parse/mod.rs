//! From one record to one example: what the fields are (`json`, or the columns of a table), what they mean
//! (`row`, `chat`), and what is wrong with them. Validation, preview, conversion and repair all read rows through
//! [`Reader`], so that they can never disagree.

pub(crate) mod chat;
pub(crate) mod json;
mod keys;
mod reader;
mod row;
mod table;
mod text;

pub(crate) use keys::{LABELS, known_format};
pub(crate) use reader::{Outcome, Reader, unreadable};
