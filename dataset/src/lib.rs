//! Datasets for fine-tuning: what a file is, what is wrong with it, and how it becomes what a model trains on.
//!
//! The way of the bytes, each step in its own module and none of them with more in memory than a row:
//!
//! ```text
//! bytes → decode (gzip, UTF-16) → split (lines, JSON elements, CSV rows, text) → parse (a row) → Example
//!                      ↑ detect: the layout                    ↑ judge: the format, findings, statistics
//! ```
//!
//! [`Validator`] takes chunks and gives a [`Report`]; its [`Schema`] is what [`rows`], [`convert`], [`repair`]
//! and [`preview`] need to read the file again. Nothing here opens a file or knows what a server is.

mod convert;
mod decode;
mod detect;
mod finding;
mod findings;
mod histogram;
mod index;
mod judge;
mod parse;
mod partition;
mod preview;
mod records;
mod repair;
mod report;
mod rows;
mod split;
mod statistics;
mod validator;
mod whole;

pub mod example;
pub mod rng;
pub mod samples;
pub mod schema;

pub use convert::{Counts, SplitCounts, convert, convert_split};
pub use example::{Example, Message, Role, Row};
pub use finding::{Code, Finding, FindingGroup, Grade, Repair};
pub use histogram::{Bucket, Histogram};
pub use index::{LineIndex, Place};
pub use partition::{Partition, Side};
pub use preview::{Page, PreviewRow, preview};
pub use records::ReadError;
pub use repair::{RejectedRow, RepairCounts, RepairOptions, repair};
pub use report::{Report, Verdict};
pub use rows::{Rows, rows};
pub use schema::{ColumnMapping, ColumnRole, Container, Encoding, Format, MappedColumn, Schema, Shape};
pub use statistics::Statistics;
pub use validator::{Options, Progress, Validator, validate, validate_with_index};
